"""Signals from outside: the guest's masks and actions are made the host's, and what comes is handed to the guest.

A process that is nothing but one guest (Process.own_signals) lets Linux do the work: signals that the guest blocks stay
pending in the host's kernel, those it ignores are ignored there, default actions stop, end and continue the host's
process.  Only what a guest's handler wants, and what would dump core, comes here (runtime/linux/host.py).
"""

from __future__ import annotations

import os
import resource

from runtime.core.light import suppress
from runtime.linux import signals
from runtime.linux.host import KICK
from runtime.linux.siginfo import SI_TKILL, from_host
from runtime.linux.signals import SIG_DFL, SIG_IGN, Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process, Thread

_NOCLDSTOP, _NOCLDWAIT = 1, 2  # the host's SA_NOCLDSTOP, SA_NOCLDWAIT
_DEFAULT, _IGNORE = 0, 1  # the host's SIG_DFL and SIG_IGN
_NEVER = ("SIGKILL", "SIGSTOP")
#: what Python ignores for itself, whatever it was started with
_OF_PYTHON = ("SIGPIPE", "SIGXFSZ")


def begin(process: Process, thread: Thread) -> None:
    """Take over what the process was started with: signals ignored and blocked."""
    table = process.signals
    ignored, caught = _status(b"SigIgn:", b"SigCgt:")
    for number, name in table.names.items():
        host = table.host(number)
        bit = 1 << host - 1 if host else 0
        if ignored & bit and name not in _OF_PYTHON:
            table.actions[number] = Action(SIG_IGN)
        if (ignored | caught) & bit or _handler(process, number) != _DEFAULT:  # else the host does what it is to do
            mirror(process, number)
    thread.blocked = thread.host_blocked = table.guest_mask(process.host.mask()) & ~table.unblockable


def begin_again(process: Process) -> None:
    """Another program has been executed: nothing is handled any more, but what was pending is.

    To set the action of a signal to one that ignores it discards it, even if that was its action before, or if it is
    blocked; execve(2) does not.
    """
    host = process.host
    for number in process.signals.names:
        own = process.signals.host(number)
        before = host.action(own) if own else _DEFAULT
        if before == _handler(process, number):
            continue
        data = host.take_blocked(own) if before not in (_DEFAULT, _IGNORE) else None
        mirror(process, number)
        if data is not None:
            host.requeue(data, from_host(process, data).code == SI_TKILL)


def die(process: Process, number: int) -> None:
    """End this host process by the signal that ended the guest, for its parent to see."""
    host = process.signals.host(number)
    if host:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the guest's core is not the emulator's
        process.host.set_action(host, 0)
        process.host.set_mask(0)
        os.kill(os.getpid(), host)


def _status(*fields: bytes) -> tuple[int, ...]:
    """Sets of signals that /proc tells of this process; all of them where it does not."""
    try:
        with open("/proc/self/status", "rb", 0) as file:
            lines = dict(line.split(None, 1) for line in file.read().splitlines() if line.startswith(b"Sig"))
        return tuple(int(lines[field], 16) for field in fields)
    except (OSError, KeyError):
        return (0, -1)


def mirror(process: Process, number: int) -> None:
    """Have the host do about a signal what the guest wants done."""
    table, constants = process.signals, process.signals.constants
    host, action = table.host(number), table.actions[number]
    if not host or table.names.get(number) in _NEVER:
        return
    flags = (_NOCLDSTOP if action.flags & constants["SA_NOCLDSTOP"] else 0) | (
        _NOCLDWAIT if action.flags & constants["SA_NOCLDWAIT"] else 0
    )
    process.host.set_action(host, _handler(process, number), flags)


def _handler(process: Process, number: int) -> int | None:
    """What Host.set_action is to be told."""
    table, action = process.signals, process.signals.actions[number]
    if table.host(number) == KICK and (process.group is not None or process.debugger is not None):
        return None
    if action.handler == SIG_IGN:
        return _IGNORE
    if action.handler == SIG_DFL and not (
        # These are worth a word before the end.
        table.dumps_core(number)
        or ((process.strace is not None or process.debugger is not None) and not table.ignored(number))
    ):
        return _DEFAULT
    return None


def attend(thread: Thread) -> None:
    """Before the guest goes on: deliver what came, and block in the host what the guest blocks."""
    process, slot = thread.process, thread.slot
    _look_around(thread)
    if not process.own_signals:
        signals.deliver(thread)
        thread.host_blocked = thread.blocked
        return
    table, host = process.signals, process.host
    kept = (table.constants["SIGSEGV"], table.constants["SIGBUS"])  # the host never blocks them: they wait here
    while True:
        data = host.take(slot)
        if data is not None:
            info = from_host(process, data)
            if not thread.blocked & signals.bit(info.number) & ~table.unblockable or info.number in kept:
                signals.post(thread, info)
            elif process.group is not None and table.host(info.number) == KICK:
                thread.pending.setdefault(info.number, info)  # the host never blocks that one
            # It came before the guest blocked it; the kernel keeps those.
            elif not host.requeue(data, info.code == SI_TKILL):
                process.send(None, info)
        signals.deliver(thread)
        host.set_mask(table.host_mask(thread.blocked))
        thread.host_blocked = thread.blocked
        if not slot.pending[0]:
            return
        _look_around(thread)


def _look_around(thread: Thread) -> None:
    """Do what a kick was for."""
    thread.slot.is_awake()
    if thread.process.group is not None:
        thread.process.group.attend(thread)


def send_own(thread: Thread, number: int, call: str, *target: int) -> bool:
    """Send the process a signal by the host's kernel; False when it is to be posted here instead.

    A death of the guest's own making is told by the emulator: its exit status, -strace, the report.
    """
    process = thread.process
    table = process.signals
    host = table.host(number)
    if not process.own_signals or not host:
        return False
    fatal = table.actions[number].handler == SIG_DFL and not table.ignored(number)
    if fatal and not thread.blocked & signals.bit(number) and table.names.get(number) not in _NEVER:
        return False
    process.host.do(call, *target, host)
    return True
