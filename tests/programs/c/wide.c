/* 64-bit arithmetic, and 128-bit where the compiler has it. */
#include <inttypes.h>
#include <stdio.h>

static uint64_t state = 88172645463325252ull;
static uint64_t next(void) {
    state ^= state << 7;
    state ^= state >> 9;
    return state;
}

static uint64_t high(uint64_t a, uint64_t b) { /* the upper half of the product */
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    uint64_t low = (a & 0xffffffff) * (b & 0xffffffff), one = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    uint64_t other = (a & 0xffffffff) * (b >> 32) + (one & 0xffffffff);
    return (a >> 32) * (b >> 32) + (one >> 32) + (other >> 32);
#endif
}

int main(void) {
    volatile int64_t corners[] = {
        0, 1, -1, INT64_MAX, INT64_MIN, 10, -10, 0x123456789abcdef0ll, 0xffffffffll, -0x100000000ll};
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            int64_t a = corners[i], b = corners[j];
            uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
            printf("%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", ua + ub, ua - ub, ua * ub,
                   high(ua, ub));
            if (b != 0 && !(a == INT64_MIN && b == -1))
                printf("%" PRId64 " %" PRId64 "\n", a / b, a % b);
            if (ub != 0)
                printf("%" PRIu64 " %" PRIu64 "\n", ua / ub, ua % ub);
#ifdef __SIZEOF_INT128__
            printf("%" PRIx64 "\n", (uint64_t)((__int128)a * b >> 64));
            if (ub != 0) {
                unsigned __int128 p = (unsigned __int128)ua * ub, r = p % (ub | 1), d = p / (ub | 3);
                printf("%" PRIx64 " %" PRIx64 " %" PRIx64 "\n", (uint64_t)r, (uint64_t)d,
                       (uint64_t)(d >> 64));
            }
#endif
        }
    uint64_t hash = 0;
    for (int i = 0; i < 50000; i++) {
        uint64_t a = next(), b = next() | 1;
        hash = (hash << 5 | hash >> 59) ^ (a / b + a % b) ^ (uint64_t)((int64_t)a / (int64_t)(b >> 1 | 1)) ^
               (a * b);
        hash += (a << (b & 63)) ^ (uint64_t)((int64_t)a >> (b & 63)) ^ high(a, b);
    }
    printf("%016" PRIx64 "\n", hash);
    return 0;
}
