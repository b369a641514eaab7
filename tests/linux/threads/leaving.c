/* exit_group while others run, sleep and spin: its status at once.  Argument: who ends the process, and how. */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t begun;
static volatile long spins;
static int way;
static char *self;

static void *spin(void *argument) {
    sem_post(&begun);
    for (;;)
        spins++;
}
static void *sleeps(void *argument) {
    sem_post(&begun);
    for (;;)
        pause_ms(100000);
}
static void *locked(void *argument) {
    sem_post(&begun);
    pthread_mutex_lock(&lock);
    return 0;
}
static void *reads(void *argument) {
    int pipes[2];
    char byte;
    pipe(pipes);
    sem_post(&begun);
    read(pipes[0], &byte, 1);
    return 0;
}
static void *ends(void *argument) {
    for (int i = 0; i < 4; i++)
        sem_wait(&begun);
    pause_ms(5);
    SAY("ending %d\n", way);
    if (way == 1)
        exit(17);
    if (way == 2)
        *(volatile int *)8 = 1;
    if (way == 3)
        abort();
    if (way == 4)
        kill(getpid(), SIGTERM);
    if (way == 5)
        raise(SIGILL);
    if (way == 6)
        pthread_kill(pthread_self(), SIGUSR1);
    if (way == 7)
        execl(self, self, "0", (char *)0);
    for (;;)
        pause();
}

int main(int count, char **arguments) {
    self = arguments[0];
    way = count > 1 ? atoi(arguments[1]) : 0;
    sem_init(&begun, 0, 0);
    pthread_mutex_lock(&lock);
    pthread_t thread;
    start(1, spin);
    pthread_create(&thread, 0, sleeps, 0);
    pthread_create(&thread, 0, locked, 0);
    pthread_create(&thread, 0, reads, 0);
    if (way == 0) {
        for (int i = 0; i < 4; i++)
            sem_wait(&begun);
        return 9;
    }
    pthread_create(&thread, 0, ends, 0);
    if (way == 1)
        pthread_exit(0); /* the process goes on without its first thread */
    pthread_join(thread, 0);
    return 1;
}
