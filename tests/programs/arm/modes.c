/* VFP in each of its modes: rounding, flush-to-zero, default NaN, over pairs of hard numbers; result and flags. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const uint32_t singles[] = {0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x80800001, 0x3f800000,
                                   0xbf800001, 0x34000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001,
                                   0xffc12345, 0x7fc00001, 0x3f000001, 0x1f800000, 0x20000003, 0x4b000001, 0xcf000000};
static const uint64_t doubles[] = {0,
                                   1ull << 63,
                                   1,
                                   0x800fffffffffffff,
                                   0x0010000000000000,
                                   0x8010000000000001,
                                   0x3ff0000000000000,
                                   0xbff0000000000001,
                                   0x3ca0000000000000,
                                   0x7fefffffffffffff,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff0000000000001,
                                   0xfff8000000012345,
                                   0x1ff0000000000000,
                                   0x47efffffe0000001,
                                   0x36a0000000000001,
                                   0x380fffffffffffff,
                                   0xc1e0000000000001};
enum { SINGLES = sizeof singles / sizeof *singles, DOUBLES = sizeof doubles / sizeof *doubles };
static unsigned hash;
static void add(uint32_t word) { hash = (hash ^ word) * 16777619u; }

#define DO1(text, x, y, z)                                                                                             \
    do {                                                                                                               \
        uint32_t r, f;                                                                                                 \
        __asm__ volatile("vmsr fpscr, %5\n vmov s0, %2\n vmov s2, %3\n vmov s4, %4\n" text                             \
                         "\n vmov %0, s4\n vmrs %1, fpscr"                                                             \
                         : "=&r"(r), "=&r"(f) : "r"(x), "r"(y), "r"(z), "r"(mode) : "s0", "s2", "s4");                 \
        add(r), add(f);                                                                                                \
    } while (0)
#define DO2(text, x, y, z)                                                                                             \
    do {                                                                                                               \
        uint64_t r = z;                                                                                                \
        uint32_t f;                                                                                                    \
        __asm__ volatile("vmsr fpscr, %4\n vldr d0, %2\n vldr d1, %3\n vldr d2, %0\n" text                             \
                         "\n vstr d2, %0\n vmrs %1, fpscr"                                                             \
                         : "+m"(r), "=&r"(f) : "m"(x), "m"(y), "r"(mode) : "d0", "d1", "d2");                          \
        add((uint32_t)r), add((uint32_t)(r >> 32)), add(f);                                                            \
    } while (0)

#define S(op) op ".f32 s4, s0, s2"
#define D(op) op ".f64 d2, d0, d1"
#define BOTH(op)                                                                                                       \
    hash = 1;                                                                                                          \
    for (int i = 0; i < SINGLES; i++)                                                                                  \
        for (int j = 0; j < SINGLES; j++)                                                                              \
            for (int k = 0; k < SINGLES; k += 5) DO1(S(op), singles[i], singles[j], singles[k]);                       \
    for (int i = 0; i < DOUBLES; i++)                                                                                  \
        for (int j = 0; j < DOUBLES; j++)                                                                              \
            for (int k = 0; k < DOUBLES; k += 6) DO2(D(op), doubles[i], doubles[j], doubles[k]);                       \
    printf(" " op " %08x", hash);
#define ONE(text1, text2)                                                                                              \
    hash = 1;                                                                                                          \
    for (int i = 0; i < SINGLES; i++) DO1(text1, singles[i], singles[i], 0x12345678);                                  \
    for (int i = 0; i < DOUBLES; i++) DO2(text2, doubles[i], doubles[i], 0x123456789abcdef0);                          \
    printf(" %s %08x", text1, hash);

int main(void)
{
    for (uint32_t top = 0; top < 16; top++) {
        uint32_t mode = top << 22;
        printf("%x:", top);
        BOTH("vadd") BOTH("vsub") BOTH("vmul") BOTH("vdiv") BOTH("vnmul") BOTH("vmla") BOTH("vnmls")
        BOTH("vfma") BOTH("vfnms")
        ONE("vsqrt.f32 s4, s0", "vsqrt.f64 d2, d0")
        ONE("vcvt.f64.f32 d2, s0", "vcvt.f32.f64 s4, d0")
        ONE("vcvt.s32.f32 s4, s0", "vcvt.s32.f64 s4, d0")
        ONE("vcvtr.u32.f32 s4, s0", "vcvtr.s32.f64 s4, d0")
        ONE("vcvt.f32.s32 s4, s0", "vcvt.f64.u32 d2, s0")
        ONE("vcvtb.f16.f32 s4, s0", "vcmpe.f64 d0, #0.0")
        ONE("vcvtt.f32.f16 s4, s0", "vcmp.f64 d0, d1")
        ONE("vcmp.f32 s0, s2", "vcmpe.f64 d0, d1")
        printf("\n");
    }
}
