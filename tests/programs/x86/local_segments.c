/* Segments of the program's own (modify_ldt): 16-bit code, data and stack that do not begin at 0, and back again. */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define LOCAL(number) ((number) << 3 | 7)
enum { CODE16, DATA16, STACK16, CODE32, FAR_DATA, ABSENT, EMPTY };

struct far_pointer {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));

extern char code16[], code16_end[], sums[], strings[], stacks[], wraps[], traps[], wide[], based32[], based32_end[];
static unsigned char *data, *stack;
static sigjmp_buf after;

/* Code that stands at offset 0 of its segment; each part ends with a far return of 32 bits. */
__asm__(".pushsection .text\n"
        ".code16\n"
        "code16:\n"
        ".globl sums\n"
        "sums:\n" /* BX: a table of words in DS, CX: how many; AX: their sum, DX: their exclusive or */
        "  xorw %ax, %ax\n"
        "  xorw %dx, %dx\n"
        "  xorw %si, %si\n"
        "1: addw (%bx,%si), %ax\n"
        "  xorw (%bx,%si), %dx\n"
        "  addw $2, %si\n"
        "  loop 1b\n"
        "  lretl\n"
        "strings:\n" /* from SI to DI, CX bytes, within DS and ES; the index wraps at 64 KiB */
        "  cld\n"
        "  rep movsb\n"
        "  movw $0xffff, %di\n"
        "  movb $0x5a, %al\n"
        "  stosb\n"
        "  stosb\n"
        "  movb %es:0xffff, %ah\n"
        "  movb %es:0, %al\n"
        "  lretl\n"
        "stacks:\n" /* onto a stack of 16 bits, whose pointer wraps alone */
        "  movw %ss, %cx\n"
        "  movl %esp, %edx\n"
        "  movw $2 << 3 | 7, %ax\n"
        "  movw %ax, %ss\n"
        "  movl $0x12340002, %esp\n"
        "  pushw $0x1111\n"
        "  pushl $0x22223333\n"
        "  movl %esp, %eax\n"
        "  call near_one\n"
        "  movw %sp, %bp\n"
        "  addw (%bp), %bx\n"
        "  popl %esi\n"
        "  popw %di\n"
        "  movw %cx, %ss\n"
        "  movl %edx, %esp\n"
        "  lretl\n"
        "near_one:\n"
        "  pushw %bp\n"
        "  movw %sp, %bp\n"
        "  movw 2(%bp), %bx\n"
        "  subw $near_one - code16, %bx\n"
        "  enterw $4, $0\n"
        "  movw $0x77, -2(%bp)\n"
        "  leavew\n"
        "  popw %bp\n"
        "  retw\n"
        "wraps:\n" /* sizes: operands of 32 bits, addresses of 32 bits, offsets that wrap */
        "  movl $0x11112222, 4\n"
        "  movw $0xfffe, %bx\n"
        "  movl 6(%bx), %eax\n"
        "  movl $8, %ecx\n"
        "  movw %ax, (%ecx,%ecx)\n"
        "  movzwl 16, %edx\n"
        "  leaw 6(%bx), %bx\n"
        "  leal 0x10000(%ebx), %esi\n"
        "  lretl\n"
        "traps:\n"
        "  ud2\n"
        "  movw $0x4321, %ax\n"
        "  lretl\n"
        "wide:\n" /* to 32-bit code of another segment, which returns here */
        "  lcalll $3 << 3 | 7, $0\n"
        "  addl $1, %eax\n"
        "  lretl\n"
        "code16_end:\n"
        ".code32\n"
        "based32:\n" /* an offset of its own segment, and what CALL leaves on the stack */
        "  call 1f\n"
        "1: popl %eax\n"
        "  movl $2f - based32, %edx\n"
        "  jmp *%edx\n"
        "  ud2\n"
        "2: movw %cs, %cx\n"
        "  lret\n"
        "based32_end:\n"
        ".popsection\n");

