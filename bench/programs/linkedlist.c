/* Dependent loads: a shuffled list of a hundred thousand nodes walked again and again. */
#include <stdio.h>
#include <stdlib.h>
struct node {
    struct node *next;
    long value;
};
int main(void) {
    enum { N = 100000 };
    struct node *nodes = malloc(N * sizeof *nodes);
    int *order = malloc(N * sizeof *order);
    unsigned seed = 7;
    for (int i = 0; i < N; i++)
        order[i] = i;
    for (int i = N - 1; i > 0; i--) {
        seed = seed * 1664525 + 1013904223;
        int j = (int)((seed >> 8) % (unsigned)(i + 1)), t = order[i];
        order[i] = order[j], order[j] = t;
    }
    for (int i = 0; i < N; i++)
        nodes[order[i]] = (struct node){&nodes[order[(i + 1) % N]], i};
    long sum = 0;
    struct node *node = nodes;
    for (int i = 0; i < 400 * N; i++)
        sum += node->value ^ i, node = node->next;
    printf("%x\n", (unsigned)sum); /* as wide as any guest's long */
}
