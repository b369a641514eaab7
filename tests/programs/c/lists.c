/* Linked lists, a hash table and a binary tree built and walked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    int value;
};
struct tree {
    struct tree *left, *right;
    uint32_t key;
    int count;
};
struct entry {
    struct entry *next;
    char *key;
    int value;
};
static struct entry *buckets[257];
static uint32_t seed = 7;
static uint32_t next(void) {
    seed = seed * 1103515245 + 12345;
    return seed >> 4;
}

static struct node *reverse(struct node *n) {
    struct node *r = NULL;
    while (n) {
        struct node *t = n->next;
        n->next = r;
        r = n;
        n = t;
    }
    return r;
}
static struct tree *insert(struct tree *t, uint32_t key) {
    if (!t) {
        t = calloc(1, sizeof *t);
        t->key = key;
    }
    if (key < t->key)
        t->left = insert(t->left, key);
    else if (key > t->key)
        t->right = insert(t->right, key);
    else
        t->count++;
    return t;
}
static int depth(const struct tree *t) {
    if (!t)
        return 0;
    int l = depth(t->left), r = depth(t->right);
    return 1 + (l > r ? l : r);
}
static uint64_t walk(const struct tree *t, uint64_t h) {
    return t ? walk(t->right, walk(t->left, h) * 31 + t->key * (uint32_t)t->count) : h;
}
static int *slot(const char *key) {
    unsigned h = 5381;
    for (const char *c = key; *c; c++)
        h = h * 33 ^ (unsigned char)*c;
    struct entry **p = &buckets[h % 257];
    while (*p && strcmp((*p)->key, key))
        p = &(*p)->next;
    if (!*p) {
        *p = calloc(1, sizeof **p);
        (*p)->key = strdup(key);
    }
    return &(*p)->value;
}

int main(void) {
    struct node *list = NULL;
    for (int i = 0; i < 10000; i++) {
        struct node *n = malloc(sizeof *n);
        n->value = (int)(next() & 0xffff);
        n->next = list;
        list = n;
    }
    long sum = 0;
    list = reverse(list);
    int i = 0;
    for (struct node *n = list; n; n = n->next)
        sum += n->value * (i++ % 17);
    printf("%ld\n", sum);
    struct tree *t = NULL;
    for (int k = 0; k < 20000; k++)
        t = insert(t, next() % 15000);
    printf("%d %016" PRIx64 "\n", depth(t), walk(t, 0));
    for (int k = 0; k < 30000; k++) {
        char key[16];
        sprintf(key, "k%u", next() % 900);
        ++*slot(key);
    }
    uint64_t h = 0;
    for (int k = 0; k < 900; k++) {
        char key[16];
        sprintf(key, "k%d", k);
        h = h * 31 + (uint64_t)*slot(key);
    }
    printf("%016" PRIx64 "\n", h);
    return 0;
}