static int set(int number, void *base, unsigned limit, int contents, int wide, int read_only, int absent)
{
    struct user_desc entry = {.entry_number = number, .base_addr = (uintptr_t)base, .limit = limit};
    entry.seg_32bit = wide;
    entry.contents = contents;
    entry.read_exec_only = read_only;
    entry.seg_not_present = absent;
    entry.useable = 1;
    return syscall(SYS_modify_ldt, 0x11, &entry, sizeof entry);
}

struct registers {
    uint32_t ax, bx, cx, dx, si, di;
};

/* Calls what the far pointer says with these registers, DS and ES the 16-bit data. */
void call_far(const struct far_pointer *to, struct registers *r);
__asm__("call_far:\n"
        "  pushl %ebp\n pushl %ebx\n pushl %esi\n pushl %edi\n pushl %ds\n pushl %es\n"
        "  movl 28(%esp), %ebp\n"
        "  movl 32(%esp), %edi\n"
        "  movl (%edi), %eax\n movl 4(%edi), %ebx\n movl 8(%edi), %ecx\n movl 12(%edi), %edx\n"
        "  movl 16(%edi), %esi\n movl 20(%edi), %edi\n"
        "  pushl $1 << 3 | 7\n popl %es\n pushl %es\n popl %ds\n"
        "  lcall *(%ebp)\n"
        "  pushl %edi\n"
        "  movl 36(%esp), %ebp\n"
        "  movl %eax, (%ebp)\n movl %ebx, 4(%ebp)\n movl %ecx, 8(%ebp)\n movl %edx, 12(%ebp)\n"
        "  movl %esi, 16(%ebp)\n popl 20(%ebp)\n"
        "  popl %es\n popl %ds\n popl %edi\n popl %esi\n popl %ebx\n popl %ebp\n"
        "  ret\n");

static void call16(const char *part, struct registers *r)
{
    struct far_pointer to = {part - code16, LOCAL(CODE16)};
    call_far(&to, r);
}

static void handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    greg_t *r = c->uc_mcontext.gregs;
    uint16_t cs, ds, ss;
    __asm__("movw %%cs, %0\n movw %%ds, %1\n movw %%ss, %2" : "=r"(cs), "=r"(ds), "=r"(ss));
    printf("signal %d at %x:%x, ds %x, in a handler with cs %x ds %x ss %x\n", number, r[REG_CS], r[REG_EIP],
           r[REG_DS] & 0xffff, cs, ds, ss);
    r[REG_EIP] += 2;
}

static void give_up(int number, siginfo_t *info, void *context)
{
    printf("signal %d\n", number);
    siglongjmp(after, 1);
}

static void ask(const char *what, unsigned selector)
{
    unsigned rights = 0, limit = 0;
    unsigned char lar, lsl, verr, verw;
    __asm__("lar %2, %0\n setz %1" : "+r"(rights), "=q"(lar) : "r"(selector) : "cc");
    __asm__("lsl %2, %0\n setz %1" : "+r"(limit), "=q"(lsl) : "r"(selector) : "cc");
    __asm__("verr %w1\n setz %0" : "=q"(verr) : "r"(selector) : "cc");
    __asm__("verw %w1\n setz %0" : "=q"(verw) : "r"(selector) : "cc");
    printf("%s: lar %d %x lsl %d %x verr %d verw %d\n", what, lar, lar ? rights & 0xf0fe00 : 0, lsl, limit, verr, verw);
}

static void try_load(const char *what, unsigned selector)
{
    printf("%s in ds: ", what);
    fflush(stdout);
    if (!sigsetjmp(after, 1)) {
        __asm__ volatile("movw %%ds, %%dx\n movw %%ax, %%ds\n movw %%dx, %%ds" : : "a"(selector) : "edx", "memory");
        printf("loaded\n");
    }
}

