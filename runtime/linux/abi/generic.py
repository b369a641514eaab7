"""Linux's asm-generic numbers, flags and structures, which guests newer than about 2008 share."""

from __future__ import annotations

from runtime.linux.abi.model import numbered, table

#: asm-generic/unistd.h of Linux 6.1 for 64-bit guests; renameat (38) is left to the guests that kept it
NUMBERS = numbered("""
    0 io_setup io_destroy io_submit io_cancel io_getevents setxattr lsetxattr fsetxattr getxattr lgetxattr
    10 fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr getcwd lookup_dcookie
    19 eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl inotify_init1 inotify_add_watch inotify_rm_watch
    29 ioctl ioprio_set ioprio_get flock mknodat mkdirat unlinkat symlinkat linkat
    39 umount2 mount pivot_root nfsservctl statfs fstatfs truncate ftruncate fallocate faccessat chdir
    50 fchdir chroot fchmod fchmodat fchownat fchown openat close vhangup pipe2
    60 quotactl getdents64 lseek read write readv writev pread64 pwrite64 preadv
    70 pwritev sendfile pselect6 ppoll signalfd4 vmsplice splice tee readlinkat newfstatat
    80 fstat sync fsync fdatasync sync_file_range timerfd_create timerfd_settime timerfd_gettime utimensat acct
    90 capget capset personality exit exit_group waitid set_tid_address unshare futex set_robust_list
    100 get_robust_list nanosleep getitimer setitimer kexec_load init_module delete_module timer_create
    108 timer_gettime timer_getoverrun timer_settime timer_delete clock_settime clock_gettime clock_getres
    115 clock_nanosleep syslog ptrace sched_setparam sched_setscheduler
    120 sched_getscheduler sched_getparam sched_setaffinity sched_getaffinity sched_yield sched_get_priority_max
    126 sched_get_priority_min sched_rr_get_interval restart_syscall kill
    130 tkill tgkill sigaltstack rt_sigsuspend rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait
    138 rt_sigqueueinfo rt_sigreturn setpriority getpriority reboot setregid setgid setreuid setuid setresuid
    148 getresuid setresgid getresgid setfsuid setfsgid times setpgid getpgid getsid setsid getgroups setgroups
    160 uname sethostname setdomainname getrlimit setrlimit getrusage umask prctl getcpu gettimeofday
    170 settimeofday adjtimex getpid getppid getuid geteuid getgid getegid gettid sysinfo
    180 mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd
    190 semget semctl semtimedop semop shmget shmctl shmat shmdt socket socketpair
    200 bind listen accept connect getsockname getpeername sendto recvfrom setsockopt getsockopt
    210 shutdown sendmsg recvmsg readahead brk munmap mremap add_key request_key keyctl
    220 clone execve mmap fadvise64 swapon swapoff mprotect msync mlock munlock
    230 mlockall munlockall mincore madvise remap_file_pages mbind get_mempolicy set_mempolicy migrate_pages
    239 move_pages rt_tgsigqueueinfo perf_event_open accept4 recvmmsg
    260 wait4 prlimit64 fanotify_init fanotify_mark name_to_handle_at open_by_handle_at clock_adjtime syncfs setns
    269 sendmmsg process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr renameat2 seccomp
    278 getrandom memfd_create bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
    288 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq kexec_file_load
    424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount
    430 fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
    440 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule
    446 landlock_restrict_self memfd_secret process_mrelease futex_waitv
    450 set_mempolicy_home_node
""")

