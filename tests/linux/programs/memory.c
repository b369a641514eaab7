/* The address space: anonymous and file mappings, protection, moving, the heap. */
#include "check.h"
#include <sys/mman.h>

#define PAGE 4096

int main(void) {
    char buffer[16];
    setvbuf(stdout, 0, _IONBF, 0);
    char *anonymous = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRUE(anonymous != MAP_FAILED && anonymous[2 * PAGE - 1] == 0);
    anonymous[0] = 1, anonymous[PAGE] = 7;
    CALL(munmap(anonymous + PAGE, PAGE));
    int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CALL(write(fd, "contents", 8));
    char *private = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%s %d\n", private, private[8]);
    private[0] = 'C';
    char *shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("%s\n", shared);
    shared[0] = 'Q';
    CALL(msync(shared, PAGE, MS_SYNC));
    CALL(pread(fd, buffer, 3, 0));
    printf("%.3s\n", buffer);
    shared[1] = 'R';
    CALL(munmap(shared, PAGE));
    CALL(pread(fd, buffer, 3, 0));
    printf("%.3s %.3s\n", buffer, private);
    char *moved = mremap(anonymous, PAGE, 1 << 20, MREMAP_MAYMOVE);
    TRUE(moved != MAP_FAILED);
    printf("%d\n", moved[0]);
    moved[(1 << 20) - 1] = 1;
    TRUE(mremap(moved, 1 << 20, PAGE, 0) == moved);
    CALL(mprotect(moved, PAGE, PROT_READ));
    CALL(mprotect(moved, PAGE, PROT_READ | PROT_WRITE));
    CALL(madvise(moved, PAGE, MADV_DONTNEED));
    printf("%d\n", moved[0]);
    CALL(mprotect((void *)0x12345000, PAGE, PROT_READ));
    CALL(munmap((void *)0x1001, 10));
    TRUE(mmap((void *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    TRUE(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    TRUE(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
    char *before = sbrk(0);
    TRUE(sbrk(1 << 20) == before);
    before[(1 << 20) - 1] = 1;
    TRUE(sbrk(-(1 << 20)) == before + (1 << 20));
    /* Through malloc: small, large enough for mmap, grown in place and moved. */
    char *block = malloc(100);
    for (int size = 100; size < 10000000; size *= 3) {
        memset(block, size, size / 3);
        block = realloc(block, size);
    }
    free(block);
    TRUE(malloc((size_t)1 << 60) == NULL);
    return 0;
}
