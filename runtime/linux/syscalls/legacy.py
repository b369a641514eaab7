"""System calls that newer machines were not given: older ABIs have them beside those that replaced them."""

from __future__ import annotations

import errno
import os
import time as host_time

from runtime.linux.signals import Action, bit, check
from runtime.linux.syscalls import children, files, polling, signals, standing
from runtime.linux.syscalls.table import Bound, call, fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_NSEC = 1_000_000_000
_SIGNAL_SET_BYTES = 8
#: what sysmips is asked for (asm/sysmips.h)
FLUSH_CACHE, MIPS_FIXADE = 3, 7


# ------------------------------------------------------------ descriptors


@system_call("pointer")
def pipe(thread: Thread, address: int) -> int:
    """Into memory, or into two registers where the ABI says so."""
    second = thread.process.abi.second_result
    if second is None:
        return files.pipe2(thread, address, 0)
    reader, writer = files.new_pipe(thread, 0)
    thread.set(second, writer)
    return reader


@system_call("fd fd")
def dup2(thread: Thread, old: int, new: int) -> int:
    if old == new:
        thread.process.descriptors.host(old)
        return new
    return files.dup3(thread, old, new, 0)


@system_call("int")
def epoll_create(thread: Thread, size: int) -> int:
    if size <= 0:
        raise fail(errno.EINVAL)
    return polling.epoll_create1(thread, 0)


@system_call("fd pointer int int")
def epoll_wait(thread: Thread, fd: int, address: int, count: int, timeout: int) -> int:
    return polling.epoll_pwait(thread, fd, address, count, timeout, 0, _SIGNAL_SET_BYTES)


@system_call("fd pointer size")
def signalfd(thread: Thread, fd: int, mask: int, size: int) -> int:
    return polling.signalfd4(thread, fd, mask, size, 0)


@system_call()
def inotify_init(thread: Thread) -> int:
    return call("inotify_init1").answer(thread, 0)


@system_call("unsigned")
def eventfd(thread: Thread, value: int) -> int:
    return polling.eventfd2(thread, value, 0)


@system_call("pointer unsigned int")
def poll(thread: Thread, address: int, count: int, milliseconds: int) -> int:
    span = None if milliseconds < 0 else polling.span_of(milliseconds * 1_000_000)
    return polling.poll_table(thread, address, count, span)


@system_call("int pointer pointer pointer pointer", "_newselect", "select")
def newselect(thread: Thread, count: int, read: int, write: int, special: int, timeout: int) -> int:
    span = None
    if timeout:
        layout = thread.process.abi.struct("timeval")
        fields = layout.unpack(thread.memory.read(timeout, layout.size))
        if fields["sec"] < 0 or fields["usec"] < 0:
            raise fail(errno.EINVAL)
        span = polling.span_of(fields["sec"] * _NSEC + fields["usec"] * 1000)
    return polling.select_sets(thread, count, (read, write, special), span)


@system_call("fd int offset offset", "arm_fadvise64_64")
def fadvise_first(thread: Thread, fd: int, advice: int, offset: int, size: int) -> int:
    return call("fadvise64_64").answer(thread, fd, offset, size, advice)


@system_call("fd input size flags")
def send(thread: Thread, fd: int, address: int, size: int, flags: int) -> int:
    return call("sendto").answer(thread, fd, address, size, flags, 0, 0)


@system_call("fd output size flags")
def recv(thread: Thread, fd: int, address: int, size: int, flags: int) -> int:
    return call("recvfrom").answer(thread, fd, address, size, flags, 0, 0)


#: socketcall's numbers, from 1 (linux/net.h)
_SOCKET_CALLS = (
    "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown "
    "setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
)


@system_call("int pointer")
def socketcall(thread: Thread, number: int, address: int) -> int:
    """Every call on sockets in one: its arguments stand in memory."""
    names = _SOCKET_CALLS.split()
    if not 0 < number <= len(names):
        raise fail(errno.EINVAL)
    bound = Bound(call(names[number - 1]), thread.process.abi)
    words = _read_words(thread, address, len(bound.call.kinds))
    return bound.call.answer(thread, *bound.arguments(words, thread.process.abi))


def _read_words(thread: Thread, address: int, count: int) -> list[int]:
    abi = thread.process.abi
    data = thread.memory.read(address, count * abi.long_bytes)
    return [
        int.from_bytes(data[at : at + abi.long_bytes], abi.byte_order) for at in range(0, len(data), abi.long_bytes)
    ]


