/* Deep recursion, large frames, alloca, many arguments. */
#include <alloca.h>
#include <stdio.h>
#include <string.h>

static long deep(int n, long *path) {
    long local[16];
    for (int i = 0; i < 16; i++)
        local[i] = n + i + (path ? path[i & 7] : 0);
    return n == 0 ? local[3] : deep(n - 1, local) + (local[n & 15] & 1);
}
static long args(int a, long b, char c, short d, unsigned e, long long f, int g, int h, int i, long j, char k,
                 double l, float m, double n, int o) {
    return a + b + c + d + e + f + g * h - i + j + k + (long)(l * m - n) + o;
}
static double dargs(double a, double b, double c, double d, double e, double f, double g, double h, double i,
                    float j, double k) {
    return a - b * c + d / e - f + g * h - i + j * k;
}

int main(void) {
    printf("%ld\n", deep(20000, NULL));
    long total = 0;
    for (int i = 1; i < 200; i++) {
        char *p = alloca((size_t)i * 17);
        memset(p, i, (size_t)i * 17);
        total += p[i * 16];
    }
    printf("%ld\n", total);
    printf("%ld %.15g\n", args(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12.5, 13.5f, 14.5, 15),
           dargs(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    char big[1 << 20];
    memset(big, 1, sizeof big);
    for (size_t i = 0; i < sizeof big; i += 4096)
        total += big[i];
    printf("%ld\n", total);
    return 0;
}
