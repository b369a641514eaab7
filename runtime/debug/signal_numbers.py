"""Signals as gdb numbers them (its include/gdb/signals.def), by the names that Linux gives them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.signals import SignalTable

_NAMES = (
    "SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGEMT SIGFPE SIGKILL SIGBUS SIGSEGV SIGSYS SIGPIPE SIGALRM SIGTERM "
    "SIGURG SIGSTOP SIGTSTP SIGCONT SIGCHLD SIGTTIN SIGTTOU SIGIO SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGLOST "
    "SIGUSR1 SIGUSR2 SIGPWR"
)
_ORDER = _NAMES.split()
_NUMBERS = {name: number for number, name in enumerate(_ORDER, 1)}
_UNKNOWN = 143
#: real-time signals, which have no names: Linux's number -> gdb's
_REAL_TIME = {32: 77, **{number: number + 12 for number in range(33, 64)}, 64: 78}
_FROM_GDB = {gdb: number for number, gdb in _REAL_TIME.items()}


def to_gdb(table: SignalTable, number: int) -> int:
    """gdb's number of a guest's signal."""
    return _NUMBERS.get(table.names.get(number, "")) or _REAL_TIME.get(number, _UNKNOWN)


def from_gdb(table: SignalTable, number: int) -> int | None:
    """The guest's number of one of gdb's; None if the guest has no such signal."""
    if 1 <= number <= len(_ORDER):
        name = _ORDER[number - 1]
        return next((guest for guest, other in table.names.items() if other == name), None)
    return _FROM_GDB.get(number)
