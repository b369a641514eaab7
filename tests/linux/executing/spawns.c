/* vfork and posix_spawn: a child that shares its parent's memory until it executes or ends. */
#include "../processes/common.h"
#include <spawn.h>

extern char **environ;

int main(int count, char **arguments) {
    if (count > 2 && !strcmp(arguments[1], "spawned")) {
        char text[20] = {0};
        sigset_t mask;
        sigprocmask(SIG_BLOCK, 0, &mask);
        SAY("spawned %s, read %ld %s, blocked %d\n", arguments[2], (long)read(0, text, 19), text, sigismember(&mask, SIGHUP));
        return 8;
    }
    if (count != 1)
        return 77; /* not what this program executes: going on would have no end */
    char own[4096] = {0};
    readlink("/proc/self/exe", own, sizeof own - 1);
    char *words[] = {"x", "spawned", "once", 0}, *none[] = {0};
    pid_t child;
    int status;
    SAY("missing: %s\n", strerrorname_np(posix_spawn(&child, "/no/such/program", 0, 0, words, none)) ?: "0");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int file = open("input", O_RDWR | O_CREAT, 0600);
    write(file, "from a file", 11);
    posix_spawn_file_actions_addopen(&actions, 0, "input", O_RDONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int spawned = posix_spawn(&child, own, &actions, &attributes, words, none);
    waitpid(child, &status, 0);
    SAY("spawn: %d\n", spawned);
    tell("spawned", status);
    posix_spawn_file_actions_addopen(&actions, 5, "missing", O_RDONLY, 0);
    SAY("missing file: %s\n", strerrorname_np(posix_spawn(&child, own, &actions, 0, words, none)) ?: "0");
    volatile int shared = 1;
    if (!(child = vfork())) {
        shared = 2;
        _exit(shared);
    }
    SAY("shared %d\n", shared);
    waitpid(child, &status, 0);
    tell("child", status);
    if (!(child = vfork())) {
        shared = 3;
        pause_ms(20);
        execv("/no/such/program", words);
        shared = errno;
        _exit(1);
    }
    SAY("shared %s\n", strerrorname_np(shared));
    waitpid(child, &status, 0);
    tell("child", status);
    if (!(child = vfork())) {
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    waitpid(child, &status, 0);
    tell("killed", status);
    return 0;
}
