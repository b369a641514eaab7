/* What the programs about threads share: their output does not depend on who is faster. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAY(...) (dprintf(1, __VA_ARGS__))
/* A call's result as "name: ok" or the errno's name. */
#define TRY(expression) SAY("%s: %s\n", #expression, (expression) < 0 ? strerrorname_np(errno) : "ok")
/* The same for the functions of pthread.h, which return the error. */
#define PTRY(expression) \
    do { \
        int error_ = (expression); \
        SAY("%s: %s\n", #expression, error_ ? strerrorname_np(error_) : "ok"); \
    } while (0)
#define MOST 16

static inline void pause_ms(long milliseconds) {
    struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&span, &span) < 0 && errno == EINTR)
        ;
}

static pthread_t threads_[MOST];

static inline void start(int count, void *(*body)(void *)) {
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads_[i], 0, body, (void *)i))
            abort();
}

static inline void join(int count) {
    for (int i = 0; i < count; i++)
        if (pthread_join(threads_[i], 0))
            abort();
}
