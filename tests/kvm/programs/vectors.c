// Vector registers, flags and general registers survive system calls, signal handlers that use them all, and forks.
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int handled;

static void handler(int signal, siginfo_t *info, void *context) {
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n vmovdqa %%ymm0, %%ymm7\n vmovdqa %%ymm0, %%ymm15\n std\n cld\n"
                     "fldpi" ::: "memory");
    handled++;
}

static int check(void (*disturb)(void)) {
    unsigned char before[32], after[3][32];
    for (int i = 0; i < 32; i++) before[i] = i * 7 + 1;
    double pi = 0;
    __asm__ volatile(
        "vmovdqu %1, %%ymm0\n vmovdqu %1, %%ymm7\n vmovdqu %1, %%ymm15\n fld1\n"
        "call *%2\n"
        "fstpl %3\n vmovdqu %%ymm0, (%0)\n vmovdqu %%ymm7, 32(%0)\n vmovdqu %%ymm15, 64(%0)"
        : : "b"(after), "m"(before), "r"(disturb), "m"(pi) : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    return pi == 1 && !memcmp(before, after[0], 32) && !memcmp(before, after[1], 32) && !memcmp(before, after[2], 32);
}

__attribute__((naked)) static void raises(void) {
    __asm__("mov $39, %eax\n syscall\n mov %eax, %edi\n mov $10, %esi\n mov $62, %eax\n syscall\n ret");
}

__attribute__((naked)) static void spins(void) {
    __asm__("mov $300000000, %ecx\n 1: dec %ecx\n cmpl $3, handled(%rip)\n jge 2f\n test %ecx, %ecx\n jnz 1b\n 2: ret");
}

__attribute__((naked)) static void calls(void) {
    __asm__("mov $39, %eax\n syscall\n ret");
}

__attribute__((naked)) static void forks(void) {
    __asm__("mov $57, %eax\n syscall\n ret");
}

int main(void) {
    // The processor's word, not the compiler's: that asks CPUID's OSXSAVE, too, which a nested KVM may leave clear though
    // CR4 and XCR0 allow the registers.  Where they do not, the first instruction ends this.
    unsigned a, features = 0, c, d;
    __get_cpuid_count(7, 0, &a, &features, &c, &d);
    if (!(features & bit_AVX2)) {
        puts("no AVX");
        return 0;
    }
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGALRM, &action, 0);
    printf("call %d\n", check(calls));
    printf("raise %d", check(raises));
    printf(" handled %d\n", handled);
    handled = 0;
    struct itimerval often = {{0, 3000}, {0, 3000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    int good = check(spins);
    setitimer(ITIMER_REAL, &off, 0);
    printf("interrupted %d handled %d\n", good, handled >= 3);
    fflush(stdout);
    pid_t self = getpid();
    good = check(forks);
    if (getpid() != self) _exit(good);
    int status = 0;
    wait(&status);
    printf("fork: parent %d child %d\n", good, WEXITSTATUS(status));
    return 0;
}
