/* Resource limits, priorities, scheduling, usage, identity, affinity, prctl, sysconf and uname.  oracle: linux */
#include "common.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

int main(void) {
    struct rlimit limit, old;
    getrlimit(RLIMIT_NOFILE, &old);
    limit.rlim_cur = 20, limit.rlim_max = old.rlim_max;
    WORKS(setrlimit(RLIMIT_NOFILE, &limit));
    int last = -1, fd;
    while ((fd = dup(1)) >= 0)
        last = fd;
    SAY("last %d: %s\n", last, strerrorname_np(errno));
    TRY(fcntl(1, F_DUPFD, 50));
    TRY(dup2(1, 30));
    SAY("%ld\n", sysconf(_SC_OPEN_MAX));
    close(last);
    limit.rlim_cur = 21, limit.rlim_max = 20;
    TRY(setrlimit(RLIMIT_NOFILE, &limit));
    TRY(getrlimit(99, &limit));
    limit.rlim_cur = limit.rlim_max = 4096;
    pid_t child = fork();
    if (!child) {
        prlimit(0, RLIMIT_DATA, &limit, 0);
        getrlimit(RLIMIT_DATA, &limit);
        SAY("data %ld\n", (long)limit.rlim_cur);
        _exit(sbrk(1 << 20) == (void *)-1 ? 7 : 8);
    }
    reap("no heap", child);
    if (!(child = fork())) {
        limit.rlim_cur = limit.rlim_max = 0;
        setrlimit(RLIMIT_CORE, &limit);
        struct rlimit few = {0, 0};
        prlimit(0, RLIMIT_CORE, 0, &few);
        _exit(few.rlim_max == 0 ? 3 : 4);
    }
    reap("core", child);
    errno = 0;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    SAY("%s\n", errno ? strerrorname_np(errno) : "has a priority");
    WORKS(setpriority(PRIO_PROCESS, 0, nice_before < 15 ? nice_before + 4 : 19));
    SAY("priority %d\n", getpriority(PRIO_PROCESS, 0) - nice_before);
    TRY(getpriority(9, 0));
    TRY(getpriority(PRIO_PROCESS, 1 << 22));
    TRY(sched_yield());
    TRY(sched_getscheduler(0));
    TRY(sched_get_priority_max(SCHED_FIFO));
    TRY(sched_get_priority_min(SCHED_RR));
    struct sched_param parameter = {7};
    WORKS(sched_getparam(0, &parameter));
    SAY("%d\n", parameter.sched_priority);
    cpu_set_t set;
    CPU_ZERO(&set);
    WORKS(sched_getaffinity(0, sizeof set, &set) < 0 ? -1 : 0);
    IS(CPU_COUNT(&set) > 0);
    WORKS(sched_setaffinity(0, sizeof set, &set));
    struct rusage usage;
    WORKS(getrusage(RUSAGE_SELF, &usage));
    IS(usage.ru_maxrss > 0 && usage.ru_utime.tv_sec < 1000);
    TRY(getrusage(7, &usage));
    char name[20] = "";
    WORKS(prctl(PR_SET_NAME, "a name too long for it"));
    prctl(PR_GET_NAME, name);
    SAY("%s\n", name);
    TRY(prctl(PR_GET_DUMPABLE));
    TRY(prctl(99999, 0, 0, 0, 0));
    struct utsname machine;
    uname(&machine);
    SAY("%s\n", machine.sysname);
    SAY("%ld %ld\n", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK));
    IS(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && sysconf(_SC_PHYS_PAGES) > 0);
    uid_t real, effective, saved;
    WORKS(getresuid(&real, &effective, &saved));
    IS(real == getuid() && effective == geteuid());
    WORKS(setreuid(-1, effective));
    WORKS(setresgid(-1, getegid(), -1));
    TRY(setpgid(0, 0));
    IS(getpgrp() == getpid());
    TRY(setsid());
    TRY(getsid(1 << 22));
    IS(getpgid(0) == getpid());
    gid_t groups[100];
    IS(getgroups(100, groups) >= 0);
    void *memory = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WORKS(mlock(memory, 4096));
    WORKS(munlock(memory, 4096));
    unsigned char resident[2];
    WORKS(mincore(memory, 8192, resident));
    return 0;
}
