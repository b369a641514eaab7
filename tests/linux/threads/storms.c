/* Many signals to many threads that compute, lock and wait meanwhile. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Atomic int handled, stop;
static long counter, sums[4];

static void handler(int number) { handled++; }

static void *work(void *number) {
    long sum = 0;
    for (int i = 0; i < 3000; i++) {
        double d = i * 0.5;
        pthread_mutex_lock(&lock);
        counter++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        for (int j = 0; j < 50; j++)
            sum += (long)(d * j) % 7;
    }
    sums[(long)number] = sum;
    return 0;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    start(4, work);
    for (int i = 0; i < 300; i++) {
        pthread_kill(threads_[i % 4], SIGUSR1);
        if (i % 50 == 0)
            kill(getpid(), SIGUSR1);
        sched_yield();
    }
    pthread_mutex_lock(&lock);
    while (counter < 12000)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    join(4);
    SAY("%ld %d %d\n", counter, sums[0] == sums[1] && sums[1] == sums[2] && sums[2] == sums[3], handled > 0);
    return 0;
}
