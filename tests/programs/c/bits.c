/* Bit tricks: counts, rotations, byte swaps, bit fields, masks, carry-less loops. */
#include <inttypes.h>
#include <stdio.h>

struct packed {
    unsigned a : 3;
    int b : 5;
    unsigned c : 11;
    uint64_t d : 40;
} __attribute__((packed));
static uint64_t seed = 0x9e3779b97f4a7c15ull;
static uint64_t next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

int main(void) {
    uint64_t hash = 0;
    for (int i = 0; i < 5000; i++) {
        uint64_t x = i < 64 ? 1ull << i : next(), y = next();
        uint32_t w = (uint32_t)x;
        unsigned k = (unsigned)y & 63;
        hash = hash * 31 + (unsigned)__builtin_popcountll(x) + (unsigned)__builtin_clzll(x | 1) * 3 +
               (unsigned)__builtin_ctzll(x | 1ull << 63) * 5;
        hash = hash * 31 + (unsigned)__builtin_popcount(w) + (unsigned)__builtin_clz(w | 1) +
               (unsigned)__builtin_ctz(w | 1u << 31) + (unsigned)__builtin_parityll(x);
        hash ^= __builtin_bswap64(x) + __builtin_bswap32(w) + __builtin_bswap16((uint16_t)w);
        hash ^= (x << k | x >> (-k & 63)) + (w << (k & 31) | w >> (-k & 31));
        hash += (x & ~y) ^ (x | ~y) ^ ~(x ^ y);
        hash += (x & (1ull << k)) != 0 ? x & ~(1ull << k) : x | 1ull << k;
        hash ^= (x ^ (1ull << k)) + (x + (y << 1)) + (x + (y << 2)) + (x + (y << 3)) + ((uint64_t)w + y) +
                ((uint64_t)w << 2);
        int64_t sx = (int64_t)x, sy = (int64_t)y;
        hash +=
            (uint64_t)(sx < sy ? sx : sy) ^ (uint64_t)(sx > sy ? sx : sy) ^ (x < y ? x : y) ^ (x > y ? x : y);
        hash += (uint64_t)(int8_t)x + (uint64_t)(int16_t)x + (uint8_t)x + (uint16_t)x + (uint64_t)(int32_t)x;
        hash ^= (sx != 0 ? y : 0) + (sx == 0 ? 0 : x) + ((x & 1) ? y : x);
        struct packed p = {.a = (unsigned)x, .b = (int)y, .c = (unsigned)(x >> 20), .d = y};
        hash += p.a + (uint64_t)(int64_t)p.b + p.c + p.d;
    }
    printf("%016" PRIx64 "\n", hash);
    for (uint64_t x = 1; x; x = x << 7 | x >> 63 & 0)
        printf("%d %d %d\n", __builtin_clzll(x), __builtin_ctzll(x), __builtin_popcountll(x - 1));
    uint32_t crc = ~0u;
    for (int i = 0; i < 1000; i++) {
        crc ^= (uint32_t)i & 255;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    printf("%08x\n", ~crc);
    return 0;
}
