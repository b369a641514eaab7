/* makecontext, swapcontext, setcontext and getcontext: coroutines with floating point, arguments, links and signals' masks. */
#include "common.h"
#include <ucontext.h>

static ucontext_t home, workers[4];
static double sums[4];
static int finished;
static void worker(int id, int from, int to, int step) {
    double local = id / 8.0;
    for (int i = from; i < to; i += step) {
        local += i * 0.25;
        swapcontext(workers + id, workers + (id + 1) % 4);
    }
    sums[id] = local;
    finished++;
    SAY("worker %d done\n", id);
    while (finished < 4)
        swapcontext(workers + id, workers + (id + 1) % 4);
}
static ucontext_t again, caller, generator;
static int produced;
static void produce(void) {
    for (int i = 0; i < 5; i++) {
        produced = i * i;
        swapcontext(&generator, &caller);
    }
    produced = -1;
}
int main(void) {
    for (int i = 0; i < 4; i++) {
        getcontext(workers + i);
        workers[i].uc_stack.ss_sp = malloc(65536);
        workers[i].uc_stack.ss_size = 65536;
        workers[i].uc_link = &home;
        makecontext(workers + i, (void (*)(void))worker, 4, i, i * 10, i * 10 + 50 + i, i + 1);
    }
    swapcontext(&home, workers);
    for (int i = 0; i < 4; i++)
        SAY("%g ", sums[i]);
    SAY("%d\n", finished);
    volatile int rounds = 0;
    getcontext(&again);
    SAY("round %d\n", ++rounds);
    if (rounds < 3)
        setcontext(&again);
    getcontext(&generator);
    generator.uc_stack.ss_sp = malloc(65536), generator.uc_stack.ss_size = 65536, generator.uc_link = &caller;
    sigaddset(&generator.uc_sigmask, SIGUSR1);
    makecontext(&generator, produce, 0);
    do {
        swapcontext(&caller, &generator);
        SAY("produced %d\n", produced);
    } while (produced >= 0);
    sigset_t now;
    sigprocmask(SIG_SETMASK, 0, &now);
    SAY("mask back %d\n", sigismember(&now, SIGUSR1));
    return 0;
}
