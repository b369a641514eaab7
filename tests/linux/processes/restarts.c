/* Calls cut short by a signal: begun again with SA_RESTART, EINTR without it, EINTR always for some. */
#include "common.h"
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

static volatile int signals;
static void handler(int number, siginfo_t *info, void *context) { signals++; }

/* When this process sleeps a child sends a signal, and then does `then`. */
static pid_t helper(int descriptor) {
    pid_t parent = getpid(), child = fork();
    if (!child) {
        until_asleep(parent);
        kill(parent, SIGUSR1);
        until_asleep(parent);
        if (descriptor >= 0)
            write(descriptor, "data", 4);
        _exit(6);
    }
    return child;
}

static void say(const char *what, long result) {
    int error = errno;
    SAY("%s: %ld %s, signals %d\n", what, result, result < 0 ? strerrorname_np(error) : "", signals);
    signals = 0;
    while (wait(0) > 0)
        ;
}

int main(void) {
    char buffer[10];
    int ends[2], status;
    pipe(ends);
    for (int restart = 0; restart < 2; restart++) {
        on(SIGUSR1, handler, restart ? SA_RESTART : 0);
        SAY("restart %d\n", restart);
        helper(ends[1]);
        say("read", read(ends[0], buffer, 4));
        if (!restart)
            read(ends[0], buffer, 4);
        pid_t child = helper(-1);
        long result = waitpid(child, &status, 0);
        say("waitpid", result < 0 ? result : WEXITSTATUS(status));
        struct timespec span = {100, 0}, left = {900, 9};
        helper(-1);
        result = nanosleep(&span, &left);
        SAY("time left %d\n", left.tv_sec < 100);
        say("nanosleep", result);
        struct pollfd wait_for = {ends[0], POLLIN};
        helper(ends[1]);
        say("poll", poll(&wait_for, 1, -1));
        read(ends[0], buffer, 4);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(ends[0], &set);
        helper(ends[1]);
        say("select", select(ends[0] + 1, &set, 0, 0, 0));
        read(ends[0], buffer, 4);
        int epoll = epoll_create1(0);
        struct epoll_event event = {EPOLLIN};
        epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
        helper(ends[1]);
        say("epoll_wait", epoll_wait(epoll, &event, 1, -1));
        read(ends[0], buffer, 4);
        close(epoll);
        helper(-1);
        say("pause", pause());
        int pair[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
        helper(pair[1]);
        say("recv", recv(pair[0], buffer, 4, 0));
        close(pair[0]), close(pair[1]);
        int file = open("lock", O_RDWR | O_CREAT, 0600);
        int held[2];
        pipe(held);
        pid_t parent = getpid();
        if (!fork()) {
            struct flock lock = {F_WRLCK, SEEK_SET, 0, 1};
            fcntl(file, F_SETLK, &lock);
            write(held[1], "x", 1);
            until_asleep(parent);
            kill(parent, SIGUSR1);
            until_asleep(parent);
            _exit(0);
        }
        read(held[0], buffer, 1);
        struct flock lock = {F_WRLCK, SEEK_SET, 0, 1};
        say("lock", fcntl(file, F_SETLKW, &lock));
        close(file);
    }
    /* A signal that is ignored or blocked cuts nothing short. */
    signal(SIGUSR1, SIG_IGN);
    helper(ends[1]);
    say("ignored", read(ends[0], buffer, 4));
    on(SIGUSR1, handler, 0);
    block(SIGUSR1);
    helper(ends[1]);
    say("blocked", read(ends[0], buffer, 4));
    return 0;
}
