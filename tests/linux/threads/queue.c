/* A bounded queue with condition variables: several producers and consumers; waits that time out; broadcasts. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int items[8], first, used, taken, turn;
static long sum;
enum { EACH = 2000 };

static void put(int item) {
    pthread_mutex_lock(&lock);
    while (used == 8)
        pthread_cond_wait(&not_full, &lock);
    items[(first + used++) % 8] = item;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&lock);
}

static void *produce(void *number) {
    for (int i = 0; i < EACH; i++)
        put((long)number * EACH + i);
    return 0;
}

static void *consume(void *number) {
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!used)
            pthread_cond_wait(&not_empty, &lock);
        int item = items[first];
        first = (first + 1) % 8, used--;
        pthread_cond_signal(&not_full);
        if (item >= 0)
            sum += item, taken++;
        pthread_mutex_unlock(&lock);
        if (item < 0)
            return 0;
    }
}

static void *in_turn(void *number) {
    for (int round = 0; round < 50; round++) {
        pthread_mutex_lock(&lock);
        while (turn % 4 != (long)number)
            pthread_cond_wait(&not_empty, &lock);
        if (round % 10 == 0)
            SAY("%d:%ld ", round, (long)number);
        turn++;
        pthread_cond_broadcast(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

int main(void) {
    pthread_t producers[3];
    start(3, consume);
    for (long i = 0; i < 3; i++)
        pthread_create(&producers[i], 0, produce, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(producers[i], 0);
    for (int i = 0; i < 3; i++)
        put(-1);
    join(3);
    SAY("taken %d sum %ld\n", taken, sum);
    start(4, in_turn);
    join(4);
    SAY("turns %d\n", turn);
    struct timespec until;
    pthread_condattr_t attributes;
    pthread_cond_t monotonic;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &attributes);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&lock);
    PTRY(pthread_cond_timedwait(&monotonic, &lock, &until));
    pthread_mutex_unlock(&lock);
    return 0;
}
