"""System calls on signals: actions, masks, sending, returning from handlers."""

from __future__ import annotations

import errno
import os

from runtime.linux.signals import (
    CODES,
    SS_DISABLE,
    SS_ONSTACK,
    Action,
    SignalInfo,
    check,
    leave,
    post,
    read_mask,
    write_mask,
)
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_MINIMUM_STACK = 2048  # MINSIGSTKSZ


def _check_set(thread: Thread, size: int) -> int:
    if size != thread.process.abi.struct("sigset").size:
        raise fail(errno.EINVAL)
    return size


@system_call("signal pointer pointer size")
def rt_sigaction(thread: Thread, number: int, new: int, old: int, size: int) -> int:
    process = thread.process
    _check_set(thread, size)
    check(number)
    layout = process.abi.struct("sigaction")
    before = process.signals.actions[number]
    action = None
    if new:
        fields = layout.unpack(process.memory.read(new, layout.size))
        if number in (process.signals.constants["SIGKILL"], process.signals.constants["SIGSTOP"]):
            raise fail(errno.EINVAL)
        mask = fields["mask"] | fields.get("mask_high", 0) << 32
        action = Action(fields["handler"], fields["flags"], mask, fields.get("restorer", 0))
    if old:
        low = before.mask & 0xFFFFFFFF if "mask_high" in layout.offsets else before.mask
        values = {"handler": before.handler, "flags": before.flags, "restorer": before.restorer}
        process.memory.write(old, layout.pack({**values, "mask": low, "mask_high": before.mask >> 32}))
    if action is not None:
        process.set_action(number, action)
    return 0


@system_call("int pointer pointer size")
def rt_sigprocmask(thread: Thread, how: int, new: int, old: int, size: int) -> int:
    process, constants = thread.process, thread.process.signals.constants
    _check_set(thread, size)
    blocked = before = thread.blocked
    if new:
        mask = read_mask(process, process.memory.read(new, size))
        if how == constants["SIG_BLOCK"]:
            blocked |= mask
        elif how == constants["SIG_UNBLOCK"]:
            blocked &= ~mask
        elif how == constants["SIG_SETMASK"]:
            blocked = mask
        else:
            raise fail(errno.EINVAL)
    thread.blocked = blocked & ~process.signals.unblockable
    if old:
        process.memory.write(old, write_mask(process, before))
    return 0


@system_call("pointer size")
def rt_sigpending(thread: Thread, address: int, size: int) -> int:
    _check_set(thread, size)
    pending = sum(1 << number - 1 for number in thread.pending)
    thread.memory.write(address, write_mask(thread.process, pending & thread.blocked))
    return 0


@system_call("pointer pointer")
def sigaltstack(thread: Thread, new: int, old: int) -> int:
    process = thread.process
    layout = process.abi.struct("stack")
    inside = thread.on_alternate_stack(thread.get(process.abi.stack))
    flags = (SS_ONSTACK if inside else 0) if thread.alternate_size else SS_DISABLE
    before = layout.pack({"sp": thread.alternate_stack, "flags": flags, "size": thread.alternate_size})
    if new:
        fields = layout.unpack(process.memory.read(new, layout.size))
        if inside:
            raise fail(errno.EPERM)
        mode = fields["flags"] & 0x7FFFFFFF  # without SS_AUTODISARM
        if mode not in (0, SS_ONSTACK, SS_DISABLE):
            raise fail(errno.EINVAL)
        if mode != SS_DISABLE and fields["size"] < _MINIMUM_STACK:
            raise fail(errno.ENOMEM)
        disabled = mode == SS_DISABLE
        thread.alternate_stack = 0 if disabled else fields["sp"]
        thread.alternate_size = 0 if disabled else fields["size"]
    if old:
        process.memory.write(old, before)
    return 0


@system_call()
def rt_sigreturn(thread: Thread) -> int:
    leave(thread)
    # What the call "answers" is the register the frame has just restored.
    value = thread.get(thread.process.abi.result)
    sign = 1 << thread.process.abi.bits - 1
    return (value ^ sign) - sign


def _send(thread: Thread, number: int, code: str) -> int:
    if number:
        post(thread, SignalInfo(check(number), CODES[code], None, thread.process.pid, os.getuid()))
    return 0


@system_call("int signal")
def kill(thread: Thread, pid: int, number: int) -> int:
    process = thread.process
    if number:
        check(number)
    if pid == process.pid:
        return _send(thread, number, "SI_USER")
    os.kill(pid, process.host_signal(number) if number else 0)
    return 0


@system_call("int signal")
def tkill(thread: Thread, tid: int, number: int) -> int:
    if tid <= 0:
        raise fail(errno.EINVAL)
    return tgkill(thread, thread.process.pid, tid, number)


@system_call("int int signal")
def tgkill(thread: Thread, pid: int, tid: int, number: int) -> int:
    if pid <= 0 or tid <= 0:
        raise fail(errno.EINVAL)
    if number:
        check(number)
    if pid != thread.process.pid or tid != thread.tid:
        raise fail(errno.ESRCH)
    return _send(thread, number, "SI_TKILL")
