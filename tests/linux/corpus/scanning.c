/* scanf and the strto family: every conversion, sets, widths, suppression, allocation, ends and overflows. */
#include "common.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>

static void ends(const char *text, int base) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, base);
    printf("%s base %d: %ld, rest '%s', %s", text, base, value, end, errno ? strerrorname_np(errno) : "fine");
    errno = 0;
    unsigned long big = strtoul(text, &end, base);
    printf("; %lu %s\n", big, errno ? strerrorname_np(errno) : "fine");
}
int main(void) {
    int a = 0, b = 0, c = 0, d = 0, n = 0;
    printf("%d", sscanf("12 -34 0x1f 077", "%d %i %i %i%n", &a, &b, &c, &d, &n));
    printf(" %d %d %d %d %d\n", a, b, c, d, n);
    unsigned u, o, x;
    printf("%d", sscanf("4294967295 777 DeadBeef", "%u %o %x", &u, &o, &x));
    printf(" %u %o %x\n", u, o, x);
    signed char hh;
    short h;
    long l;
    long long ll;
    printf("%d", sscanf("-5 -300 -70000000000 9223372036854775807", "%hhd %hd %ld %lld", &hh, &h, &l, &ll));
    printf(" %d %d %ld %lld\n", hh, h, l, ll);
    float f;
    double e;
    long double q;
    printf("%d", sscanf("1.5e3 0x1.8p4 0.1", "%f %lf %Lf", &f, &e, &q));
    printf(" %g %g %.30Lg\n", f, e, q);
    printf("%d", sscanf("inf nan(7) -infinity", "%f %lf %Lf", &f, &e, &q));
    printf(" %d %d %d\n", isinf(f), isnan(e), isinf((double)q));
    char word[20], set[20], not[20], three[4] = "";
    printf("%d", sscanf("word abcabcxyz 123;rest", "%19s %19[a-c]%3c %19[^;];", word, set, three, not));
    printf(" %s %s %.3s %s\n", word, set, three, not);
    char *made = 0, *letters = 0;
    printf("%d", sscanf("allocated zzz", "%ms %m[z]", &made, &letters));
    printf(" %s %s\n", made, letters);
    printf("%d", sscanf("1,2,,4", "%d,%d,%d", &a, &b, &c));
    printf(" %d", sscanf("", "%d", &a));
    printf(" %d", sscanf("x", "%d", &a));
    printf(" %d %d\n", sscanf("5 6", "%*d %d", &a), a);
    printf("%d", sscanf("12345678", "%3d%2d%s", &a, &b, word));
    printf(" %d %d %s\n", a, b, word);
    printf("%d %d\n", sscanf("50% done", "%d%% %s", &a, word), a);
    for (int base = 0; base <= 36; base += 9)
        ends("  -0x7fzZ9", base);
    ends("9223372036854775808", 10), ends("-9223372036854775809", 10), ends("", 10), ends("+", 0), ends("08", 0), ends("1", 1);
    static const char *const reals[] = {"1e400", "-1e-400", "4.9e-324", "2.4703282292062327208e-324", "0x.8p1", "1e", ".5.5",
                                        "179769313486231580793e289", "9007199254740993", "1.00000000000000011102230246251565"};
    for (int i = 0; i < 10; i++) {
        char *end;
        errno = 0;
        double value = strtod(reals[i], &end);
        printf("%s: %a '%s' %d %a\n", reals[i], value, end, errno == ERANGE, (double)strtof(reals[i], 0));
    }
    FILE *file = fmemopen("11 22\n33 end", 12, "r");
    while (fscanf(file, "%d", &a) == 1)
        printf("%d ", a);
    printf("%s %d\n", fgets(word, 20, file), feof(file));
    intmax_t j;
    size_t z;
    printf("%d", sscanf("-99 88", "%jd %zu", &j, &z));
    printf(" %jd %zu\n", j, z);
    return 0;
}
