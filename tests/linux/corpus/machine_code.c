/* Code that the program writes: run, written anew, with and without permission, while another page stays as it is. */
#include "common.h"
#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf out;
static volatile int code;
static char *volatile address;
static void fault(int number, siginfo_t *info, void *context) {
    code = info->si_code, address = info->si_addr;
    siglongjmp(out, number);
}
static unsigned *text;
static void call(const char *what) {
    int number = sigsetjmp(out, 1);
    if (!number)
        SAY("%s: %d\n", what, ((int (*)(void))text)());
    else
        SAY("%s: signal %d code %d at %ld\n", what, number, code, (long)(address - (char *)text));
}
static void put(int value) {
    text[0] = 0x00000513 | (unsigned)value << 20; /* li a0, value */
    text[1] = 0x00008067;                         /* ret */
    __builtin___clear_cache((char *)text, (char *)(text + 2));
}
int main(void) {
    handle(SIGSEGV, fault, 0);
    handle(SIGILL, fault, 0);
    text = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int n = 1; n < 6; n++) {
        put(n);
        call("written");
    }
    mprotect(text, 4096, PROT_READ | PROT_WRITE);
    call("not executable");
    put(7);
    mprotect(text, 4096, PROT_EXEC);
    call("executable only");
    mprotect(text, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    text[1] = 0;
    __builtin___clear_cache((char *)text, (char *)(text + 2));
    call("illegal behind it");
    put(8);
    /* Through another mapping of the same memory. */
    int memory = memfd_create("code", 0);
    ftruncate(memory, 4096);
    unsigned *twin = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    text = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, memory, 0);
    twin[0] = 0x00900513, twin[1] = 0x00008067;
    __builtin___clear_cache((char *)text, (char *)(text + 2));
    call("by a twin");
    munmap(text, 4096);
    call("unmapped");
    return 0;
}
