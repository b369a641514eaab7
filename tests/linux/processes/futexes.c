/* Semaphores, mutexes and condition variables in memory that processes share. */
#include "common.h"
#include <pthread.h>
#include <semaphore.h>

struct shared {
    sem_t full, empty;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int value, sum, turn;
};

int main(void) {
    struct shared *all = mmap(0, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(&all->full, 1, 0), sem_init(&all->empty, 1, 1);
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex), pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&all->lock, &mutex);
    pthread_condattr_t condition;
    pthread_condattr_init(&condition), pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&all->changed, &condition);
    if (!fork()) {
        for (int i = 1; i <= 100; i++) {
            sem_wait(&all->empty);
            all->value = i;
            sem_post(&all->full);
        }
        _exit(0);
    }
    int sum = 0;
    for (int i = 0; i < 100; i++) {
        sem_wait(&all->full);
        sum += all->value;
        sem_post(&all->empty);
    }
    wait(0);
    SAY("sum %d\n", sum);
    for (int child = 0; child < 3; child++)
        if (!fork()) {
            for (int i = 0; i < 200; i++) {
                pthread_mutex_lock(&all->lock);
                int now = all->sum;
                if (i % 50 == 0)
                    pause_ms(1);
                all->sum = now + 1;
                pthread_mutex_unlock(&all->lock);
            }
            _exit(0);
        }
    while (wait(0) > 0)
        ;
    SAY("counted %d\n", all->sum);
    if (!fork()) {
        for (int i = 0; i < 20; i++) {
            pthread_mutex_lock(&all->lock);
            while (all->turn % 2 == 0)
                pthread_cond_wait(&all->changed, &all->lock);
            all->turn++;
            pthread_cond_broadcast(&all->changed);
            pthread_mutex_unlock(&all->lock);
        }
        _exit(0);
    }
    for (int i = 0; i < 20; i++) {
        pthread_mutex_lock(&all->lock);
        while (all->turn % 2)
            pthread_cond_wait(&all->changed, &all->lock);
        all->turn++;
        pthread_cond_broadcast(&all->changed);
        pthread_mutex_unlock(&all->lock);
    }
    wait(0);
    SAY("turns %d\n", all->turn);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    sem_init(&all->full, 1, 0);
    TRY(sem_timedwait(&all->full, &until));
    return 0;
}
