/* What the corpus shares: unbuffered lines, calls with errno's name, waiting without looking at the clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAY(...) ((void)dprintf(1, __VA_ARGS__))
/* A call's result as "name: number" or the errno's name. */
#define TRY(expression)                                                                 \
    do {                                                                                \
        errno = 0;                                                                      \
        long result_ = (long)(expression);                                              \
        if (result_ == -1)                                                              \
            SAY("%s: %s\n", #expression, strerrorname_np(errno));                       \
        else                                                                            \
            SAY("%s: %ld\n", #expression, result_);                                     \
    } while (0)
/* A call of which only success matters. */
#define WORKS(expression) SAY("%s: %s\n", #expression, (long)(expression) == -1 ? strerrorname_np(errno) : "ok")
#define IS(expression) SAY("%s: %s\n", #expression, (expression) ? "yes" : "no")

static inline void tell(const char *who, int status) {
    if (WIFEXITED(status))
        SAY("%s: exited %d\n", who, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        SAY("%s: killed by %d\n", who, WTERMSIG(status));
    else
        SAY("%s: status %x\n", who, status);
}

/* Wait for a child and say how it ended. */
static inline void reap(const char *who, pid_t child) {
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    tell(who, status);
}

static inline void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {0};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigaction(number, &action, 0);
}

static inline sigset_t block(int number) {
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, &old);
    return old;
}
