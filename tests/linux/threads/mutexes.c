/* Mutexes of every kind, and counters they protect. */
#include "common.h"

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, recursive, checking, adaptive, inheriting;
static long counters[4];

static void *count(void *number) {
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&plain);
        counters[0]++;
        pthread_mutex_unlock(&plain);
        pthread_mutex_lock(&recursive);
        pthread_mutex_lock(&recursive);
        counters[1]++;
        pthread_mutex_unlock(&recursive);
        pthread_mutex_unlock(&recursive);
        if (i % 10 == 0) {
            pthread_mutex_lock(&adaptive);
            counters[2]++;
            pthread_mutex_unlock(&adaptive);
            while (pthread_mutex_trylock(&checking))
                sched_yield();
            counters[3]++;
            pthread_mutex_unlock(&checking);
        }
    }
    return 0;
}

static void *others(void *argument) {
    SAY("trylock %s\n", strerrorname_np(pthread_mutex_trylock(&checking)));
    SAY("unlock %s\n", strerrorname_np(pthread_mutex_unlock(&checking)));
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    SAY("timedlock %s\n", strerrorname_np(pthread_mutex_timedlock(&plain, &until)));
    return 0;
}

static void *inherit(void *argument) {
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&inheriting);
        ++*(long *)&counters[0];
        pthread_mutex_unlock(&inheriting);
    }
    return 0;
}

static void kind(pthread_mutex_t *mutex, int type, int protocol) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutexattr_setprotocol(&attributes, protocol);
    pthread_mutex_init(mutex, &attributes);
}

int main(void) {
    kind(&recursive, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
    kind(&checking, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE);
    kind(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE);
    kind(&inheriting, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT);
    start(4, count);
    join(4);
    SAY("%ld %ld %ld %ld\n", counters[0], counters[1], counters[2], counters[3]);
    pthread_mutex_lock(&checking);
    pthread_mutex_lock(&plain);
    SAY("again %s\n", strerrorname_np(pthread_mutex_lock(&checking)));
    start(1, others);
    join(1);
    counters[0] = 0;
    start(4, inherit);
    join(4);
    SAY("inherited %ld\n", counters[0]);
    return 0;
}
