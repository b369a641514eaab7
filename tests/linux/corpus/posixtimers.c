/* timer_create: signals with values, several at once, overrun, absolute, CPU clocks, SIGEV_NONE, errors. */
#include "common.h"

static volatile int fired[4], codes_right = 1;
static void handler(int number, siginfo_t *info, void *context) {
    fired[info->si_value.sival_int & 3]++;
    codes_right &= info->si_code == SI_TIMER;
}
int main(void) {
    handle(SIGRTMIN + 2, handler, 0);
    timer_t timers[3];
    struct itimerspec often = {{0, 2000000}, {0, 2000000}}, off = {0}, now;
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
    for (int i = 0; i < 3; i++) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
        event.sigev_value.sival_int = i;
        WORKS(timer_create(clocks[i], &event, timers + i));
        WORKS(timer_settime(timers[i], 0, &often, 0));
    }
    while (fired[0] < 3 || fired[1] < 3 || fired[2] < 2)
        ;
    SAY("all fired, codes %d\n", codes_right);
    for (int i = 0; i < 3; i++) {
        timer_gettime(timers[i], &now);
        SAY("interval %ld running %d\n", now.it_interval.tv_nsec, now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 2000000);
        WORKS(timer_settime(timers[i], 0, &off, &now));
        timer_gettime(timers[i], &now);
        SAY("stopped %ld\n", now.it_value.tv_nsec);
    }
    sigset_t old = block(SIGRTMIN + 2);
    WORKS(timer_settime(timers[1], 0, &often, 0));
    fired[1] = 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000, until.tv_nsec %= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0) == EINTR)
        ;
    siginfo_t info;
    sigset_t one;
    sigemptyset(&one), sigaddset(&one, SIGRTMIN + 2);
    sigwaitinfo(&one, &info);
    SAY("value %d overrun %d\n", info.si_value.sival_int, info.si_overrun > 2);
    WORKS(timer_settime(timers[1], 0, &off, 0));
    sigprocmask(SIG_SETMASK, &old, 0);
    struct itimerspec past = {{0, 0}, {1, 0}};
    fired[0] = 0;
    WORKS(timer_settime(timers[0], TIMER_ABSTIME, &past, 0));
    while (!fired[0])
        ;
    SAY("in the past: at once\n");
    struct sigevent silent = {.sigev_notify = SIGEV_NONE};
    timer_t quiet;
    WORKS(timer_create(CLOCK_BOOTTIME, &silent, &quiet));
    struct itimerspec far = {{5, 0}, {1000, 0}};
    WORKS(timer_settime(quiet, 0, &far, 0));
    timer_gettime(quiet, &now);
    SAY("%d %ld\n", now.it_value.tv_sec > 900, (long)now.it_interval.tv_sec);
    TRY(timer_settime(quiet, 0, &(struct itimerspec){{0, 0}, {0, 1000000000}}, 0));
    WORKS(timer_delete(quiet));
    TRY(timer_gettime(quiet, &now));
    TRY(timer_delete(quiet));
    silent.sigev_notify = SIGEV_SIGNAL, silent.sigev_signo = 99;
    TRY(timer_create(CLOCK_MONOTONIC, &silent, &quiet));
    TRY(timer_create(99, 0, &quiet));
    timer_t default_timer;
    WORKS(timer_create(CLOCK_MONOTONIC, 0, &default_timer));
    signal(SIGALRM, SIG_DFL);
    timer_settime(default_timer, 0, &often, 0);
    for (;;)
        pause();
}
