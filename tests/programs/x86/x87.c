/* The x87 unit on random numbers: each line is an operation, its operands and its result in bits. */
#include "x87_numbers.h"
/* With an exponent from low to high; a quarter of them have few bits. */
static long double some(int low, int high) {
    number made;
    memset(&made, 0, sizeof made);
    made.part.fraction = next();
    if (next() % 4 == 0)
        made.part.fraction &= ~0ull << next() % 64;
    made.part.fraction |= 1ull << 63;
    made.part.exponent = (uint16_t)(16383 + low + (int)(next() % (unsigned)(high - low + 1)) | (int)(next() & 1) << 15);
    return made.value;
}
static long double positive(long double a) { return a < 0 ? -a : a; }
static void show(const char *name, long double a, long double b, long double result, unsigned more) {
    number n[3] = {{a}, {b}, {result}};
    printf("%s", name);
    for (int i = 0; i < 3; i++)
        printf(" %04x%016llx", n[i].part.exponent, (unsigned long long)n[i].part.fraction);
    printf(" %x\n", more);
}
/* st(1) stays; is popped; is not there */
#define KEEP(name, instruction, a, b, more) { \
    long double x = a, y = b, r; unsigned short status; \
    __asm__ volatile("fnclex\n\t" instruction "\n\tfnstsw %1" : "=t"(r), "=a"(status) : "0"(x), "u"(y)); \
    show(name, x, y, r, more); }
#define POP(name, instruction, a, b) { \
    long double x = a, y = b, r; \
    __asm__ volatile(instruction : "=t"(r) : "0"(x), "u"(y) : "st(1)"); \
    show(name, x, y, r, 0); }
#define ONE(name, instruction, a, more) { \
    long double x = a, r; \
    __asm__ volatile(instruction : "=t"(r) : "0"(x)); \
    show(name, x, 0, r, more); }

/* a result and another above it */
#define TWO(name, instruction, a) { \
    long double x = a, r, above; \
    __asm__ volatile(instruction : "=t"(above), "=u"(r) : "0"(x)); \
    show(name, x, above, r, 0); }
#define TRIGONOMETRIC(a) { \
    long double angle = a; \
    ONE("fsin", "fsin", angle, 0) \
    ONE("fcos", "fcos", angle, 0) \
    TWO("fsincos", "fsincos", angle) \
    TWO("fptan", "fptan", angle) }
#define DECIMAL(a) { \
    long double x = a, r; \
    unsigned char digits[10]; \
    __asm__ volatile("fbstp %0" : "=m"(digits) : "t"(x) : "st"); \
    __asm__ volatile("fbld %1" : "=t"(r) : "m"(digits)); \
    show("fbcd", x, 0, r, digits[9] << 8 | digits[0]); }

int main(void) {
    for (int i = 0; i < 100; i++) {
        KEEP("fprem", "fprem", some(-3, 70), some(-3, 3), status & 0x4700)
        KEEP("fprem1", "fprem1", some(-3, 70), some(-3, 3), status & 0x4700)
        KEEP("fprem1", "fprem1", some(-1, 1), some(-1, 1), status & 0x4700)
        KEEP("fscale", "fscale", some(-70, 70), some(-3, 12), 0)
        ONE("f2xm1", "f2xm1", some(-70, -1), 0)
        ONE("f2xm1", "f2xm1", some(-3, -1), 0)
        POP("fyl2x", "fyl2x", positive(some(-100, 100)), some(-5, 5))
        POP("fyl2x", "fyl2x", positive(some(-1, 0)), some(-5, 5))
        POP("fyl2x", "fyl2x", 1 + some(-30, -3), some(-5, 5))
        POP("fyl2xp1", "fyl2xp1", some(-60, -3), some(-5, 5))
        TRIGONOMETRIC(some(-5, 5))
        TRIGONOMETRIC(some(-70, -5))
        TRIGONOMETRIC(some(0, 62))
        TRIGONOMETRIC(3.14159265358979323846L * (i + 1) / 4)
        ONE("fsin", "fsin", some(63, 70), 0)
        DECIMAL(some(-3, 62))
        POP("fpatan", "fpatan", some(-5, 5), some(-5, 5))
        POP("fpatan", "fpatan", some(-60, 60), some(-60, 60))
        for (int control = 0; control < 16; control++) {
            if ((control & 3) == 1)
                continue; /* no precision */
            unsigned short word = (unsigned short)(0x7f | (control & 3) << 8 | control >> 2 << 10), usual = 0x37f;
            __asm__ volatile("fldcw %0" : : "m"(word));
            KEEP("fadd", "fadd %%st(1), %%st", some(-50, 50), some(-50, 50), word)
            KEEP("fmul", "fmul %%st(1), %%st", some(-50, 50), some(-50, 50), word)
            KEEP("fdiv", "fdiv %%st(1), %%st", some(-50, 50), some(-50, 50), word)
            ONE("fsqrt", "fsqrt", positive(some(-50, 50)), word)
            __asm__ volatile("fldcw %0" : : "m"(usual));
        }
    }
    return 0;
}
