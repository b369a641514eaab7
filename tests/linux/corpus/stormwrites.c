/* Signals without SA_RESTART while a file is written and read: Linux completes such calls, none fails with EINTR. */
#include "common.h"
#include <sys/stat.h>
#include <sys/time.h>

static volatile int ticks;
static void handler(int number) { ticks++; }

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, 0);
    FILE *temporary = tmpfile();
    int file = fileno(temporary), wrong = 0, calls = 0;
    struct itimerval often = {{0, 700}, {0, 700}}, off = {0};
    setitimer(ITIMER_REAL, &often, 0);
    while (ticks < 200 || calls < 1000) {
        char octet = calls, back = 0;
        wrong += write(file, &octet, 1) != 1;
        wrong += pread(file, &back, 1, calls) != 1 || back != octet;
        calls++;
    }
    setitimer(ITIMER_REAL, &off, 0);
    struct stat status;
    fstat(file, &status);
    SAY("wrong %d, all there %d\n", wrong, status.st_size == calls);
    return 0;
}
