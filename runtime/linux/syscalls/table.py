"""The table of system calls: a name, how its arguments lie in registers, and the function that answers it.

A module of this package, which is imported when one of its calls is first wanted, declares a call with

    @system_call("fd buffer size")
    def read(thread: Thread, fd: int, address: int, count: int) -> int: ...

The words say how each argument is cut out of the guest's registers and how -strace prints it (runtime/linux/strace.py).
An answer is the result; a failure is an OSError whose errno is Linux's, or a GuestFault (EFAULT).
"""

from __future__ import annotations

import errno

from runtime.core.light import import_module
from runtime.core.memory import GuestFault
from runtime.linux.errors import fail as fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.linux.abi.model import Abi
    from runtime.linux.process import Thread

    Answer = Callable[..., int]

#: how an argument is taken: C int, unsigned int, long, unsigned long (and pointers), or a 64-bit offset
_INT, _UNSIGNED, _LONG, _WORD, _WIDE = range(5)

KINDS: dict[str, int] = {
    "int": _INT,
    "fd": _INT,
    "dirfd": _INT,
    "signal": _INT,
    "whence": _INT,
    "clock": _INT,
    "open_flags": _INT,
    "protection": _INT,
    "map_flags": _INT,
    "flags": _INT,
    **dict.fromkeys(("splice_flags", "rwf_flags", "xattr_flags", "inotify_flags", "inotify_mask", "sync_flags"), _INT),
    **dict.fromkeys(("priority_which", "itimer", "policy"), _INT),
    "id": _UNSIGNED,  # of a user or group
    "position": _WORD,  # points to a loff_t
    "mode": _UNSIGNED,
    "unsigned": _UNSIGNED,
    "command": _UNSIGNED,
    "long": _LONG,
    "pointer": _WORD,
    "path": _WORD,
    "input": _WORD,  # bytes the call reads; the next argument says how many
    "output": _WORD,  # bytes the call writes; the result says how many
    "size": _WORD,
    "word": _WORD,
    "offset": _WIDE,
}


class Call:
    """A system call: name, words for its arguments, and the function."""

    __slots__ = ("answer", "kinds", "name")

    def __init__(self, name: str, kinds: tuple[str, ...], answer: Answer) -> None:
        self.name = name
        self.kinds = kinds
        self.answer = answer


CALLS: dict[str, Call] = {}

#: calls that have 32-bit times on a 32-bit guest which had them before 2020, and 64-bit ones under another name
_NARROW = frozenset(
    (
        *(
            "clock_gettime",
            "clock_settime",
            "clock_getres",
            "clock_nanosleep",
            "nanosleep",
            "futex",
            "ppoll",
            "pselect6",
        ),
        *("utimensat", "rt_sigtimedwait", "timer_settime", "timer_gettime", "timerfd_settime", "timerfd_gettime"),
        *("recvmmsg", "sched_rr_get_interval"),
    )
)


def system_call(kinds: str = "", *names: str) -> Callable[[Answer], Answer]:
    """Declare the decorated function as the system call of its own name (less a trailing "_"), or of `names`."""

    def declare(answer: Answer) -> Answer:
        words = tuple(kinds.split())
        for name in names or (answer.__name__.rstrip("_"),):
            CALLS[name] = Call(name, words, answer)
        return answer

    return declare


