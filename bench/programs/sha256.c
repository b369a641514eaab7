/* Rotations and additions: SHA-256's rounds over forty megabytes. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static uint32_t K[64], h[8];
static inline uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void block(const uint8_t *p) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
               p[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t = k + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
        uint32_t u = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        k = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += k;
}
int main(void) {
    for (uint32_t i = 0, x = 1; i < 64; i++)
        K[i] = x = x * 2654435761u + 12345;
    static uint8_t data[1 << 16];
    for (int i = 0; i < 1 << 16; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    for (int round = 0; round < 640; round++)
        for (int i = 0; i < 1 << 16; i += 64)
            block(data + i);
    for (int i = 0; i < 8; i++)
        printf("%08x", h[i]);
    puts("");
}
