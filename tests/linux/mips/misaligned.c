/* Misaligned accesses, which Linux does in parts (arch/mips/kernel/unaligned.c) until sysmips(MIPS_FIXADE) says otherwise. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLUSH_CACHE = 3, MIPS_FIXADE = 7 };
static sigjmp_buf out;
static unsigned char *fault;
static void on_fault(int number, siginfo_t *info, void *context)
{
    fault = info->si_addr;
    siglongjmp(out, number << 8 | info->si_code);
}

/* 0, or the signal that `code` raises with its code in the low byte. */
#define TRY(code) ({ int raised = sigsetjmp(out, 1); if (!raised) { code; } raised; })
#define LOAD(insn, type, at) ({ type v; __asm__ volatile(insn " %0, 0(%1)" : "=r"(v) : "r"(at) : "memory"); v; })
#define STORE(insn, v, at) __asm__ volatile(insn " %0, 0(%1)" : : "r"(v), "r"(at) : "memory")

static int bytes_are(const void *at, const void *wanted, int size) { return memcmp(at, wanted, size) == 0; }

/* All kinds of accesses at an address: a digit of the result for each that did what memcpy does. */
static unsigned accesses(unsigned char *at)
{
    unsigned done = 0;
    uint32_t word, w = 0x89abcdef;
    uint16_t half;
    double d;
    float f;
    for (int i = 0; i < 8; i++)
        at[i] = 0x81 + 3 * i;
    memcpy(&word, at, 4), memcpy(&half, at, 2);
    done |= (LOAD("lw", uint32_t, at) == word) << 0;
    done |= (LOAD("lh", int32_t, at) == (int16_t)half) << 1;
    done |= (LOAD("lhu", uint32_t, at) == half) << 2;
    __asm__ volatile("lwc1 %0, 0(%1)" : "=f"(f) : "r"(at) : "memory");
    done |= bytes_are(&f, at, 4) << 3;
    __asm__ volatile("ldc1 %0, 0(%1)" : "=f"(d) : "r"(at) : "memory");
    done |= bytes_are(&d, at, 8) << 4;
    STORE("sw", w, at);
    done |= bytes_are(at, &w, 4) << 5;
    memset(at, 0, 8), half = w;
    STORE("sh", w, at);
    done |= (bytes_are(at, &half, 2) && at[2] == 0) << 6;
    __asm__ volatile("swc1 %0, 0(%1)" : : "f"(f), "r"(at) : "memory");
    done |= bytes_are(at, &f, 4) << 7;
    __asm__ volatile("sdc1 %0, 0(%1)" : : "f"(d), "r"(at) : "memory");
    done |= bytes_are(at, &d, 8) << 8;
    return done;
}

static void *elsewhere(void *at) { return (void *)(long)TRY(LOAD("lw", int, at)); }

int main(void)
{
    long page = sysconf(_SC_PAGESIZE);
    unsigned char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGBUS, &action, NULL), sigaction(SIGSEGV, &action, NULL);
    munmap(pages + 2 * page, page);

    for (int i = 0; i < 8; i++)
        printf("at %d: %x, over the pages' border: %x\n", i, accesses(pages + 64 + i), accesses(pages + page - i));
    unsigned wrong = 0;
    for (int i = 0; i < 100000; i++) { /* often enough to be compiled */
        unsigned char *at = pages + i % (page - 4);
        STORE("sw", i, at);
        wrong += LOAD("lw", int, at) != i;
    }
    printf("wrong in a loop: %u\n", wrong);

    unsigned char *last = pages + 2 * page - 2;
    *(volatile unsigned short *)last = 0x4444;
    int raised = TRY(STORE("sw", 0x55555555, last));
    printf("half behind the end: %x at the end or behind it %d, stored %x\n", raised, fault - last <= 2, *(volatile unsigned short *)last);
    raised = TRY(LOAD("ll", int, pages + 1));
    printf("ll: %x at +%d\n", raised, (int)(fault - pages));
    raised = TRY(int v = 1; __asm__ volatile("sc %0, 0(%1)" : "+r"(v) : "r"(pages + 2) : "memory"));
    printf("sc: %x at +%d\n", raised, (int)(fault - pages));

    printf("off: %ld\n", syscall(__NR_sysmips, MIPS_FIXADE, 0));
    raised = TRY(LOAD("lw", int, pages + 3));
    printf("lw: %x at +%d\n", raised, (int)(fault - pages));
    printf("sh: %x, sdc1: %x, aligned: %x\n", TRY(STORE("sh", 0, pages + 1)),
           TRY(__asm__ volatile("sdc1 $f0, 0(%0)" : : "r"(pages + 4) : "memory")), accesses(pages + 8));
    pthread_t thread;
    void *in_thread;
    pthread_create(&thread, NULL, elsewhere, pages + 1), pthread_join(thread, &in_thread);
    int status;
    if (fork() == 0)
        _exit(TRY(LOAD("lw", int, pages + 1)) >> 8);
    wait(&status);
    printf("a new thread's: %lx, a child's: %d\n", (long)in_thread, WEXITSTATUS(status));
    printf("on: %ld, then %x\n", syscall(__NR_sysmips, MIPS_FIXADE, 1), TRY(LOAD("lw", int, pages + 1)));

    printf("flush: %ld", syscall(__NR_sysmips, FLUSH_CACHE, 0));
    printf(", other words: %ld", syscall(__NR_sysmips, MIPS_FIXADE, 4));
    printf(" %d, other commands: %ld", errno, syscall(__NR_sysmips, 1, 0));
    printf(" %d\n", errno);
}
