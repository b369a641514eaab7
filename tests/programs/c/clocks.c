/* Time passes forward; sleeping sleeps; what is printed does not depend on when. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    long ns = (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
    printf("%d %d\n", ns >= 20000000, ns < 5000000000L);
    struct timeval tv;
    gettimeofday(&tv, NULL);
    time_t t = time(NULL);
    printf("%d %d\n", tv.tv_sec > 1600000000, t - tv.tv_sec <= 1);
    struct tm tm;
    time_t fixed = 1234567890;
    gmtime_r(&fixed, &tm);
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %j", &tm);
    puts(text);
    printf("%ld\n", (long)timegm(&tm));
    struct rlimit r;
    int status = getrlimit(RLIMIT_STACK, &r); // before the limit is looked at: arguments have no order
    printf("%d %d\n", status, r.rlim_cur > 100000);
    struct utsname u;
    uname(&u);
    printf("%s %s\n", u.sysname, u.machine);
    printf("%d %d %d\n", getpid() > 0, clock() >= 0, getuid() == geteuid());
    return 0;
}
