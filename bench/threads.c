/* Work of integers and memory, done by one thread after the other (argument 1) or by both at once (argument 2). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 1 << 14, ROUNDS = 12000 };
static unsigned long results[2];

static void *work(void *number) {
    unsigned *table = malloc(SIZE * sizeof *table);
    unsigned long sum = 0, state = 12345;
    for (int i = 0; i < SIZE; i++)
        table[i] = i;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < SIZE; i++) {
            state = state * 6364136223846793005ul + 1442695040888963407ul;
            unsigned long at = state >> 50;
            sum += table[at] ^ table[i];
            table[at] += i;
        }
    results[(long)number] = sum;
    free(table);
    return 0;
}

int main(int count, char **arguments) {
    int together = count > 1 && atoi(arguments[1]) == 2;
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) {
        pthread_create(&threads[i], 0, work, (void *)i);
        if (!together)
            pthread_join(threads[i], 0);
    }
    for (int i = 0; together && i < 2; i++)
        pthread_join(threads[i], 0);
    printf("%lx %lx\n", results[0], results[1]);
    return results[0] != results[1];
}
