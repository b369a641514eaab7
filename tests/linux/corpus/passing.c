/* Unix sockets: descriptors and credentials passed, datagrams, sequenced packets, abstract names, peeking, errors.  oracle: linux */
#include "common.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static long send_descriptors(int to, const int *fds, int count, const char *text) {
    char room[CMSG_SPACE(sizeof(int) * 8)] = "";
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    errno = 0;
    return sendmsg(to, &message, 0);
}
static int receive(int from, int *fds, int flags, size_t room_size) {
    char room[CMSG_SPACE(sizeof(int) * 8)], text[40] = "";
    struct iovec part = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = room_size};
    long got = recvmsg(from, &message, flags);
    int count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_type == SCM_RIGHTS) {
            count = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(head), count * sizeof(int));
        } else if (head->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(head), sizeof who);
            SAY("credentials: %d %d %d\n", who.pid == getpid() || who.pid == getppid(), who.uid == getuid(), who.gid == getgid());
        } else
            SAY("type %d\n", head->cmsg_type);
    }
    SAY("received %ld '%s', %d descriptors, flags %x\n", got, text, count, message.msg_flags & ~MSG_CMSG_CLOEXEC);
    return count;
}
int main(void) {
    int pair[2], fds[8], ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pipe(ends);
    pid_t child = fork();
    if (!child) {
        int got[8];
        if (receive(pair[1], got, MSG_CMSG_CLOEXEC, CMSG_SPACE(sizeof got)) == 2) {
            SAY("close on exec %d\n", fcntl(got[0], F_GETFD));
            write(got[0], "from the child", 14);
            char text[20] = "";
            read(got[1], text, 19);
            SAY("file says %s\n", text);
        }
        _exit(0);
    }
    int file = open("passed.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    write(file, "contents", 8);
    lseek(file, 3, SEEK_SET);
    long sent = send_descriptors(pair[0], (int[]){ends[1], file}, 2, "two of them");
    reap("child", child);
    SAY("sent %ld\n", sent);
    char text[40] = "";
    TRY(read(ends[0], text, 39));
    SAY("%s, offset %ld\n", text, (long)lseek(file, 0, SEEK_CUR));
    TRY(send_descriptors(pair[0], (int[]){0, 1, 2, file}, 4, "more than fit"));
    int n = receive(pair[1], fds, 0, CMSG_SPACE(sizeof(int) * 2));
    for (int i = 0; i < n; i++)
        close(fds[i]);
    int bad = 99;
    TRY(send_descriptors(pair[0], &bad, 1, "bad"));
    int on = 1;
    WORKS(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    write(pair[0], "who", 3);
    receive(pair[1], fds, 0, 100);
    struct ucred peer;
    socklen_t size = sizeof peer;
    WORKS(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
    IS(peer.pid == getpid() && size == sizeof peer);
    struct sockaddr_un name = {AF_UNIX, "here.sock"}, from = {0};
    int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    unlink(name.sun_path);
    WORKS(bind(server, (struct sockaddr *)&name, sizeof name));
    TRY(bind(client, (struct sockaddr *)&name, sizeof name));
    struct sockaddr_un back = {AF_UNIX};
    int length = snprintf(back.sun_path + 1, 60, "corpus-%d", getpid());
    WORKS(bind(client, (struct sockaddr *)&back, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
    TRY(sendto(client, "datagram", 8, 0, (struct sockaddr *)&name, sizeof name));
    size = sizeof from;
    TRY(recvfrom(server, text, 4, MSG_PEEK, 0, 0));
    TRY(recvfrom(server, text, 4, MSG_TRUNC, (struct sockaddr *)&from, &size));
    IS(size == offsetof(struct sockaddr_un, sun_path) + 1 + length && from.sun_path[0] == 0);
    TRY(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, size));
    TRY(recv(client, text, 40, MSG_DONTWAIT));
    TRY(recv(client, text, 40, MSG_DONTWAIT));
    unlink(name.sun_path);
    TRY(sendto(client, "x", 1, 0, (struct sockaddr *)&name, sizeof name));
    int packets[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets);
    write(packets[0], "first", 5), write(packets[0], "second", 6);
    TRY(read(packets[1], text, 3));
    TRY(read(packets[1], text, 40));
    close(packets[0]);
    TRY(read(packets[1], text, 40));
    signal(SIGPIPE, SIG_IGN);
    TRY(write(packets[1], "x", 1));
    TRY(send(pair[0], "x", 1, MSG_OOB));
    TRY(shutdown(pair[0], SHUT_RD));
    TRY(read(pair[0], text, 1));
    unlink("passed.txt");
    return 0;
}
