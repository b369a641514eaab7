/* execve: arguments, environment, what is kept and what is not, scripts, and every errno. */
#include "../processes/common.h"
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;
static char own[4096];

static void make(const char *name, const char *text, int mode) {
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write(file, text, strlen(text));
    fchmod(file, mode);
    close(file);
}

/* Have a child execute something; what came of it. */
static void run(const char *what, char *const arguments[], char *const environment[]) {
    int status;
    pid_t child = fork();
    if (!child) {
        execve(what, arguments, environment);
        SAY("%s\n", strerrorname_np(errno));
        _exit(99);
    }
    waitpid(child, &status, 0);
    tell("child", status);
}

static void handler(int number) { }

static int executed(int count, char **arguments) {
    SAY("arguments %d:", count - 1);
    for (int i = 1; i < count; i++)
        SAY(" [%s]", arguments[i]);
    SAY("\nenvironment:");
    for (char **one = environ; *one; one++)
        SAY(" [%.*s]", strncmp(*one, "OWN=", 4) ? 100 : 3, *one);
    SAY("\n");
    struct sigaction action;
    sigset_t mask, pending;
    sigaction(SIGUSR1, 0, &action);
    SAY("handled: default %d", action.sa_handler == SIG_DFL);
    sigaction(SIGUSR2, 0, &action);
    SAY(", ignored %d", action.sa_handler == SIG_IGN);
    sigprocmask(SIG_BLOCK, 0, &mask);
    sigpending(&pending);
    stack_t stack;
    sigaltstack(0, &stack);
    SAY(", blocked %d, pending %d, stack %d\n", sigismember(&mask, SIGHUP), sigismember(&pending, SIGHUP), stack.ss_flags);
    SAY("descriptors: %d %d\n", fcntl(20, F_GETFD), fcntl(21, F_GETFD));
    char name[4096] = {0}, text[16] = {0};
    readlink("/proc/self/exe", name, sizeof name);
    SAY("the same program %d\n", !strcmp(name, getenv("OWN") ?: name));
    read(20, text, 15);
    SAY("read %s\n", text);
    return count;
}

int main(int count, char **arguments) {
    if (count > 1 && !strncmp(arguments[1], "executed", 8))
        return executed(count, arguments);
    if (count != 1) {
        SAY("strange arguments\n"); /* going on would execute this program without end */
        return 77;
    }
    readlink("/proc/self/exe", own, sizeof own - 1);
    char variable[5000];
    snprintf(variable, sizeof variable, "OWN=%s", own);
    make("file", "some text", 0600);
    dup2(open("file", O_RDONLY), 20);
    dup3(20, 21, O_CLOEXEC);
    static char room[65536];
    stack_t stack = {room, 0, sizeof room};
    sigaltstack(&stack, 0);
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    char *plain[] = {"a name", "executed", "one", "two words", "", "five", 0};
    char *few[] = {variable, "A=1", "B=", 0}, *none[] = {0};
    run(own, plain, few);
    block(SIGHUP);
    lseek(20, 0, SEEK_SET);
    int status;
    pid_t child = fork();
    if (!child) {
        raise(SIGHUP);
        pid_t before = getpid();
        char text[30];
        sprintf(text, "%d", before);
        char *again[] = {"x", "executed", 0};
        execve(own, again, none);
    }
    waitpid(child, &status, 0);
    tell("child", status);
    sigset_t set;
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, 0);

    /* errors */
    mkdir("folder", 0700);
    make("text", "neither one nor the other\n", 0700);
    make("empty", "", 0700);
    make("closed", "#!/bin/false\n", 0600);
    make("damaged", "\177ELF\2\1\1 and nothing more", 0700);
    make("none", "#!/nowhere/at/all x\n", 0700);
    make("loop", "#!./loop\n", 0700);
    make("blank", "#!   \n", 0700);
    symlink("circle", "circle");
    const char *wrong[] = {"missing", "folder", "text", "empty", "closed", "damaged", "none", "loop", "blank", "circle",
                           "text/x", "", "folder/none", "/dev/null"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        SAY("%s: ", wrong[i]);
        run(wrong[i], plain, none);
    }
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[4999] = 0;
    SAY("long name: ");
    run(longest, plain, none);
    static char large[200000];
    memset(large, 'y', sizeof large - 1);
    char *huge[] = {"x", large, 0};
    SAY("long argument: ");
    run(own, huge, none);
    SAY("bad pointers: ");
    run((char *)16, plain, none);
    SAY("bad arguments: ");
    run(own, (char **)16, none);
    char *bad[] = {"x", (char *)16, 0};
    SAY("bad argument: ");
    run(own, bad, none);
    SAY("bad environment: ");
    run(own, plain, (char **)16);

    /* scripts: the interpreter gets one argument at most, and the script's name */
    char script[5000];
    snprintf(script, sizeof script, "#! %s  executed  \nmore\n", own);
    make("script", script, 0700);
    run("./script", plain, few);
    snprintf(script, sizeof script, "#!%s executed with blanks\t", own);
    make("script2", script, 0700);
    run("script2", plain, none);
    make("script3", "#!./script\n", 0700);
    run("folder/../script3", plain, few);
    run("script", none, none);

    /* by descriptor */
    if (!(child = fork())) {
        int file = open(own, O_RDONLY | O_CLOEXEC);
        char *again[] = {"by descriptor", "executed", "yes", 0};
        fexecve(file, again, few);
        SAY("fexecve: %s\n", strerrorname_np(errno));
        _exit(1);
    }
    waitpid(child, &status, 0);
    tell("fexecve", status);
    return 0;
}
