/* printf: every conversion with flags, widths, precisions and lengths; %n, positions, and long double. */
#include "common.h"
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>

int main(void) {
    static const char *const integers[] = {"%d", "%5d", "%-5d|", "%05d", "%+d", "% d", "%.3d", "%8.3d", "%-8.3d|", "%'d"};
    static const int numbers[] = {0, 1, -1, 42, -12345, INT_MAX, INT_MIN};
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 7; j++)
            printf(integers[i], numbers[j]), putchar(' ');
        putchar('\n');
    }
    static const char *const bases[] = {"%u", "%o", "%x", "%X", "%#o", "%#x", "%#X", "%08x", "%#010x", "%-#10x|", "%.5x", "%#.0x"};
    for (int i = 0; i < 12; i++) {
        for (int j = 0; j < 7; j++)
            printf(bases[i], (unsigned)numbers[j]), putchar(' ');
        putchar('\n');
    }
    static const char *const reals[] = {"%f", "%e", "%g", "%a", "%F", "%E", "%G", "%A", "%.0f", "%#.0f", "%.10g", "%#g",
                                        "%+.3e", "%012.4f", "%-14.3g|", "%.20f", "%.40e", "%.1a", "% g"};
    static const double values[] = {0, -0.0, 1, -1.5, 0.1, 1e100, 1e-7, 123456.789, 5e-324, DBL_MAX, INFINITY, -NAN, 2.5, 0.5};
    for (int i = 0; i < 19; i++) {
        for (int j = 0; j < 14; j++)
            if (!(j == 9 && strchr("fF", reals[i][strlen(reals[i]) - 1])))
                printf(reals[i], values[j]), putchar(' ');
        putchar('\n');
    }
    printf("%hhd %hd %ld %lld %jd %zd %td\n", (signed char)300, (short)70000, LONG_MIN, LLONG_MAX, INTMAX_MIN, (ssize_t)-1,
           (ptrdiff_t)-5);
    printf("%hhu %hu %lx %llo %ju %zx " "%" PRIu64 "\n", (unsigned char)300, (unsigned short)70000, ULONG_MAX, ULLONG_MAX,
           UINTMAX_MAX, (size_t)-1, UINT64_MAX);
    printf("[%s] [%10s] [%-10s] [%.2s] [%c] [%5c] [%-5c] [%%]\n", "text", "right", "left", "cut", 'c', 'd', 'e');
    printf("[%*d] [%-*d] [%.*f] [%*.*s]\n", 6, 42, 6, 42, 3, 3.14159265, 8, 3, "precision");
    printf("%2$s %1$s %2$s %3$*4$d\n", "one", "two", 3, 5);
    int count;
    printf("counted%n", &count);
    printf(" %d\n", count);
    printf("%p %p\n", (void *)0, (void *)0x1234);
    printf("%Lf %Le %Lg %La\n", 1.0L / 3, 1e4000L, -2.5L, 0.1L);
    printf("%.33Lg %.36Lg\n", 3.14159265358979323846264338327950288L, LDBL_MIN);
    printf("%s %m\n", (errno = ENOENT, "with m:"));
    char small[8];
    printf("%d ", snprintf(small, sizeof small, "%s", "too long for it"));
    puts(small);
    printf("%.*s|%s\n", -1, "negative precision", (char *)0 ? "" : "(null)");
    printf("%C %lc %ls\n", L'W', L'w', L"wide");
    char *made;
    printf("%d ", asprintf(&made, "%0*d", 50, 7));
    puts(made);
    fflush(stdout);
    return ferror(stdout);
}
