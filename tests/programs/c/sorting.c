/* qsort, bsearch and our own sorts on several distributions. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record {
    int key;
    char name[20];
    double weight;
};
static uint32_t seed = 42;
static uint32_t next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}
static int by_int(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
static int by_record(const void *a, const void *b) {
    const struct record *x = a, *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : strcmp(x->name, y->name);
}
static void merge(int *a, int *t, int n) {
    if (n < 2)
        return;
    int h = n / 2;
    merge(a, t, h);
    merge(a + h, t, n - h);
    memcpy(t, a, sizeof(int) * (size_t)n);
    for (int i = 0, j = h, k = 0; k < n; k++)
        a[k] = j >= n || (i < h && t[i] <= t[j]) ? t[i++] : t[j++];
}

int main(void) {
    enum { N = 20000 };
    static int a[N], b[N], t[N];
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < N; i++)
            a[i] = kind == 0 ? (int)next() : kind == 1 ? i : kind == 2 ? N - i : (int)(next() % 10);
        memcpy(b, a, sizeof a);
        qsort(a, N, sizeof(int), by_int);
        merge(b, t, N);
        uint32_t hash = 0;
        for (int i = 0; i < N; i++)
            hash = hash * 33 + (uint32_t)a[i];
        int wanted = a[N / 3], *found = bsearch(&wanted, a, N, sizeof(int), by_int);
        printf("%d %08x %d\n", memcmp(a, b, sizeof a), hash, *found);
    }
    struct record r[300];
    for (int i = 0; i < 300; i++) {
        r[i].key = (int)(next() % 50);
        sprintf(r[i].name, "n%u", next() % 1000);
        r[i].weight = next() / 7.0;
    }
    qsort(r, 300, sizeof r[0], by_record);
    for (int i = 0; i < 300; i++)
        printf("%d %s %.3f\n", r[i].key, r[i].name, r[i].weight);
    return 0;
}
