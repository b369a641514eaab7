/* ARM's signal frames: flags, floating point and its modes are afterwards what they were before, whatever the handler
   does; what it changes in the frame counts; and the helpers at the end of the address space are there. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int seen;

static void on_user(int number, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    printf("told %d, flags %lx\n", number, state->uc_mcontext.arm_cpsr >> 28);
    __asm__ volatile("vmov.f64 d8, #1.0\n vmov.f64 d9, #2.0\n vmov.f64 d10, d8\n vmov.f64 d11, d8\n vmov.f64 d31, d8\n"
                     "vmsr fpscr, %0\n msr CPSR_f, %1" : : "r"(0x01000000), "r"(0x50000000)
                     : "d8", "d9", "d10", "d11", "d31", "cc");
    seen++;
}

static void on_illegal(int number, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    printf("illegal: %d\n", (unsigned long)info->si_addr == state->uc_mcontext.arm_pc);
#ifdef __thumb__
    state->uc_mcontext.arm_pc += 2;
#else
    state->uc_mcontext.arm_pc += 4;
#endif
    state->uc_mcontext.arm_r0 = 77;
}

int main(void)
{
    struct sigaction user = {.sa_sigaction = on_user, .sa_flags = SA_SIGINFO};
    struct sigaction illegal = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &user, NULL);
    sigaction(SIGILL, &illegal, NULL);
    double in[5] = {1.5, -2.25, 1e300, 3.0, 4.5}, out[5] = {0};
    unsigned flags, modes;
    __asm__ volatile("vldm %[in], {d8-d11}\n vldr d31, [%[in], #32]\n"
                     "vmsr fpscr, %[modes_in]\n msr CPSR_f, %[flags_in]\n"
                     "mov r0, %[pid]\n mov r1, #10\n mov r7, #37\n svc #0\n"
                     "mrs %[flags], CPSR\n vmrs %[modes], fpscr\n"
                     "vstm %[out], {d8-d11}\n vstr d31, [%[out], #32]\n"
                     : [flags] "=&r"(flags), [modes] "=&r"(modes)
                     : [in] "r"(in), [out] "r"(out), [modes_in] "r"(0x00c00000), [flags_in] "r"(0xa0000000), [pid] "r"(getpid())
                     : "r0", "r1", "r7", "d8", "d9", "d10", "d11", "d31", "cc", "memory");
    printf("seen %d, flags %x, modes %x, %d\n", seen, flags >> 28, modes >> 22 & 15, memcmp(in, out, sizeof in));
    register int r0 __asm__("r0") = 5;
    __asm__ volatile("udf #0" : "+r"(r0));
    int after = r0;
    printf("after %d\n", after);
    int *version = (int *)0xffff0ffc;
    printf("helpers %d\n", *version >= 3);
    int word = 1;
    int (*exchange)(int, int, volatile int *) = (void *)0xffff0fc0;
    printf("exchanged %d, %d, ", exchange(1, 9, &word), word);
    printf("not %d, %d\n", exchange(1, 7, &word) != 0, word);
    void *(*thread)(void) = (void *)0xffff0fe0;
    printf("thread %d\n", thread() == __builtin_thread_pointer());
    return 0;
}
