/* Mapped files: stores reach the file and other mappings, private ones do not; a file cut short under its mapping.  oracle: linux */
#include "common.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>

static sigjmp_buf out;
static volatile int code;
static char *volatile where;
static void fault(int number, siginfo_t *info, void *context) {
    code = info->si_code, where = info->si_addr;
    siglongjmp(out, number);
}
static void look(const char *what, volatile char *base, long offset) {
    int number = sigsetjmp(out, 1);
    if (!number)
        SAY("%s: %d\n", what, base[offset]);
    else
        SAY("%s: signal %d code %d offset %ld\n", what, number, code, (long)(where - base));
}
int main(void) {
    handle(SIGSEGV, fault, 0);
    handle(SIGBUS, fault, 0);
    int file = open("mapped.bin", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char text[10000];
    memset(text, '.', sizeof text);
    write(file, text, sizeof text);
    char *shared = mmap(0, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *private = mmap(0, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    char *second = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 4096);
    memcpy(shared + 4090, "over the border", 15);
    memcpy(private + 100, "private", 7);
    char back[16] = "";
    pread(file, back, 15, 4090);
    SAY("%s|%.9s|%.7s|%.3s\n", back, second, shared + 100, private + 4090);
    pwrite(file, "written", 7, 5000);
    SAY("%.7s\n", shared + 5000);
    look("the rest of the last page", shared, 10001);
    shared[10001] = 'x';
    struct stat status;
    fstat(file, &status);
    SAY("size %ld\n", (long)status.st_size);
    TRY(msync(shared, 12288, MS_SYNC));
    TRY(ftruncate(file, 5000));
    look("inside", shared, 4999), look("the rest", shared, 5001), look("cut off", shared, 8192), look("private, cut off", private, 9000);
    TRY(ftruncate(file, 12288));
    look("back again", shared, 8192), look("zero now", shared, 5001);
    /* Another process, with a descriptor of its own, cuts it. */
    pid_t child = fork();
    if (!child) {
        int mine = open("mapped.bin", O_RDWR);
        _exit(ftruncate(mine, 100) ? 1 : 0);
    }
    reap("cutter", child);
    look("inside", shared, 50), look("cut by another", shared, 4096), look("and again", shared, 4097), look("further on", shared, 8200);
    int number = sigsetjmp(out, 1);
    if (!number) {
        memset(shared + 4096, 1, 8192);
        SAY("not cut\n");
    } else
        SAY("storing: signal %d code %d in the first page %d\n", number, code, where >= shared + 4096 && where < shared + 8192);
    TRY(ftruncate(file, 12288));
    look("whole again", shared, 4096);
    shared[4096] = 9;
    pread(file, back, 1, 4096);
    SAY("stored %d\n", back[0]);
    /* What the kernel reads for us fails with EFAULT. */
    if (!(child = fork())) {
        int mine = open("mapped.bin", O_RDWR);
        _exit(ftruncate(mine, 0) ? 1 : 0);
    }
    reap("cutter", child);
    int ends[2];
    pipe(ends);
    TRY(write(ends[1], shared + 8192, 10));
    TRY(open(shared + 4096, O_RDONLY));
    signal(SIGBUS, SIG_DFL);
    if (!(child = fork()))
        shared[0] = 1, _exit(0);
    reap("without a handler", child);
    unlink("mapped.bin");
    return 0;
}
