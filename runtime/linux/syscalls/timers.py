"""System calls for timers that send signals: setitimer, and the timer_create family.  They are the host's timers."""

from __future__ import annotations

import errno

from runtime.linux.host import Bytes
from runtime.linux.signals import check
from runtime.linux.structs import Struct
from runtime.linux.syscalls.polling import read_itimerspec, write_itimerspec
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 0, 1, 2, 4
_SIGEVENT_BYTES = 64
_ITIMERSPEC_BYTES = 32


def _check_own(thread: Thread) -> None:
    """A timer's signal goes to the host process, which must be this guest's alone."""
    if not thread.process.own_signals:
        raise fail(errno.ENOSYS)


def _interval(thread: Thread) -> tuple[Struct, Struct]:
    abi = thread.process.abi
    return abi.struct("itimerval"), abi.host_struct("itimerval")


@system_call("itimer pointer")
def getitimer(thread: Thread, which: int, address: int) -> int:
    _check_own(thread)
    guest, host = _interval(thread)
    now = Bytes(host.size)
    thread.process.host.do("getitimer", which, now.address)
    thread.memory.write(address, guest.pack(host.unpack(now.raw[: host.size])))
    return 0


@system_call("itimer pointer pointer")
def setitimer(thread: Thread, which: int, new: int, old: int) -> int:
    _check_own(thread)
    guest, host = _interval(thread)
    fields = guest.unpack(thread.memory.read(new, guest.size)) if new else {}
    wanted, before = Bytes(host.pack(fields)), Bytes(host.size)
    thread.process.host.do("setitimer", which, wanted.address, before.address)
    if old:
        thread.memory.write(old, guest.pack(host.unpack(before.raw[: host.size])))
    return 0


@system_call("clock pointer pointer")
def timer_create(thread: Thread, clock: int, event: int, address: int) -> int:
    _check_own(thread)
    process = thread.process
    wanted = None
    if event:
        layout = process.abi.struct("sigevent")
        fields = layout.unpack(process.memory.read(event, layout.size))
        if fields["notify"] not in (SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID):
            raise fail(errno.EINVAL)
        if fields["notify"] != SIGEV_NONE:
            fields["signo"] = process.host_signal(check(fields["signo"]))
        wanted = Bytes(process.abi.host_struct("sigevent").pack(fields).ljust(_SIGEVENT_BYTES, b"\0"))
    process.memory.writable(address, 4)
    number = Bytes(4)
    process.host.do("timer_create", clock, 0 if wanted is None else wanted.address, number.address)
    timer = int.from_bytes(number.raw[:4], "little")
    process.timers.add(timer)
    process.memory.write(address, timer.to_bytes(4, process.abi.byte_order))
    return 0


def _timer(thread: Thread, number: int) -> int:
    if number not in thread.process.timers:
        raise fail(errno.EINVAL)
    return number


@system_call("int flags pointer pointer", "timer_settime", "timer_settime64")
def timer_settime(thread: Thread, number: int, flags: int, new: int, old: int) -> int:
    if not new:
        raise fail(errno.EINVAL)
    wanted, before = read_itimerspec(thread, new), Bytes(_ITIMERSPEC_BYTES)
    thread.process.host.do("timer_settime", _timer(thread, number), flags, wanted.address, before.address)
    if old:
        write_itimerspec(thread, old, before)
    return 0


@system_call("int pointer", "timer_gettime", "timer_gettime64")
def timer_gettime(thread: Thread, number: int, address: int) -> int:
    now = Bytes(_ITIMERSPEC_BYTES)
    thread.process.host.do("timer_gettime", _timer(thread, number), now.address)
    write_itimerspec(thread, address, now)
    return 0


@system_call("int")
def timer_getoverrun(thread: Thread, number: int) -> int:
    return thread.process.host.do("timer_getoverrun", _timer(thread, number))


@system_call("int")
def timer_delete(thread: Thread, number: int) -> int:
    thread.process.host.do("timer_delete", _timer(thread, number))
    thread.process.timers.discard(number)
    return 0
