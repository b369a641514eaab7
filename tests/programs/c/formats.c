/* printf and scanf conversions. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <wchar.h>

static void many(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
}

int main(void) {
    printf("[%5d] [%-5d] [%05d] [%+d] [% d] [%x] [%#X] [%o] [%#o]\n", 42, 42, 42, 42, 42, 255, 255, 8, 8);
    printf("[%10s] [%-10s] [%.3s] [%c] [%%] [%5.1s]\n", "right", "left", "truncated", 'x', "yz");
    printf("[%hhd] [%hd] [%ld] [%lld] [%zu] [%jd] [%td]\n", (signed char)-1, (short)-2, -3L, -4LL, (size_t)5,
           (intmax_t)6, (ptrdiff_t)7);
    printf("[%f] [%.0f] [%10.3f] [%-10.2e] [%G] [%g] [%g] [%a]\n", 3.14159, 2.5, 2.71828, 12345.678, 1e-10,
           100000.0, 1000000.0, 1.0);
    printf("[%*d] [%-*d] [%.*f]\n", 8, 1, 8, 2, 3, 1.23456);
    many("%d %s %g %ld %c %u %x %f %d %d %d %d %s\n", 1, "two", 3.0, 4L, '5', 6u, 7, 8.5, 9, 10, 11, 12,
         "thirteen");
    printf("%" PRId64 " %" PRIu32 " %" PRIx64 "\n", INT64_MIN, UINT32_MAX, UINT64_MAX);
    int a, b;
    double d;
    char word[20], c;
    unsigned x;
    int n = sscanf("12 -34 5.5e3 hello 0xff Z", "%d %d %lf %19s %x %c", &a, &b, &d, word, &x, &c);
    printf("%d: %d %d %g %s %u %c\n", n, a, b, d, word, x, c);
    n = sscanf("a=5,b=[xyz]", "a=%d,b=[%19[^]]]", &a, word);
    printf("%d: %d %s\n", n, a, word);
    printf("%ls\n", L"wide");
    for (int i = 0; i < 20; i++) {
        double p = 1;
        for (int k = 0; k < i; k++)
            p *= 10;
        printf("%.15g %.17g %g\n", 1 / p, p / 3, p * 7);
    }
    char out[64];
    int len = snprintf(out, 10, "%s", "much longer than ten");
    printf("%d %s\n", len, out);
    return 0;
}
