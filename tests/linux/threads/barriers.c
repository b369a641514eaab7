/* Barriers, semaphores, rwlocks, spin locks and once. */
#include "common.h"

static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t semaphore, turnstile;
static int rounds[4][100], wrong, initialised, serial, written, pair[2];
static _Atomic int inside, most;
static long spun;

static void initialise(void) { initialised++; }

static void *meet(void *number) {
    for (int round = 0; round < 100; round++) {
        rounds[(long)number][round] = round + 1;
        int last = pthread_barrier_wait(&barrier);
        for (int other = 0; other < 4; other++)
            if (rounds[other][round] != round + 1)
                __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
        if (last == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
        pthread_once(&once, initialise);
    }
    return 0;
}

static void *read_write(void *number) {
    for (int i = 0; i < 3000; i++) {
        if ((i + (long)number) % 8 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            pair[0]++, written++, pair[1]++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            if (pair[0] != pair[1])
                __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
            pthread_rwlock_unlock(&rwlock);
        }
        pthread_spin_lock(&spin);
        spun++;
        pthread_spin_unlock(&spin);
    }
    return 0;
}

static void *limited(void *number) {
    for (int i = 0; i < 300; i++) {
        sem_wait(&semaphore);
        int now = ++inside, before = most;
        while (now > before && !__atomic_compare_exchange_n((int *)&most, &before, now, 0, 5, 5))
            ;
        inside--;
        sem_post(&semaphore);
    }
    sem_post(&turnstile);
    return 0;
}

int main(void) {
    pthread_barrier_init(&barrier, 0, 4);
    pthread_spin_init(&spin, 0);
    sem_init(&semaphore, 0, 2);
    sem_init(&turnstile, 0, 0);
    start(4, meet);
    join(4);
    SAY("wrong %d serial %d once %d\n", wrong, serial, initialised);
    start(4, read_write);
    join(4);
    SAY("wrong %d written %d spun %ld\n", wrong, written, spun);
    start(4, limited);
    for (int i = 0; i < 4; i++)
        sem_wait(&turnstile);
    join(4);
    int value;
    sem_getvalue(&semaphore, &value);
    SAY("at most two: %d, left %d\n", most <= 2, value);
    pthread_rwlock_rdlock(&rwlock);
    PTRY(pthread_rwlock_trywrlock(&rwlock));
    PTRY(pthread_rwlock_tryrdlock(&rwlock));
    TRY(sem_trywait(&turnstile));
    return 0;
}
