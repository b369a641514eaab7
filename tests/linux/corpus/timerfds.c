/* timerfd and eventfd: one shot, periodic, absolute, disarmed, cancelled, read before time, flags. */
#include "common.h"
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

int main(void) {
    uint64_t ticks;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), plain = timerfd_create(CLOCK_REALTIME, 0);
    TRY(read(timer, &ticks, 8));
    struct itimerspec far = {{0, 0}, {1000, 0}}, soon = {{0, 0}, {0, 1000000}}, often = {{0, 1000000}, {0, 1000000}}, off = {0}, old;
    WORKS(timerfd_settime(timer, 0, &far, 0));
    TRY(read(timer, &ticks, 8));
    timerfd_gettime(timer, &old);
    SAY("left %d interval %ld\n", old.it_value.tv_sec > 900, (long)old.it_interval.tv_sec);
    WORKS(timerfd_settime(timer, 0, &soon, &old));
    SAY("was %d\n", old.it_value.tv_sec > 900);
    struct pollfd waiting = {timer, POLLIN};
    TRY(poll(&waiting, 1, -1));
    TRY(read(timer, &ticks, 8));
    SAY("ticks %d\n", (int)ticks);
    TRY(read(timer, &ticks, 8));
    TRY(read(timer, &ticks, 7));
    WORKS(timerfd_settime(plain, 0, &often, 0));
    unsigned long total = 0;
    while (total < 5) {
        read(plain, &ticks, 8);
        total += ticks;
    }
    IS(total >= 5);
    timerfd_gettime(plain, &old);
    SAY("interval %ld\n", old.it_interval.tv_nsec);
    WORKS(timerfd_settime(plain, 0, &off, 0));
    timerfd_gettime(plain, &old);
    SAY("off %ld %ld\n", (long)old.it_value.tv_sec, old.it_value.tv_nsec);
    struct itimerspec past = {{0, 0}, {1, 0}};
    WORKS(timerfd_settime(plain, TFD_TIMER_ABSTIME, &past, 0));
    TRY(read(plain, &ticks, 8));
    SAY("past %d\n", (int)ticks);
    pid_t child = fork();
    if (!child) {
        timerfd_settime(timer, 0, &soon, 0);
        _exit(0);
    }
    reap("child sets it", child);
    TRY(poll(&waiting, 1, -1));
    TRY(timerfd_create(77, 0));
    TRY(timerfd_create(CLOCK_MONOTONIC, 0x1234));
    TRY(timerfd_settime(0, 0, &soon, 0));
    struct itimerspec wrong = {{0, 0}, {0, -1}};
    TRY(timerfd_settime(timer, 0, &wrong, 0));
    int event = eventfd(5, EFD_NONBLOCK | EFD_SEMAPHORE);
    for (int i = 0; i < 6; i++)
        SAY("%ld ", (long)read(event, &ticks, 8));
    SAY("\n");
    int other = eventfd(0, EFD_NONBLOCK);
    ticks = UINT64_MAX - 1;
    TRY(write(other, &ticks, 8));
    ticks = 1;
    TRY(write(other, &ticks, 8));
    ticks = UINT64_MAX;
    TRY(write(other, &ticks, 8));
    TRY(read(other, &ticks, 8));
    IS(ticks == UINT64_MAX - 1);
    if (!(child = fork())) {
        ticks = 123;
        write(other, &ticks, 8);
        _exit(0);
    }
    waiting.fd = other;
    poll(&waiting, 1, -1);
    read(other, &ticks, 8);
    SAY("from the child %d\n", (int)ticks);
    reap("child", child);
    return 0;
}
