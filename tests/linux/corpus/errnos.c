/* The errno of many calls with arguments that are wrong: bad descriptors, addresses, flags, names. */
#include "common.h"
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int main(void) {
    char *bad = (char *)8, buffer[64];
    char name[5000];
    memset(name, 'n', sizeof name - 1), name[sizeof name - 1] = 0;
    int file = open("errors.txt", O_RDWR | O_CREAT, 0600), reader = open("errors.txt", O_RDONLY), folder = open(".", O_RDONLY), ends[2];
    pipe(ends);
    TRY(read(99, buffer, 1));
    TRY(write(-1, buffer, 1));
    TRY(write(reader, buffer, 1));
    TRY(read(folder, buffer, 1));
    TRY(write(file, bad, 10));
    write(file, "content", 7), lseek(file, 0, SEEK_SET);
    TRY(read(file, bad, 7));
    TRY(lseek(file, -1, SEEK_SET));
    TRY(lseek(file, 0, 77));
    TRY(pread(file, buffer, 1, -1));
    TRY(readv(file, (struct iovec *)bad, 1));
    TRY(readv(file, &(struct iovec){buffer, 1}, 2000));
    TRY(writev(file, &(struct iovec){buffer, ~0UL}, 1));
    TRY(open(bad, O_RDONLY));
    TRY(open("", O_RDONLY));
    TRY(open(name, O_RDONLY));
    name[300] = 0;
    TRY(open(name, O_RDONLY));
    TRY(open(".", O_WRONLY));
    TRY(openat(file, "x", O_RDONLY));
    TRY(openat(99, "x", O_RDONLY));
    TRY(close(99));
    TRY(dup(99));
    TRY(dup3(1, 1, 0));
    TRY(dup3(1, 5, 77));
    TRY(fcntl(99, F_GETFD));
    TRY(fcntl(1, 9999));
    TRY(pipe2((int *)bad, 0));
    TRY(pipe2(ends, 1));
    TRY(mkdir("errors.txt", 0700));
    TRY(mkdir("a/b/c", 0700));
    TRY(rmdir("."));
    TRY(chdir("errors.txt"));
    TRY(getcwd(buffer, 1) ? 0 : -1);
    TRY(fchdir(file));
    TRY(unlink("."));
    TRY(link("missing", "x"));
    TRY(symlink("x", "errors.txt"));
    TRY(ftruncate(reader, 1));
    TRY(ftruncate(ends[0], 1));
    TRY(fsync(ends[0]));
    TRY(ioctl(file, TIOCGWINSZ, buffer));
    TRY(mmap(0, 4096, PROT_READ, MAP_SHARED, ends[0], 0) == MAP_FAILED ? -1 : 0);
    TRY(munmap((void *)1, 4096));
    TRY(munmap((void *)4096, 0));
    TRY(mprotect((void *)4096, 4096, PROT_READ));
    TRY(msync((void *)4096, 4096, MS_SYNC));
    TRY(kill(1 << 22, 0));
    TRY(kill(getpid(), 65));
    TRY(waitpid(-1, 0, 0));
    TRY(waitpid(getpid(), 0, 0));
    TRY(waitpid(-1, 0, 0x12345678));
    TRY(socket(99, SOCK_STREAM, 0));
    TRY(socket(AF_INET, 77, 0));
    TRY(bind(file, (struct sockaddr *)buffer, 16));
    TRY(accept(file, 0, 0));
    TRY(socketpair(AF_INET, SOCK_STREAM, 0, ends));
    TRY(nanosleep((struct timespec *)bad, 0));
    TRY(clock_gettime(CLOCK_REALTIME, (struct timespec *)bad));
    TRY(syscall(SYS_gettimeofday, bad, 0)); /* by a call: what stands in for it, the C library's, may store itself */
    TRY(uname((void *)bad));
    TRY(getrlimit(RLIMIT_STACK, (struct rlimit *)bad));
    TRY(sigaction(99, 0, 0));
    TRY(syscall(SYS_rt_sigprocmask, 7, buffer, 0, 8));
    TRY(syscall(SYS_rt_sigprocmask, 0, 0, 0, 4));
    TRY(syscall(SYS_getdents64, file, buffer, 64));
    TRY(syscall(SYS_getdents64, folder, buffer, 1));
    TRY(syscall(SYS_getrandom, bad, 8, 0));
    TRY(syscall(SYS_getrandom, buffer, 8, 999));
    TRY(syscall(SYS_futex, bad, 0, 0, 0, 0, 0));
    TRY(syscall(9999, 1, 2, 3));
    TRY(syscall(-1));
    TRY(syscall(SYS_mremap, 1, 4096, 4096, 0, 0));
    TRY(syscall(SYS_memfd_create, "x", 0xffff));
    TRY(syscall(SYS_epoll_pwait, file, buffer, 1, 0, 0, 8));
    TRY(syscall(SYS_prlimit64, 0, 77, 0, 0));
    TRY(syscall(SYS_capget, bad, 0));
    unsigned version[2] = {0x20080522, 0}, none[6] = {0}, old[2] = {1, 0};
    TRY(syscall(SYS_capget, version, bad));
    TRY(syscall(SYS_capget, version, none) || none[0] & ~none[1]);
    TRY(syscall(SYS_capget, old, 0) || old[0] != version[0]);
    TRY(syscall(SYS_capget, old, none) && (old[0] = 7));
    TRY(syscall(SYS_capset, old, none));
    TRY(syscall(SYS_capset, version, none)); /* the last that may need one */
    TRY(fchmodat(AT_FDCWD, "missing", 0600, 0));
    TRY(fchownat(AT_FDCWD, "missing", 0, 0, 0));
    TRY(truncate("missing", 0));
    TRY(truncate(".", 0));
    TRY(readlink("missing", buffer, 10));
    TRY(mknod("errors.txt", S_IFREG | 0600, 0));
    unlink("errors.txt");
    return 0;
}
