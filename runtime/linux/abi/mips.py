"""MIPS, 32-bit, big-endian: the o32 ABI of Linux (arch/mips of Linux 6.1), older than asm-generic and unlike it."""

from __future__ import annotations

import errno
import struct

from runtime.core.light import MappingProxyType
from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, FaultByCode, ProgramMode, SignalFrame, SystemCall, numbered, table

#: arch/mips/kernel/traps.c: do_trap_or_bp, where the codes are those of break and trap instructions
_TRAPS = FaultByCode(
    {6: Fault("SIGFPE", "FPE_INTOVF"), 7: Fault("SIGFPE", "FPE_INTDIV")}, Fault("SIGTRAP", "SI_KERNEL")
)
#: force_fcr31_sig, by the exception raised
_REAL = {16: "FPE_FLTINV", 8: "FPE_FLTDIV", 4: "FPE_FLTOVF", 2: "FPE_FLTUND", 1: "FPE_FLTRES"}

#: the exceptions of specs/mips32.isa
EXCEPTIONS: dict[str, SystemCall | Fault | FaultByCode] = {
    "Syscall": SystemCall(length=4),
    "LoadMiss": Fault("SIGSEGV", "SEGV", "arg0"),
    "StoreMiss": Fault("SIGSEGV", "SEGV", "arg0"),
    "LoadAddress": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "StoreAddress": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "Illegal": Fault("SIGILL", "ILL_ILLOPC"),
    "Coprocessor": Fault("SIGILL", "ILL_ILLOPC"),
    "Overflow": Fault("SIGFPE", "FPE_INTOVF"),
    "Break": _TRAPS,
    "Trap": _TRAPS,
    "FloatingPoint": FaultByCode(
        {code: Fault("SIGFPE", name) for code, name in _REAL.items()}, Fault("SIGFPE", "FPE_FLTINV")
    ),
}

#: arch/mips/include/uapi/asm/unistd.h, less what the C library has not called for twenty years
NUMBERS = numbered("""
    4000 syscall exit fork read write open close waitpid creat link unlink execve chdir time mknod chmod lchown
    4019 lseek getpid mount 4023 setuid getuid 4026 ptrace alarm 4029 pause 4033 access nice 4036 sync kill rename
    mkdir rmdir dup pipe times 4045 brk setgid getgid 4049 geteuid getegid 4052 umount2 4054 ioctl 4057 setpgid
    4060 umask chroot 4063 dup2 getppid getpgrp setsid 4070 setreuid setregid 4074 sethostname setrlimit getrlimit
    getrusage gettimeofday settimeofday getgroups setgroups 4083 symlink 4085 readlink 4087 swapon reboot
    4091 munmap truncate ftruncate fchmod fchown getpriority setpriority 4102 socketcall syslog setitimer getitimer
    4111 vhangup 4114 wait4 swapoff sysinfo ipc fsync 4120 clone setdomainname uname 4124 adjtimex mprotect
    4128 init_module delete_module 4131 quotactl getpgid fchdir 4136 personality 4138 setfsuid setfsgid _llseek
    4143 flock msync readv writev cacheflush 4149 sysmips 4151 getsid fdatasync 4154 mlock munlock mlockall munlockall
    sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_yield sched_get_priority_max
    sched_get_priority_min sched_rr_get_interval nanosleep mremap accept bind connect getpeername getsockname
    getsockopt listen recv recvfrom recvmsg send sendmsg sendto setsockopt shutdown socket socketpair setresuid
    getresuid 4188 poll 4190 setresgid getresgid prctl rt_sigreturn rt_sigaction rt_sigprocmask rt_sigpending
    rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend pread64 pwrite64 chown getcwd capget capset sigaltstack 4210 mmap2
    truncate64 ftruncate64 stat64 lstat64 fstat64 pivot_root mincore madvise getdents64 fcntl64 4222 gettid
    readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr
    lremovexattr fremovexattr tkill sendfile64 futex sched_setaffinity sched_getaffinity io_setup io_destroy
    io_getevents io_submit io_cancel exit_group lookup_dcookie epoll_create epoll_ctl epoll_wait remap_file_pages
    set_tid_address restart_syscall fadvise64_64 statfs64 fstatfs64 timer_create timer_settime timer_gettime
    timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep tgkill 4268 mbind
    get_mempolicy set_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr 4278 waitid
    4280 add_key request_key keyctl set_thread_area inotify_init inotify_add_watch inotify_rm_watch migrate_pages
    openat mkdirat mknodat fchownat 4293 fstatat64 unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat
    pselect6 ppoll unshare splice sync_file_range tee vmsplice move_pages set_robust_list get_robust_list kexec_load
    getcpu epoll_pwait ioprio_set ioprio_get utimensat signalfd 4319 eventfd fallocate timerfd_create
    timerfd_gettime timerfd_settime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev
    rt_tgsigqueueinfo perf_event_open accept4 recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at
    open_by_handle_at clock_adjtime syncfs sendmmsg setns process_vm_readv process_vm_writev kcmp finit_module
    sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat userfaultfd membarrier mlock2
    copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx rseq io_pgetevents 4393 semget semctl
    shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl clock_gettime64 clock_settime64 clock_adjtime64
    clock_getres_time64 clock_nanosleep_time64 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64
    utimensat_time64 pselect6_time64 ppoll_time64 4416 io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64
    mq_timedreceive_time64 semtimedop_time64 rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount
    fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
    quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self 4448 process_mrelease futex_waitv
    set_mempolicy_home_node
""")

