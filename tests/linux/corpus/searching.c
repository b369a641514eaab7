/* The C library's searching and sorting: qsort, qsort_r, bsearch, lfind, hash tables, trees, insque. */
#include "common.h"
#include <search.h>

struct item { unsigned key; char name[12]; double weight; };
static int by_key(const void *a, const void *b) {
    unsigned x = ((const struct item *)a)->key, y = ((const struct item *)b)->key;
    return (x > y) - (x < y);
}
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int with(const void *a, const void *b, void *sign) { return (*(const int *)a - *(const int *)b) * *(int *)sign; }
static int visited, depths;
static void walk(const void *node, VISIT order, int depth) {
    if (order == postorder || order == leaf)
        visited++, depths += depth, printf("%s ", **(char ***)node);
}
static void forget(void *node) {}
int main(void) {
    static struct item items[5000];
    unsigned seed = 7;
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1103515245 + 12345;
        items[i].key = seed >> 8;
        snprintf(items[i].name, 12, "n%d", i);
        items[i].weight = i * 0.5;
    }
    struct item wanted = items[1234];
    qsort(items, 5000, sizeof *items, by_key);
    unsigned hash = 0;
    for (int i = 0; i < 5000; i++)
        hash = hash * 31 + items[i].key + (unsigned)items[i].weight;
    struct item *found = bsearch(&wanted, items, 5000, sizeof *items, by_key);
    printf("%x %s %g\n", hash, found->name, found->weight);
    wanted.key++;
    printf("%p\n", bsearch(&wanted, items, 5000, sizeof *items, by_key));
    int numbers[] = {5, 3, 9, -2, 7}, sign = -1;
    qsort_r(numbers, 5, sizeof(int), with, &sign);
    for (int i = 0; i < 5; i++)
        printf("%d ", numbers[i]);
    char *words[] = {"pear", "fig", "apple", "quince", "banana", "cherry"};
    void *root = 0;
    for (int i = 0; i < 6; i++)
        tsearch(words + i, &root, by_text);
    (void)0;
    twalk(root, (__action_fn_t)walk);
    char *key = "fig";
    printf("| %d %d %s\n", visited, depths, **(char ***)tfind(&key, &root, by_text) ? "found" : "lost");
    tdelete(&key, &root, by_text);
    printf("%p\n", tfind(&key, &root, by_text));
    tdestroy(root, forget);
    qsort(words, 6, sizeof *words, by_text);
    for (int i = 0; i < 6; i++)
        printf("%s ", words[i]);
    hcreate(100);
    for (long i = 0; i < 6; i++)
        hsearch((ENTRY){words[i], (void *)i}, ENTER);
    printf("%ld %p\n", (long)hsearch((ENTRY){"cherry", 0}, FIND)->data, (void *)hsearch((ENTRY){"plum", 0}, FIND));
    size_t count = 5;
    int add = 42, again = 42;
    int room[8];
    memcpy(room, numbers, sizeof numbers);
    lsearch(&add, room, &count, sizeof(int), (void *)by_key);
    lsearch(&again, room, &count, sizeof(int), (void *)by_key);
    printf("%zu\n", count);
    return 0;
}