@system_call("pointer")
def old_mmap(thread: Thread, address: int) -> int:
    """mmap with its six arguments in memory, the offset in bytes."""
    *words, fd, offset = _read_words(thread, address, 6)
    return call("mmap").answer(thread, *words, (fd ^ 1 << 31) - (1 << 31), offset)


@system_call("pointer")
def old_select(thread: Thread, address: int) -> int:
    """select with its five arguments in memory."""
    return newselect(thread, *_read_words(thread, address, 5))


# ------------------------------------------------------------ processes, signals, time


@system_call()
def fork(thread: Thread) -> int:
    return children.clone(thread, thread.process.signals.constants["SIGCHLD"], 0, 0, 0, 0)


@system_call()
def vfork(thread: Thread) -> int:
    flags = children.CLONE_VFORK | children.CLONE_VM | thread.process.signals.constants["SIGCHLD"]
    return children.clone(thread, flags, 0, 0, 0, 0)


@system_call("int pointer flags")
def waitpid(thread: Thread, pid: int, status: int, options: int) -> int:
    return children.wait4(thread, pid, status, options, 0)


@system_call()
def getpgrp(thread: Thread) -> int:
    return os.getpgrp()


@system_call("int")
def nice(thread: Thread, increment: int) -> int:
    now = os.getpriority(os.PRIO_PROCESS, 0)
    return standing.setpriority(thread, os.PRIO_PROCESS, 0, now + increment)


@system_call("unsigned")
def alarm(thread: Thread, seconds: int) -> int:
    return thread.process.host.do("alarm", seconds)


@system_call()
def pause(thread: Thread) -> int:
    return polling.poll_table(thread, 0, 0, None)


@system_call("pointer", "time")
def time_(thread: Thread, address: int) -> int:
    now = int(host_time.time())
    if address:
        abi = thread.process.abi
        thread.memory.write(address, now.to_bytes(abi.long_bytes, abi.byte_order))
    return now


@system_call()
def sigreturn(thread: Thread) -> int:
    """What a handler without SA_SIGINFO returns by; its frame may be like the others."""
    return signals.return_from(thread, plain=True)


@system_call("int pointer pointer")
def sigprocmask(thread: Thread, how: int, new: int, old: int) -> int:
    """rt_sigprocmask of the first word of signals: the others stay as they are."""
    abi, constants = thread.process.abi, thread.process.signals.constants
    blocked = before = thread.blocked
    if new:
        (mask,) = _read_words(thread, new, 1)
        if how == constants["SIG_BLOCK"]:
            blocked |= mask
        elif how == constants["SIG_UNBLOCK"]:
            blocked &= ~mask
        elif how == constants["SIG_SETMASK"]:
            blocked = blocked >> abi.bits << abi.bits | mask
        else:
            raise fail(errno.EINVAL)
    thread.blocked = blocked & ~thread.process.signals.unblockable
    if old:
        word = before & (1 << abi.bits) - 1
        thread.memory.write(old, word.to_bytes(abi.long_bytes, abi.byte_order))
    return 0


@system_call("signal pointer pointer")
def sigaction(thread: Thread, number: int, new: int, old: int) -> int:
    """rt_sigaction with a mask of one word, which stands behind the handler (struct old_sigaction)."""
    process = thread.process
    layout = process.abi.struct("old_sigaction")
    check(number)
    before = process.signals.actions[number]
    action = None
    if new:
        if process.signals.unblockable & bit(number):
            raise fail(errno.EINVAL)
        fields = layout.unpack(thread.memory.read(new, layout.size))
        action = Action(fields["handler"], fields["flags"], fields["mask"], fields["restorer"])
    if old:
        values = {"handler": before.handler, "flags": before.flags, "restorer": before.restorer, "mask": before.mask}
        thread.memory.write(old, layout.pack(values))
    if action is not None:
        process.set_action(number, action)
    return 0


@system_call("pointer pointer flags", "cacheflush")
def cacheflush(thread: Thread, start: int, end: int, flags: int) -> int:
    """Stores into translated code are noticed as they happen: there is nothing to flush."""
    return 0


@system_call("int word word")
def sysmips(thread: Thread, command: int, first: int, second: int) -> int:
    """What is MIPS's own, as far as programs still ask for it (arch/mips/kernel/syscall.c)."""
    mode = thread.process.abi.alignment_mode
    if command == MIPS_FIXADE and mode is not None and not first & ~3:  # bit 1: note them in the kernel's log
        thread.set((mode, 0), first & 1)
        return 0
    if command == FLUSH_CACHE:
        return 0
    raise fail(errno.EINVAL)
