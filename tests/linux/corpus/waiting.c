/* sigwaitinfo, sigtimedwait, sigwait, sigsuspend and sigqueue with values; who sent, in what order, and what stays. */
#include "common.h"

static volatile int handled;
static void handler(int number, siginfo_t *info, void *context) { handled++; }
static void show(int number, const siginfo_t *info, pid_t sender) {
    SAY("%d code %d value %d from sender %d\n", number >= SIGRTMIN ? 100 + number - SIGRTMIN : number, info->si_code,
        info->si_code == SI_QUEUE ? info->si_value.sival_int : 0, info->si_pid == sender);
}
int main(void) {
    sigset_t set, none;
    siginfo_t info;
    sigemptyset(&set), sigemptyset(&none);
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGCHLD};
    for (int i = 0; i < 3; i++)
        sigaddset(&set, numbers[i]);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, SIGRTMIN + i);
    sigprocmask(SIG_BLOCK, &set, 0);
    for (int i = 0; i < 10; i++)
        sigqueue(getpid(), SIGRTMIN + (i * 7) % 4, (union sigval){.sival_int = i});
    raise(SIGUSR2), raise(SIGUSR1), raise(SIGUSR1);
    struct timespec zero = {0, 0}, soon = {0, 1000000}, wrong = {0, 2000000000};
    int number;
    while ((number = sigtimedwait(&set, &info, &zero)) > 0)
        show(number, &info, getpid());
    SAY("empty: %s\n", strerrorname_np(errno));
    TRY(sigtimedwait(&set, &info, &soon));
    TRY(sigtimedwait(&set, &info, &wrong));
    pid_t parent = getpid(), child = fork();
    if (!child) {
        for (int i = 0; i < 5; i++)
            sigqueue(parent, SIGRTMIN + 1, (union sigval){.sival_int = 1000 + i});
        kill(parent, SIGUSR1);
        _exit(33);
    }
    int left = 7;
    while (left) {
        sigset_t some = set;
        if (left > 1)
            sigdelset(&some, SIGCHLD);
        number = sigwaitinfo(&some, &info);
        if (number == SIGUSR1) /* comes before the others if it is there */
            SAY("usr1 from the child %d\n", info.si_pid == child);
        left--;
        if (number == SIGCHLD)
            SAY("child: code %d status %d\n", info.si_code == CLD_EXITED, info.si_status);
    }
    reap("child", child);
    raise(SIGUSR2);
    TRY(sigwait(&set, &number));
    SAY("%d\n", number);
    handle(SIGUSR1, handler, 0);
    raise(SIGUSR1);
    sigset_t open = set;
    sigdelset(&open, SIGUSR1);
    TRY(sigsuspend(&open));
    SAY("handled %d\n", handled);
    if (!(child = fork())) {
        kill(parent, SIGUSR1);
        _exit(0);
    }
    TRY(sigsuspend(&open));
    reap("killer", child);
    sigpending(&open);
    SAY("handled %d, pending %d\n", handled, sigismember(&open, SIGUSR1));
    TRY(sigqueue(getpid(), 0, (union sigval){0}));
    TRY(sigqueue(getpid(), 65, (union sigval){0}));
    TRY(kill(getpid(), 0));
    return 0;
}
