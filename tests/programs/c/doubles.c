/* double and float: arithmetic, conversions, comparison of special values,
 * printed exactly. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t bits(double d) {
    uint64_t u;
    memcpy(&u, &d, 8);
    return u;
}
static uint32_t fbits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

int main(void) {
    volatile double v[] = {0.0,     -0.0,          1.0,          -1.5,     1e308,     -1e308,
                           5e-324,  DBL_MIN,       DBL_EPSILON,  INFINITY, -INFINITY, NAN,
                           1.0 / 3, 123456789.125, 4294967296.5, 9.3e18,   -9.3e18};
    int n = sizeof v / sizeof v[0];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double a = v[i], b = v[j];
            double r[] = {a + b, a - b, a * b, a / b, fma(a, b, a), fmin(a, b), fmax(a, b), copysign(a, b)};
            for (int k = 0; k < 8; k++)
                printf("%016" PRIx64 " ", isnan(r[k]) && k < 5 ? 0x7ff8000000000000 : bits(r[k]));
            printf("%d%d%d%d%d\n", a < b, a <= b, a == b, a != b, isunordered(a, b) != 0);
        }
        double a = v[i];
        float f = (float)a;
        printf("%08x %016" PRIx64 " %016" PRIx64 "\n", isnan(f) ? 0x7fc00000 : fbits(f),
               isnan(a) ? 0 : bits(sqrt(a < 0 ? -a : a)), isnan(a) ? 0 : bits((double)f));
        if (fabs(a) < 1e9)
            printf("%d %ld %u %lu %g %a\n", (int)a, (long)a, (unsigned)fabs(a), (unsigned long)fabs(a), a, a);
        printf("%g %.17g %a %f\n", a, a, a, a);
    }
    float sum = 0;
    double dsum = 0;
    for (int i = 1; i < 100000; i++) {
        sum += 1.0f / i;
        dsum += 1.0 / i;
    }
    printf("%08x %016" PRIx64 " %.9g %.17g\n", fbits(sum), bits(dsum), sum, dsum);
    for (int i = -5; i < 6; i++)
        printf("%.0f %.0f %.1f %.3e\n", i + 0.5, i * 2.5, i / 3.0, i * 1.2345e10);
    for (long l = 1; l; l <<= 3)
        printf("%016" PRIx64 " %08x %016" PRIx64 " %08x\n", bits((double)l), fbits((float)l),
               bits((double)(unsigned long)(l * 7)), fbits((float)(-l * 5)));
    return 0;
}
