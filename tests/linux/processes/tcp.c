/* TCP and UDP over the loopback between processes, IPv4 and IPv6. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void serve(int listener, int clients) {
    while (clients--) {
        int one = accept4(listener, 0, 0, SOCK_CLOEXEC);
        if (!fork()) {
            char buffer[4096];
            long got;
            while ((got = read(one, buffer, sizeof buffer)) > 0)
                for (long done = 0; done < got;)
                    done += write(one, buffer + done, got - done);
            _exit(0);
        }
        close(one);
    }
    while (wait(0) > 0)
        ;
    _exit(3);
}

static void talk(int family, struct sockaddr *address, socklen_t size) {
    int listener = socket(family, SOCK_STREAM, 0), on = 1, status;
    if (listener < 0 || bind(listener, address, size) < 0) {
        SAY("no such family here\n");
        return;
    }
    TRY(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    TRY(listen(listener, 8));
    TRY(getsockname(listener, address, &size));
    SAY("size %d\n", size);
    pid_t server = fork();
    if (!server)
        serve(listener, 4);
    close(listener);
    for (int client = 0; client < 4; client++) {
        int one = socket(family, SOCK_STREAM, 0);
        TRY(connect(one, address, size));
        setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        socklen_t length = sizeof on;
        int no_delay = 0;
        getsockopt(one, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length);
        static char data[50000], back[50000];
        for (int i = 0; i < 50000; i++)
            data[i] = i * 7 + client;
        pid_t writer = fork();
        if (!writer) {
            for (long done = 0; done < 50000;)
                done += send(one, data + done, 50000 - done, 0);
            shutdown(one, SHUT_WR);
            _exit(0);
        }
        long total = 0, got;
        while ((got = recv(one, back + total, 50000 - total, 0)) > 0)
            total += got;
        waitpid(writer, 0, 0);
        SAY("client %d: %ld back, equal %d, no delay %d\n", client, total, !memcmp(data, back, 50000), no_delay);
        close(one);
    }
    waitpid(server, &status, 0);
    tell("server", status);
    TRY(connect(socket(family, SOCK_STREAM, 0), address, size));
}

int main(void) {
    struct sockaddr_in four = {AF_INET};
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    talk(AF_INET, (void *)&four, sizeof four);
    struct sockaddr_in6 six = {AF_INET6, .sin6_addr = in6addr_loopback};
    talk(AF_INET6, (void *)&six, sizeof six);

    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    four.sin_port = 0;
    socklen_t size = sizeof four;
    bind(receiver, (void *)&four, size);
    getsockname(receiver, (void *)&four, &size);
    TRY(recv(sender, &size, 1, 0));
    TRY(connect(sender, (void *)&four, sizeof four));
    struct mmsghdr messages[3] = {0};
    struct iovec parts[3] = {{"a", 1}, {"bcd", 3}, {"ef", 2}};
    for (int i = 0; i < 3; i++)
        messages[i].msg_hdr.msg_iov = &parts[i], messages[i].msg_hdr.msg_iovlen = 1;
    SAY("sendmmsg %d", sendmmsg(sender, messages, 3, 0));
    SAY(" %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    char text[3][10];
    for (int i = 0; i < 3; i++)
        parts[i] = (struct iovec){text[i], 10};
    SAY("recvmmsg %d", recvmmsg(receiver, messages, 3, MSG_WAITFORONE, 0));
    SAY(" %u %u %u %.3s\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len, text[1]);
    struct timeval moment = {0, 20000};
    TRY(setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment));
    TRY(recv(receiver, text, 1, 0));
    size = sizeof moment;
    TRY(getsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &moment, &size));
    SAY("timeout %d size %d\n", moment.tv_usec >= 19000 && moment.tv_usec <= 24000, size);
    int kind;
    size = sizeof kind;
    getsockopt(receiver, SOL_SOCKET, SO_TYPE, &kind, &size);
    SAY("type %d\n", kind == SOCK_DGRAM);
    TRY(getsockopt(receiver, SOL_SOCKET, 9999, &kind, &size));
    TRY(bind(receiver, (void *)&four, 3));
    TRY(send(1234, "", 0, 0));
    TRY(send(1, "", 0, 0));
    return 0;
}
