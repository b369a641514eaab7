/* 32-bit arithmetic, division corners, shifts, overflow by wrapping. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

static uint32_t state = 12345;
static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

int main(void) {
    volatile int corners[] = {0, 1, -1, 2, -2, INT_MAX, INT_MIN, 0x55555555, (int)0xaaaaaaaa, 7, -7, 1000003};
    int n = sizeof corners / sizeof corners[0];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int a = corners[i], b = corners[j];
            unsigned ua = (unsigned)a, ub = (unsigned)b;
            printf("%d %d: %u %u %u", a, b, ua + ub, ua - ub, ua * ub);
            if (b != 0 && !(a == INT_MIN && b == -1))
                printf(" %d %d", a / b, a % b);
            if (ub != 0)
                printf(" %u %u", ua / ub, ua % ub);
            printf(" %u %u %d %d%d%d%d\n", ua << (ub & 31), ua >> (ub & 31), a >> (ub & 31), a < b, ua < ub,
                   a == b, a >= b);
        }
    uint32_t hash = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t a = next(), b = next() | 1;
        hash = hash * 31 + (a / b) + (a % b) + (uint32_t)((int32_t)a / (int32_t)(b & 0x7fffffff)) + (a * b) +
               (a >> (b & 31));
        hash ^= (uint32_t)(((uint64_t)a * b) >> 32) + (uint32_t)(((int64_t)(int32_t)a * (int32_t)b) >> 32);
    }
    printf("%08x\n", hash);
    signed char sc = (signed char)0x80;
    unsigned char uc = 0xff;
    short sh = (short)0x8000;
    unsigned short uh = 0xffff;
    printf("%d %d %d %d\n", sc, uc, sh, uh);
    return 0;
}
