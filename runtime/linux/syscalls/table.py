"""The table of system calls: a name, how its arguments lie in registers, and the function that answers it.

A module of this package declares a call with

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


def import_rest(wanted: str = "") -> None:
    """Have the calls in CALLS that most programs do not make; the modules up to the one that has `wanted`."""
    for name in ("legacy", "sockets", "standing", "timers", "transfers", "watches"):
        if wanted in CALLS:
            return
        import_module(f"runtime.linux.syscalls.{name}")


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
            name = self._names.get(number, "")
            import_rest(name)
            call = CALLS.get(name)
            found = None
            if call is not None:
                found = self._bound[number] = Bound(call, self.abi)
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
