/* mremap: growing in place, moving, shrinking, onto an address, with contents, for files and shared memory.  oracle: linux */
#include "common.h"
#include <sys/mman.h>

static long page;
static char *fill(char *at, long pages) {
    for (long i = 0; i < pages; i++)
        at[i * page] = (char)(i + 1);
    return at;
}
static long check(const char *at, long pages) {
    long right = 0;
    for (long i = 0; i < pages; i++)
        right += at[i * page] == (char)(i + 1);
    return right;
}
static char *map(long pages, int flags) { return mmap(0, pages * page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0); }
int main(void) {
    page = sysconf(_SC_PAGESIZE);
    char *area = map(64, MAP_PRIVATE);
    munmap(area + 8 * page, 56 * page);
    fill(area, 8);
    IS(mremap(area, 8 * page, 16 * page, 0) == area);
    SAY("%ld, new pages %d\n", check(area, 8), area[12 * page]);
    fill(area, 16);
    IS(mremap(area, 16 * page, 4 * page, 0) == area);
    IS(mprotect(area + 4 * page, page, PROT_READ) == -1 && errno == ENOMEM);
    char *wall = mmap(area + 4 * page, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    IS(mremap(area, 4 * page, 8 * page, 0) == MAP_FAILED && errno == ENOMEM);
    char *moved = mremap(area, 4 * page, 200 * page, MREMAP_MAYMOVE);
    IS(moved != MAP_FAILED && moved != area);
    SAY("%ld %d\n", check(moved, 4), moved[199 * page]);
    IS(mprotect(area, page, PROT_READ) == -1 && errno == ENOMEM);
    char *target = fill(map(10, MAP_PRIVATE), 10);
    IS(mremap(moved, 4 * page, 4 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + 2 * page) == target + 2 * page);
    SAY("%d %d %d %d\n", target[page], target[2 * page], target[5 * page], target[6 * page]);
    IS(mremap(target, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, target + 1) == MAP_FAILED && errno == EINVAL);
    IS(mremap(target, 3 * page, 3 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + page) == MAP_FAILED && errno == EINVAL);
    IS(mremap(target + 1, page, page, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    IS(mremap((char *)page, page, 2 * page, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    IS(mremap(target, page, 0, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    char *shared = fill(map(4, MAP_SHARED), 4);
    pid_t child = fork();
    if (!child) {
        char *mine = mremap(shared, 4 * page, 4 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target);
        mine[page] = 99;
        _exit((int)check(mine, 4));
    }
    reap("child", child);
    SAY("%d\n", shared[page]);
    int file = open("remap.bin", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 8; i++)
        pwrite(file, &(char){(char)(i + 1)}, 1, i * page);
    ftruncate(file, 8 * page);
    char *view = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 2 * page);
    view = mremap(view, 2 * page, 6 * page, MREMAP_MAYMOVE);
    SAY("%d %d %d\n", view[0], view[2 * page], view[5 * page]);
    view[5 * page] = 55;
    char byte;
    pread(file, &byte, 1, 7 * page);
    SAY("%d\n", byte);
    void *old = malloc(300000);
    memset(old, 7, 300000);
    char *bigger = realloc(old, 3000000);
    SAY("%d %d\n", bigger[0], bigger[299999]);
    unlink("remap.bin");
    return wall == MAP_FAILED;
}
