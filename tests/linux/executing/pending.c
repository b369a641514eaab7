/* Signals that wait because they are blocked wait on in an executed program: those that are ignored, too. */
#include "../processes/common.h"

static void handler(int number) { SAY("handler %d\n", number); }

static const int numbers[] = {SIGHUP, SIGCHLD, SIGUSR1, SIGWINCH, SIGURG};

static void show(const char *when) {
    sigset_t pending;
    sigpending(&pending);
    SAY("%s:", when);
    for (int i = 0; i < 5; i++)
        SAY(" %d", sigismember(&pending, numbers[i]));
    SAY("\n");
}

static void let_come(int number) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, 0);
}

int main(int count, char **arguments) {
    char *again[] = {arguments[0], count > 1 ? "last" : "executed", 0};
    if (count > 1) {
        show(arguments[1]);
        signal(SIGWINCH, handler);
        let_come(SIGWINCH);
        show("let come");
        if (!strcmp(arguments[1], "last"))
            return 0;
        signal(SIGCHLD, handler); /* handled here and pending: not handled in the next, but pending still */
        raise(SIGWINCH);
        execv("/proc/self/exe", again);
    }
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int i = 0; i < 5; i++)
        sigaddset(&blocked, numbers[i]);
    sigprocmask(SIG_BLOCK, &blocked, 0);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGURG, handler);
    for (int i = 0; i < 5; i++)
        if (numbers[i] != SIGCHLD)
            raise(numbers[i]);
    if (!fork()) {
        show("child");
        raise(SIGHUP);
        char *last[] = {arguments[0], "last", 0};
        execv("/proc/self/exe", last);
        _exit(1);
    }
    siginfo_t information;
    waitid(P_ALL, 0, &information, WEXITED | WNOWAIT);
    show("ignored");
    signal(SIGUSR1, SIG_IGN); /* discards it */
    show("ignored again");
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    let_come(SIGUSR1);
    show("handled");
    execv("/proc/self/exe", again);
    return 1;
}
