/* wait4 and waitid: every way a child's state can change. */
#include "common.h"
#include <sys/resource.h>

static const char *code_of(int code) {
    return code == CLD_EXITED ? "exited" : code == CLD_KILLED ? "killed" : code == CLD_STOPPED ? "stopped"
         : code == CLD_CONTINUED ? "continued" : code == CLD_DUMPED ? "dumped" : "?";
}

int main(void) {
    int status;
    int numbers[] = {SIGTERM, SIGKILL, SIGUSR1, SIGALRM, SIGHUP, SIGINT, SIGPIPE, SIGVTALRM, SIGIO, SIGRTMIN + 3};
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (!child) {
            raise(numbers[i]);
            _exit(99);
        }
        waitpid(child, &status, 0);
        tell("raised", status);
        if (!(child = fork()))
            for (;;)
                pause();
        kill(child, numbers[i]);
        waitpid(child, &status, 0);
        tell("sent", status);
        if (!(child = fork()))
            for (;;)
                ;
        kill(child, numbers[i]);
        waitpid(child, &status, 0);
        tell("sent to a busy one", status);
    }
    int ends[2];
    char byte;
    pipe(ends);
    pid_t child = fork();
    if (!child) {
        signal(SIGCONT, SIG_DFL);
        raise(SIGSTOP);
        read(ends[0], &byte, 1);
        _exit(7);
    }
    waitpid(child, &status, WUNTRACED);
    tell("child", status);
    SAY("nothing new %d\n", waitpid(child, &status, WNOHANG));
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    tell("child", status);
    write(ends[1], "x", 1);
    siginfo_t info;
    TRY(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    SAY("%s %d pid %d\n", code_of(info.si_code), info.si_status, info.si_pid == child);
    struct rusage used;
    TRY(wait4(child, &status, 0, &used));
    tell("child", status);
    SAY("used something %d\n", used.ru_maxrss > 0);
    for (int kind = 0; kind < 4; kind++) {
        if (!(child = fork())) {
            if (kind == 0)
                _exit(300);
            if (kind == 1)
                kill(getpid(), SIGTERM);
            if (kind == 2)
                raise(SIGTSTP);
            pause();
        }
        memset(&info, 0, sizeof info);
        TRY(kind < 3 ? waitid(P_PID, child, &info, WEXITED | WSTOPPED) : waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
        SAY("%d: %s %d signal %d pid %d\n", kind, code_of(info.si_code), info.si_status, info.si_signo,
            info.si_pid == child);
        if (kind >= 2) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            tell("child", status);
        }
    }
    TRY(waitpid(-1, &status, 0));
    TRY(waitpid(1, &status, 0));
    TRY(waitid(P_ALL, 0, &info, 0));
    TRY(waitpid(-1, &status, 0x800));
    signal(SIGCHLD, SIG_IGN);
    if (!(child = fork()))
        _exit(1);
    TRY(waitpid(child, &status, 0));
    return 0;
}
