/* Job control: stopping with a handler for SIGCONT, and a SIGTSTP that is caught. */
#include "common.h"

static volatile int continued, asked;
static void on_continue(int number, siginfo_t *info, void *context) { continued++; }
static void on_ask(int number, siginfo_t *info, void *context) { asked++; }

int main(void) {
    int status, ends[2];
    pipe(ends);
    pid_t child = fork();
    if (!child) {
        on(SIGCONT, on_continue, 0);
        on(SIGTSTP, on_ask, 0);
        write(ends[1], "r", 1);
        while (!asked)
            pause_ms(1);
        raise(SIGSTOP);
        SAY("after the stop: continued %d\n", continued);
        signal(SIGTSTP, SIG_DFL);
        raise(SIGTSTP);
        SAY("after another: continued %d\n", continued);
        _exit(asked);
    }
    char byte;
    read(ends[0], &byte, 1);
    kill(child, SIGTSTP);
    for (int i = 0; i < 2; i++) {
        waitpid(child, &status, WUNTRACED);
        tell("child", status);
        kill(child, SIGCONT);
    }
    waitpid(child, &status, 0);
    tell("child", status);
    /* A stop in the middle of calls that wait changes nothing. */
    pipe(ends);
    if (!(child = fork())) {
        char text[10];
        long got = read(ends[0], text, 10);
        struct timespec span = {0, 60000000};
        SAY("read %ld, slept %d\n", got, nanosleep(&span, 0));
        read(ends[0], text, 1); /* alive until it was stopped twice */
        _exit(0);
    }
    for (int i = 0; i < 2; i++) {
        pause_ms(20);
        kill(child, SIGSTOP);
        waitpid(child, &status, WUNTRACED);
        tell("child", status);
        kill(child, SIGCONT);
        write(ends[1], "later", i ? 1 : 5);
    }
    waitpid(child, &status, 0);
    tell("child", status);
    return 0;
}
