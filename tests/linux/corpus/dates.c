/* Dates: mktime and back over centuries, time zones by TZ rules, strftime and strptime, clocks that go forward. */
#include "common.h"
#include <sys/time.h>

static void show(time_t at) {
    struct tm parts;
    char text[100];
    localtime_r(&at, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z %z %a %b %j %U %V %G %e %I %p", &parts);
    SAY("%lld %s dst %d back %d\n", (long long)at, text, parts.tm_isdst, mktime(&parts) == at);
}
int main(void) {
    static const char *const zones[] = {"UTC0", "EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0530>-5:30", "NZST-12NZDT,M9.5.0,M4.1.0/3"};
    static const long long times[] = {0, 951782400, 1078012799, 1711846799, 1711846801, 1730595600, 4102444800, -2208988800, 253402300799};
    for (int i = 0; i < 5; i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        SAY("%s %s %s %ld\n", zones[i], tzname[0], tzname[1], timezone);
        for (int j = 0; j < 9; j++)
            show(times[j]);
    }
    struct tm parts = {.tm_year = 124, .tm_mon = 14, .tm_mday = -3, .tm_hour = 49, .tm_min = 61, .tm_isdst = -1};
    setenv("TZ", "UTC0", 1);
    tzset();
    time_t normal = mktime(&parts);
    SAY("%lld %s", (long long)normal, asctime(&parts));
    unsigned long hash = 0;
    for (time_t t = -86400L * 366 * 400; t < 86400L * 366 * 400; t += 86400L * 97 + 12345) {
        gmtime_r(&t, &parts);
        hash = hash * 31 + parts.tm_yday * 7 + parts.tm_wday + parts.tm_year;
        if (timegm(&parts) != t)
            SAY("%lld does not come back\n", (long long)t);
    }
    SAY("%lx\n", hash);
    memset(&parts, 0, sizeof parts);
    SAY("[%s]", strptime("Tue 29 Feb 2000 11:22:33 PM rest", "%a %d %b %Y %I:%M:%S %p", &parts));
    SAY(" %d %d %d %d\n", parts.tm_year, parts.tm_yday, parts.tm_hour, parts.tm_wday);
    SAY("%g %s\n", difftime(1000, 1), strptime("nonsense", "%Y", &parts) ? "?" : "not parsed");
    struct timespec before, after;
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
    for (int i = 0; i < 5; i++) {
        clock_gettime(clocks[i], &before);
        for (volatile int n = 0; n < 10000; n++)
            ;
        clock_gettime(clocks[i], &after);
        SAY("%d", after.tv_sec > before.tv_sec || (after.tv_sec == before.tv_sec && after.tv_nsec >= before.tv_nsec));
        SAY("%d ", clock_getres(clocks[i], &before) == 0 && before.tv_sec == 0);
    }
    struct timeval now;
    gettimeofday(&now, 0);
    SAY("%d %d\n", now.tv_sec - time(0) <= 1 && time(0) - now.tv_sec <= 1, clock() != -1);
    TRY(clock_gettime(77, &before));
    TRY(nanosleep(&(struct timespec){0, 1000000000}, 0));
    return 0;
}