#: arch/mips/include/uapi/asm/errno.h, where it is not asm-generic's
_ERRORS = numbered("""
    35 ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EDEADLK ENOLCK 50 EBADE EBADR EXFULL
    ENOANO EBADRQC EBADSLT EDEADLOCK 74 EMULTIHOP 77 EBADMSG ENAMETOOLONG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC
    ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ENOSYS ELOOP ERESTART ESTRPIPE ENOTEMPTY EUSERS ENOTSOCK EDESTADDRREQ
    EMSGSIZE EPROTOTYPE ENOPROTOOPT 120 EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT
    EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN EUCLEAN
    137 ENOTNAM ENAVAIL EISNAM EREMOTEIO 143 ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH
    EALREADY EINPROGRESS ESTALE 158 ECANCELED ENOMEDIUM EMEDIUMTYPE ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED
    EOWNERDEAD ENOTRECOVERABLE ERFKILL 1133 EDQUOT
""")
ERRORS = MappingProxyType({getattr(errno, name): number for name, number in _ERRORS.items()})

CONSTANTS = table(
    {name: value for name, value in generic.CONSTANTS.items() if name[:3] not in ("SIG", "TIO", "TCG")},
    # arch/mips/include/uapi/asm/fcntl.h
    {
        "O_APPEND": 0x8,
        "O_DSYNC": 0x10,
        "O_NONBLOCK": 0x80,
        "O_CREAT": 0x100,
        "O_TRUNC": 0x200,
        "O_EXCL": 0x400,
        "O_NOCTTY": 0x800,
        "O_ASYNC": 0x1000,
        "O_LARGEFILE": 0x2000,
        "O_SYNC": 0x4010,
        "O_DIRECT": 0x8000,
    },
    # arch/mips/include/uapi/asm/mman.h
    {
        "MAP_NORESERVE": 0x400,
        "MAP_ANONYMOUS": 0x800,
        "MAP_GROWSDOWN": 0x1000,
        "MAP_DENYWRITE": 0x2000,
        "MAP_EXECUTABLE": 0x4000,
        "MAP_LOCKED": 0x8000,
        "MAP_POPULATE": 0x10000,
        "MAP_NONBLOCK": 0x20000,
        "MAP_STACK": 0x40000,
        "MAP_HUGETLB": 0x80000,
    },
    # arch/mips/include/uapi/asm/signal.h
    numbered("""
    1 SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT 8 SIGFPE SIGKILL SIGBUS SIGSEGV SIGSYS SIGPIPE SIGALRM SIGTERM
    16 SIGUSR1 SIGUSR2 SIGCHLD SIGPWR SIGWINCH SIGURG SIGIO SIGSTOP SIGTSTP SIGCONT SIGTTIN SIGTTOU SIGVTALRM
    29 SIGPROF SIGXCPU SIGXFSZ
    1 SIG_BLOCK SIG_UNBLOCK SIG_SETMASK
    """),
    {"SA_SIGINFO": 8, "SA_NOCLDWAIT": 0x10000},
    # arch/mips/include/uapi/asm/ioctls.h
    {
        "TCSBRK": 0x5405,
        "TCXONC": 0x5406,
        "TCFLSH": 0x5407,
        "TCGETS": 0x540D,
        "TCSETS": 0x540E,
        "TCSETSW": 0x540F,
        "TCSETSF": 0x5410,
        "TCGETS2": 0x4030542A,
        "TCSETS2": 0x8030542B,
        "TCSETSW2": 0x8030542C,
        "TCSETSF2": 0x8030542D,
        "TCSBRKP": 0x5486,
        "TIOCEXCL": 0x740D,
        "TIOCNXCL": 0x740E,
        "TIOCSCTTY": 0x5480,
        "TIOCNOTTY": 0x5471,
        "TIOCGPGRP": 0x40047477,
        "TIOCSPGRP": 0x80047476,
        "TIOCOUTQ": 0x7472,
        "TIOCGWINSZ": 0x40087468,
        "TIOCSWINSZ": 0x80087467,
        "TIOCPKT": 0x5470,
        "TIOCGETD": 0x7400,
        "TIOCSBRK": 0x5427,
        "TIOCCBRK": 0x5428,
        "TIOCGSID": 0x7416,
        "TIOCGPTN": 0x40045430,
        "TIOCSPTLCK": 0x80045431,
        "TIOCGPKT": 0x40045438,
        "TIOCGPTLCK": 0x40045439,
        "TIOCGEXCL": 0x40045440,
        "TIOCGPTPEER": 0x20005441,
        "FIONREAD": 0x467F,
        "FIONBIO": 0x667E,
        "FIOCLEX": 0x6601,
        "FIONCLEX": 0x6602,
    },
    # arch/mips/include/uapi/asm/resource.h
    numbered("5 RLIMIT_NOFILE RLIMIT_AS RLIMIT_RSS RLIMIT_NPROC RLIMIT_MEMLOCK"),
)

