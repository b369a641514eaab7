/* SIGCHLD: who, how and with what status, in the handler. */
#include "common.h"

static volatile int count;
static void handler(int number, siginfo_t *info, void *context) {
    int saved = errno, status;
    count++;
    SAY("signal %d code %d status %d uid %d\n", number, info->si_code, info->si_status, info->si_uid == getuid());
    if (info->si_code == CLD_EXITED || info->si_code == CLD_KILLED)
        SAY("reaped %d\n", waitpid(info->si_pid, &status, 0) == info->si_pid);
    errno = saved;
}

int main(void) {
    on(SIGCHLD, handler, SA_RESTART);
    for (int i = 1; i < 4; i++) {
        int before = count;
        if (!fork())
            _exit(i);
        while (count == before)
            pause_ms(1);
    }
    pid_t child = fork();
    if (!child) {
        raise(SIGSTOP);
        pause();
    }
    while (count < 4)
        pause_ms(1);
    kill(child, SIGCONT);
    while (count < 5)
        pause_ms(1);
    kill(child, SIGTERM);
    while (count < 6)
        pause_ms(1);
    on(SIGCHLD, handler, SA_NOCLDSTOP);
    if (!(child = fork())) {
        raise(SIGSTOP);
        _exit(9);
    }
    int status;
    waitpid(child, &status, WUNTRACED);
    tell("child", status);
    SAY("not told %d\n", count == 6);
    kill(child, SIGCONT);
    while (count < 7)
        pause_ms(1);
    struct sigaction action = {0};
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, 0);
    if (!fork())
        _exit(0);
    TRY(wait(0));
    return count;
}
