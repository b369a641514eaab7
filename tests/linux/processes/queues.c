/* Realtime signals queue with their values, in order; and who sent an ordinary one. */
#include "common.h"

static volatile int count, values[100], numbers[100], last_code, last_pid;
static void handler(int number, siginfo_t *info, void *context) {
    numbers[count] = number;
    values[count++] = info->si_value.sival_int;
    last_code = info->si_code;
    last_pid = info->si_pid;
}

int main(void) {
    sigset_t set, old;
    sigemptyset(&set);
    for (int i = 0; i < 3; i++) {
        on(SIGRTMIN + i, handler, 0);
        sigaddset(&set, SIGRTMIN + i);
    }
    sigprocmask(SIG_BLOCK, &set, &old);
    for (int i = 0; i < 12; i++)
        sigqueue(getpid(), SIGRTMIN + 2 - i % 3, (union sigval){.sival_int = i});
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 1);
    siginfo_t info;
    int first = sigwaitinfo(&one, &info);
    SAY("wait %d value %d\n", first - SIGRTMIN, info.si_value.sival_int);
    sigprocmask(SIG_SETMASK, &old, 0);
    int sum[3] = {0}, ordered = 1, last[3] = {-1, -1, -1};
    for (int i = 0; i < count; i++)
        sum[numbers[i] - SIGRTMIN] += values[i];
    SAY("came %d: %d %d %d\n", count, sum[0], sum[1], sum[2]);
    SAY("code %d\n", last_code == SI_QUEUE);
    count = 0;
    pid_t parent = getpid(), child = fork();
    int status;
    if (!child) {
        for (int i = 0; i < 50; i++)
            sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = i});
        _exit(0);
    }
    waitpid(child, &status, 0);
    while (count < 50)
        pause_ms(1);
    SAY("from the child %d, %d\n", count, last_pid == child);
    on(SIGUSR1, handler, 0);
    count = 0;
    if (!(child = fork())) {
        kill(parent, SIGUSR1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    while (!count)
        pause_ms(1);
    SAY("kill: code %d from the child %d\n", last_code == SI_USER, last_pid == child);
    TRY(sigqueue(getpid(), 99, (union sigval){0}));
    TRY(sigqueue(getpid(), 0, (union sigval){0}));
    return 0;
}
