/* statx, fstatat, utimensat, chmod, links, access, truncate, umask, rename with flags, and O_TMPFILE. */
#include "common.h"
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static void show(const char *path, int flags) {
    struct statx status;
    if (statx(AT_FDCWD, path, flags, STATX_BASIC_STATS, &status) < 0) {
        SAY("%s: %s\n", path, strerrorname_np(errno));
        return;
    }
    SAY("%s: mode %o links %d size %ld blocks %d mask %d us %d times %ld.%d %ld.%d\n", path, status.stx_mode, status.stx_nlink,
        S_ISREG(status.stx_mode) ? (long)status.stx_size : 0L, status.stx_blocks > 0, (status.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS,
        status.stx_uid == getuid(), (long)status.stx_atime.tv_sec, status.stx_atime.tv_nsec, (long)status.stx_mtime.tv_sec,
        status.stx_mtime.tv_nsec);
    struct stat old;
    fstatat(AT_FDCWD, path, &old, flags);
    IS(old.st_ino == status.stx_ino && major(old.st_dev) == status.stx_dev_major && old.st_mtim.tv_nsec == status.stx_mtime.tv_nsec);
}
int main(void) {
    struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 5}};
    umask(027);
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0666);
    write(fd, "twelve bytes", 12);
    symlink("file", "link"), link("file", "hard"), mkdir("folder", 0777);
    WORKS(utimensat(AT_FDCWD, "file", times, 0));
    show("file", 0), show("hard", 0), show("link", 0);
    utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW), utimensat(AT_FDCWD, "folder", times, 0);
    show("link", AT_SYMLINK_NOFOLLOW), show("folder", 0), show("missing", 0), show("file/below", 0);
    struct statx by_fd;
    TRY(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &by_fd));
    TRY(statx(fd, "", 0, STATX_SIZE, &by_fd));
    TRY(statx(fd, 0, 0, STATX_SIZE, &by_fd));
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_sec = 1200000000;
    WORKS(futimens(fd, times));
    show("file", 0);
    times[1].tv_nsec = 2000000000;
    TRY(futimens(fd, times));
    WORKS(fchmod(fd, 04751));
    struct stat status;
    fstat(fd, &status);
    SAY("%o\n", status.st_mode);
    WORKS(chmod("file", 0400));
    SAY("%d\n", access("file", R_OK));
    TRY(faccessat(AT_FDCWD, "missing", F_OK, 0));
    TRY(truncate("file", 5));
    chmod("file", 0600);
    TRY(truncate("file", 100000));
    TRY(ftruncate(fd, -1));
    fstat(fd, &status);
    SAY("size %ld sparse %d\n", (long)status.st_size, status.st_blocks * 512 < 100000);
    TRY(rename("missing", "other"));
    TRY(renameat2(AT_FDCWD, "file", AT_FDCWD, "link", RENAME_NOREPLACE));
    TRY(renameat2(AT_FDCWD, "file", AT_FDCWD, "folder", RENAME_EXCHANGE));
    stat("file", &status);
    SAY("now a directory %d\n", S_ISDIR(status.st_mode));
    TRY(renameat2(AT_FDCWD, "file", AT_FDCWD, "folder", RENAME_EXCHANGE));
    TRY(rename("file", "folder"));
    TRY(rename("folder", "file"));
    TRY(mkdir("folder", 0777));
    TRY(rmdir("file"));
    TRY(unlink("folder"));
    TRY(open("link/x", O_RDONLY));
    TRY(open("link", O_RDONLY | O_NOFOLLOW));
    TRY(open("file", O_RDONLY | O_DIRECTORY));
    TRY(open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
    symlink("loop", "loop");
    TRY(open("loop", O_RDONLY));
    int path = open("file", O_PATH);
    TRY(read(path, &status, 1));
    int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
    if (unnamed >= 0) {
        char name[40];
        write(unnamed, "x", 1);
        snprintf(name, sizeof name, "/proc/self/fd/%d", unnamed);
        WORKS(linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    } else
        SAY("linkat(AT_FDCWD, name, AT_FDCWD, \"named\", AT_SYMLINK_FOLLOW): ok\n");
    int folder = open("folder", O_RDONLY | O_DIRECTORY);
    int inside = openat(folder, "inside", O_WRONLY | O_CREAT, 0640);
    TRY(fstatat(folder, "inside", &status, 0));
    SAY("%o\n", status.st_mode);
    TRY(unlinkat(folder, "inside", AT_REMOVEDIR));
    TRY(unlinkat(folder, "inside", 0));
    struct statvfs space;
    WORKS(statvfs(".", &space));
    IS(space.f_bsize >= 512 && space.f_namemax == 255);
    char target[5];
    TRY(readlink("link", target, 3));
    TRY(readlink("file", target, 3));
    unlink("file"), unlink("link"), unlink("hard"), unlink("loop"), unlink("named"), rmdir("folder");
    return inside < 0;
}