#: calls that a 32-bit guest made after 2020 does not have: their time is 32 bits wide, or a 64-bit form replaced them
_TIME32 = numbered(
    "clock_gettime clock_settime clock_adjtime clock_getres clock_nanosleep timer_gettime timer_settime "
    "timerfd_gettime timerfd_settime utimensat pselect6 ppoll io_pgetevents recvmmsg mq_timedsend "
    "mq_timedreceive semtimedop rt_sigtimedwait futex sched_rr_get_interval nanosleep "
    "gettimeofday settimeofday adjtimex wait4 io_getevents getrlimit setrlimit fcntl statfs fstatfs truncate ftruncate "
    "lseek sendfile newfstatat fstat mmap fadvise64"
)
#: asm-generic/unistd.h for 32-bit guests with a 64-bit time_t
NUMBERS_32 = table(
    {name: number for name, number in NUMBERS.items() if name not in _TIME32},
    numbered("""
    25 fcntl64
    43 statfs64 fstatfs64 truncate64 ftruncate64
    62 _llseek
    71 sendfile64
    222 mmap2 fadvise64_64
    403 clock_gettime64 clock_settime64 clock_adjtime64 clock_getres_time64 clock_nanosleep_time64
    408 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 utimensat_time64
    413 pselect6_time64 ppoll_time64
    416 io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64
    421 rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64
    """),
)

CONSTANTS = table(
    # asm-generic/fcntl.h
    {
        "O_ACCMODE": 3,
        "O_RDONLY": 0,
        "O_WRONLY": 1,
        "O_RDWR": 2,
        "O_CREAT": 0o100,
        "O_EXCL": 0o200,
        "O_NOCTTY": 0o400,
        "O_TRUNC": 0o1000,
        "O_APPEND": 0o2000,
        "O_NONBLOCK": 0o4000,
        "O_DSYNC": 0o10000,
        "O_ASYNC": 0o20000,
        "O_DIRECT": 0o40000,
        "O_LARGEFILE": 0o100000,
        "O_DIRECTORY": 0o200000,
        "O_NOFOLLOW": 0o400000,
        "O_NOATIME": 0o1000000,
        "O_CLOEXEC": 0o2000000,
        "O_SYNC": 0o4010000,
        "O_PATH": 0o10000000,
        "O_TMPFILE": 0o20200000,
    },
    # asm-generic/mman.h
    {
        "MAP_SHARED": 1,
        "MAP_PRIVATE": 2,
        "MAP_SHARED_VALIDATE": 3,
        "MAP_FIXED": 0x10,
        "MAP_ANONYMOUS": 0x20,
        "MAP_GROWSDOWN": 0x100,
        "MAP_DENYWRITE": 0x800,
        "MAP_EXECUTABLE": 0x1000,
        "MAP_LOCKED": 0x2000,
        "MAP_NORESERVE": 0x4000,
        "MAP_POPULATE": 0x8000,
        "MAP_NONBLOCK": 0x10000,
        "MAP_STACK": 0x20000,
        "MAP_HUGETLB": 0x40000,
        "MAP_SYNC": 0x80000,
        "MAP_FIXED_NOREPLACE": 0x100000,
    },
    # asm-generic/signal.h
    numbered("""
    1 SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
    16 SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH
    29 SIGIO SIGPWR SIGSYS
    0 SIG_BLOCK SIG_UNBLOCK SIG_SETMASK
    """),
    {
        "SA_NOCLDSTOP": 1,
        "SA_NOCLDWAIT": 2,
        "SA_SIGINFO": 4,
        "SA_ONSTACK": 0x08000000,
        "SA_RESTART": 0x10000000,
        "SA_NODEFER": 0x40000000,
        "SA_RESETHAND": 0x80000000,
    },
    # asm-generic/ioctls.h
    {
        "TCGETS": 0x5401,
        "TCSETS": 0x5402,
        "TCSETSW": 0x5403,
        "TCSETSF": 0x5404,
        "TCSBRK": 0x5409,
        "TCXONC": 0x540A,
        "TCFLSH": 0x540B,
        "TIOCEXCL": 0x540C,
        "TIOCNXCL": 0x540D,
        "TIOCSCTTY": 0x540E,
        "TIOCGPGRP": 0x540F,
        "TIOCSPGRP": 0x5410,
        "TIOCOUTQ": 0x5411,
        "TIOCGWINSZ": 0x5413,
        "TIOCSWINSZ": 0x5414,
        "FIONREAD": 0x541B,
        "TIOCPKT": 0x5420,
        "FIONBIO": 0x5421,
        "TIOCNOTTY": 0x5422,
        "TIOCGETD": 0x5424,
        "TCSBRKP": 0x5425,
        "TIOCSBRK": 0x5427,
        "TIOCCBRK": 0x5428,
        "TIOCGSID": 0x5429,
        "TCGETS2": 0x802C542A,
        "TCSETS2": 0x402C542B,
        "TCSETSW2": 0x402C542C,
        "TCSETSF2": 0x402C542D,
        "TIOCGPTN": 0x80045430,
        "TIOCSPTLCK": 0x40045431,
        "TIOCGPKT": 0x80045438,
        "TIOCGPTLCK": 0x80045439,
        "TIOCGEXCL": 0x80045440,
        "TIOCGPTPEER": 0x5441,
        "FIONCLEX": 0x5450,
        "FIOCLEX": 0x5451,
    },
    # asm-generic/resource.h
    numbered("""
    0 RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE RLIMIT_MEMLOCK
    9 RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_RTTIME
    """),
)

