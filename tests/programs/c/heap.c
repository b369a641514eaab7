/* malloc, realloc, calloc, free in many sizes; contents survive. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 1;
static uint32_t next(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

int main(void) {
    enum { N = 500 };
    unsigned char *blocks[N] = {0};
    size_t sizes[N] = {0};
    uint64_t sum = 0;
    for (int round = 0; round < 20000; round++) {
        int i = (int)(next() % N);
        size_t size = next() % 3 == 0 ? next() % 200000 : next() % 300;
        if (blocks[i]) {
            for (size_t k = 0; k < sizes[i]; k += 97)
                if (blocks[i][k] != (unsigned char)(i + k)) {
                    printf("broken\n");
                    return 1;
                }
            sum += sizes[i];
            if (next() & 1) {
                free(blocks[i]);
                blocks[i] = NULL;
                continue;
            }
            blocks[i] = realloc(blocks[i], size + 1);
        } else
            blocks[i] = next() & 1 ? malloc(size + 1) : calloc(size + 1, 1);
        sizes[i] = size;
        for (size_t k = 0; k < size; k++)
            blocks[i][k] = (unsigned char)(i + k);
    }
    printf("%" PRIu64 "\n", sum);
    for (int i = 0; i < N; i++)
        free(blocks[i]);
    char *big = malloc(64 << 20);
    memset(big, 7, 64 << 20);
    printf("%d %d\n", big[0], big[(64 << 20) - 1]);
    free(big);
    return 0;
}
