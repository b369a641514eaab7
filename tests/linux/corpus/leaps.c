/* setjmp and longjmp of all kinds: values, floating registers, out of handlers with and without masks, through qsort. */
#include "common.h"
#include <fenv.h>
#include <setjmp.h>

static jmp_buf plain;
static sigjmp_buf masked;
static int calls;
static int compare(const void *a, const void *b) {
    if (++calls == 20)
        longjmp(plain, 20);
    return *(const int *)a - *(const int *)b;
}
static void handler(int number, siginfo_t *info, void *context) { siglongjmp(masked, number); }
static double churn(double x) {
    double a = x, b = x * 2, c = x * 3, d = x * 5, e = x * 7, f = x * 11;
    if (x > 1e6)
        longjmp(plain, 3);
    return churn(x * 10 + a) + b * c + d * e + f;
}
static void level(jmp_buf *targets, int n) {
    int value = setjmp(targets[n]);
    if (value)
        SAY("level %d got %d\n", n, value), longjmp(targets[n - 1], value * 2);
    level(targets + 0, n + 1 < 6 ? n + 1 : (longjmp(targets[n], 1), n));
}
int main(void) {
    volatile int rounds = 0;
    int value = setjmp(plain);
    SAY("value %d\n", value);
    if (rounds++ < 4)
        longjmp(plain, rounds == 2 ? 0 : rounds);
    volatile double kept = 1.5, also = 2.25;
    register double saved = 3.75;
    if (!(value = setjmp(plain)))
        churn(1);
    SAY("%d %g %g %g\n", value, kept, also, saved);
    int numbers[50];
    for (int i = 0; i < 50; i++)
        numbers[i] = i * 37 % 50;
    if (!(value = setjmp(plain)))
        qsort(numbers, 50, sizeof(int), compare);
    SAY("%d calls %d\n", value, calls);
    handle(SIGUSR1, handler, 0);
    volatile int times = 0;
    while (times < 5) {
        if (!sigsetjmp(masked, 1)) {
            times++;
            raise(SIGUSR1);
        }
    }
    SAY("times %d\n", times);
    if (!sigsetjmp(masked, 0))
        raise(SIGUSR1);
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    SAY("still blocked %d\n", sigismember(&now, SIGUSR1));
    static jmp_buf targets[6];
    if (!(value = setjmp(targets[0])))
        level(targets, 1);
    SAY("outermost %d\n", value);
    int tries = 0;
    for (volatile int i = 0; i < 3000; i++)
        if (!setjmp(plain))
            longjmp(plain, 1);
        else
            tries++;
    SAY("%d\n", tries);
    return 0;
}
