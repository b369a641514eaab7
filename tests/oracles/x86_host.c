/* Executes single instructions on this very processor: cases on stdin, what each left behind on stdout.  With an
   argument it executes them in 32-bit code, which is a code segment of its own and needs segments of data.

   Everything happens in signal handlers: each sets the registers of the interrupted context to those of the next case,
   with the trap flag, so that returning executes one instruction and comes back. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <ucontext.h>
#include <unistd.h>

enum { CODE_32 = 0x23, DATA_32 = 0x2b }; /* Linux' selectors for user level (arch/x86/include/asm/segment.h) */
enum { CODE = 0x123000, DATA = 0x40000, SIZE = 0x10000, MIDDLE = DATA + SIZE / 2, NEAR = 0x200, TRAP = 0x100, BEFORE = 0x321, PAGE = 0x1000 };

struct vector { uint64_t low, high; };
struct state {
    uint64_t registers[16];
    uint32_t flags;
    uint16_t control, tags, status, unused[3];     /* of the x87 unit */
    struct vector xmm[16], high[16], st[8];        /* high: the upper halves of YMM registers */
    uint8_t memory[2 * NEAR];
};
struct given { struct state state; uint8_t code[16]; };
struct result { uint64_t signal, pc, far, tags, mxcsr, last; struct state state; }; /* last: the x87 unit's instruction */

/* RAX RCX RDX RBX RSP RBP RSI RDI R8 ... */
static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* XSAVE's header and its upper halves in a signal frame; none if the frame ends with FXSAVE's area. */
enum { MAGIC_AT = 464, MAGIC = 0x46505853, HEADER_AT = 512, HIGH_AT = 576 };
static uint8_t *extended(fpregset_t floats) {
    uint32_t magic;
    memcpy(&magic, (uint8_t *)floats + MAGIC_AT, sizeof magic);
    return magic == MAGIC ? (uint8_t *)floats : NULL;
}

static void all(int (*once)(void *, size_t), void *at, size_t size) {
    for (char *p = at; size;) {
        int done = once(p, size);
        if (done <= 0)
            _exit(done < 0 || size != sizeof(struct given) ? 1 : 0);
        p += done, size -= (size_t)done;
    }
}
static int take(void *at, size_t size) { return (int)read(0, at, size); }
static int give(void *at, size_t size) { return (int)write(1, at, size); }

static int narrow;
static void next(ucontext_t *context) {
    static struct given given;
    all(take, &given, sizeof given);
    memset((void *)DATA, 0, SIZE);
    memcpy((void *)(MIDDLE - NEAR), given.state.memory, sizeof given.state.memory);
    memset((void *)CODE, 0, PAGE); /* a case before may have stored there */
    memcpy((void *)CODE, given.code, sizeof given.code);
    for (int i = 0; i < 16; i++)
        context->uc_mcontext.gregs[order[i]] = (greg_t)given.state.registers[i];
    context->uc_mcontext.gregs[REG_RIP] = CODE;
    if (narrow)
        context->uc_mcontext.gregs[REG_CSGSFS] = (context->uc_mcontext.gregs[REG_CSGSFS] & ~0xffffL) | CODE_32;
    context->uc_mcontext.gregs[REG_EFL] = (greg_t)(given.state.flags | TRAP | 2);
    fpregset_t floats = context->uc_mcontext.fpregs;
    memcpy(floats->_xmm, given.state.xmm, sizeof given.state.xmm);
    memcpy(floats->_st, given.state.st, sizeof given.state.st);
    uint8_t *more = extended(floats);
    if (more) {
        more[HEADER_AT] |= 7;
        memcpy(more + HIGH_AT, given.state.high, sizeof given.state.high);
    }
    floats->mxcsr = 0x1f80, floats->cwd = given.state.control, floats->swd = given.state.status, floats->ftw = given.state.tags;
    floats->rip = BEFORE, floats->rdp = 0, floats->fop = 0;
}
static void came(int number, siginfo_t *info, void *arguments) {
    static struct result result;
    ucontext_t *context = arguments;
    (void)info;
    if (number != SIGUSR1) {
        result.signal = (uint64_t)number;
        result.pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
        for (int i = 0; i < 16; i++)
            result.state.registers[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
        result.state.flags = (uint32_t)context->uc_mcontext.gregs[REG_EFL];
        fpregset_t floats = context->uc_mcontext.fpregs;
        memcpy(result.state.xmm, floats->_xmm, sizeof result.state.xmm);
        memcpy(result.state.st, floats->_st, sizeof result.state.st);
        uint8_t *more = extended(floats);
        memset(result.state.high, 0, sizeof result.state.high);
        if (more && more[HEADER_AT] & 4)
            memcpy(result.state.high, more + HIGH_AT, sizeof result.state.high);
        result.state.control = floats->cwd, result.state.tags = floats->ftw;
        result.tags = floats->ftw | (uint64_t)floats->swd << 16, result.mxcsr = floats->mxcsr;
        result.last = floats->rip;
        memcpy(result.state.memory, (void *)(MIDDLE - NEAR), sizeof result.state.memory);
        memset((void *)(MIDDLE - NEAR), 0, sizeof result.state.memory);
        result.far = 0;
        for (uint64_t i = 0; i < SIZE / 8; i++)
            if (((uint64_t *)DATA)[i])
                result.far += (i + 1) * ((uint64_t *)DATA)[i];
        all(give, &result, sizeof result);
    }
    next(context);
}
int main(int count, char **arguments) {
    if (!(personality(~0U) & ADDR_NO_RANDOMIZE)) { /* its heap lies behind it, then, and nowhere else */
        personality(ADDR_NO_RANDOMIZE);
        execv("/proc/self/exe", arguments);
    }
    narrow = count > 1;
    cpu_set_t first; /* LSL of Linux' segment for this tells which CPU it is, which is 0 where there is one */
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    if (narrow)
        __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(DATA_32));
    int anywhere = MAP_PRIVATE | MAP_ANONYMOUS;
    mmap((void *)CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, anywhere | MAP_FIXED, -1, 0);
    mmap((void *)DATA, SIZE, PROT_READ | PROT_WRITE, anywhere | MAP_FIXED, -1, 0);
    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = came, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int numbers[] = {SIGUSR1, SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    raise(SIGUSR1);
    return 1;
}
