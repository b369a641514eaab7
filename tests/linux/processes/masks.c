/* Blocked and pending signals: sigsuspend, sigwait, sigtimedwait, and what fork makes of masks. */
#include "common.h"

static volatile int seen[65], order[20], count;
static void handler(int number, siginfo_t *info, void *context) {
    seen[number]++;
    if (count < 20)
        order[count++] = number;
}
static int blocked(int number) {
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    return sigismember(&now, number);
}
static int pending(int number) {
    sigset_t now;
    sigpending(&now);
    return sigismember(&now, number);
}

int main(void) {
    on(SIGUSR1, handler, 0);
    on(SIGUSR2, handler, 0);
    block(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    SAY("pending %d seen %d\n", pending(SIGUSR1), seen[SIGUSR1]);
    sigset_t all_but, set;
    sigfillset(&all_but);
    sigdelset(&all_but, SIGUSR1);
    int result = sigsuspend(&all_but);
    SAY("sigsuspend %d %s\n", result, strerrorname_np(errno));
    SAY("seen %d pending %d blocked %d\n", seen[SIGUSR1], pending(SIGUSR1), blocked(SIGUSR1));
    pid_t parent = getpid(), child = fork();
    if (!child) {
        SAY("child: blocked %d\n", blocked(SIGUSR1));
        until_asleep(parent);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    SAY("sigsuspend %d\n", sigsuspend(&all_but));
    SAY("seen %d\n", seen[SIGUSR1]);
    waitpid(child, 0, 0);
    raise(SIGUSR1);
    if (!(child = fork())) {
        SAY("child: nothing is pending %d\n", pending(SIGUSR1));
        _exit(0);
    }
    waitpid(child, 0, 0);
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    result = sigwaitinfo(&set, &info);
    SAY("sigwaitinfo %d code %d from us %d\n", result, info.si_code == SI_TKILL, info.si_pid == getpid());
    struct timespec moment = {0, 10000000};
    TRY(sigtimedwait(&set, &info, &moment));
    if (!(child = fork())) {
        until_asleep(parent);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    moment.tv_sec = 100;
    result = sigtimedwait(&set, &info, &moment);
    SAY("sigtimedwait %d from the child %d\n", result, info.si_pid == child);
    waitpid(child, 0, 0);
    if (!(child = fork())) {
        until_asleep(parent);
        kill(parent, SIGUSR2);
        _exit(0);
    }
    result = sigwaitinfo(&set, &info);
    SAY("another signal: %d %s\n", result, strerrorname_np(errno));
    waitpid(child, 0, 0);
    SAY("seen %d\n", seen[SIGUSR2]);

    /* Several at once: the lowest is handled last, for it is entered first and interrupted by the others. */
    count = 0;
    int numbers[] = {SIGUSR2, SIGUSR1, SIGHUP, SIGTERM};
    for (int i = 0; i < 4; i++) {
        on(numbers[i], handler, 0);
        block(numbers[i]);
    }
    for (int i = 0; i < 4; i++)
        raise(numbers[i]);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, 0);
    for (int i = 0; i < count; i++)
        SAY("%d ", order[i]);
    SAY("\n");
    struct sigaction action = {0};
    action.sa_sigaction = handler;
    sigaddset(&action.sa_mask, SIGUSR2);
    action.sa_flags = SA_RESETHAND | SA_NODEFER | SA_SIGINFO;
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    sigaction(SIGUSR1, 0, &action);
    SAY("reset %d, %d not blocked\n", action.sa_handler == SIG_DFL, !blocked(SIGUSR1));
    raise(SIGUSR1);
    return 0;
}