#: arch/mips/include/uapi/asm/fcntl.h: F_GETLK, F_SETLK, F_SETLKW, the same for 64-bit offsets, F_GETOWN and F_SETOWN
FCNTL_COMMANDS = MappingProxyType(
    {
        14: (5, "flock32"),
        6: (6, "flock32"),
        7: (7, "flock32"),
        33: (5, "flock"),
        34: (6, "flock"),
        35: (7, "flock"),
        23: (9, ""),
        24: (8, ""),
    }
)
#: arch/mips/include/asm/socket.h: datagrams and streams
SOCKET_TYPES = MappingProxyType({1: 2, 2: 1})
#: arch/mips/include/uapi/asm/socket.h, the numbers in the order of asm-generic's
SOCKET_OPTIONS = MappingProxyType(
    {
        0x4: 2,
        0x1008: 3,
        0x1007: 4,
        0x10: 5,
        0x20: 6,
        0x1001: 7,
        0x1002: 8,
        0x8: 9,
        0x100: 10,
        0x80: 13,
        0x200: 15,
        17: 16,
        18: 17,
        0x1004: 18,
        0x1003: 19,
        0x1006: 20,
        0x1005: 21,
        0x1009: 30,
        30: 31,
        31: 32,
        0x1028: 38,
        0x1029: 39,
    }
)

#: the first bytes of siginfo_t stand in another order (__ARCH_HAS_SWAPPED_SIGINFO)
_SIGINFO = {
    name: text.replace("errno:s32 code:s32", "code:s32 errno:s32")
    for name, text in generic.STRUCTS_32.items()
    if name.startswith("siginfo_")
}

STRUCTS = {
    **generic.STRUCTS_32,
    **_SIGINFO,
    # arch/mips/include/uapi/asm/stat.h: struct stat64
    "stat64": "dev:u32 pad0:u32 pad1:u32 pad2:u32 ino:u64 mode:u32 nlink:u32 uid:u32 gid:u32 rdev:u32 pad3:u32 "
    "pad4:u32 pad5:u32 size:s64 atime:s32 atime_nsec:u32 mtime:s32 mtime_nsec:u32 ctime:s32 ctime_nsec:u32 blksize:u32 "
    "pad6:u32 blocks:s64",
    # arch/mips/include/uapi/asm/statfs.h
    "statfs64": "type:u32 bsize:u32 frsize:u32 pad:u32 blocks:u64 bfree:u64 files:u64 ffree:u64 bavail:u64 fsid:s32 "
    "fsid_high:s32 namelen:u32 flags:u32 spare0:u32 spare1:u32 spare2:u32 spare3:u32 spare4:u32",
    # arch/mips/include/uapi/asm/signal.h: a set is 128 bits
    "sigset": "mask:u32 mask_high:u32 rest:u32 rest_high:u32",
    "sigaction": "flags:u32 handler:ptr mask:u32 mask_high:u32 rest:u32 rest_high:u32",
    "stack": "sp:ptr size:u32 flags:s32",
    "flock32": "type:s16 whence:s16 start:long len:long sysid:long pid:s32 pad0:long pad1:long pad2:long pad3:long",
    # arch/mips/include/uapi/asm/termbits.h
    "termios": "iflag:u32 oflag:u32 cflag:u32 lflag:u32 line:u8 cc:char23",
    "termios2": "iflag:u32 oflag:u32 cflag:u32 lflag:u32 line:u8 cc:char23 ispeed:u32 ospeed:u32",
}

