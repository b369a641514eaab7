/* SHA-256 of growing messages. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t K[64];
static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void block(uint32_t *h, const uint8_t *p) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
               p[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, h, 32);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
        uint32_t t2 =
            (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int k = 7; k > 0; k--)
            s[k] = s[k - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}
static uint32_t root(int p, int cube) { /* the first 32 bits of the fractional part */
    double r = cube ? cbrt(p) : sqrt(p);
    return (uint32_t)((r - floor(r)) * 4294967296.0);
}

int main(void) {
    uint32_t start[8];
    int count = 0;
    for (int p = 2; count < 64; p++) {
        int prime = 1;
        for (int d = 2; d * d <= p; d++)
            if (p % d == 0)
                prime = 0;
        if (!prime)
            continue;
        K[count] = root(p, 1);
        if (count < 8)
            start[count] = root(p, 0);
        count++;
    }
    static uint8_t message[20000];
    for (int length = 0; length < 16000; length = length * 3 / 2 + 7) {
        for (int i = 0; i < length; i++)
            message[i] = (uint8_t)(i * 31 + length);
        int total = (length + 9 + 63) / 64 * 64;
        memset(message + length, 0, (size_t)(total - length));
        message[length] = 0x80;
        for (int i = 0; i < 8; i++)
            message[total - 1 - i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
        uint32_t h[8];
        memcpy(h, start, 32);
        for (int i = 0; i < total; i += 64)
            block(h, message + i);
        printf("%5d ", length);
        for (int i = 0; i < 8; i++)
            printf("%08x", h[i]);
        puts("");
    }
    return 0;
}
