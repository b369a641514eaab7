/* Sessions and process groups: signals and waits for a whole group. */
#include "common.h"

int main(void) {
    int status;
    pid_t child = fork();
    if (!child) {
        TRY(setsid());
        SAY("leader %d %d\n", getsid(0) == getpid(), getpgid(0) == getpid());
        TRY(setsid());
        TRY(setpgid(0, 0));
        pid_t first = fork();
        if (!first) {
            setpgid(0, 0);
            for (;;)
                pause();
        }
        setpgid(first, first);
        pid_t second = fork();
        if (!second) {
            setpgid(0, first);
            for (;;)
                pause();
        }
        setpgid(second, first);
        SAY("same session %d\n", getsid(first) == getpid());
        SAY("group %d %d\n", getpgid(first) == first, getpgid(second) == first);
        TRY(kill(-first, 0));
        TRY(kill(-first, SIGTERM));
        for (int i = 0; i < 2; i++)
            SAY("in the group %d\n", waitpid(-first, &status, 0) > 0), tell("member", status);
        TRY(waitpid(-first, &status, 0));
        TRY(kill(-first, 0));
        TRY(setpgid(0, 1));
        TRY(setpgid(getppid(), 0));
        TRY(getpgid(99999999));
        signal(SIGUSR1, SIG_IGN);
        TRY(kill(0, SIGUSR1));
        _exit(4);
    }
    waitpid(child, &status, 0);
    tell("session", status);
    TRY(kill(child, SIGTERM));
    TRY(kill(99999999, 0));
    return 0;
}
