/* Memory shared over fork: anonymous, by memfd, by shm_open, private copies, and a counter guarded by a pipe as a lock. */
#include "common.h"
#include <stdatomic.h>
#include <sys/mman.h>

int main(void) {
    long page = sysconf(_SC_PAGESIZE);
    atomic_int *shared = mmap(0, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *private = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int lock[2], memory = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ftruncate(memory, page);
    char *file = mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    char *copy = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
    copy[0] = 'p';
    pipe(lock);
    write(lock[1], "", 1);
    *private = 1;
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        if (!(children[i] = fork())) {
            char token;
            for (int n = 0; n < 500; n++) {
                atomic_fetch_add(shared, 1);
                read(lock[0], &token, 1);
                ((volatile int *)shared)[1024]++;
                write(lock[1], &token, 1);
            }
            file[i] = (char)('a' + i);
            *private += 10;
            _exit(*private + i);
        }
    for (int i = 0; i < 4; i++)
        reap("child", children[i]);
    SAY("%d %d private %d file %.4s copy %.1s\n", *shared, ((int *)shared)[1024], *private, file, copy);
    char direct[5] = "";
    pread(memory, direct, 4, 0);
    SAY("read %s\n", direct);
    TRY(fcntl(memory, F_ADD_SEALS, F_SEAL_GROW));
    TRY(fcntl(memory, F_GET_SEALS));
    TRY(ftruncate(memory, 3 * page));
    char name[40];
    snprintf(name, sizeof name, "/corpus-%d", getpid());
    int object = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    ftruncate(object, 100);
    int *words = mmap(0, 100, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
    close(object);
    pid_t child = fork();
    if (!child) {
        int mine = shm_open(name, O_RDWR, 0);
        int *view = mmap(0, 100, PROT_READ | PROT_WRITE, MAP_SHARED, mine, 0);
        view[3] = 4711;
        _exit(view == words);
    }
    reap("opener", child);
    SAY("%d\n", words[3]);
    TRY(shm_unlink(name));
    IS(shm_open(name, O_RDWR, 0) < 0);
    /* A child's unmapping and protecting is its own affair. */
    if (!(child = fork())) {
        munmap(file, page);
        mprotect(shared, page, PROT_NONE);
        _exit(0);
    }
    reap("unmapper", child);
    SAY("%c %d\n", file[0], *shared);
    if (!(child = fork())) {
        mprotect(shared, page, PROT_READ);
        *shared = 5;
    }
    reap("writer", child);
    TRY(munmap(shared, 4 * page));
    return 0;
}
