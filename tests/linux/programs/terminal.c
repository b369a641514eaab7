/* A pseudo-terminal: both ends, its modes, size, queues and line discipline. */
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void show(const char *what, int fd) {
    char text[200] = "";
    struct pollfd ready = {fd, POLLIN, 0};
    long got = poll(&ready, 1, 2000) == 1 ? read(fd, text, sizeof text - 1) : -1;
    printf("%s: %ld", what, got);
    for (long i = 0; i < got; i++) printf(" %02x", (unsigned char)text[i]);
    puts("");
}

int main(void) {
    struct termios modes, before;
    struct winsize size = {25, 90, 0, 0};
    int number, queued, value = 0;
    char name[64];

    TRUE(isatty(0));
    CALL(tcgetattr(0, &modes));
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) {
        puts("no terminals here");
        return 0;
    }
    TRUE(ioctl(master, TIOCGPTN, &number) == 0 && number >= 0);
    CALL(ptsname_r(master, name, sizeof name));
    TRUE(!strncmp(name, "/dev/pts/", 9));
    CALL(unlockpt(master));
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    TRUE(slave >= 0 && fcntl(slave, F_GETFD) == FD_CLOEXEC);
    TRUE(isatty(slave) && isatty(master));
    CALL(tcgetattr(slave, &before));
    printf("%x %x %x %x %d %d %d\n", before.c_iflag, before.c_oflag, before.c_cflag & ~CBAUD, before.c_lflag,
           before.c_cc[VINTR], before.c_cc[VEOF], before.c_cc[VMIN]);
    printf("speed %d\n", cfgetospeed(&before) == B38400);

    CALL(write(master, "line\n", 5));
    show("canonical", slave);
    show("echo", master);
    CALL(write(slave, "out\n", 4));
    show("newline", master);
    CALL(write(master, "ab\177c\004", 5));
    show("erased", slave);
    show("erasing", master);

    modes = before;
    cfmakeraw(&modes);
    modes.c_cc[VMIN] = 1;
    CALL(tcsetattr(slave, TCSANOW, &modes));
    CALL(tcgetattr(slave, &modes));
    printf("raw %x %x %x %d\n", modes.c_iflag, modes.c_oflag, modes.c_lflag, modes.c_cc[VMIN]);
    CALL(write(master, "raw\003\r\n", 6));
    CALL(ioctl(slave, FIONREAD, &queued));
    show("raw", slave);
    CALL(write(slave, "x\n", 2));
    show("no newline", master);
    CALL(tcsetattr(slave, TCSADRAIN, &before));
    CALL(tcsetattr(slave, 99, &before));

    CALL(ioctl(master, TIOCSWINSZ, &size));
    memset(&size, 0, sizeof size);
    CALL(ioctl(slave, TIOCGWINSZ, &size));
    printf("size %d %d\n", size.ws_row, size.ws_col);
    CALL(write(master, "lost\n", 5));
    CALL(tcflush(slave, TCIOFLUSH));
    CALL(ioctl(slave, FIONREAD, &queued));
    printf("queued %d\n", queued);
    CALL(tcdrain(slave));
    CALL(tcflow(slave, TCOON));
    CALL(tcsendbreak(slave, 0));
    CALL(ioctl(slave, TIOCEXCL));
    CALL(ioctl(slave, TIOCNXCL));
    CALL(ioctl(slave, TIOCOUTQ, &value));
    CALL(ioctl(slave, TIOCGETD, &value));
    CALL(tcgetpgrp(slave));
    CALL(tcgetsid(slave));
    CALL(ioctl(slave, TIOCGWINSZ, (void *)1));
    CALL(close(slave));
    CALL(close(master));
    int pipes[2];
    CALL(pipe(pipes));
    CALL(tcgetattr(pipes[0], &modes));
    CALL(ioctl(pipes[0], TIOCGWINSZ, &size));
    CALL(tcsetpgrp(pipes[0], 1));
    return 0;
}
