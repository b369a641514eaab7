/* Rounding modes and accrued exceptions through fenv. */
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#pragma STDC FENV_ACCESS ON

static void flags(void) {
    int f = fetestexcept(FE_ALL_EXCEPT);
    printf(" [%s%s%s%s%s]\n", f & FE_INVALID ? "V" : "", f & FE_DIVBYZERO ? "Z" : "",
           f & FE_OVERFLOW ? "O" : "", f & FE_UNDERFLOW ? "U" : "", f & FE_INEXACT ? "X" : "");
    feclearexcept(FE_ALL_EXCEPT);
}

int main(void) {
    int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    volatile double a[] = {1.0, -1.0, 1e308, 1e-308, 3.0, 0.1, -7.5, 0.0, 2.5, 1e-320};
    volatile float s[] = {1.0f, 3.0f, 0.1f, 1e38f, 1e-38f, -2.5f};
    for (int m = 0; m < 4; m++) {
        fesetround(modes[m]);
        feclearexcept(FE_ALL_EXCEPT);
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < 10; j++) {
                volatile double x = a[i], y = a[j], r;
                r = x + y;
                printf("%a", r);
                flags();
                r = x * y;
                printf("%a", r);
                flags();
                r = x / y;
                printf("%a", r != r ? 0.0 : r);
                flags();
                r = x - y;
                printf("%a", r);
                flags();
                volatile float f = (float)x;
                printf("%a", f);
                flags();
                volatile double f2 = fma(x, y, -x);
                printf("%a", f2);
                flags();
            }
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) {
                volatile float x = s[i], y = s[j], r;
                r = x + y;
                printf("%a", r);
                flags();
                r = x * y;
                printf("%a", r);
                flags();
                r = x / y;
                printf("%a", r);
                flags();
                printf("%ld %ld %g", lrint(x), lrintf(y), sqrt(fabs(x)));
                flags();
            }
        printf("%.3f %.2f %.1f\n", 2.0005, 0.125, 0.25);
    }
    return 0;
}
