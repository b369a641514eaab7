/* Sums, products, comparisons and conversions of the x87 unit, with their flags: a checksum for each operation, so that an
   operation stands for some ten thousand pairs. They are ordinary numbers and those at the ends of what there is. Half of
   the time the flag of inexact results is set before, which changes nothing but how they are computed in an emulator. */
#include "x87_numbers.h"
static number made(unsigned exponent, uint64_t fraction) {
    number n;
    memset(&n, 0, sizeof n);
    n.part.exponent = (uint16_t)(exponent | (next() & 1) << 15);
    n.part.fraction = fraction;
    return n;
}
static number some(void) {
    uint64_t fraction = next();
    if (next() % 4 == 0)
        fraction &= ~0ull << next() % 64;
    switch (next() % 16) {
    case 0: return made(0, 0);
    case 1: return made(0, fraction >> 1);                              /* denormal */
    case 2: return made(0x7fff, 1ull << 63);
    case 3: return made(0x7fff, fraction | 1ull << 63);
    case 4: return made(1 + (unsigned)(next() % 70), fraction | 1ull << 63);
    case 5: return made(0x7ffe - (unsigned)(next() % 70), fraction | 1ull << 63);
    case 6: return made(0x3fff + (unsigned)(next() % 66), fraction | 1ull << 63);
    case 7: return made(0x3c01 - (unsigned)(next() % 70), fraction | 1ull << 63);   /* about the least double */
    case 8: return made(0x43ff - (unsigned)(next() % 3), fraction | 1ull << 63);
    case 9: return made(0x3f81 - (unsigned)(next() % 30), fraction | 1ull << 63);
    default: return made(0x3fff - 40 + (unsigned)(next() % 80), fraction | 1ull << 63);
    }
}
static uint64_t sum;
static void note(const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    while (size--)
        sum = (sum ^ *at++) * 0x100000001b3u;
}
static void begin(int inexact) {
    __asm__ volatile("fnclex");
    if (inexact)
        __asm__ volatile("fld1\n\tfldpi\n\tfdivp\n\tfstp %%st(0)" : : : "st");
}
static void end(unsigned mask) {
    unsigned short status;
    __asm__ volatile("fnstsw %0" : "=a"(status));
    status &= mask;
    note(&status, sizeof status);
}
enum { COUNT = 6000, FLAGS = 0x3d, CONDITIONS = 0x4500 };                  /* not that an operand was denormal */

#define EACH(name, mask, ...) { \
    sum = 14695981039346656037u; \
    for (int i = 0; i < COUNT; i++) { \
        number x = some(), y = some(); \
        if (next() % 8 == 0) \
            y = x, y.part.fraction ^= x.part.fraction << 1 ? next() % 4 : 0, y.part.exponent ^= next() % 2 << 15; \
        begin(i & 1); \
        __VA_ARGS__ \
        end(mask); \
    } \
    printf("%s %016llx\n", name, (unsigned long long)sum); }
#define ARITHMETIC(instruction) EACH(instruction, FLAGS, { \
    number r; \
    memset(&r, 0, sizeof r); \
    __asm__ volatile(instruction : "=t"(r.value) : "0"(x.value), "u"(y.value)); \
    note(&r, 10); })
#define STORED(instruction, type) EACH(instruction " " #type, FLAGS, { \
    type r; \
    __asm__ volatile(instruction " %0" : "=m"(r) : "t"(x.value) : "st"); \
    note(&r, sizeof r); })
#define LOADED(instruction, type) EACH(instruction " " #type, FLAGS, { \
    type from; \
    number r; \
    memset(&r, 0, sizeof r); \
    memcpy(&from, &y.part.fraction, sizeof from); \
    __asm__ volatile(instruction " %1" : "=t"(r.value) : "m"(from)); \
    note(&r, 10); })
#define COMPARED(instruction) EACH(instruction, FLAGS | CONDITIONS, \
    __asm__ volatile(instruction : : "t"(x.value), "u"(y.value)); )
#define COMPARED_I(instruction) EACH(instruction, FLAGS, { \
    unsigned char less, equal, unordered; \
    __asm__ volatile(instruction "\n\tsetb %0\n\tsete %1\n\tsetp %2" : "=q"(less), "=q"(equal), "=q"(unordered) \
        : "t"(x.value), "u"(y.value) : "cc"); \
    note(&less, 1), note(&equal, 1), note(&unordered, 1); })

int main(void) {
    for (int control = 0; control < 16; control++) {
        if ((control & 3) == 1)
            continue;                                                      /* no precision */
        unsigned short word = (unsigned short)(0x7f | (control & 3) << 8 | control >> 2 << 10), usual = 0x37f;
        __asm__ volatile("fldcw %0" : : "m"(word));
        printf("%04x\n", word);
        ARITHMETIC("fadd %%st(1), %%st")
        ARITHMETIC("fsub %%st(1), %%st")
        ARITHMETIC("fsubr %%st(1), %%st")
        ARITHMETIC("fmul %%st(1), %%st")
        ARITHMETIC("fdiv %%st(1), %%st")
        ARITHMETIC("fdivr %%st(1), %%st")
        ARITHMETIC("fsqrt")
        STORED("fstps", float)
        STORED("fstpl", double)
        STORED("fistps", int16_t)
        STORED("fistpl", int32_t)
        STORED("fistpll", int64_t)
        STORED("fisttpl", int32_t)
        STORED("fisttpll", int64_t)
        __asm__ volatile("fldcw %0" : : "m"(usual));
    }
    ARITHMETIC("fchs")
    ARITHMETIC("fabs")
    LOADED("flds", float)
    LOADED("fldl", double)
    LOADED("filds", int16_t)
    LOADED("fildl", int32_t)
    LOADED("fildll", int64_t)
    COMPARED("fcom %%st(1)")
    COMPARED("fucom %%st(1)")
    COMPARED("ftst")
    COMPARED_I("fcomi %%st(1), %%st")
    COMPARED_I("fucomi %%st(1), %%st")
    return 0;
}