_UTSNAME = " ".join(f"{name}:char65" for name in ("sysname", "nodename", "release", "version", "machine", "domainname"))

#: siginfo_t's _kill and _rt, _timer, _sigchld and _sigpoll; where pointers are 8 bytes a hole is before them
_SIGINFO = {
    "siginfo_kill": "pid:s32 uid:u32 value:ptr",
    "siginfo_timer": "tid:s32 overrun:s32 value:ptr",
    "siginfo_child": "pid:s32 uid:u32 status:s32 utime:long stime:long",
    "siginfo_poll": "band:long fd:s32",
}

#: structures whose layout depends on nothing but the width of a long
STRUCTS: dict[str, str] = {
    # asm-generic/stat.h
    "stat": "dev:ulong ino:ulong mode:u32 nlink:u32 uid:u32 gid:u32 rdev:ulong pad1:ulong size:long blksize:s32 "
    "pad2:s32 blocks:long atime:long atime_nsec:ulong mtime:long mtime_nsec:ulong ctime:long ctime_nsec:ulong "
    "unused4:u32 unused5:u32",
    # linux/stat.h
    "statx": "mask:u32 blksize:u32 attributes:u64 nlink:u32 uid:u32 gid:u32 mode:u16 spare0:u16 ino:u64 size:u64 "
    "blocks:u64 attributes_mask:u64 atime:s64 atime_nsec:u32 pad1:s32 btime:s64 btime_nsec:u32 pad2:s32 ctime:s64 "
    "ctime_nsec:u32 pad3:s32 mtime:s64 mtime_nsec:u32 pad4:s32 rdev_major:u32 rdev_minor:u32 dev_major:u32 "
    "dev_minor:u32 mnt_id:u64 dio_mem_align:u32 dio_offset_align:u32 spare3:char96",
    # asm-generic/statfs.h
    "statfs": "type:long bsize:long blocks:ulong bfree:ulong bavail:ulong files:ulong ffree:ulong fsid:s32 "
    "fsid_high:s32 namelen:long frsize:long flags:long spare0:long spare1:long spare2:long spare3:long",
    "statfs64": "type:ulong bsize:ulong blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 fsid:s32 fsid_high:s32 "
    "namelen:ulong frsize:ulong flags:ulong spare0:ulong spare1:ulong spare2:ulong spare3:ulong",
    "utsname": _UTSNAME,
    # linux/time.h, linux/time_types.h: timespec is the one of this guest's clock_gettime
    "timespec": "sec:s64 nsec:long",
    "timeval": "sec:long usec:long",
    "timezone": "minuteswest:s32 dsttime:s32",
    "tms": "utime:long stime:long cutime:long cstime:long",
    # linux/resource.h
    "rusage": "utime:long utime_usec:long stime:long stime_usec:long maxrss:long ixrss:long idrss:long isrss:long "
    "minflt:long majflt:long nswap:long inblock:long oublock:long msgsnd:long msgrcv:long nsignals:long nvcsw:long "
    "nivcsw:long",
    "rlimit": "cur:ulong max:ulong",
    "rlimit64": "cur:u64 max:u64",
    # linux/sysinfo.h
    "sysinfo": "uptime:long load1:ulong load5:ulong load15:ulong totalram:ulong freeram:ulong sharedram:ulong "
    "bufferram:ulong totalswap:ulong freeswap:ulong procs:u16 pad:u16 totalhigh:ulong freehigh:ulong mem_unit:u32",
    # sys/uio.h
    "iovec": "base:ptr len:ulong",
    # asm-generic/fcntl.h: flock of a 64-bit guest, flock64 of a 32-bit one
    "flock": "type:s16 whence:s16 start:s64 len:s64 pid:s32",
    "pollfd": "fd:s32 events:s16 revents:s16",
    "int": "value:s32",
    # linux/dirent.h; the name follows d_type
    "dirent64": "ino:u64 off:s64 reclen:u16 type:u8",
    # asm-generic/termbits.h
    "termios": "iflag:u32 oflag:u32 cflag:u32 lflag:u32 line:u8 cc:char19",
    "termios2": "iflag:u32 oflag:u32 cflag:u32 lflag:u32 line:u8 cc:char19 ispeed:u32 ospeed:u32",
    "winsize": "row:u16 col:u16 xpixel:u16 ypixel:u16",
    # asm-generic/signal.h; the set is two words on a 32-bit guest
    "stack": "sp:ptr flags:s32 size:ulong",
    # asm-generic/siginfo.h: the union's _sigfault
    "siginfo_fault": "signo:s32 errno:s32 code:s32 address:ptr",
    **{name: f"signo:s32 errno:s32 code:s32 {members}" for name, members in _SIGINFO.items()},
    # linux/eventpoll.h, linux/socket.h, asm-generic/siginfo.h (the union's members that are used)
    "epoll_event": "events:u32 data:u64",
    "msghdr": "name:ptr namelen:s32 iov:ptr iovlen:ulong control:ptr controllen:ulong flags:u32",
    "cmsghdr": "len:ulong level:s32 type:s32",
    "sigevent": "value:ptr signo:s32 notify:s32 tid:s32 pad:char44",
    "itimerval": "interval:long interval_usec:long value:long value_usec:long",
    "itimerspec": "interval:s64 interval_nsec:s64 value:s64 value_nsec:s64",
    # linux/sched.h
    "clone_args": "flags:u64 pidfd:u64 child_tid:u64 parent_tid:u64 exit_signal:u64 stack:u64 stack_size:u64 tls:u64",
}
STRUCTS_64 = {
    **STRUCTS,
    **{name: f"signo:s32 errno:s32 code:s32 pad:s32 {members}" for name, members in _SIGINFO.items()},
    "sigaction": "handler:ptr flags:ulong mask:u64",
    "sigset": "mask:u64",
}
STRUCTS_32 = {
    **STRUCTS,
    "sigaction": "handler:ptr flags:ulong mask:u32 mask_high:u32",
    "old_sigaction": "handler:ptr mask:u32 flags:ulong restorer:ptr",  # of those that have sigaction, too
    "sigset": "mask:u32 mask_high:u32",
    "timespec": "sec:s64 nsec:s64",  # __kernel_timespec
    "timespec32": "sec:s32 nsec:s32",
    "itimerspec32": "interval:s32 interval_nsec:s32 value:s32 value_nsec:s32",
    "sysinfo": STRUCTS["sysinfo"] + " spare:char8",
}
