/* inotify: events of files and directories, renames with cookies, a watch removed, reads that do not fit, polling. */
#include "common.h"
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static int fd, watches[3];
static void events(const char *what) {
    char room[4096] __attribute__((aligned(8)));
    long got = read(fd, room, sizeof room);
    SAY("%s:\n", what);
    unsigned cookie = 0;
    for (long at = 0; at < got;) {
        struct inotify_event *event = (void *)(room + at);
        int which = event->wd == watches[0] ? 0 : event->wd == watches[1] ? 1 : event->wd == watches[2] ? 2 : -1;
        SAY("  watch %d mask %x name '%s' cookie %s\n", which, event->mask, event->len ? event->name : "",
            !event->cookie ? "none" : event->cookie == cookie ? "same" : "new");
        cookie = event->cookie;
        at += (long)sizeof *event + event->len;
    }
    if (got < 0)
        SAY("  %s\n", strerrorname_np(errno));
}
int main(void) {
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    mkdir("watched", 0700);
    watches[0] = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_CLOSE | IN_OPEN);
    events("nothing yet");
    int file = open("watched/one", O_RDWR | O_CREAT, 0600);
    write(file, "x", 1);
    close(file);
    events("a file");
    rename("watched/one", "watched/two");
    events("renamed");
    watches[1] = inotify_add_watch(fd, "watched/two", IN_ATTRIB | IN_DELETE_SELF | IN_ONESHOT);
    SAY("same watch %d\n", inotify_add_watch(fd, "watched/two", IN_ATTRIB | IN_DELETE_SELF) == watches[1]);
    chmod("watched/two", 0400);
    events("attributes");
    struct pollfd waiting = {fd, POLLIN};
    SAY("quiet %d\n", poll(&waiting, 1, 0));
    pid_t child = fork();
    if (!child)
        _exit(unlink("watched/two"));
    SAY("woken %d\n", poll(&waiting, 1, -1));
    reap("remover", child);
    char small[10];
    TRY(read(fd, small, sizeof small));
    events("removed");
    TRY(inotify_rm_watch(fd, watches[0]));
    events("no more");
    TRY(inotify_rm_watch(fd, 99));
    TRY(inotify_add_watch(fd, "missing", IN_OPEN));
    TRY(inotify_add_watch(fd, "watched", 0));
    TRY(inotify_add_watch(0, "watched", IN_OPEN));
    rmdir("watched");
    return 0;
}
