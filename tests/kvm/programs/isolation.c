// What a program must not do: each attempt ends in a signal of the program's own, and the program says which.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf back;
static int number, code;

static void caught(int signal, siginfo_t *info, void *context) {
    number = signal;
    code = info->si_code;
    siglongjmp(back, 1);
}

#define TRY(what, ...)                                                     \
    do {                                                                   \
        number = 0;                                                        \
        if (!sigsetjmp(back, 1)) {                                         \
            __VA_ARGS__;                                                   \
        }                                                                  \
        printf("%s: signal %d code %d\n", what, number, code);             \
        code = 0;                                                          \
    } while (0)

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    for (int i = 1; i < 32; i++) sigaction(i, &action, 0);
    volatile char *own = (char *)0x7f0000000000;  // the machine's own pages
    TRY("write entry page", own[0] = 1);
    TRY("read level-0 page", (void)own[0x1000]);
    TRY("read descriptors", (void)own[0x2000]);
    TRY("write descriptors", own[0x2000] = 1);
    TRY("read page tables", (void)own[0x3000]);
    TRY("read stack", (void)own[0x200000]);
    TRY("jump to a level-0 entry", ((void (*)(void))(own + 0x10e0))());
    number = 0;
    if (!sigsetjmp(back, 1)) ((void (*)(void))(own + 2))();  // SYSRET stands there: another code than natively
    printf("jump to the way back: signal %d\n", number);
    TRY("read high", (void)*(volatile char *)0x6f0000000000);
    TRY("read kernel half", (void)*(volatile char *)0xffff800000000000);
    TRY("not canonical", (void)*(volatile char *)0x8000000000000000);
    TRY("jump far up", ((void (*)(void))0x7ffffffff000)());
    TRY("jump not canonical", ((void (*)(void))0x8000000000000000)());
    TRY("out", __asm__ volatile("outb %%al, $0x80" ::"a"(0)));
    TRY("out to an exception's port", __asm__ volatile("outb %%al, $0x4e" ::"a"(0)));
    TRY("in", __asm__ volatile("inb $0x80, %%al" ::: "rax"));
    TRY("hlt", __asm__ volatile("hlt"));
    TRY("cli", __asm__ volatile("cli"));
    TRY("read cr3", __asm__ volatile("mov %%cr3, %%rax" ::: "rax"));
    TRY("write cr3", __asm__ volatile("mov %%rax, %%cr3" ::"a"(0)));
    TRY("wrmsr", __asm__ volatile("wrmsr" ::"a"(0), "c"(0xc0000082), "d"(0)));
    TRY("lidt", __asm__ volatile("lidt (%%rsp)" ::: "memory"));
    TRY("swapgs", __asm__ volatile("swapgs"));
    TRY("ud2", __asm__ volatile("ud2"));
    TRY("int3", __asm__ volatile("int3"));
    TRY("divide", __asm__ volatile("divl %%ecx" ::"a"(1), "c"(0), "d"(0)));
    printf("end\n");
    return 0;
}
