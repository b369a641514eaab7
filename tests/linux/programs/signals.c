/* Signals a program sends itself or causes: handlers with siginfo and context, masks, repairs. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf out;
static volatile char *volatile repaired;

static void on_fault(int number, siginfo_t *info, void *context) {
    printf("signal %d code %d address %p\n", number, info->si_code, info->si_addr);
    siglongjmp(out, 1);
}

static void on_store(int number, siginfo_t *info, void *context) {
    printf("store to a read-only page, offset %ld, code %d\n", (long)((volatile char *)info->si_addr - repaired), info->si_code);
    mprotect((void *)repaired, 4096, PROT_READ | PROT_WRITE);
}

static void on_user(int number, siginfo_t *info, void *context) {
    printf("signal %d code %d from us %d\n", number, info->si_code, info->si_pid == getpid());
}

static void on_illegal(int number, siginfo_t *info, void *context) {
    ucontext_t *state = context;
    printf("signal %d code %d at the pc %d\n", number, info->si_code,
           (unsigned long)info->si_addr == state->uc_mcontext.__gregs[REG_PC]);
    state->uc_mcontext.__gregs[REG_PC] += 4;
    state->uc_mcontext.__gregs[REG_A0] = 77;
}

static void on_stack(int number) {
    char here;
    stack_t now;
    sigaltstack(0, &now);
    printf("on the other stack %d flags %d\n", (char *)now.ss_sp <= &here && &here < (char *)now.ss_sp + now.ss_size,
           now.ss_flags);
}

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {0};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    CALL(sigaction(number, &action, 0));
}

__attribute__((noinline)) static double keep(double value) {
    asm volatile("" : "+f"(value));
    return value;
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    install(SIGSEGV, on_fault, 0);
    if (!sigsetjmp(out, 1))
        *(volatile int *)16 = 1;
    if (!sigsetjmp(out, 1))
        *(volatile char *)main = 1;
    if (!sigsetjmp(out, 1))
        ((void (*)(void))0x4000)();
    install(SIGTRAP, on_fault, 0);
    if (!sigsetjmp(out, 1))
        asm volatile(".option push; .option norvc; ebreak; .option pop");
    install(SIGSEGV, on_store, 0);
    repaired = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    repaired[123] = 5;
    printf("%d\n", repaired[123]);

    install(SIGUSR1, on_user, 0);
    double before = keep(1.25);
    CALL(raise(SIGUSR1));
    CALL(kill(getpid(), SIGUSR1));
    printf("%g\n", before);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CALL(sigprocmask(SIG_BLOCK, &set, 0));
    CALL(raise(SIGUSR1));
    CALL(sigpending(&set));
    printf("pending %d\n", sigismember(&set, SIGUSR1));
    CALL(sigprocmask(SIG_UNBLOCK, &set, 0));

    install(SIGILL, on_illegal, 0);
    register long a0 asm("a0") = 5;
    asm volatile(".word 0xffffffff" : "+r"(a0));
    printf("%ld\n", a0);

    CALL(signal(SIGUSR2, SIG_IGN) == SIG_DFL);
    CALL(raise(SIGUSR2));
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    CALL(sigaltstack(&stack, 0));
    struct sigaction action = {0};
    action.sa_handler = on_stack;
    action.sa_flags = SA_ONSTACK | SA_RESETHAND;
    CALL(sigaction(SIGUSR2, &action, 0));
    CALL(raise(SIGUSR2));
    CALL(sigaction(SIGUSR2, 0, &action));
    printf("reset %d\n", action.sa_handler == SIG_DFL);
    CALL(sigaction(SIGKILL, &action, 0));
    CALL(kill(getpid(), 0));
    CALL(kill(getpid(), 100));
    return 0;
}
