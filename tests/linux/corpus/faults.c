/* Faults repaired in the handler: pages made, instructions skipped, stack overflow on another stack, in nested handlers. */
#include "common.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static char *volatile area;
static volatile int faults, depth;
static sigjmp_buf out;
static void mend(int number, siginfo_t *info, void *context) {
    faults++;
    char *page = (char *)((unsigned long)info->si_addr & -4096UL);
    if (page < area || page >= area + (1 << 20))
        _exit(99);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}
static void nested(int number, siginfo_t *info, void *context) {
    if (++depth < 4) {
        *(volatile int *)(8L * depth) = 1; /* SA_NODEFER: a fault in the handler */
        SAY("back at %d\n", depth);
    } else
        siglongjmp(out, depth);
}
static void overflow(int number, siginfo_t *info, void *context) {
    char here;
    stack_t stack;
    sigaltstack(0, &stack);
    SAY("overflow: on the other stack %d, flags %d\n", &here > (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size,
        stack.ss_flags);
    siglongjmp(out, 7);
}
static int recurse(int n) {
    volatile char room[4096];
    room[n & 4095] = (char)n;
    return recurse(n + 1) + room[(n + 1) & 4095];
}
static void once(int number, siginfo_t *info, void *context) {
    SAY("once: code %d at %ld\n", info->si_code, (long)info->si_addr);
    mprotect(area, 4096, PROT_READ | PROT_WRITE);
}
int main(void) {
    area = mmap(0, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, mend, 0);
    unsigned sum = 0;
    for (int i = 0; i < 1 << 20; i += 1000)
        area[i] = (char)i;
    for (int i = 0; i < 1 << 20; i += 1000)
        sum += (unsigned char)area[i];
    SAY("%d faults, sum %u\n", faults, sum);
    mprotect(area, 1 << 20, PROT_READ);
    memset(area, 7, 100000); /* in the middle of the C library */
    SAY("%d faults, %d\n", faults, area[99999]);
    double number = 2.5;
    mprotect(area, 8192, PROT_NONE);
    memcpy(area + 4092, &number, 8); /* across two pages */
    SAY("%d faults\n", faults);
    handle(SIGSEGV, nested, SA_NODEFER);
    SAY("out of %d\n", sigsetjmp(out, 1) ? depth : (*(volatile int *)0 = 1));
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    WORKS(sigaltstack(&stack, 0));
    struct rlimit limit = {256 << 10, 256 << 10};
    handle(SIGSEGV, overflow, SA_ONSTACK);
    pid_t child = fork();
    if (!child) {
        if (!sigsetjmp(out, 1))
            _exit(recurse(0));
        if (sigsetjmp(out, 1) == 0)
            _exit(recurse(0));
        _exit(42);
    }
    reap("overflowed twice", child);
    TRY(sigaltstack(&(stack_t){.ss_sp = stack.ss_sp, .ss_size = 100}, 0));
    handle(SIGSEGV, once, SA_RESETHAND);
    mprotect(area, 4096, PROT_NONE);
    if (!(child = fork())) {
        area = area;
        mprotect(area, 4096, PROT_READ | PROT_WRITE);
        *(volatile int *)24 = 1;
        _exit(0);
    }
    reap("reset to default", child);
    if (!(child = fork())) {
        block(SIGSEGV);
        *(volatile int *)24 = 1;
        _exit(0);
    }
    reap("blocked", child);
    signal(SIGSEGV, SIG_IGN);
    if (!(child = fork())) {
        *(volatile int *)24 = 1;
        _exit(0);
    }
    reap("ignored", child);
    kill(getpid(), SIGSEGV);
    SAY("sent and ignored\n");
    signal(SIGFPE, SIG_DFL);
    raise(SIGFPE);
    return 0;
}
