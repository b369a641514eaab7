/* Mappings over mappings, holes, permissions toggled, hints, guard pages, madvise, and the faults in between.  oracle: linux */
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
static char *base;
static void touch(const char *what, long offset, int writing) {
    int number = sigsetjmp(out, 1);
    if (!number) {
        volatile char *at = base + offset;
        if (writing)
            *at = 'w';
        SAY("%s: %d\n", what, *at);
    } else
        SAY("%s: signal %d code %d at %ld\n", what, number, code, (long)(address - base));
}
int main(void) {
    handle(SIGSEGV, fault, 0);
    handle(SIGBUS, fault, 0);
    base = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(base, 1, 65536);
    IS(mmap(base + 4096, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base + 4096);
    touch("kept", 4095, 0), touch("replaced", 4096, 0), touch("replaced", 12287, 0), touch("kept", 12288, 0);
    TRY(munmap(base + 16384, 4096));
    touch("hole", 16384, 0), touch("before it", 16383, 1), touch("behind it", 20480, 1);
    IS(mmap(base, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    IS(mmap(base + 16384, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == base + 16384);
    touch("read-only", 16384, 1), touch("read-only", 16384, 0);
    for (int i = 0; i < 3; i++) {
        mprotect(base + 24576, 4096, PROT_NONE);
        touch("none", 24580, 0);
        mprotect(base + 24576, 4096, PROT_READ);
        touch("reading", 24580, 1);
        mprotect(base + 24576, 4096, PROT_READ | PROT_WRITE);
        touch("writing", 24580, 1);
    }
    TRY(mprotect(base + 1, 4096, PROT_READ));
    TRY(mprotect(base + 61440, 8192, 1 << 6));
    TRY(madvise(base, 4096, MADV_DONTNEED));
    touch("dropped", 0, 0);
    TRY(madvise(base + 1, 4096, MADV_DONTNEED));
    TRY(madvise(base, 4096, 12345));
    long wide = 1L << 32;
    char *huge = mmap(0, wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    huge[0] = huge[wide / 2] = huge[wide - 1] = 1;
    SAY("%d\n", huge[0] + huge[wide / 2] + huge[wide / 2 + 1] + huge[wide - 1]);
    TRY(munmap(huge, wide));
    IS(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    IS(mmap(0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    IS(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 77, 0) == MAP_FAILED && errno == EBADF);
    IS(mmap(0, ~0UL << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    IS(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 100) == MAP_FAILED && errno == EINVAL);
    return 0;
}
