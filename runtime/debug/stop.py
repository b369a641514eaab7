"""Why a guest stands still, and what it is to do next: what a target and the protocol tell each other."""

from __future__ import annotations

from enum import Enum, auto

from runtime.core.record import record

#: gdb's own numbers (include/gdb/signals.def), for what is no signal of the guest's
SIGINT, SIGTRAP = 2, 5


class StopKind(Enum):
    """What ended a run."""

    START = auto()  # nothing has run yet
    STEP = auto()
    BREAKPOINT = auto()
    WATCH = auto()  # `address` was accessed; `word` is gdb's name for the watchpoint's kind
    SIGNAL = auto()  # `signal` came
    INTERRUPT = auto()  # gdb asked
    HISTORY = auto()  # the recording's "begin" or "end" (`word`)
    EXEC = auto()  # the guest is another program now, at the path `word`
    EXITED = auto()  # with `status`
    KILLED = auto()  # by `signal`


@record
class Stop:
    """A stop, with the thread that caused it; `signal` is gdb's number."""

    kind: StopKind
    thread: int
    signal: int = SIGTRAP
    address: int = 0
    word: str = ""
    status: int = 0


@record
class Plan:
    """What one thread is to do: run on, or step (`low`..`high`: until it leaves that range), perhaps with a signal."""

    step: bool = False
    low: int = 0
    high: int = 0
    signal: int = 0


class DebugError(Exception):
    """Something a debugger asked for that cannot be; the message is for its user."""
