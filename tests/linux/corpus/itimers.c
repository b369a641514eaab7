/* Interval timers of all three kinds, alarm, and which of them a child has.  Counts, never spans of time. */
#include "common.h"
#include <sys/time.h>

static volatile sig_atomic_t came[65];
static void count(int number, siginfo_t *info, void *context) { came[number]++; }
static void spin(int number, int times) {
    volatile unsigned long work = 0;
    while (came[number] < times)
        work++;
}
int main(void) {
    static const int kinds[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}, signals[] = {SIGALRM, SIGVTALRM, SIGPROF};
    for (int i = 0; i < 3; i++) {
        handle(signals[i], count, SA_RESTART);
        struct itimerval every = {{0, 4000}, {0, 4000}}, old;
        WORKS(setitimer(kinds[i], &every, &old));
        SAY("before: %ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
        spin(signals[i], 4);
        getitimer(kinds[i], &old);
        SAY("interval %ld, running %d\n", (long)old.it_interval.tv_usec, old.it_value.tv_usec <= 4000);
        every.it_value.tv_usec = every.it_interval.tv_usec = 0;
        WORKS(setitimer(kinds[i], &every, 0));
        getitimer(kinds[i], &old);
        SAY("stopped %ld %ld\n", (long)old.it_value.tv_usec, (long)old.it_interval.tv_usec);
    }
    struct itimerval once = {{0, 0}, {0, 1000}}, now;
    came[SIGALRM] = 0;
    setitimer(ITIMER_REAL, &once, 0);
    spin(SIGALRM, 1);
    getitimer(ITIMER_REAL, &now);
    SAY("once: %d, then %ld\n", came[SIGALRM], (long)now.it_value.tv_usec);
    struct itimerval wrong = {{0, 0}, {0, 1000000}};
    TRY(setitimer(ITIMER_REAL, &wrong, 0));
    TRY(setitimer(9, &once, 0));
    TRY(getitimer(-1, &now));
    alarm(1000);
    pid_t child = fork();
    if (!child)
        _exit((int)alarm(0));
    reap("a child's alarm", child);
    unsigned left = alarm(0);
    IS(left > 900 && left <= 1000);
    came[SIGALRM] = 0;
    ualarm(1000, 1000);
    while (came[SIGALRM] < 3)
        pause();
    ualarm(0, 0);
    /* It cuts a call short, or not. */
    int ends[2];
    char byte;
    pipe(ends);
    handle(SIGALRM, count, 0);
    setitimer(ITIMER_REAL, &once, 0);
    TRY(read(ends[0], &byte, 1));
    signal(SIGPROF, SIG_DFL);
    struct itimerval last = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &last, 0);
    for (;;)
        ;
}
