/* float and double in registers, with conversions. */
#include "runtime.h"

static u64 bits(double d) {
    union {
        double d;
        u64 u;
    } x = {d};
    return x.u;
}
static u32 fbits(float f) {
    union {
        float f;
        u32 u;
    } x = {f};
    return x.u;
}

static double multiply_add(double a, double b, double c) {
#ifdef __riscv_fdiv
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

int main(void) {
    static volatile double v[] = {0, -0.0, 1, -1.5, 1e300, 1e-300, 5e-324, 3.14159, -1e10, 0.1};
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            double a = v[i], b = v[j];
            put_hex(bits(a + b), 16), put_hex(bits(a - b), 16), put_hex(bits(a * b), 16);
            put_hex(b == 0 ? 0 : bits(a / b), 16), put_hex(bits(multiply_add(a, b, 1)), 16);
            float f = (float)a, g = (float)b;
            put_hex(fbits(f + g), 8), put_hex(fbits(f * g), 8), put_hex(fbits(f), 8);
            put_hex(bits(__builtin_fabs(a)), 16);
            if (a > -2e9 && a < 2e9)
                put_hex((u32)(i32)a, 8), put_hex(bits((double)(i32)a), 16);
            put(a < b ? "<\n" : a == b ? "=\n" : ">\n");
        }
    return 0;
}
