// A mapped file that another process cuts short: the access is a SIGBUS, before and behind it all is as it was.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int number, code;

static void caught(int signal, siginfo_t *info, void *context) {
    number = signal;
    code = info->si_code;
    siglongjmp(back, 1);
}

static void touch(const char *what, volatile char *at) {
    number = code = 0;
    int value = -1;
    if (!sigsetjmp(back, 1)) value = *at;
    printf("%s: value %d signal %d code %d\n", what, value, number, code);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, 0);
    sigaction(SIGSEGV, &action, 0);
    setvbuf(stdout, 0, _IONBF, 0);
    char name[] = "/tmp/isomorph-cut-XXXXXX";
    int file = mkstemp(name);
    char page[4096];
    memset(page, 'x', sizeof page);
    for (int i = 0; i < 4; i++) write(file, page, sizeof page);
    for (int shared = 0; shared < 2; shared++) {
        char *map = mmap(0, 16384, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, file, 0);
        touch("first", map);
        if (shared) touch("third", map + 8192);
        pid_t child = fork();
        if (!child) _exit(truncate(name, 4096));
        waitpid(child, 0, 0);
        touch("first page is there", map + 5);
        touch("second page is not", map + 4096 + 5);
        touch("third page is not", map + 8192);
        ftruncate(file, 16384);
        touch("there again", map + 8192);
        munmap(map, 16384);
        pwrite(file, page, sizeof page, 8192);
    }
    unlink(name);
    puts("end");
    return 0;
}
