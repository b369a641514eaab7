/* What a program may ask of segments and protection, and the signals of what it may not: lines of text. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ucontext.h>

#ifdef __x86_64__
#define PC REG_RIP
#else
#define PC REG_EIP
#endif
static volatile int came, skip;
static volatile long behind;
static long start;
/* Faults stand at their instruction, which is left out; traps are behind it. */
static void handler(int number, siginfo_t *info, void *arguments) {
    ucontext_t *context = arguments;
    (void)info;
    came = number;
    behind = (long)context->uc_mcontext.gregs[PC] - start;
    context->uc_mcontext.gregs[PC] = start + skip;
}
#ifdef __x86_64__
#define HERE "lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n\t"
#else
#define HERE "movl $1f, %0\n\t"
#endif
#define TRY(name, before, instruction, operand) { \
    came = 0, behind = -1; \
    __asm__ volatile(HERE "movl $2f-1f, %1\n\t" before "\n1:\t" instruction "\n2:" \
                     : "=m"(start), "=m"(skip) : "m"(operand) : "memory", "cc", "eax", "ebx", "ecx", "edx"); \
    printf("%s: signal %d at %ld\n", name, came, behind); }
static unsigned char area[64] __attribute__((aligned(16)));
int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    int numbers[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGFPE};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    for (unsigned selector = 0; selector < 0x50; selector++) {
        unsigned rights = 0, limit = 0;
        unsigned char known, sized, readable, writable;
        if (selector >> 3 >= 6 && selector >> 3 <= 8 && sizeof(long) == 4)
            continue; /* thread-local storage stands elsewhere on other kernels */
        __asm__ volatile("lar %2, %0\n\tsetz %1" : "+r"(rights), "=q"(known) : "r"(selector));
        __asm__ volatile("lsl %2, %0\n\tsetz %1" : "+r"(limit), "=q"(sized) : "r"(selector));
        __asm__ volatile("verr %w1\n\tsetz %0" : "=q"(readable) : "r"(selector));
        __asm__ volatile("verw %w1\n\tsetz %0" : "=q"(writable) : "r"(selector));
        printf("%#x: %d %#x, %d %#x, %d %d\n", selector, known, rights, sized, limit, readable, writable);
    }
    TRY("int3", "", "int3", area)
    TRY("int 3", "", ".byte 0xcd, 3", area)
    TRY("int 4", "", ".byte 0xcd, 4", area)
    TRY("int 5", "", ".byte 0xcd, 5", area)
    TRY("int 0x21", "", ".byte 0xcd, 0x21", area)
    TRY("hlt", "", "hlt", area)
    TRY("rdmsr", "", "rdmsr", area)
    TRY("rdpmc", "", "rdpmc", area)
    TRY("wbinvd", "", "wbinvd", area)
    TRY("clts", "", "clts", area)
    TRY("lgdt", "", "lgdt %2", area)
    TRY("ud1", "", ".byte 0x0f, 0xb9, 0xc0", area)
    TRY("lock nop", "", ".byte 0xf0, 0x90", area)
    TRY("lock add", "", ".byte 0xf0, 0x01, 0xc0", area)
    TRY("mov ss, 0", "xor %%eax, %%eax", "mov %%eax, %%ss", area)
    TRY("mov ds, 0x18", "mov $0x18, %%eax", "mov %%eax, %%ds", area)
#ifdef __x86_64__
    TRY("cmpxchg16b", "", "cmpxchg16b %2", area[8])
#else
    TRY("into", "mov $0x7fffffff, %%eax\n\tinc %%eax", "into", area)
    TRY("bound", "mov $5, %%eax", "bound %%eax, %2", area)
#endif
    return 0;
}
