/* epoll: level and edge triggered, one shot, modified, nested, many descriptors, closed ones, a mask while waiting. */
#include "common.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int set;
static void add(int fd, unsigned events, unsigned long data) {
    struct epoll_event wanted = {events, {.u64 = data}};
    WORKS(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted));
}
static void change(int fd, unsigned events, unsigned long data) {
    struct epoll_event wanted = {events, {.u64 = data}};
    WORKS(epoll_ctl(set, EPOLL_CTL_MOD, fd, &wanted));
}
static int compare(const void *a, const void *b) {
    unsigned long x = ((const struct epoll_event *)a)->data.u64, y = ((const struct epoll_event *)b)->data.u64;
    return (x > y) - (x < y);
}
static void look(const char *what, int timeout) {
    struct epoll_event got[16];
    int n = epoll_wait(set, got, 16, timeout);
    if (n > 0)
        qsort(got, n, sizeof *got, compare);
    SAY("%s: %d", what, n);
    for (int i = 0; i < n; i++)
        SAY(" %lx:%x", (unsigned long)got[i].data.u64, got[i].events);
    SAY("\n");
}
static volatile int handled;
static void handler(int number, siginfo_t *info, void *context) { handled++; }
int main(void) {
    set = epoll_create1(EPOLL_CLOEXEC);
    int pair[2], ends[2], byte = 0;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    pipe(ends);
    add(pair[0], EPOLLIN, 1), add(ends[0], EPOLLIN | EPOLLET, 2), add(ends[1], EPOLLOUT, 0x123456789abcdefUL);
    look("start", 0);
    change(ends[1], 0, 3);
    look("nothing", 0);
    write(pair[1], "ab", 2), write(ends[1], "ab", 2);
    look("both", -1), look("level only", 0);
    read(ends[0], &byte, 1);
    look("edge after a partial read", 0);
    write(ends[1], "c", 1);
    look("a new edge", 0);
    read(pair[0], &byte, 2);
    change(pair[0], EPOLLIN | EPOLLOUT | EPOLLONESHOT, 4);
    look("once", 0), look("no more", 0);
    change(pair[0], EPOLLIN | EPOLLRDHUP, 5);
    shutdown(pair[1], SHUT_WR);
    look("half closed", 0);
    close(pair[1]);
    look("closed", 0);
    int event = eventfd(0, EFD_NONBLOCK);
    int inner = epoll_create1(0);
    struct epoll_event wanted = {EPOLLIN, {.u64 = 77}};
    epoll_ctl(inner, EPOLL_CTL_ADD, event, &wanted);
    add(inner, EPOLLIN, 6);
    unsigned long one = 1;
    write(event, &one, 8);
    look("nested", 0);
    int copy = dup(event);
    close(event);
    look("the copy keeps it", 0);
    close(copy);
    look("gone", 0);
    WORKS(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], 0));
    errno = 0;
    struct epoll_event any = {EPOLLIN};
    TRY(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], &any));
    TRY(epoll_ctl(set, EPOLL_CTL_MOD, pair[0], &any));
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &any));
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, set, &any));
    TRY(epoll_ctl(set, EPOLL_CTL_ADD, open(".", O_RDONLY), &any));
    TRY(epoll_ctl(set, 9, ends[0], &any));
    TRY(epoll_ctl(ends[0], EPOLL_CTL_ADD, ends[1], &any));
    TRY(epoll_wait(set, &any, 0, 0));
    TRY(epoll_create(0));
    int many[200][2];
    for (int i = 0; i < 200; i++) {
        struct epoll_event each = {EPOLLIN, {.u64 = 1000 + i}};
        pipe(many[i]);
        epoll_ctl(set, EPOLL_CTL_ADD, many[i][0], &each);
    }
    for (int i = 0; i < 200; i += 3)
        write(many[i][1], "x", 1);
    struct epoll_event lots[300];
    int total = 0, n, sum = 0;
    while ((n = epoll_wait(set, lots, 7, 0)) > 0)
        for (int i = 0; i < n; i++) {
            if (lots[i].data.u64 < 1000)
                continue;
            read(many[lots[i].data.u64 - 1000][0], &byte, 1);
            total++, sum += (int)lots[i].data.u64;
        }
    SAY("many %d %d\n", total, sum);
    handle(SIGUSR1, handler, 0);
    sigset_t blocked = block(SIGUSR1);
    raise(SIGUSR1);
    TRY(epoll_pwait(set, lots, 10, -1, &blocked));
    SAY("handled %d\n", handled);
    pid_t child = fork();
    if (!child) {
        write(ends[1], "z", 1);
        _exit(0);
    }
    n = epoll_wait(set, lots, 10, -1);
    SAY("woken by the child: %d %d\n", n, (int)lots[0].data.u64);
    reap("child", child);
    return 0;
}