int main(void)
{
    unsigned char *low = mmap((void *)0x20000000, 0x40000, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct registers r;
    memcpy(low, code16, code16_end - code16);
    memcpy(low + 0x8000, based32, based32_end - based32);
    data = low + 0x10000;
    stack = low + 0x20000;
    printf("%d", set(CODE16, low, 0xffff, 2, 0, 0, 0));
    printf(" %d", set(DATA16, data, 0xffff, 0, 0, 0, 0));
    printf(" %d", set(STACK16, stack, 0xffff, 0, 0, 0, 0));
    printf(" %d", set(CODE32, low + 0x8000, 0xfff, 2, 1, 0, 0));
    printf(" %d", set(FAR_DATA, data + 0x100, 0xff, 0, 1, 1, 0));
    printf(" %d", set(ABSENT, data, 0xff, 0, 1, 0, 1));
    printf(" %d", set(3 * 8192, data, 0xff, 0, 1, 0, 0));
    printf(" %d\n", set(7, data, 0xff, 3, 1, 0, 0));
    ask("code", LOCAL(CODE16));
    ask("data", LOCAL(DATA16));
    ask("code32", LOCAL(CODE32));
    ask("read only", LOCAL(FAR_DATA));
    ask("absent", LOCAL(ABSENT));
    ask("empty", LOCAL(EMPTY));
    uint64_t table[9];
    memset(table, 0xff, sizeof table);
    int size = syscall(SYS_modify_ldt, 0, table, sizeof table);
    printf("table of %d:", size);
    for (int i = 0; i < 6; i++) printf(" %llx", (unsigned long long)table[i] & ~(1ull << 40));
    printf("\n");

    for (int i = 0; i < 100; i++) ((uint16_t *)(data + 0x200))[i] = i * 777;
    r = (struct registers){.ax = 0xaaaa0000, .bx = 0x200, .cx = 100};
    call16(sums, &r);
    printf("sums: %x %x %x %x\n", r.ax, r.cx, r.dx, r.si);

    memcpy(data + 0x300, "from here to there", 19);
    r = (struct registers){.cx = 19, .si = 0x55550300, .di = 0x66660400};
    call16(strings, &r);
    printf("strings: %s, %x %x %x %x\n", data + 0x400, r.ax, r.cx, r.si, r.di);

    memset(stack, 0, 0x10000);
    r = (struct registers){.bx = 5};
    call16(stacks, &r);
    printf("stacks: %x %x %x %x\n", r.ax, r.si, r.di & 0xffff, r.bx);
    printf("words of it: %x %x %x %x\n", *(uint16_t *)stack, *(uint16_t *)(stack + 0xfffe), *(uint16_t *)(stack + 0xfffc),
           *(uint16_t *)(stack + 0xfffa));

    r = (struct registers){0};
    call16(wraps, &r);
    printf("wraps: %x %x %x\n", r.ax, r.dx, r.si);

    r = (struct registers){0};
    call16(wide, &r);
    printf("wide: %x %x\n", r.ax, r.cx & 0xffff);

    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
    r = (struct registers){0};
    call16(traps, &r);
    printf("traps: %x\n", r.ax);

    action.sa_sigaction = give_up;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    try_load("data", LOCAL(DATA16));
    try_load("read only", LOCAL(FAR_DATA));
    try_load("empty", LOCAL(EMPTY));
    printf("empty in cs: ");
    fflush(stdout);
    if (!sigsetjmp(after, 1)) {
        struct far_pointer to = {0, LOCAL(EMPTY)};
        __asm__ volatile("ljmp *%0" : : "m"(to));
    }
    printf("%d: ", set(DATA16, data + 0x100, 0xffff, 0, 0, 0, 0));
    memcpy(data + 0x300, data + 0x200, 0x100);
    r = (struct registers){.bx = 0x200, .cx = 100};
    call16(sums, &r);
    printf("sums: %x %x\n", r.ax, r.dx);
    return 0;
}
