/* Timers that send signals: alarm, interval timers, and timer_create. */
#include "common.h"

static volatile int alarms, virtuals, timed, value, code;
static void on_alarm(int number) { alarms++; }
static void on_virtual(int number) { virtuals++; }
static void on_timer(int number, siginfo_t *info, void *context) {
    timed++;
    value = info->si_value.sival_int;
    code = info->si_code;
}

int main(void) {
    signal(SIGALRM, on_alarm);
    signal(SIGVTALRM, on_virtual);
    SAY("none before %u\n", alarm(100));
    unsigned left = alarm(0);
    SAY("left %d\n", left > 0 && left <= 100);
    struct itimerval every = {{0, 5000}, {0, 5000}}, old;
    TRY(setitimer(ITIMER_REAL, &every, 0));
    while (alarms < 5)
        pause();
    TRY(getitimer(ITIMER_REAL, &old));
    SAY("interval %ld\n", (long)old.it_interval.tv_usec);
    memset(&every, 0, sizeof every);
    TRY(setitimer(ITIMER_REAL, &every, &old));
    SAY("was %ld\n", (long)old.it_interval.tv_usec);
    alarms = 0;
    pause_ms(20);
    SAY("no more %d\n", alarms);
    every.it_value.tv_usec = 20000;
    TRY(setitimer(ITIMER_REAL, &every, 0));
    while (!alarms) /* no system call: the signal interrupts a loop */
        ;
    SAY("alarm in a loop %d\n", alarms);
    TRY(setitimer(ITIMER_VIRTUAL, &every, 0));
    while (!virtuals)
        ;
    SAY("virtual %d\n", virtuals);
    TRY(setitimer(7, &every, 0));
    on(SIGUSR1, on_timer, 0);
    struct sigevent event = {0};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    event.sigev_value.sival_int = 4711;
    timer_t timer;
    TRY(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec spec = {{0, 3000000}, {0, 3000000}};
    TRY(timer_settime(timer, 0, &spec, 0));
    while (timed < 3)
        pause();
    SAY("value %d code %d\n", value, code == SI_TIMER);
    TRY(timer_gettime(timer, &spec));
    SAY("interval %ld overrun %d\n", spec.it_interval.tv_nsec, timer_getoverrun(timer) >= 0);
    TRY(timer_delete(timer));
    TRY(timer_delete(timer));
    event.sigev_notify = SIGEV_NONE;
    TRY(timer_create(CLOCK_REALTIME, &event, &timer));
    spec.it_interval.tv_nsec = 0;
    spec.it_value.tv_sec = 100;
    TRY(timer_settime(timer, 0, &spec, 0));
    TRY(timer_gettime(timer, &spec));
    SAY("left %d\n", spec.it_value.tv_sec > 0);
    alarm(50);
    pid_t child = fork();
    if (!child) {
        SAY("a child has no alarm: %u\n", alarm(0));
        SAY("nor timers: %s\n", timer_gettime(timer, &spec) < 0 ? strerrorname_np(errno) : "ok");
        _exit(0);
    }
    waitpid(child, 0, 0);
    left = alarm(0);
    SAY("its parent has: %d\n", left > 0 && left <= 50);
    signal(SIGALRM, SIG_DFL);
    every.it_value.tv_usec = 10000;
    setitimer(ITIMER_REAL, &every, 0);
    for (;;)
        pause();
}
