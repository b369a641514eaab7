/* The C library's qsort with a comparison through a pointer. */
#include <stdio.h>
#include <stdlib.h>
static int compare(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
int main(void) {
    enum { N = 1000000 };
    int *a = malloc(N * sizeof(int));
    unsigned seed = 1;
    for (int i = 0; i < N; i++)
        a[i] = (int)(seed = seed * 1664525 + 1013904223);
    qsort(a, N, sizeof(int), compare);
    printf("%d %d %d\n", a[0], a[N / 2], a[N - 1]);
}
