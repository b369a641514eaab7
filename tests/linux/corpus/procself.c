/* /proc/self: what it says of the program itself: links, maps, status, stat, descriptors, command line, environment.  oracle: linux */
#include "common.h"
#include <dirent.h>
#include <libgen.h>
#include <sys/mman.h>
#include <sys/stat.h>

static char text[1 << 16];
static long slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    long got = 0, n;
    while (fd >= 0 && (n = read(fd, text + got, sizeof text - 1 - (size_t)got)) > 0)
        got += n;
    text[fd < 0 ? 0 : got] = 0;
    close(fd);
    return fd < 0 ? -1 : got;
}
static int writable_global = 5;
int main(int count, char **words) {
    char link[4096], other[4096];
    long n = readlink("/proc/self/exe", link, sizeof link - 1);
    link[n] = 0;
    realpath(words[0], other);
    IS(!strcmp(link, other));
    struct stat by_proc, by_name;
    stat("/proc/self/exe", &by_proc), stat(words[0], &by_name);
    IS(by_proc.st_ino == by_name.st_ino && by_proc.st_size == by_name.st_size);
    int exe = open("/proc/self/exe", O_RDONLY);
    read(exe, text, 4);
    IS(!memcmp(text, "\177ELF", 4));
    n = slurp("/proc/self/cmdline");
    IS(n > 0 && !strcmp(text, words[0]) && text[n - 1] == 0);
    slurp("/proc/self/comm");
    text[strcspn(text, "\n")] = 0;
    snprintf(link, 16, "%s", basename(words[0]));
    IS(!strcmp(text, link));
    readlink("/proc/self/cwd", link, sizeof link);
    n = readlink("/proc/self/cwd", link, sizeof link - 1), link[n] = 0;
    IS(!strcmp(link, getcwd(other, sizeof other)));
    int file = open("opened.txt", O_RDWR | O_CREAT | O_APPEND, 0600);
    snprintf(other, sizeof other, "/proc/self/fd/%d", file);
    n = readlink(other, link, sizeof link - 1), link[n] = 0;
    IS(!strcmp(basename(link), "opened.txt"));
    int again = open(other, O_WRONLY);
    IS(write(again, "by proc", 7) == 7 && pread(file, text, 7, 0) == 7 && !memcmp(text, "by proc", 7));
    DIR *folder = opendir("/proc/self/fd");
    int seen = 0, unknown = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        seen++;
        unknown += fd != dirfd(folder) && fcntl(fd, F_GETFD) < 0;
    }
    SAY("descriptors %d unknown %d\n", seen, unknown);
    void *page = mmap(0, 3 * 4096, PROT_READ, MAP_SHARED, exe, 0);
    slurp("/proc/self/maps");
    unsigned long start, end, offset;
    char permissions[8], path[4096];
    int stack = 0, heap = 0, mapped = 0, global = 0, code = 0;
    malloc(100000);
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        path[0] = 0;
        sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, permissions, &offset, path);
#define INSIDE(p) ((unsigned long)(p) >= start && (unsigned long)(p) < end)
        if (!strcmp(path, "[stack]") && INSIDE(&start) && !strncmp(permissions, "rw-p", 4))
            stack++;
        heap += !strcmp(path, "[heap]");
        mapped += INSIDE(page) && end - start == 3 * 4096 && !strcmp(permissions, "r--s");
        global += INSIDE(&writable_global) && permissions[1] == 'w';
        code += INSIDE(main) && permissions[2] == 'x' && permissions[1] == '-';
    }
    SAY("stack %d heap %d mapped %d global %d code %d\n", stack, heap > 0, mapped, global, code);
    slurp("/proc/self/stat");
    int pid, parent;
    char state;
    sscanf(strrchr(text, ')') + 2, "%c %d", &state, &parent);
    IS(sscanf(text, "%d", &pid) == 1 && pid == getpid() && state == 'R' && parent == getppid());
    /* The writing side and what must be refused. */
    IS(access("/proc/self/nothing", F_OK) == -1 && errno == ENOENT);
    pid_t child = fork();
    if (!child) {
        n = readlink("/proc/self", link, sizeof link - 1), link[n] = 0;
        _exit(atoi(link) == getpid());
    }
    reap("a child's /proc/self is its own", child);
    snprintf(other, sizeof other, "/proc/%d/cmdline", getpid());
    IS(slurp(other) > 0 && !strcmp(text, words[0]));
    slurp("/proc/self/auxv");
    IS(((unsigned long *)text)[0] != 0);
    unlink("opened.txt");
    return 0;
}
