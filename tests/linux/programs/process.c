/* What a process learns of itself and its surroundings. */
#include "check.h"
#include <sched.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int count, char **arguments) {
    char buffer[8192];
    for (int i = 1; i < count; i++)
        printf("argument %s\n", arguments[i]);
    TRUE(arguments[count] == NULL);
    printf("variable %s\n", getenv("ISOMORPH_TEST"));
    TRUE(((unsigned long)__builtin_frame_address(0) & 15) == 0);
    TRUE(getauxval(AT_PAGESZ) == 4096);
    TRUE(getauxval(AT_RANDOM) != 0);
    TRUE(getauxval(AT_UID) == getuid());
    TRUE(getauxval(AT_PHNUM) > 2);
    TRUE(getauxval(AT_HWCAP) & 1);
    printf("%s\n", strrchr((char *)getauxval(AT_EXECFN), '/') ? "a path" : "a name");
    TRUE(getpid() > 0 && getppid() > 0 && gettid() == getpid());
    TRUE(getuid() == geteuid() && getgid() == getegid());
    struct utsname names;
    CALL(uname(&names));
    printf("%s %s\n", names.sysname, names.machine);
    struct rlimit limit = {64, 128};
    CALL(setrlimit(RLIMIT_NOFILE, &limit));
    CALL(getrlimit(RLIMIT_NOFILE, &limit));
    printf("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    limit.rlim_max = 64, limit.rlim_cur = 65;
    CALL(setrlimit(RLIMIT_NOFILE, &limit));
    CALL(dup2(1, 64));
    struct rusage used;
    CALL(getrusage(RUSAGE_SELF, &used));
    CALL(getrusage(77, &used));
    struct sysinfo system_state;
    CALL(sysinfo(&system_state));
    TRUE(system_state.totalram > 0 && system_state.mem_unit > 0);
    struct tms spent;
    TRUE(times(&spent) > 0);
    struct timeval now;
    CALL(gettimeofday(&now, 0));
    TRUE(labs(now.tv_sec - time(0)) < 2);
    struct timespec first, second;
    CALL(clock_gettime(CLOCK_MONOTONIC, &first));
    struct timespec little = {0, 2000000};
    CALL(nanosleep(&little, 0));
    CALL(clock_gettime(CLOCK_MONOTONIC, &second));
    TRUE((second.tv_sec - first.tv_sec) * 1000000000 + second.tv_nsec - first.tv_nsec >= 2000000);
    CALL(clock_getres(CLOCK_REALTIME, &first));
    printf("%ld %ld\n", (long)first.tv_sec, first.tv_nsec);
    CALL(clock_gettime(77, &first));
    little.tv_nsec = 1000000000;
    CALL(nanosleep(&little, 0));
    CALL(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &second, 0));
    CALL(sched_yield());
    cpu_set_t cpus;
    CALL(sched_getaffinity(0, sizeof cpus, &cpus));
    TRUE(CPU_COUNT(&cpus) > 0);
    CALL(getrandom(buffer, 16, 0));
    CALL(getrandom(buffer, 16, 77));
    CALL(syscall(9999, 1, 2));
    CALL(wait(0));
    CALL(readlink("/proc/self/exe", buffer, sizeof buffer) > 0);
    int fd = open("/proc/self/maps", O_RDONLY);
    long got = read(fd, buffer, sizeof buffer - 1);
    buffer[got < 0 ? 0 : got] = 0;
    TRUE(strstr(buffer, "[stack]") && !strstr(buffer, "python"));
    CALL(close(fd));
    fd = open("/proc/self/cmdline", O_RDONLY);
    got = read(fd, buffer, sizeof buffer);
    TRUE(got > 0 && !strcmp(buffer, arguments[0]));
    return 42;
}