#: which module declares which calls
_MODULES = {
    "children": "clone clone3 execve execveat pidfd_open pidfd_send_signal wait4 waitid",
    "controls": "ioctl",
    "files": (
        "_llseek close close_range dup dup3 fadvise64 fadvise64_64 fallocate fcntl fcntl64 fdatasync flock fsync "
        "ftruncate ftruncate64 lseek pipe2 pread64 preadv pwrite64 pwritev read readv sendfile sendfile64 sync "
        "write writev"
    ),
    "futexes": "futex futex_time64 set_robust_list set_tid_address",
    "legacy": (
        "_newselect alarm arm_fadvise64_64 cacheflush dup2 epoll_create epoll_wait eventfd fork getpgrp "
        "inotify_init nice old_mmap old_select pause pipe poll recv select send sigaction signalfd sigprocmask "
        "sigreturn socketcall sysmips time vfork waitpid"
    ),
    "memory": "brk madvise mincore mlock mmap mmap2 mprotect mremap msync munlock munmap",
    "old_paths": (
        "access chmod chown chown32 creat fstat64 fstatat64 futimesat getdents lchown lchown32 link lstat lstat64 "
        "mkdir mknod open readlink rename rmdir stat stat64 symlink unlink utime utimes"
    ),
    "paths": (
        "chdir faccessat faccessat2 fchdir fchmod fchmodat fchown fchown32 fchownat fstat fstatfs fstatfs64 "
        "getcwd getdents64 linkat mkdirat mknodat newfstatat openat readlinkat renameat renameat2 statfs statfs64 "
        "statx symlinkat truncate truncate64 umask unlinkat utimensat utimensat_time64"
    ),
    "polling": (
        "epoll_create1 epoll_ctl epoll_pwait eventfd2 ppoll ppoll_time64 pselect6 pselect6_time64 signalfd4 "
        "timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64"
    ),
    "process": (
        "capget capset exit exit_group getcpu getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups "
        "getgroups32 getpgid getpid getppid getrandom getresgid getresgid32 getresuid getresuid32 getrlimit "
        "getsid gettid getuid getuid32 membarrier memfd_create prctl prlimit64 riscv_flush_icache riscv_hwprobe "
        "sched_getaffinity sched_yield setpgid setrlimit setsid sysinfo ugetrlimit uname"
    ),
    "signals": (
        "kill rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
        "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack tgkill tkill"
    ),
    "sockets": (
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmmsg_time64 "
        "recvmsg sendmmsg sendmsg sendto setsockopt shutdown socket socketpair"
    ),
    "standing": (
        "get_robust_list getpriority sched_get_priority_max sched_get_priority_min sched_getparam "
        "sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setparam "
        "sched_setscheduler setgid setgid32 setgroups setgroups32 setpriority setregid setregid32 setresgid "
        "setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32"
    ),
    "thread_areas": "arch_prctl get_thread_area modify_ldt set_thread_area set_tls",
    "time": (
        "clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 "
        "getrusage gettimeofday nanosleep times"
    ),
    "timers": (
        "getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
        "timer_settime timer_settime64"
    ),
    "transfers": "copy_file_range preadv2 pwritev2 readahead splice sync_file_range syncfs tee vmsplice",
    "watches": (
        "fgetxattr flistxattr fremovexattr fsetxattr getxattr inotify_add_watch inotify_init1 inotify_rm_watch "
        "lgetxattr listxattr llistxattr lremovexattr lsetxattr removexattr setxattr"
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def call(name: str) -> Call:
    """The system call of this name; KeyError if there is none."""
    if name not in CALLS:
        import_module(f"runtime.linux.syscalls.{_MODULE_OF[name]}")
    return CALLS[name]


def import_all() -> None:
    """Have every call in CALLS."""
    for module in _MODULES:
        import_module(f"runtime.linux.syscalls.{module}")


#: calls whose offset is a long, on a 32-bit guest that has others for 64-bit offsets
_SHORT = frozenset(("ftruncate", "lseek", "truncate"))


class Bound:
    """A call as one ABI makes it: where in the argument registers each argument begins."""

    __slots__ = ("call", "narrow_time", "places")

    def __init__(self, call: Call, abi: Abi) -> None:
        self.call = call
        self.narrow_time = abi.bits == 32 and call.name in _NARROW
        self.places: list[tuple[int, int]] = []
        at = 0
        for word in call.kinds:
            kind = KINDS[word]
            if kind == _WIDE and (abi.bits == 64 or call.name in _SHORT):
                kind = _LONG
            if kind == _WIDE and abi.aligned_pairs:
                at += at & 1
            self.places.append((kind, at))
            at += 2 if kind == _WIDE else 1

    def arguments(self, registers: Sequence[int], abi: Abi) -> list[int]:
        """The arguments as C would see them; `registers` holds the argument registers."""
        found = []
        for kind, at in self.places:
            value = registers[at]
            if kind == _INT:
                value = ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
            elif kind == _UNSIGNED:
                value &= 0xFFFFFFFF
            elif kind == _LONG:
                sign = 1 << abi.bits - 1
                value = (value ^ sign) - sign
            elif kind == _WIDE:
                low, high = (registers[at + 1], value) if abi.big_endian else (value, registers[at + 1])
                value = ((low | high << 32) ^ 1 << 63) - (1 << 63)
            found.append(value)
        return found


class SystemCalls:
    """The system calls of one ABI by number."""

    def __init__(self, abi: Abi) -> None:
        self.abi = abi
        self._bound: dict[int, Bound | None] = {}
        self._names = {number: name for name, number in abi.numbers.items()}
        self._errors = abi.errors

    def name(self, number: int) -> str:
        """The call's name, or its number as strace prints what it does not know."""
        return self._names.get(number) or f"syscall_{number:#x}"

    def find(self, number: int) -> Bound | None:
        """The call numbered `number`, if it is there."""
        try:
            return self._bound[number]
        except KeyError:
            name = self._names.get(number)
            found = Bound(call(name), self.abi) if name in _MODULE_OF else None
            if found is not None:
                self._bound[number] = found
            return found

    def answer(self, thread: Thread, bound: Bound, arguments: Sequence[int]) -> int:
        """Make the call: its result, or minus the guest's errno."""
        lost = thread.process.host.lost
        thread.narrow_time = bound.narrow_time
        try:
            result = bound.call.answer(thread, *arguments)
            if not lost[0]:
                return result
            error = errno.EFAULT
        except GuestFault:
            error = errno.EFAULT
        except OSError as failure:
            error = failure.errno or errno.EIO
        except MemoryError:
            error = errno.ENOMEM
        except (OverflowError, ValueError):
            # Python's os refuses numbers that fit no C type and names with NUL bytes before Linux can say EINVAL.
            error = errno.EINVAL
        if lost[0]:
            # What was touched was a mapped file's page that is no more: the kernel's own copying would have failed.
            thread.process.host.take_lost()
            thread.host_blocked = -1
            error = errno.EFAULT
        return -self._errors.get(error, error)
