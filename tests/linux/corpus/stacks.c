/* alloca, variable-length arrays, deep recursion, large frames and many arguments on a stack that grows as it is used. */
#include "common.h"
#include <alloca.h>
#include <stdarg.h>
#include <sys/resource.h>

static unsigned long deep(int n, unsigned long value) {
    volatile char room[200];
    room[n % 200] = (char)n;
    return n ? deep(n - 1, value * 31 + n) + room[n % 200] : value;
}
static unsigned vla(int rows, int columns) {
    unsigned table[rows][columns], sum = 0;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            table[i][j] = i * j;
    for (int i = 0; i < rows; i++)
        sum += table[i][columns - 1] + sizeof table[i];
    return sum;
}
static double many(int count, ...) {
    va_list list, copy;
    double sum = 0;
    va_start(list, count);
    va_copy(copy, list);
    for (int i = 0; i < count; i++)
        sum += i % 3 == 0 ? va_arg(list, int) : i % 3 == 1 ? va_arg(list, double) : (double)va_arg(list, long double);
    sum += va_arg(copy, int);
    va_end(list), va_end(copy);
    return sum;
}
struct big { long words[40]; };
static struct big twist(struct big a, struct big b, int i) {
    for (int j = 0; j < 40; j++)
        a.words[j] ^= b.words[39 - j] << i;
    return i ? twist(b, a, i - 1) : a;
}
static int sum10(int a, long b, char c, short d, float e, double f, int g, int h, long double i, unsigned char j, int k) {
    return (int)(a + b + c + d + e + f + g + h + i + j + k);
}
int main(void) {
    SAY("%lx\n", deep(20000, 1));
    unsigned hash = 0;
    for (int i = 1; i < 400; i += 13)
        hash = hash * 17 + vla(i, 400 - i);
    SAY("%x\n", hash);
    char *block = alloca(1 << 20);
    memset(block, 3, 1 << 20);
    volatile char huge[2 << 20];
    huge[0] = 1, huge[sizeof huge - 1] = 2;
    SAY("%d %d\n", block[12345], huge[0] + huge[sizeof huge - 1]);
    for (int i = 0; i < 10; i++) {
        char *piece = alloca(i * 1000 + 1);
        memset(piece, i, i * 1000 + 1);
        hash += piece[i * 1000];
    }
    SAY("%x %.10g\n", hash, many(9, 1, 2.5, 3.25L, 4, 5.5, 6.75L, 7, 8.5, 9.125L));
    struct big a, b;
    for (int i = 0; i < 40; i++)
        a.words[i] = i * 3, b.words[i] = ~i;
    struct big c = twist(a, b, 5);
    SAY("%lx %lx %d\n", c.words[7], c.words[33], sum10(1, 2, 3, 4, 5.5f, 6.5, 7, 8, 9.25L, 10, 11));
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    IS(limit.rlim_cur >= 1 << 20);
    return 0;
}
