/* The C library's mathematics, to the last bit. */
#include <math.h>
#include <stdio.h>

int main(void) {
    for (int i = -40; i <= 40; i++) {
        double x = i * 0.37;
        printf("%.17g %.17g %.17g %.17g %.17g\n", sin(x), cos(x), tan(x), atan(x), exp(x / 4));
        printf("%.17g %.17g %.17g %.17g\n", log(fabs(x) + 1e-3), pow(fabs(x) + 0.1, 1.7), cbrt(x),
               hypot(x, 3));
        printf("%.17g %.17g %.17g %.17g %.17g\n", floor(x), ceil(x), trunc(x), round(x), rint(x));
        printf("%.17g %.17g %ld %ld\n", fmod(x, 1.3), remainder(x, 1.3), lrint(x), lround(x));
        int e;
        double m = frexp(x, &e);
        double ip, fp = modf(x, &ip);
        printf("%.17g %d %.17g %.17g %.17g\n", m, e, ip, fp, ldexp(x, 5));
        printf("%.9g %.9g %.9g %.9g\n", sinf((float)x), expf((float)x / 4), sqrtf((float)fabs(x)),
               powf((float)fabs(x) + 0.1f, 0.3f));
        printf("%.17g %.17g %.17g %.17g\n", sinh(x / 4), tanh(x), erf(x / 4), tgamma(fabs(x) / 4 + 0.5));
    }
    long double q = 1.0L;
    for (int i = 1; i < 30; i++)
        q = q / i + sqrtl(q);
    printf("%.30Lg\n", q);
    return 0;
}
