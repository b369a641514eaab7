/* Robust mutexes whose owner ends: a thread, and a process that shares them. */
#include "common.h"

struct shared { pthread_mutex_t mutex, second; int value; };
static struct shared *shared;
static sem_t held;

static void *holder(void *argument) {
    pthread_mutex_lock(&shared->mutex);
    pthread_mutex_lock(&shared->second);
    shared->value = 7;
    if (argument) {
        sem_post(&held);
        pause_ms(10);
    }
    return 0;
}

static void *taker(void *argument) {
    int result = pthread_mutex_lock(&shared->mutex);
    if (result == EOWNERDEAD)
        pthread_mutex_consistent(&shared->mutex);
    pthread_mutex_unlock(&shared->mutex);
    return (void *)(long)result;
}

int main(void) {
    sem_init(&held, 0, 0);
    shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &attributes);
    pthread_mutex_init(&shared->second, &attributes);
    pthread_t thread;
    pthread_create(&thread, 0, holder, 0);
    pthread_join(thread, 0);
    SAY("%s\n", strerrorname_np(pthread_mutex_lock(&shared->mutex)));
    PTRY(pthread_mutex_consistent(&shared->mutex));
    PTRY(pthread_mutex_unlock(&shared->mutex));
    PTRY(pthread_mutex_lock(&shared->second));
    PTRY(pthread_mutex_unlock(&shared->second));
    PTRY(pthread_mutex_lock(&shared->second));
    pthread_mutex_destroy(&shared->second);
    pthread_mutex_init(&shared->second, &attributes);

    pthread_create(&thread, 0, holder, (void *)1);
    sem_wait(&held);
    void *result;
    pthread_t waiting;
    pthread_create(&waiting, 0, taker, 0);
    pthread_join(waiting, &result);
    pthread_join(thread, 0);
    SAY("waited %s\n", strerrorname_np((long)result));
    pthread_mutex_init(&shared->second, &attributes);

    pid_t child = fork();
    if (!child) {
        holder(0);
        _exit(3);
    }
    waitpid(child, 0, 0);
    SAY("%s value %d\n", strerrorname_np(pthread_mutex_lock(&shared->mutex)), shared->value);
    pthread_mutex_consistent(&shared->mutex);
    pthread_mutex_unlock(&shared->mutex);
    return 0;
}
