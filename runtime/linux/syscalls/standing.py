"""System calls about a process's standing: priority, scheduling, the users and groups it acts for.

They change the host process, so where that is more than this guest (Process.own_signals) the changing ones are refused.
"""

from __future__ import annotations

import errno
import os

from runtime.linux.host import Bytes
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_MOST_CPU_BYTES = 1024
_MOST_GROUPS = 65536


def _check_own(thread: Thread) -> None:
    """EPERM where the host process is not this guest's alone."""
    if not thread.process.own_signals:
        raise fail(errno.EPERM)


# ------------------------------------------------------------ priority and scheduling


@system_call("priority_which int")
def getpriority(thread: Thread, which: int, who: int) -> int:
    """20 - nice, so that an answer below 0 is a failure."""
    return thread.process.host.do("getpriority", which, who)


@system_call("priority_which int int")
def setpriority(thread: Thread, which: int, who: int, priority: int) -> int:
    _check_own(thread)
    return thread.process.host.do("setpriority", which, who, priority)


@system_call("int")
def sched_getscheduler(thread: Thread, pid: int) -> int:
    return thread.process.host.do("sched_getscheduler", pid)


@system_call("policy")
def sched_get_priority_max(thread: Thread, policy: int) -> int:
    return thread.process.host.do("sched_get_priority_max", policy)


@system_call("policy")
def sched_get_priority_min(thread: Thread, policy: int) -> int:
    return thread.process.host.do("sched_get_priority_min", policy)


@system_call("int pointer")
def sched_getparam(thread: Thread, pid: int, address: int) -> int:
    if not address:
        raise fail(errno.EINVAL)
    found = Bytes(4)
    thread.process.host.do("sched_getparam", pid, found.address)
    priority = int.from_bytes(found.raw[:4], "little")
    thread.memory.write(address, priority.to_bytes(4, thread.process.abi.byte_order))
    return 0


def _parameter(thread: Thread, address: int) -> Bytes:
    if not address:
        raise fail(errno.EINVAL)
    priority = int.from_bytes(thread.memory.read(address, 4), thread.process.abi.byte_order)
    return Bytes(priority.to_bytes(4, "little"))


@system_call("int pointer")
def sched_setparam(thread: Thread, pid: int, address: int) -> int:
    wanted = _parameter(thread, address)
    _check_own(thread)
    return thread.process.host.do("sched_setparam", pid, wanted.address)


@system_call("int policy pointer")
def sched_setscheduler(thread: Thread, pid: int, policy: int, address: int) -> int:
    wanted = _parameter(thread, address)
    _check_own(thread)
    return thread.process.host.do("sched_setscheduler", pid, policy, wanted.address)


@system_call("int pointer", "sched_rr_get_interval", "sched_rr_get_interval_time64")
def sched_rr_get_interval(thread: Thread, pid: int, address: int) -> int:
    found = Bytes(16)
    thread.process.host.do("sched_rr_get_interval", pid, found.address)
    seconds, nanoseconds = (int.from_bytes(found.raw[at : at + 8], "little") for at in (0, 8))
    thread.write_timespec(address, seconds * 1_000_000_000 + nanoseconds)
    return 0


@system_call("int size pointer")
def sched_setaffinity(thread: Thread, pid: int, size: int, address: int) -> int:
    data = thread.memory.read(address, min(size, _MOST_CPU_BYTES))
    order, word = thread.process.abi.byte_order, thread.process.abi.bits // 8
    if order == "big":
        data = b"".join(data[at : at + word][::-1] for at in range(0, len(data), word))
    _check_own(thread)
    mask = int.from_bytes(data, "little")
    os.sched_setaffinity(pid, [cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1])
    return 0


# ------------------------------------------------------------ users and groups


def _id(number: int) -> int:
    """A uid or gid; -1, which leaves things as they are, as Python's os takes it."""
    return -1 if number == 0xFFFFFFFF else number


@system_call("id", "setuid", "setuid32")
def setuid(thread: Thread, user: int) -> int:
    _check_own(thread)
    os.setuid(user)
    return 0


@system_call("id", "setgid", "setgid32")
def setgid(thread: Thread, group: int) -> int:
    _check_own(thread)
    os.setgid(group)
    return 0


@system_call("id id", "setreuid", "setreuid32")
def setreuid(thread: Thread, real: int, effective: int) -> int:
    _check_own(thread)
    os.setreuid(_id(real), _id(effective))
    return 0


@system_call("id id", "setregid", "setregid32")
def setregid(thread: Thread, real: int, effective: int) -> int:
    _check_own(thread)
    os.setregid(_id(real), _id(effective))
    return 0


@system_call("id id id", "setresuid", "setresuid32")
def setresuid(thread: Thread, real: int, effective: int, saved: int) -> int:
    _check_own(thread)
    os.setresuid(_id(real), _id(effective), _id(saved))
    return 0


@system_call("id id id", "setresgid", "setresgid32")
def setresgid(thread: Thread, real: int, effective: int, saved: int) -> int:
    _check_own(thread)
    os.setresgid(_id(real), _id(effective), _id(saved))
    return 0


@system_call("int pointer", "setgroups", "setgroups32")
def setgroups(thread: Thread, count: int, address: int) -> int:
    if not 0 <= count <= _MOST_GROUPS:
        raise fail(errno.EINVAL)
    data, order = thread.memory.read(address, 4 * count), thread.process.abi.byte_order
    _check_own(thread)
    os.setgroups([int.from_bytes(data[at : at + 4], order) for at in range(0, len(data), 4)])
    return 0


@system_call("int pointer pointer")
def get_robust_list(thread: Thread, pid: int, head: int, size: int) -> int:
    """The list this thread told of; others' are theirs."""
    process = thread.process
    if pid not in (0, thread.tid):
        raise fail(errno.EPERM)
    width, order = process.abi.bits // 8, process.abi.byte_order
    process.memory.write(head, thread.robust_list.to_bytes(width, order))
    process.memory.write(size, (3 * width).to_bytes(width, order))
    return 0
