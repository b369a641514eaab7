/* Pipes: chains of children, capacity, ends closed, O_NONBLOCK and packets, FIONREAD, popen-like plumbing with dup2. */
#include "common.h"
#include <sys/ioctl.h>
#include <sys/uio.h>

static void stage(int in, int out, int number) {
    char c;
    while (read(in, &c, 1) == 1) {
        if (c >= 'a' && c <= 'z')
            c = (char)('a' + (c - 'a' + number) % 26);
        write(out, &c, 1);
    }
    _exit(number);
}
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int from, first[2];
    pipe(first);
    from = first[0];
    pid_t children[5];
    for (int i = 0; i < 5; i++) {
        int next[2];
        pipe(next);
        if (!(children[i] = fork())) {
            close(first[1]);
            close(next[0]);
            stage(from, next[1], i + 1);
        }
        close(from), close(next[1]);
        from = next[0];
    }
    write(first[1], "the quick brown fox jumps", 25);
    close(first[1]);
    char text[4096];
    long got = 0, n;
    while ((n = read(from, text + got, sizeof text - got)) > 0)
        got += n;
    SAY("%ld %.*s\n", got, (int)got, text);
    for (int i = 0; i < 5; i++)
        reap("stage", children[i]);
    int ends[2];
    pipe2(ends, O_NONBLOCK | O_CLOEXEC);
    long total = 0;
    memset(text, 'x', sizeof text);
    while ((n = write(ends[1], text, sizeof text)) > 0)
        total += n;
    SAY("full at %ld: %s\n", total, strerrorname_np(errno));
    TRY(fcntl(ends[1], F_GETPIPE_SZ));
    TRY(fcntl(ends[1], F_SETPIPE_SZ, 4096 * 32));
    int waiting;
    ioctl(ends[0], FIONREAD, &waiting);
    SAY("waiting %d\n", waiting);
    while ((n = read(ends[0], text, sizeof text)) > 0)
        total -= n;
    SAY("left %ld: %s\n", total, strerrorname_np(errno));
    struct iovec parts[3] = {{"one ", 4}, {"two ", 4}, {"three", 5}}, into[2] = {{text, 6}, {text + 100, 50}};
    TRY(writev(ends[1], parts, 3));
    TRY(readv(ends[0], into, 2));
    SAY("%.6s|%.7s\n", text, text + 100);
    close(ends[1]);
    TRY(read(ends[0], text, 10));
    pipe(ends);
    close(ends[0]);
    TRY(write(ends[1], "x", 1));
    pid_t child = fork();
    if (!child) {
        signal(SIGPIPE, SIG_DFL);
        write(ends[1], "x", 1);
        _exit(0);
    }
    reap("broken pipe", child);
    pipe2(ends, O_DIRECT);
    write(ends[1], "packet", 6), write(ends[1], "next", 4);
    TRY(read(ends[0], text, 3));
    TRY(read(ends[0], text, 10));
    SAY("%.4s\n", text);
    TRY(lseek(ends[0], 0, SEEK_SET));
    TRY(pread(ends[0], text, 1, 0));
    pipe(ends);
    if (!(child = fork())) {
        dup2(ends[1], 1);
        close(ends[0]), close(ends[1]);
        printf("through stdio %d\n", 42);
        fflush(stdout);
        _exit(5);
    }
    close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    while (fgets(text, sizeof text, in))
        SAY("<%s", text);
    reap("printer", child);
    mkfifo("fifo", 0600);
    if (!(child = fork())) {
        int out = open("fifo", O_WRONLY);
        write(out, "named", 5);
        _exit(0);
    }
    int named = open("fifo", O_RDONLY);
    TRY(read(named, text, 10));
    reap("writer", child);
    unlink("fifo");
    return 0;
}
