/* select and pselect: all three sets, high descriptors, masks while waiting, and that pselect leaves its time alone. */
#include "common.h"
#include <sys/select.h>
#include <sys/socket.h>

static volatile int handled;
static void handler(int number, siginfo_t *info, void *context) { handled++; }
int main(void) {
    int ends[2], pair[2];
    pipe(ends), socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    int high = dup2(ends[0], 700);
    fd_set in, out, oob;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&oob);
    FD_SET(high, &in), FD_SET(pair[0], &in), FD_SET(ends[1], &out), FD_SET(pair[1], &out), FD_SET(pair[0], &oob);
    TRY(select(high + 1, &in, &out, &oob, 0));
    SAY("%d %d %d %d\n", FD_ISSET(high, &in), FD_ISSET(pair[0], &in), FD_ISSET(ends[1], &out), FD_ISSET(pair[1], &out));
    write(ends[1], "x", 1), write(pair[1], "y", 1);
    FD_SET(high, &in), FD_SET(pair[0], &in);
    TRY(select(high + 1, &in, 0, 0, 0));
    FD_ZERO(&in);
    FD_SET(high, &in);
    TRY(select(high, &in, 0, 0, &(struct timeval){0, 0}));
    struct timespec zero = {0, 0}, soon = {0, 1000000};
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    TRY(pselect(ends[0] + 1, &in, 0, 0, &zero, 0));
    char byte;
    read(ends[0], &byte, 1);
    TRY(pselect(ends[0] + 1, &in, 0, 0, &soon, 0));
    SAY("time untouched %ld, set emptied %d\n", soon.tv_nsec, FD_ISSET(ends[0], &in));
    handle(SIGUSR1, handler, SA_RESTART);
    sigset_t old = block(SIGUSR1);
    raise(SIGUSR1);
    SAY("blocked %d\n", handled);
    FD_SET(ends[0], &in);
    TRY(pselect(ends[0] + 1, &in, 0, 0, 0, &old));
    SAY("handled %d\n", handled);
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    SAY("blocked again %d\n", sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    write(ends[1], "z", 1);
    TRY(pselect(ends[0] + 1, &in, 0, 0, 0, &now));
    SAY("handled %d\n", handled);
    sigprocmask(SIG_SETMASK, &old, 0);
    SAY("handled %d\n", handled);
    FD_ZERO(&in);
    FD_SET(50, &in);
    TRY(select(51, &in, 0, 0, 0));
    TRY(select(-1, 0, 0, 0, 0));
    TRY(select(0, 0, 0, 0, &(struct timeval){-1, 0}));
    TRY(pselect(0, 0, 0, 0, &(struct timespec){0, 1000000000}, 0));
    close(pair[1]);
    FD_ZERO(&in);
    FD_SET(pair[0], &in);
    FD_ZERO(&out);
    FD_SET(pair[0], &out);
    TRY(select(pair[0] + 1, &in, &out, 0, 0));
    struct pollfd table[3] = {{pair[0], POLLIN | POLLOUT}, {-5, POLLIN}, {12345, POLLIN}};
    TRY(poll(table, 3, -1));
    SAY("%x %x %x\n", table[0].revents, table[1].revents, table[2].revents);
    TRY(ppoll(table, 1, &zero, 0));
    TRY(poll(0, 0, 1));
    return 0;
}
