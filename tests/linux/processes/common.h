/* What the programs about processes share: lines that do not depend on process numbers or on who is faster. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAY(...) (dprintf(1, __VA_ARGS__))
/* A call's result as "name: ok" or the errno's name. */
#define TRY(expression) SAY("%s: %s\n", #expression, (expression) < 0 ? strerrorname_np(errno) : "ok")

static inline void pause_ms(long milliseconds) {
    struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&span, &span) < 0 && errno == EINTR)
        ;
}

/* Wait until a process sleeps, as it does in the call it is to be disturbed in: however long it takes to get there. */
static inline void until_asleep(pid_t process) {
    char path[40], text[400];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    for (int times = 0; times < 4;) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        long got = read(file, text, sizeof text - 1);
        close(file);
        text[got < 0 ? 0 : got] = 0;
        char *state = strrchr(text, ')');
        times = state && state[2] == 'S' ? times + 1 : 0;
        pause_ms(2);
    }
}

static inline void tell(const char *who, int status) {
    if (WIFEXITED(status))
        SAY("%s: exited %d\n", who, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        SAY("%s: killed by %d\n", who, WTERMSIG(status));
    else if (WIFSTOPPED(status))
        SAY("%s: stopped by %d\n", who, WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        SAY("%s: continued\n", who);
    else
        SAY("%s: status %x\n", who, status);
}

static inline void on(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {0};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigaction(number, &action, 0);
}

static inline void block(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, 0);
}
