/* Locks on files: fcntl's records, open file descriptions', flock and lockf, between parent and child. */
#include "common.h"
#include <sys/file.h>

static int ask(int fd, int command, short type, long start, long length) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int result = fcntl(fd, command, &lock);
    if (result < 0)
        return -errno;
    return command == F_GETLK || command == F_OFD_GETLK ? lock.l_type * 1000 + (int)lock.l_start : 0;
}
static void other(const char *what, int (*function)(int), int fd) {
    pid_t child = fork();
    if (!child)
        _exit(function(fd) & 0xff);
    reap(what, child);
}
static int try_lock(int fd) { return -ask(fd, F_SETLK, F_WRLCK, 0, 100); }
static int try_other(int fd) { return -ask(fd, F_SETLK, F_WRLCK, 200, 10); }
static int who(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_GETLK, &lock);
    return lock.l_type == F_WRLCK && lock.l_pid == getppid() && lock.l_start == 0 && lock.l_len == 100;
}
static int whole(int fd) {
    int mine = open("locked.txt", O_RDWR);
    return flock(mine, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
}
static int shared(int fd) {
    int mine = open("locked.txt", O_RDWR);
    return flock(mine, LOCK_SH | LOCK_NB) < 0 ? errno : 0;
}
static int section(int fd) {
    lseek(fd, 10, SEEK_SET);
    return lockf(fd, F_TEST, 5) < 0 ? errno : 0;
}
int main(void) {
    int fd = open("locked.txt", O_RDWR | O_CREAT | O_TRUNC, 0600), second = open("locked.txt", O_RDWR);
    SAY("%d\n", ask(fd, F_SETLK, F_WRLCK, 0, 100));
    other("locked", try_lock, fd), other("elsewhere", try_other, fd), other("who", who, fd);
    SAY("own: %d %d\n", ask(fd, F_GETLK, F_WRLCK, 0, 0), ask(fd, F_SETLK, F_RDLCK, 50, 10));
    close(second); /* closing any descriptor of the file drops them all */
    other("dropped", try_lock, fd);
    SAY("%d\n", ask(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
    second = open("locked.txt", O_RDWR);
    SAY("%d %d\n", ask(second, F_OFD_SETLK, F_WRLCK, 10, 1), ask(second, F_OFD_GETLK, F_WRLCK, 5, 1));
    ask(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
    TRY(flock(fd, LOCK_EX));
    other("flocked", whole, fd), other("flocked, sharing", shared, fd);
    TRY(flock(second, LOCK_SH | LOCK_NB));
    TRY(flock(fd, LOCK_SH));
    other("shared", shared, fd), other("shared, alone", whole, fd);
    TRY(flock(fd, LOCK_UN));
    TRY(flock(fd, 77));
    lseek(fd, 0, SEEK_SET);
    TRY(lockf(fd, F_LOCK, 20));
    other("a section", section, fd);
    TRY(lockf(fd, F_ULOCK, 20));
    other("no more", section, fd);
    /* Waiting for a lock. */
    int ends[2];
    pipe(ends);
    ask(fd, F_SETLK, F_WRLCK, 0, 0);
    pid_t child = fork();
    if (!child) {
        write(ends[1], "r", 1);
        int result = ask(fd, F_SETLKW, F_WRLCK, 0, 0);
        char text[10] = "";
        pread(fd, text, 9, 0);
        SAY("got it %d, %s\n", result, text);
        _exit(0);
    }
    char byte;
    read(ends[0], &byte, 1);
    pwrite(fd, "finished", 8, 0);
    ask(fd, F_SETLK, F_UNLCK, 0, 0);
    reap("waiter", child);
    SAY("%d %d\n", ask(99, F_SETLK, F_WRLCK, 0, 0), ask(open("locked.txt", O_RDONLY), F_SETLK, F_WRLCK, 0, 0));
    unlink("locked.txt");
    return 0;
}
