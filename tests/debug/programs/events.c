/* What can happen to a process: signals, children, blocking, crashes, other programs. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long count;

static void handler(int number)
{
    count += number;
    count += 100;
}

static void crash(void)
{
    *(volatile int *)8 = 1;
}

static void child(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        count = 77;
        _exit(3);
    }
    waitpid(pid, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    signal(SIGUSR1, handler);
    if (!strcmp(what, "signal"))
        raise(SIGUSR1);
    if (!strcmp(what, "fork"))
        child();
    if (!strcmp(what, "crash"))
        crash();
    if (!strcmp(what, "abort"))
        abort();
    if (!strcmp(what, "exec"))
        execl(argv[2], argv[2], "executed", (char *)NULL);
    if (!strcmp(what, "read")) {
        char text[8];
        printf("read %d\n", (int)read(0, text, sizeof text));
    }
    if (!strcmp(what, "spin"))
        for (;;)
            count++;
    printf("count %ld\n", count);
    return 5;
}
