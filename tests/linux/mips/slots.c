/* Signals from instructions in delay slots: the frame names the branch, a handler that mends what was wrong goes on as if
   nothing had been, and a branch that stands in a slot is illegal. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static int value = 1234;
static volatile int faults, ticks;
static unsigned long seen;

static void on_fault(int number, siginfo_t *info, void *context)
{
    ucontext_t *state = context;
    faults++;
    seen = (unsigned long)state->uc_mcontext.pc;
    state->uc_mcontext.gregs[8] = (unsigned long)&value; /* t0, through which the slot reads */
}
static sigjmp_buf out;
static void on_illegal(int number) { siglongjmp(out, number); }
static void on_tick(int number) { ticks++; }

/* A branch with a load in its slot, whose base is bad at first: what is read, which way was gone, and what pc was told. */
#define SLOT(name, before, branch)                                                                                     \
    do {                                                                                                               \
        unsigned read = 0, way = 0, link = 0;                                                                          \
        unsigned long at;                                                                                              \
        faults = 0, seen = 0;                                                                                          \
        __asm__ volatile(".set push\n .set noreorder\n .set noat\n li $8, 4\n li $9, 7\n la %3, 1f\n la $10, 2f\n" before \
                         "\n1: " branch "\n lw %0, 0($8)\n li %1, 1\n b 3f\n nop\n2: li %1, 2\n3: move %2, $31\n .set pop" \
                         : "+&r"(read), "+&r"(way), "+&r"(link), "=&r"(at) : : "$8", "$9", "$10", "$31", "memory");    \
        printf(name ": read %u, way %u, faults %d, at the branch %d\n", read, way, faults, seen == at);                \
    } while (0)

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    syscall(__NR_sysmips, 7, 0); /* MIPS_FIXADE: a misaligned access is a fault, as it always is under qemu */
    SLOT("beq taken", "", "beq $9, $9, 2f");
    SLOT("beq not taken", "", "beq $9, $0, 2f");
    SLOT("bne taken", "", "bne $9, $0, 2f");
    SLOT("beql taken", "", "beql $9, $9, 2f");
    SLOT("beql not taken", "", "beql $9, $0, 2f");
    SLOT("bgtz", "", "bgtz $9, 2f");
    SLOT("bltzal", "", "bltzal $9, 2f");
    SLOT("bgezal", "", "bgezal $9, 2f");
    SLOT("j", "", "j 2f");
    SLOT("jal", "", "jal 2f");
    SLOT("jr", "", "jr $10");
    SLOT("jalr", "", "jalr $10");
    SLOT("misaligned", "addiu $8, $8, 1\n", "beq $9, $9, 2f");
    SLOT("bc1t", "mtc1 $0, $f0\n c.eq.s $f0, $f0\n", "bc1t 2f");

    signal(SIGILL, on_illegal);
    if (!sigsetjmp(out, 1))
        __asm__ volatile(".set push\n .set noreorder\n b 1f\n b 1f\n nop\n1: nop\n .set pop");
    else
        printf("a branch in a slot\n");

    /* Ticks anywhere in a loop whose slot counts: none is lost or done twice. */
    struct itimerval often = {{0, 1000}, {0, 1000}};
    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &often, NULL);
    unsigned turns = 0, counted = 0;
    while (ticks < 40) {
        unsigned left = 1000;
        __asm__ volatile(".set push\n .set noreorder\n1: addiu %0, %0, -1\n bnez %0, 1b\n addiu %1, %1, 1\n .set pop"
                         : "+r"(left), "+r"(counted));
        turns++;
    }
    printf("counted %d\n", counted == turns * 1000);
    return 0;
}
