/* Signals at any instruction: results of integer and floating-point loops are what they are without. */
#include "common.h"
#include <math.h>

static volatile long storms;
static volatile double junk = 1.5;
static void handler(int number, siginfo_t *info, void *context) {
    storms++;
    junk = junk * 1.0001 + sqrt(junk);
    if (junk > 1e100)
        junk = 1.5;
}

static unsigned long work(double *real) {
    unsigned long a = 1, b = 88172645463325252ul;
    double x = 0.5;
    for (int i = 0; i < 3000000; i++) {
        b ^= b << 13, b ^= b >> 7, b ^= b << 17;
        a = a * 31 + (b % 1000);
        x = x * 0.999 + (b & 255) / 3.0;
    }
    *real = x;
    return a;
}

int main(void) {
    double before, during;
    unsigned long calm = work(&before);
    on(SIGALRM, handler, SA_RESTART);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &every, 0);
    unsigned long stormy = work(&during);
    int ends[2];
    pipe(ends);
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 2000; i++)
            write(ends[1], &i, sizeof i);
        _exit(0);
    }
    long sum = 0, errors = 0;
    for (int i = 0, value; i < 2000; i++) {
        if (read(ends[0], &value, sizeof value) != sizeof value)
            errors++;
        sum += value;
    }
    while (storms < 20)
        ;
    while (waitpid(child, 0, 0) < 0 && errno == EINTR)
        errors++;
    SAY("equal %d %d, sum %ld, errors %ld\n", calm == stormy, before == during, sum, errors);
    return 0;
}