#: arch/mips/include/uapi/asm/termbits.h: IEXTEN and TOSTOP have each other's bit of asm-generic, FLUSHO the next one
TERMINAL_MODES = MappingProxyType({0x100: 0x8000, 0x8000: 0x100, 0x1000: 0x2000})
#: of VINTR VQUIT VERASE VKILL VEOF VTIME VMIN VSWTC VSTART VSTOP VSUSP VEOL VREPRINT VDISCARD VWERASE VLNEXT VEOL2
TERMINAL_CHARACTERS = (0, 1, 2, 3, 16, 5, 4, 7, 8, 9, 10, 17, 12, 13, 14, 15, 6)

#: struct sigcontext in a struct ucontext of 24 bytes and a mask (arch/mips/include/uapi/asm/{sigcontext,ucontext}.h)
_CONTEXT = 24
_HI_LO = _CONTEXT + 552
_FRAME_REGISTERS = (
    (("pc", 0), _CONTEXT + 8, 8, 0, 32),
    *((("R", number), _CONTEXT + 16 + 8 * number, 8, 0, 32) for number in range(1, 32)),
    *((("F", number), _CONTEXT + 272 + 8 * number, 8, 0, 64) for number in range(32)),
    (("FLAGS", 0), _CONTEXT + 532, 4, 2, 5),
    (("RM", 0), _CONTEXT + 532, 4, 0, 2),
    (("ENABLES", 0), _CONTEXT + 532, 4, 7, 5),
    (("CC0", 0), _CONTEXT + 532, 4, 23, 1),
    (("FS", 0), _CONTEXT + 532, 4, 24, 1),
    (("CC", 0), _CONTEXT + 532, 4, 25, 7),
    (("HI", 0), _HI_LO, 8, 0, 32),
    (("LO", 0), _HI_LO + 8, 8, 0, 32),
)


def o32(name: str, big_endian: bool) -> Abi:
    """The table, in either byte order."""
    # li v0, 4193 (rt_sigreturn); syscall
    trampoline = struct.pack(">2I" if big_endian else "<2I", 0x24021061, 0x0000000C)
    return Abi(
        name=name,
        isa=name,
        elf_machine=8,
        # PT_MIPS_ABIFLAGS: fp_abi of Elf_MIPS_ABIFlags_v0 is Val_GNU_MIPS_ABI_FP_64 or _64A
        program_mode=ProgramMode("FR", 0x70000003, 7, MappingProxyType({6: 1, 7: 1})),
        alignment_mode="FIXADE",
        terminal_modes=TERMINAL_MODES,
        terminal_characters=TERMINAL_CHARACTERS,
        bits=32,
        big_endian=big_endian,
        uname_machine="mips",
        address_top=0x7FFF8000,
        number=("R", 2),
        arguments=(("R", 4), ("R", 5), ("R", 6), ("R", 7)),
        stack_arguments=(16, 4),
        result=("R", 2),
        second_result=("R", 3),
        error_flag=("R", 7),
        stack=("R", 29),
        thread_pointer=("UserLocal", 0),
        exceptions=EXCEPTIONS,
        signal_frame=SignalFrame(
            context_bytes=_CONTEXT + 592 + 16,
            stack_offset=8,
            mask_offset=_CONTEXT + 592,
            registers=_FRAME_REGISTERS,
            arguments=(("R", 4), ("R", 5), ("R", 6)),
            return_address=("R", 31),
            trampoline=trampoline,
            head_bytes=24,  # room for four arguments, and a pad
            handler=("R", 25),
        ),
        numbers=NUMBERS,
        constants=CONSTANTS,
        definitions=STRUCTS,
        aligned_pairs=True,
        fcntl_commands=FCNTL_COMMANDS,
        socket_types=SOCKET_TYPES,
        socket_level=0xFFFF,
        socket_options=SOCKET_OPTIONS,
        errors=ERRORS,
    )


ABI = o32("mips", True)
