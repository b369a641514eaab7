/* Exceptions of the x87 unit that are not masked: which instruction is interrupted, by which signal, and what is left. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ucontext.h>

static sigjmp_buf back;
static long start;
static volatile int came, code;
static volatile long at;
static volatile unsigned inside;
static void handler(int number, siginfo_t *info, void *arguments) {
    unsigned short control, status;
    __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(control), "=m"(status)); /* as a program finds them */
    came = number, code = info->si_code, at = (long)info->si_addr - start;
    inside = (unsigned)control << 16 | status;
#ifdef __x86_64__
    fpregset_t floats = ((ucontext_t *)arguments)->uc_mcontext.fpregs;
    printf("(%04x %04x %02x) ", floats->cwd, floats->swd, floats->ftw & 0xff);
#else
    (void)arguments;
#endif
    siglongjmp(back, 1);
}
#ifdef __x86_64__
#define HERE "lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n\t"
#else
#define HERE "movl $1f, %0\n\t"
#endif
static unsigned short control, status;
static unsigned char area[128] __attribute__((aligned(16)));
static void show(const char *name) {
    printf("%s: signal %d code %d at %ld, %08x\n", name, came, code, at, inside);
}
/* instruction raises, the next one that waits is interrupted; the offset says which that is */
#define TRY(name, word, before, instruction) { \
    came = code = 0, at = -1, inside = 0, control = word; \
    memset(area, 0, sizeof area); \
    if (!sigsetjmp(back, 1)) { \
        __asm__ volatile(HERE "fninit\n\t" before "\n\tfnclex\n\tfldcw %1\n1:\t" instruction "\n\tfnstsw %2\n\tnop\n\tfwait" \
                         : "=m"(start), "+m"(control), "=m"(status), "+m"(area) : : "memory", "cc", "eax"); \
        status = 0xffff; /* not interrupted */ \
    } \
    __asm__ volatile("fninit"); \
    printf("%04x ", status); \
    show(name); }

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, NULL);
    TRY("masked", 0x37f, "fldz\n\tfldz", "fdivp")
    TRY("invalid", 0x37e, "fldz\n\tfldz", "fdivp")
    TRY("zero", 0x37b, "fldz\n\tfld1", "fdivp")
    TRY("inexact", 0x35f, "fldpi\n\tfld1", "fdivp")
    TRY("underflow of the stack", 0x37e, "", "fld %%st(3)")
    TRY("overflow of the stack", 0x37e, "fldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz\n\tfldz", "fld1")
    TRY("denormal operand", 0x37d, "fld1\n\tmovb $1, %3\n\tfldt %3", "fadd %%st(1)")
    TRY("overflow", 0x377, "fldl2t\n\tfld1\n\tfscale\n\tfstp %%st(1)\n\tfldl2t\n\tmovw $16000, %3\n\tfilds %3\n\tfld1\n\tfscale",
        "fmul %%st")
    TRY("underflow", 0x36f, "movw $-16000, %3\n\tfilds %3\n\tfld1\n\tfscale", "fmul %%st")
    TRY("invalid and inexact", 0x35e, "fldz\n\tfldz", "fdivp")
    TRY("not those that do not wait", 0x37b, "fldz\n\tfld1", "fdivp\n\tfnstcw %3\n\tfnop")
    TRY("nor those that clear", 0x37b, "fldz\n\tfld1", "fdivp\n\tfnclex\n\tfnop")
    TRY("an MMX instruction", 0x37b, "fldz\n\tfld1", "fdivp\n\tmovd %%eax, %%mm0")
    TRY("emms", 0x37b, "fldz\n\tfld1", "fdivp\n\temms")
    TRY("before its memory", 0x37b, "fldz\n\tfld1", "fdivp\n\tflds 0")
    TRY("a store", 0x37e, "", "fstps %3\n\tnop\n\tfld1")
    TRY("unmasked later", 0x37f, "fldz\n\tfld1", "fdivp\n\tmovw $0x37b, %3\n\tfldcw %3\n\tnop\n\tfld1")
    TRY("masked again", 0x37b, "fldz\n\tfld1", "fdivp\n\tfnstenv %3\n\tfld1")
    TRY("an environment", 0x37f, "fldz\n\tfld1", "fdivp\n\tfnstenv %3\n\tmovb $0x7b, %3\n\tfldenv %3\n\tnop\n\tfld1")
    TRY("a comparison", 0x37e, "fldz\n\tfldz\n\tfdivp\n\tfld1", "fcomi %%st(1)\n\tjp 2f\n\tfnclex\n2:")
    return 0;
}
