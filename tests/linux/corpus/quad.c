/* long double is 128 bits wide: arithmetic, conversions, comparisons and the library's functions. */
#include "common.h"
#include <complex.h>
#include <fenv.h>
#include <float.h>
#include <math.h>

static void show(const char *name, long double value) { printf("%s %.33Lg %La\n", name, value, value); }
int main(void) {
    volatile long double a = 1.0L / 3, b = 2.0L, c = 1e-30L, zero = 0;
    printf("%d %d %d %zu\n", LDBL_MANT_DIG, LDBL_MAX_EXP, LDBL_DIG, sizeof a);
    show("sum", a + c), show("difference", a - b), show("product", a * a), show("quotient", b / 7), show("fma", fmal(a, b, c));
    show("sqrt", sqrtl(b)), show("cbrt", cbrtl(b)), show("hypot", hypotl(a, b)), show("pow", powl(b, a)), show("exp", expl(a));
    show("exp2", exp2l(a)), show("expm1", expm1l(c)), show("log", logl(b)), show("log10", log10l(b)), show("log1p", log1pl(c));
    show("sin", sinl(b)), show("cos", cosl(b)), show("tan", tanl(b)), show("asin", asinl(a)), show("acos", acosl(a));
    show("atan2", atan2l(a, -b)), show("sinh", sinhl(b)), show("cosh", coshl(b)), show("tanh", tanhl(a)), show("asinh", asinhl(b));
    show("acosh", acoshl(b)), show("atanh", atanhl(a)), show("erf", erfl(a)), show("erfc", erfcl(b)), show("lgamma", lgammal(a));
    show("tgamma", tgammal(4.5L)), show("fmod", fmodl(1e30L, 7.25L)), show("remainder", remainderl(1e20L, 3));
    show("floor", floorl(-a)), show("ceil", ceill(a)), show("rint", rintl(2.5L)), show("round", roundl(2.5L)), show("trunc", truncl(-2.7L));
    show("next", nextafterl(1, 2) - 1), show("scalbn", scalbnl(a, 1000)), show("ldexp", ldexpl(a, -16400)), show("j0", j0l(b));
    show("min", LDBL_MIN / 3), show("max", LDBL_MAX), show("over", LDBL_MAX * b), show("invalid", zero / zero);
    int exponent;
    show("frexp", frexpl(1e300L, &exponent));
    long double whole, part = modfl(-12345.678L, &whole);
    show("modf", part), show("whole", whole);
    printf("%d %ld %lld %d\n", exponent, lrintl(1e15L + a), llroundl(-7.5L), ilogbl(c));
    printf("%d %d %lu %a %a\n", (int)-3.9L, (int)(long)1e18L % 1000, (unsigned long)1.8e19L, (double)a, (double)(float)a);
    for (long n = 1; n != 0; n = (long)((unsigned long)n << 13))
        printf("%d ", (long)(long double)(n + 1) == n + 1);
    printf("\n%d %d %d %d %d\n", a < b, a >= b, zero / zero == zero, isunordered(zero / zero, a) != 0, -zero == zero);
    feclearexcept(FE_ALL_EXCEPT);
    volatile long double lost = (long double)(double)a;
    printf("%d", fetestexcept(FE_INEXACT) != 0);
    lost = b / zero;
    printf("%d", fetestexcept(FE_DIVBYZERO) != 0);
    fesetround(FE_UPWARD);
    long double up = b / 3;
    fesetround(FE_DOWNWARD);
    long double down = b / 3;
    fesetround(FE_TONEAREST);
    printf("%d\n", up > down || up == down);
    long double complex z = csqrtl(-2 + 3 * I), w = cexpl(z * I);
    show("real", creall(w)), show("imaginary", cimagl(w)), show("modulus", cabsl(z));
    long double series = 0;
    for (int n = 1; n < 2000; n++)
        series += 1.0L / ((long double)n * n);
    show("series", series);
    return isnan(lost);
}
