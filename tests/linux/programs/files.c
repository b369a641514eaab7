/* Files: opening, reading, writing, seeking, status, links, locks, descriptors. */
#include "check.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <poll.h>
#include <termios.h>

static char buffer[4096];

static void contents(int fd) {
    struct stat status;
    CALL(write(fd, "hello world\n", 12));
    CALL(lseek(fd, 6, SEEK_SET));
    CALL(read(fd, buffer, 100));
    CALL(pwrite(fd, "XYZ", 3, 0));
    CALL(pread(fd, buffer, 5, 1));
    printf("%.5s\n", buffer);
    struct iovec parts[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
    CALL(writev(fd, parts, 3));
    CALL(lseek(fd, -4, SEEK_END));
    parts[0].iov_base = buffer, parts[0].iov_len = 3, parts[2].iov_base = buffer + 10;
    CALL(readv(fd, parts, 3));
    CALL(ftruncate(fd, 100));
    CALL(fsync(fd));
    CALL(fdatasync(fd));
    CALL(fstat(fd, &status));
    printf("%o %ld %ld\n", status.st_mode, (long)status.st_size, (long)status.st_nlink);
    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    CALL(futimens(fd, times));
    CALL(fstat(fd, &status));
    printf("%ld %ld %ld\n", (long)status.st_atime, (long)status.st_mtime, status.st_mtim.tv_nsec);
    CALL(fchmod(fd, 0600));
    CALL(posix_fallocate(fd, 0, 8192));
    CALL(lseek(fd, 0, SEEK_END));
}

static void names(void) {
    struct stat status;
    struct statx extended;
    struct statfs system_status;
    CALL(stat("none", &status));
    CALL(statx(AT_FDCWD, "a.txt", 0, STATX_ALL, &extended));
    printf("%o %llu\n", extended.stx_mode, extended.stx_size);
    CALL(access("a.txt", R_OK | W_OK));
    CALL(access("none", F_OK));
    CALL(symlink("a.txt", "link"));
    CALL(readlink("link", buffer, 100));
    CALL(lstat("link", &status));
    TRUE(S_ISLNK(status.st_mode));
    CALL(link("a.txt", "b.txt"));
    CALL(rename("b.txt", "c.txt"));
    CALL(unlink("b.txt"));
    CALL(renameat2(AT_FDCWD, "c.txt", AT_FDCWD, "link", RENAME_NOREPLACE));
    CALL(renameat2(AT_FDCWD, "c.txt", AT_FDCWD, "link", RENAME_EXCHANGE));
    CALL(mkdir("sub", 0700));
    CALL(rmdir("link"));
    CALL(open("a.txt", O_CREAT | O_EXCL | O_RDWR, 0600));
    CALL(open("sub", O_WRONLY));
    CALL(open("a.txt", O_DIRECTORY));
    CALL(open("none/none", O_RDONLY));
    CALL(statfs("/", &system_status));
    TRUE(system_status.f_blocks > 0);
    CALL(chmod("a.txt", 0640));
    CALL(truncate("a.txt", 50));
    int directory = open("sub", O_PATH | O_DIRECTORY);
    CALL(openat(directory, "../a.txt", O_RDONLY));
    CALL(faccessat(directory, "../a.txt", R_OK, 0));
    CALL(unlinkat(directory, "../c.txt", 0));
    CALL(umask(027));
    CALL(umask(022));
}

static void descriptors(int fd) {
    int copy = dup(fd);
    CALL(dup3(fd, copy, 0) == copy);
    CALL(dup2(fd, 50));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
    CALL(fcntl(50, F_SETFD, FD_CLOEXEC));
    CALL(fcntl(50, F_GETFD));
    CALL(fcntl(copy, F_GETFD));
    CALL(close(50));
    CALL(close(50));
    CALL(fcntl(fd, F_SETFL, O_APPEND));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
    CALL(flock(fd, LOCK_EX | LOCK_NB));
    struct flock lock = {F_WRLCK, SEEK_SET, 0, 0, 0};
    CALL(fcntl(fd, F_SETLK, &lock));
    CALL(fcntl(fd, F_GETLK, &lock));
    printf("%d\n", lock.l_type);
    int ends[2], available;
    CALL(pipe2(ends, O_CLOEXEC));
    CALL(write(ends[1], "pipe", 4));
    CALL(ioctl(ends[0], FIONREAD, &available));
    struct pollfd wanted = {ends[0], POLLIN, 0};
    CALL(poll(&wanted, 1, 0));
    printf("%d %d\n", available, wanted.revents);
    CALL(read(ends[0], buffer, 100));
    CALL(poll(&wanted, 1, 0));
    CALL(close(ends[1]));
    CALL(poll(&wanted, 1, 1000));
    CALL(read(ends[0], buffer, 100));
    struct termios terminal;
    CALL(tcgetattr(fd, &terminal));
    CALL(isatty(fd));
}

static void refused(int fd) {
    struct stat status;
    CALL(read(fd, (void *)8, 10));
    CALL(write(fd, (void *)8, 10));
    CALL(open((void *)8, O_RDONLY));
    CALL(fstat(99, &status));
    CALL(read(-1, buffer, 1));
    CALL(pread(fd, buffer, 1, -1));
    CALL(lseek(fd, -1, SEEK_SET));
    CALL(lseek(fd, 0, 99));
    CALL(readv(fd, (void *)16, 2));
    CALL(unlink("sub"));
    CALL(open("", O_RDONLY));
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    CALL(mkdir("scratch", 0755));
    CALL(mkdir("scratch", 0755));
    CALL(chdir("scratch"));
    TRUE(getcwd(buffer, sizeof buffer) && !strcmp(strrchr(buffer, '/'), "/scratch"));
    CALL(getcwd(buffer, 3) == 0);
    int fd = open("a.txt", O_RDWR | O_CREAT | O_EXCL, 0640);
    TRUE(fd > 2);
    contents(fd);
    names();
    descriptors(fd);
    refused(fd);
    FILE *temporary = tmpfile();
    TRUE(temporary != NULL);
    fprintf(temporary, "x%d", 5);
    rewind(temporary);
    CALL(fgetc(temporary));
    CALL(fclose(temporary));
    return 0;
}
