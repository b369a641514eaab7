/* Code written by one thread and run by others, after fence.i and after the system call for it. */
#include "common.h"
#include <sys/cachectl.h>

typedef long function(long);
static uint32_t *code;
static _Atomic int version, acknowledged, stop;
static int wrong;
static pthread_barrier_t barrier;

static uint32_t li(int rd, int value) { return (uint32_t)(value & 0xfff) << 20 | rd << 7 | 0x13; }
static uint32_t addi(int rd, int rs, int value) { return (uint32_t)(value & 0xfff) << 20 | rs << 15 | rd << 7 | 0x13; }
#define RET 0x00008067u

static void fence_i(void) { __asm__ volatile("fence.i" ::: "memory"); }

static void *runs(void *argument) {
    int seen = 0;
    for (int round = 1; round <= 200; round++) {
        while (version < round)
            ((function *)(code + 64))(1); /* other code of the same page */
        fence_i();
        if (((function *)code)(round) != round + round * 3)
            __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
        acknowledged++;
    }
    (void)seen;
    return 0;
}

static void *fills(void *number) { /* functions of its own, in the page all use */
    uint32_t *own = code + 128 + 16 * (long)number;
    long sum = 0;
    for (int i = 0; i < 200; i++) {
        own[0] = addi(10, 10, i), own[1] = RET;
        fence_i();
        sum += ((function *)own)(1) - 1;
    }
    return (void *)sum;
}

int main(void) {
    code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code[64] = addi(10, 10, 1), code[65] = RET;
    __riscv_flush_icache(code, code + 1024, 0);
    start(3, runs);
    for (int round = 1; round <= 200; round++) {
        code[0] = addi(10, 10, round * 3), code[1] = RET;
        fence_i();
        version = round;
        while (acknowledged < 3 * round)
            sched_yield();
    }
    join(3);
    SAY("wrong %d\n", wrong);
    start(4, fills);
    for (int i = 0; i < 4; i++) {
        void *sum;
        pthread_join(threads_[i], &sum);
        SAY("%ld ", (long)sum);
    }
    /* The disciplined way: written, then made executable. */
    for (int round = 0; round < 20; round++) {
        mprotect(code, 4096, PROT_READ | PROT_WRITE);
        code[0] = li(10, round), code[1] = RET;
        mprotect(code, 4096, PROT_READ | PROT_EXEC);
        __riscv_flush_icache(code, code + 2, 0);
        if (((function *)code)(0) != round)
            wrong++;
    }
    SAY("\nwrong %d\n", wrong);
    return 0;
}
