/* A terminal by its pseudo-terminal: a session in a child, job control characters, canonical and raw modes, window size.  oracle: linux */
#include "common.h"
#include <sys/ioctl.h>
#include <termios.h>

static volatile int sizes, interrupts;
static void on_size(int number, siginfo_t *info, void *context) { sizes++; }
static void on_interrupt(int number, siginfo_t *info, void *context) { interrupts++; }
static void expect(int fd, const char *text) {
    char got[200];
    size_t length = 0, wanted = strlen(text);
    while (length < wanted) {
        long n = read(fd, got + length, wanted - length);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    SAY("%s", length == wanted && !memcmp(got, text, wanted) ? "as expected: " : "WRONG: ");
    for (size_t i = 0; i < length; i++)
        SAY(got[i] < 32 || got[i] > 126 ? "\\%o" : "%c", got[i]);
    SAY("\n");
}
int main(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    WORKS(grantpt(master));
    WORKS(unlockpt(master));
    char name[64];
    ptsname_r(master, name, sizeof name);
    IS(!strncmp(name, "/dev/pts/", 9));
    int ready[2];
    pipe(ready);
    pid_t child = fork();
    if (!child) {
        char line[100];
        close(master);
        handle(SIGWINCH, on_size, SA_RESTART);
        handle(SIGINT, on_interrupt, 0);
        IS(setsid() == getpid());
        int tty = open(name, O_RDWR);
        IS(isatty(tty));
        IS(tcgetsid(tty) == getpid() && tcgetpgrp(tty) == getpid());
        IS(open("/dev/tty", O_RDWR) >= 0);
        write(ready[1], "1", 1);
        long n = read(tty, line, sizeof line);
        SAY("line %ld: %.*s", n, (int)n, line);
        write(ready[1], "b", 1);
        n = read(tty, line, sizeof line);
        SAY("edited %ld: %.*s", n, (int)n, line);
        n = read(tty, line, sizeof line);
        SAY("end of file %ld\n", n);
        write(ready[1], "2", 1);
        while (!interrupts) {
            struct pollfd waiting = {tty, POLLIN};
            poll(&waiting, 1, 10);
        }
        SAY("interrupts %d\n", interrupts);
        write(ready[1], "3", 1);
        while (!sizes)
            usleep(1000);
        struct winsize size;
        ioctl(tty, TIOCGWINSZ, &size);
        SAY("window %d x %d\n", size.ws_row, size.ws_col);
        struct termios mode;
        tcgetattr(tty, &mode);
        cfmakeraw(&mode);
        mode.c_cc[VMIN] = 3, mode.c_cc[VTIME] = 0;
        WORKS(tcsetattr(tty, TCSAFLUSH, &mode));
        write(ready[1], "4", 1);
        n = read(tty, line, sizeof line);
        SAY("raw %ld: %x %x %x\n", n, line[0], line[1], line[2]);
        write(tty, "a\nb", 3);
        WORKS(tcdrain(tty));
        tcgetattr(tty, &mode);
        SAY("echo %d canonical %d min %d\n", !!(mode.c_lflag & ECHO), !!(mode.c_lflag & ICANON), mode.c_cc[VMIN]);
        signal(SIGHUP, SIG_DFL);
        write(ready[1], "5", 1);
        for (;;)
            pause();
    }
    char token;
#define NEXT() read(ready[0], &token, 1)
    NEXT();
    write(master, "first\n", 6);
    NEXT();
    expect(master, "first\r\n");
    write(master, "wrnog\b\b\bong!\177\n", 13);
    write(master, "junk\025kept\n\004", 11);
    NEXT();
    tcflush(master, TCIOFLUSH);
    write(master, "\003", 1);
    NEXT();
    struct winsize size = {50, 132, 0, 0};
    ioctl(master, TIOCSWINSZ, &size);
    NEXT();
    tcflush(master, TCIFLUSH);
    write(master, "\003\004\032", 3);
    NEXT();
    expect(master, "a\nb");
    struct termios mode;
    tcgetattr(master, &mode);
    cfsetospeed(&mode, B9600), cfsetispeed(&mode, B9600);
    WORKS(tcsetattr(master, TCSANOW, &mode));
    tcgetattr(master, &mode);
    SAY("speed %d\n", cfgetospeed(&mode) == B9600);
    WORKS(tcflow(master, TCOON));
    WORKS(tcsendbreak(master, 0));
    close(master);
    reap("hung up", child);
    IS(!isatty(ready[0]) && errno == ENOTTY);
    TRY(ioctl(ready[0], TIOCGWINSZ, &size));
    TRY(tcgetattr(99, &mode));
    return 0;
}
