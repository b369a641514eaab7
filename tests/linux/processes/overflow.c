/* A stack that overflows, and a handler with a stack of its own which gets out of it; more than once, in a child too. */
#include "common.h"
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf out;
static volatile int depth;

__attribute__((noinline)) static int deeper(int level) {
    volatile char room[1000];
    room[level % 1000] = level;
    depth = level;
    return deeper(level + 1) + room[0];
}

static void handler(int number, siginfo_t *info, void *context) {
    char here;
    stack_t now;
    sigaltstack(0, &now);
    int inside = (char *)now.ss_sp <= &here && &here < (char *)now.ss_sp + now.ss_size;
    SAY("signal %d on its own stack %d flags %d deep %d\n", number, inside, now.ss_flags, depth > 500);
    siglongjmp(out, 1);
}

int main(void) {
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, 0);
    on(SIGSEGV, handler, SA_ONSTACK);
    for (int round = 0; round < 3; round++)
        if (!sigsetjmp(out, 1))
            deeper(0);
    pid_t child = fork();
    int status;
    if (!child) {
        if (!sigsetjmp(out, 1))
            deeper(0);
        stack_t none = {.ss_flags = SS_DISABLE};
        TRY(sigaltstack(&none, 0));
        deeper(0);
    }
    waitpid(child, &status, 0);
    tell("without a stack", status);
    return 0;
}
