/* Waiting for descriptors: poll, select and epoll over pipes, eventfd, timerfd and signalfd. */
#include "common.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

int main(void) {
    int ends[2];
    pipe(ends);
    int event = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    struct pollfd table[] = {{ends[0], POLLIN}, {ends[1], POLLOUT}, {event, POLLIN | POLLOUT}, {timer, POLLIN},
                             {signals, POLLIN}, {-1, POLLIN}, {99, POLLIN}};
    SAY("poll %d:", poll(table, 7, -1));
    for (int i = 0; i < 7; i++)
        SAY(" %x", table[i].revents);
    SAY("\n");
    unsigned long long value; /* 64 bits, whatever `long` has */
    SAY("eventfd %ld", (long)read(event, &value, 8));
    SAY(" %llu\n", value);
    TRY(read(event, &value, 8));
    value = 5;
    write(event, &value, 8);
    write(event, &value, 8);
    read(event, &value, 8);
    SAY("sum %llu\n", value);
    int counting = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 2; i++)
        read(counting, &value, 8), SAY("semaphore %llu\n", value);
    TRY(read(counting, &value, 8));

    struct itimerspec spec = {{0, 2000000}, {0, 2000000}};
    TRY(timerfd_settime(timer, 0, &spec, 0));
    long ticks = 0;
    while (ticks < 3) {
        read(timer, &value, 8);
        ticks += value;
    }
    TRY(timerfd_gettime(timer, &spec));
    SAY("interval %ld\n", spec.it_interval.tv_nsec);
    memset(&spec, 0, sizeof spec);
    TRY(timerfd_settime(timer, 0, &spec, 0));

    raise(SIGUSR1);
    struct signalfd_siginfo info;
    SAY("signalfd %ld", (long)read(signals, &info, sizeof info));
    SAY(" signal %d from us %d\n", info.ssi_signo, info.ssi_pid == (unsigned)getpid());
    pid_t child = fork();
    if (!child)
        _exit(17);
    read(signals, &info, sizeof info);
    SAY("signal %d status %d code %d child %d\n", info.ssi_signo, info.ssi_status, info.ssi_code,
        info.ssi_pid == (unsigned)child);
    waitpid(child, 0, 0);

    fd_set readers, writers;
    FD_ZERO(&readers);
    FD_ZERO(&writers);
    FD_SET(ends[0], &readers);
    FD_SET(ends[1], &writers);
    FD_SET(timer, &readers);
    struct timeval moment = {100, 0};
    SAY("select %d", select(timer + 1, &readers, &writers, 0, &moment));
    SAY(" %d %d %d\n", FD_ISSET(ends[0], &readers), FD_ISSET(ends[1], &writers), FD_ISSET(timer, &readers));
    write(ends[1], "x", 1);
    FD_ZERO(&readers);
    FD_SET(ends[0], &readers);
    FD_SET(timer, &readers);
    moment.tv_usec = 0;
    SAY("select %d", select(timer + 1, &readers, 0, 0, 0));
    SAY(" %d %d\n", FD_ISSET(ends[0], &readers), FD_ISSET(timer, &readers));
    FD_ZERO(&readers);
    FD_SET(50, &readers); /* closed; Linux looks no further than its table of descriptors, 64 at least */
    TRY(select(51, &readers, 0, 0, &moment));
    moment.tv_sec = 0, moment.tv_usec = 10000;
    SAY("nothing %d\n", select(0, 0, 0, 0, &moment));

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {EPOLLIN, {.u64 = 0x123456789abcdef0}}, got[8];
    TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &wanted));
    TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &wanted));
    wanted.events = EPOLLIN | EPOLLET, wanted.data.u64 = 2;
    TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &wanted));
    int found = epoll_wait(epoll, got, 8, -1);
    SAY("epoll %d: %x %llx\n", found, got[0].events, (unsigned long long)got[0].data.u64);
    char byte;
    read(ends[0], &byte, 1);
    value = 1;
    write(event, &value, 8);
    found = epoll_wait(epoll, got, 8, -1);
    SAY("epoll %d: %x %llx\n", found, got[0].events, (unsigned long long)got[0].data.u64);
    SAY("edge triggered: %d\n", epoll_wait(epoll, got, 8, 10));
    wanted.events = EPOLLOUT | EPOLLONESHOT, wanted.data.u64 = 3;
    TRY(epoll_ctl(epoll, EPOLL_CTL_MOD, event, &wanted));
    SAY("once %d", epoll_wait(epoll, got, 8, -1));
    SAY(" and no more %d\n", epoll_wait(epoll, got, 8, 10));
    TRY(epoll_ctl(epoll, EPOLL_CTL_DEL, event, 0));
    TRY(epoll_ctl(epoll, EPOLL_CTL_DEL, event, 0));
    TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &wanted));
    TRY(epoll_wait(epoll, got, 0, 0));
    if (!(child = fork())) {
        until_asleep(getppid());
        write(ends[1], "y", 1);
        _exit(0);
    }
    SAY("woken %d\n", epoll_wait(epoll, got, 8, -1));
    waitpid(child, 0, 0);
    read(ends[0], &byte, 1);
    close(ends[1]);
    poll(table, 1, -1);
    SAY("hung up %x\n", table[0].revents);
    sigemptyset(&set);
    if (!(child = fork())) {
        until_asleep(getppid());
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    signal(SIGUSR1, SIG_DFL);
    sigfillset(&set);
    struct timespec span = {100, 0};
    struct pollfd one = {signals, POLLIN};
    SAY("ppoll with all blocked %d\n", ppoll(&one, 1, &span, &set));
    waitpid(child, 0, 0);
    return 0;
}
