/* signalfd: signals read as records, several at once, mask changed, shared over fork, polled, and with values. */
#include "common.h"
#include <sys/signalfd.h>

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGCHLD), sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signalfd_siginfo got[8];
    TRY(read(fd, got, sizeof got));
    TRY(read(fd, got, 10));
    for (int i = 0; i < 3; i++)
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i * 11});
    raise(SIGUSR1);
    long n = read(fd, got, sizeof got) / (long)sizeof *got;
    SAY("%ld records\n", n);
    for (int i = 0; i < n; i++)
        SAY("signal %d code %d value %d us %d\n", (int)got[i].ssi_signo < 32 ? (int)got[i].ssi_signo : 100, got[i].ssi_code,
            got[i].ssi_int, got[i].ssi_pid == (unsigned)getpid());
    struct pollfd waiting = {fd, POLLIN};
    SAY("nothing %d\n", poll(&waiting, 1, 0));
    pid_t child = fork();
    if (!child)
        _exit(9);
    SAY("ready %d %x\n", poll(&waiting, 1, -1), waiting.revents);
    read(fd, got, sizeof *got);
    SAY("child %d status %d code %d\n", got->ssi_pid == (unsigned)child, got->ssi_status, got->ssi_code);
    reap("child", child);
    sigdelset(&set, SIGUSR1);
    SAY("same descriptor %d\n", signalfd(fd, &set, 0) == fd);
    raise(SIGUSR1);
    TRY(read(fd, got, sizeof got));
    sigset_t pending;
    sigpending(&pending);
    SAY("still pending %d\n", sigismember(&pending, SIGUSR1));
    alarm(1000), alarm(0);
    ualarm(1000, 0);
    poll(&waiting, 1, -1);
    SAY("%ld", (long)(read(fd, got, sizeof got) / sizeof *got));
    SAY(" signal %d\n", got->ssi_signo);
    IS(signalfd(0, &set, 0) == -1 && errno == EINVAL);
    IS(signalfd(77, &set, 0) == -1 && errno == EBADF);
    return 0;
}
