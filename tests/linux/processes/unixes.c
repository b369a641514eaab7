/* AF_UNIX: pairs, names in a directory, abstract names, datagrams, credentials, and descriptors sent along. */
#include "common.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static long send_descriptor(int socket, int descriptor) {
    char space[CMSG_SPACE(2 * sizeof(int))] = {0}, byte = 'd';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(2 * sizeof(int));
    ((int *)CMSG_DATA(head))[0] = descriptor;
    ((int *)CMSG_DATA(head))[1] = 1;
    return sendmsg(socket, &message, 0);
}

static int receive_descriptor(int socket) {
    char space[CMSG_SPACE(2 * sizeof(int))] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    SAY("received %ld", (long)recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    int *numbers = (int *)CMSG_DATA(head);
    SAY(" %c, rights %d of %zu bytes, flags %x, cloexec %d\n", byte, head->cmsg_type == SCM_RIGHTS,
        (size_t)head->cmsg_len, message.msg_flags & ~MSG_CMSG_CLOEXEC, fcntl(numbers[0], F_GETFD));
    close(numbers[1]);
    return numbers[0];
}

int main(void) {
    int pair[2], status;
    char text[100];
    TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    SAY("cloexec %d\n", fcntl(pair[0], F_GETFD));
    pid_t child = fork();
    if (!child) {
        int file = receive_descriptor(pair[1]);
        pread(file, text, 5, 0);
        SAY("child read %.5s\n", text);
        write(pair[1], "thanks", 6);
        _exit(0);
    }
    int file = open("file", O_RDWR | O_CREAT, 0600);
    write(file, "inside", 6);
    long sent = send_descriptor(pair[0], file);
    SAY("got %ld %.6s\n", (long)read(pair[0], text, 100), text);
    waitpid(child, &status, 0);
    tell("child", status);
    SAY("sent %ld\n", sent);
    close(pair[1]);
    SAY("end %ld\n", (long)read(pair[0], text, 100));
    TRY(send(pair[0], "x", 1, MSG_NOSIGNAL));

    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {AF_UNIX, "the socket"}, other;
    TRY(bind(listener, (void *)&name, sizeof name));
    TRY(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, sizeof name));
    TRY(listen(listener, 5));
    socklen_t length = sizeof other;
    TRY(getsockname(listener, (void *)&other, &length));
    SAY("%s %d\n", other.sun_path, length);
    if (!(child = fork())) {
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        int result = connect(client, (void *)&name, sizeof name);
        write(client, "hello", 5);
        shutdown(client, SHUT_WR);
        text[read(client, text, 100)] = 0;
        length = sizeof other;
        TRY(getpeername(client, (void *)&other, &length));
        SAY("client: connected %d, %s from %s\n", result, text, other.sun_path);
        _exit(0);
    }
    length = sizeof other;
    int server = accept(listener, (void *)&other, &length);
    SAY("accepted %d, unnamed %d\n", server >= 0, length == sizeof(sa_family_t));
    struct ucred who;
    length = sizeof who;
    getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &length);
    SAY("peer %d %d size %d\n", who.pid == child, who.uid == getuid(), length);
    long got, total = 0;
    while ((got = read(server, text, 100)) > 0)
        total += got;
    SAY("server: %ld\n", total);
    write(server, "good bye", 8);
    close(server);
    waitpid(child, 0, 0);
    unlink("the socket");
    TRY(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, sizeof name));

    /* Abstract names are the machine's, so they hold our pid. */
    struct sockaddr_un hidden = {AF_UNIX};
    int size = offsetof(struct sockaddr_un, sun_path) + 1 + sprintf(hidden.sun_path + 1, "isomorph-%d", getpid());
    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY(bind(receiver, (void *)&hidden, size));
    TRY(sendto(sender, "one", 3, 0, (void *)&hidden, size));
    TRY(sendto(sender, "three", 5, 0, (void *)&hidden, size));
    length = sizeof other;
    SAY("datagram %ld", (long)recvfrom(receiver, text, 2, MSG_TRUNC, (void *)&other, &length));
    SAY(" from nobody %d\n", length == 0 || length == sizeof(sa_family_t));
    struct iovec parts[2] = {{text, 2}, {text + 50, 10}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    SAY("datagram %ld", (long)recvmsg(receiver, &message, 0));
    SAY(" %.2s %.3s\n", text, text + 50);
    TRY(recv(receiver, text, 1, MSG_DONTWAIT));
    TRY(socket(99, SOCK_STREAM, 0));
    TRY(socket(AF_UNIX, 77, 0));
    TRY(listen(sender, 1));
    return 0;
}
