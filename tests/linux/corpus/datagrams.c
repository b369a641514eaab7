/* UDP on the loopback: connected and not, truncation, sendmmsg, options, errors that come back, IPv6. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int make(int family, struct sockaddr_storage *name, socklen_t *size) {
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(name, 0, sizeof *name);
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)name;
        in->sin_family = AF_INET, in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *size = sizeof *in;
    } else {
        struct sockaddr_in6 *in = (void *)name;
        in->sin6_family = AF_INET6, in->sin6_addr = in6addr_loopback;
        *size = sizeof *in;
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)name, *size) < 0)
        return -1;
    getsockname(fd, (struct sockaddr *)name, size);
    return fd;
}
int main(void) {
    struct sockaddr_storage one_name, two_name, from;
    socklen_t one_size, two_size, size = sizeof from;
    int one = make(AF_INET, &one_name, &one_size), two = make(AF_INET, &two_name, &two_size);
    char text[100] = "";
    TRY(sendto(one, "hello", 5, 0, (struct sockaddr *)&two_name, two_size));
    TRY(recvfrom(two, text, sizeof text, 0, (struct sockaddr *)&from, &size));
    IS(!memcmp(&from, &one_name, sizeof(struct sockaddr_in)));
    SAY("%s %d\n", text, (int)size);
    TRY(send(one, "x", 1, 0));
    TRY(connect(one, (struct sockaddr *)&two_name, two_size));
    for (int i = 1; i < 6; i++)
        send(one, "0123456789", i * 2, 0);
    int waiting;
    ioctl(two, FIONREAD, &waiting);
    SAY("first waiting %d\n", waiting);
    TRY(recv(two, text, 100, MSG_PEEK));
    TRY(recv(two, text, 1, 0));
    TRY(recv(two, text, 2, MSG_TRUNC));
    struct iovec parts[4];
    struct mmsghdr several[4] = {0};
    for (int i = 0; i < 4; i++) {
        parts[i].iov_base = text + i * 20, parts[i].iov_len = 20;
        several[i].msg_hdr.msg_iov = parts + i, several[i].msg_hdr.msg_iovlen = 1;
    }
    TRY(recvmmsg(two, several, 4, MSG_DONTWAIT, 0));
    SAY("%u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    TRY(sendmmsg(one, several, 3, 0));
    TRY(recv(two, text, 100, 0));
    TRY(recv(two, text, 100, 0));
    TRY(recv(two, text, 100, MSG_DONTWAIT));
    TRY(recv(two, text, 100, MSG_DONTWAIT));
    int value = 0;
    size = sizeof value;
    getsockopt(one, SOL_SOCKET, SO_TYPE, &value, &size);
    SAY("type %d size %d\n", value, (int)size);
    getsockopt(one, SOL_SOCKET, SO_DOMAIN, &value, &size);
    SAY("domain %d\n", value);
    value = 1;
    WORKS(setsockopt(one, SOL_SOCKET, SO_BROADCAST, &value, sizeof value));
    getsockopt(one, SOL_SOCKET, SO_BROADCAST, &value, &size);
    SAY("broadcast %d\n", value);
    value = 42;
    WORKS(setsockopt(one, IPPROTO_IP, IP_TTL, &value, sizeof value));
    value = 0;
    getsockopt(one, IPPROTO_IP, IP_TTL, &value, &size);
    SAY("ttl %d\n", value);
    struct timeval wait = {0, 1000};
    WORKS(setsockopt(two, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
    TRY(recv(two, text, 100, 0));
    close(two);
    TRY(send(one, "nobody", 6, 0));
    struct pollfd error = {one, POLLIN};
    poll(&error, 1, -1);
    TRY(recv(one, text, 100, 0));
    struct sockaddr none = {AF_UNSPEC};
    WORKS(connect(one, &none, sizeof none));
    TRY(getpeername(one, (struct sockaddr *)&from, &size));
    static char large[70000];
    TRY(sendto(one, large, 70000, 0, (struct sockaddr *)&two_name, two_size));
    TRY(sendto(one, "x", 1, 0, (struct sockaddr *)&two_name, 3));
    TRY(listen(one, 1));
    int six = make(AF_INET6, &two_name, &two_size);
    if (six >= 0) {
        char name[64];
        sendto(six, "six", 3, 0, (struct sockaddr *)&two_name, two_size);
        size = sizeof from;
        long got = recvfrom(six, text, 100, 0, (struct sockaddr *)&from, &size);
        if (got != 3 || strcmp(inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&from)->sin6_addr, name, sizeof name), "::1"))
            SAY("IPv6 is wrong: %ld\n", got);
    }
    return 0;
}
