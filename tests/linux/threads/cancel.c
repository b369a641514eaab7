/* Cancellation: at a call that waits, asynchronous, deferred; clean-up handlers; pthread_exit. */
#include "common.h"

static int cleaned;
static sem_t begun, asked;
static volatile int spinning;

static void clean(void *amount) { cleaned += (long)amount; }

static void *sleeper(void *argument) {
    pthread_cleanup_push(clean, (void *)1);
    sem_post(&begun);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return 0;
}

static void *reader(void *argument) {
    char byte;
    pthread_cleanup_push(clean, (void *)10);
    sem_post(&begun);
    if (read(*(int *)argument, &byte, 1) < 0)
        SAY("read failed\n");
    pthread_cleanup_pop(0);
    return 0;
}

static void *waiter(void *argument) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&lock);
    pthread_cleanup_push((void (*)(void *))pthread_mutex_unlock, &lock);
    pthread_cleanup_push(clean, (void *)100);
    sem_post(&begun);
    for (;;)
        pthread_cond_wait(&never, &lock);
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return 0;
}

static void *spinner(void *argument) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    pthread_cleanup_push(clean, (void *)1000);
    sem_post(&begun);
    for (;;)
        spinning++;
    pthread_cleanup_pop(0);
    return 0;
}

static void *refuser(void *argument) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, 0);
    sem_post(&begun);
    sem_wait(&asked);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, 0);
    cleaned += 10000;
    pthread_testcancel();
    cleaned += 1;
    return 0;
}

static void *leaver(void *argument) {
    pthread_cleanup_push(clean, (void *)100000);
    sem_post(&begun);
    pthread_exit((void *)42);
    pthread_cleanup_pop(0);
    return 0;
}

static void one(const char *name, void *(*body)(void *), void *argument, int cancel) {
    pthread_t thread;
    void *result;
    sem_init(&asked, 0, 0);
    pthread_create(&thread, 0, body, argument);
    sem_wait(&begun);
    if (cancel) {
        pause_ms(3);
        pthread_cancel(thread);
        sem_post(&asked);
    }
    pthread_join(thread, &result);
    SAY("%s: %s %d\n", name, result == PTHREAD_CANCELED ? "cancelled" : result == (void *)42 ? "42" : "?", cleaned);
}

int main(void) {
    int pipes[2];
    pipe(pipes);
    sem_init(&begun, 0, 0);
    one("sleeper", sleeper, 0, 1);
    one("reader", reader, pipes, 1);
    one("waiter", waiter, 0, 1);
    one("spinner", spinner, 0, 1);
    one("refuser", refuser, 0, 1);
    one("leaver", leaver, 0, 0);
    return 0;
}
