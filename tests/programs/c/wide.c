/* 64-bit and 128-bit arithmetic. */
#include <stdint.h>
#include <stdio.h>

static uint64_t state = 88172645463325252ull;
static uint64_t next(void) {
    state ^= state << 7;
    state ^= state >> 9;
    return state;
}

int main(void) {
    volatile int64_t corners[] = {
        0, 1, -1, INT64_MAX, INT64_MIN, 10, -10, 0x123456789abcdef0ll, 0xffffffffll, -0x100000000ll};
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            int64_t a = corners[i], b = corners[j];
            uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
            unsigned __int128 p = (unsigned __int128)ua * ub;
            __int128 q = (__int128)a * b;
            printf("%lx %lx %lx %lx %lx\n", ua + ub, ua - ub, (uint64_t)p, (uint64_t)(p >> 64),
                   (uint64_t)(q >> 64));
            if (b != 0 && !(a == INT64_MIN && b == -1))
                printf("%ld %ld\n", a / b, a % b);
            if (ub != 0)
                printf("%lu %lu\n", ua / ub, ua % ub);
            if (ub != 0) {
                unsigned __int128 r = p % (ub | 1), d = p / (ub | 3);
                printf("%lx %lx %lx\n", (uint64_t)r, (uint64_t)d, (uint64_t)(d >> 64));
            }
        }
    uint64_t hash = 0;
    for (int i = 0; i < 50000; i++) {
        uint64_t a = next(), b = next() | 1;
        hash = (hash << 5 | hash >> 59) ^ (a / b + a % b) ^ (uint64_t)((int64_t)a / (int64_t)(b >> 1 | 1)) ^
               (a * b);
        hash += (a << (b & 63)) ^ (uint64_t)((int64_t)a >> (b & 63)) ^
                (uint64_t)(((unsigned __int128)a * b) >> 64);
    }
    printf("%016lx\n", hash);
    return 0;
}
