/* Pipes between processes: a chain of filters, end of file, SIGPIPE, and a reader slower than its writer. */
#include "common.h"

static void filter(int from, int to, int (*change)(int)) {
    char byte;
    while (read(from, &byte, 1) == 1) {
        byte = change(byte);
        write(to, &byte, 1);
    }
    _exit(0);
}
static int upper(int byte) { return byte >= 'a' && byte <= 'z' ? byte - 32 : byte; }
static int next(int byte) { return byte == '\n' ? byte : byte + 1; }

int main(void) {
    int first[2], second[2], third[2], status;
    pipe(first), pipe(second), pipe(third);
    if (!fork()) {
        close(first[1]), close(second[0]), close(third[0]), close(third[1]);
        filter(first[0], second[1], upper);
    }
    if (!fork()) {
        close(first[0]), close(first[1]), close(second[1]), close(third[0]);
        filter(second[0], third[1], next);
    }
    close(first[0]), close(second[0]), close(second[1]), close(third[1]);
    write(first[1], "hello, world\nhal\n", 17);
    close(first[1]);
    FILE *in = fdopen(third[0], "r");
    char line[100];
    while (fgets(line, sizeof line, in))
        SAY("%s", line);
    while (wait(&status) > 0)
        tell("filter", status);
    pipe(first);
    pid_t child = fork();
    if (!child) {
        close(first[0]);
        for (;;)
            write(first[1], "xxxx", 4);
    }
    close(first[1]);
    read(first[0], line, 4);
    close(first[0]);
    waitpid(child, &status, 0);
    tell("writer", status);
    pipe(first);
    close(first[0]);
    signal(SIGPIPE, SIG_IGN);
    TRY(write(first[1], "x", 1));
    close(first[1]);
    pipe(first);
    if (!fork()) {
        static char data[300000];
        memset(data, 'y', sizeof data);
        SAY("written %ld\n", (long)write(first[1], data, sizeof data));
        _exit(0);
    }
    close(first[1]);
    pause_ms(5);
    static char buffer[65536];
    long got, total = 0;
    while ((got = read(first[0], buffer, sizeof buffer)) > 0)
        total += got;
    wait(0);
    SAY("total %ld\n", total);
    return 0;
}
