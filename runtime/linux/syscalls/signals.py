"""System calls on signals: actions, masks, sending, returning from handlers."""

from __future__ import annotations

import errno
import os

from runtime.linux.attention import send_own
from runtime.linux.host import ERESTARTNOHAND, MASK_BYTES, Bytes
from runtime.linux.siginfo import from_host, to_host
from runtime.linux.signals import (
    CODES,
    SIGINFO_BYTES,
    SS_DISABLE,
    SS_ONSTACK,
    Action,
    SignalInfo,
    bit,
    check,
    leave,
    pack_info,
    post,
    read_mask,
    write_mask,
)
from runtime.linux.syscalls.polling import wait_masked
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
    process = thread.process
    pending = sum(1 << number - 1 for number in {*thread.pending, *process.pending})
    if process.own_signals:
        there = Bytes(MASK_BYTES)
        process.host.do("rt_sigpending", there.address, MASK_BYTES)
        pending |= process.signals.guest_mask(int.from_bytes(there.raw[:MASK_BYTES], "little"))
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
    return return_from(thread)


def return_from(thread: Thread, plain: bool = False) -> int:
    """Return from a handler; `plain`: one without SA_SIGINFO."""
    leave(thread, plain)
    # What the call "answers" is the register the frame has just restored.
    thread.registers_set = True
    value = thread.get(thread.process.abi.result)
    sign = 1 << thread.process.abi.bits - 1
    return (value ^ sign) - sign


@system_call("pointer size")
def rt_sigsuspend(thread: Thread, address: int, size: int) -> int:
    process = thread.process
    _check_set(thread, size)
    mask = read_mask(process, process.memory.read(address, size)) & ~process.signals.unblockable
    host_mask = Bytes(process.signals.host_mask(mask).to_bytes(8, "little"))
    if any(not mask & bit(number) for number in (*thread.pending, *process.pending)):
        thread.saved_mask, thread.blocked = thread.blocked, mask
        raise fail(ERESTARTNOHAND)
    return wait_masked(thread, mask, "rt_sigsuspend", host_mask.address, MASK_BYTES)


@system_call("pointer pointer pointer size", "rt_sigtimedwait", "rt_sigtimedwait_time64")
def rt_sigtimedwait(thread: Thread, address: int, information: int, timeout: int, size: int) -> int:
    process = thread.process
    _check_set(thread, size)
    mask = read_mask(process, process.memory.read(address, size)) & ~process.signals.unblockable
    span = None
    if timeout:
        seconds, nanoseconds = divmod(thread.read_timespec(timeout), 1_000_000_000)
        span = Bytes(seconds.to_bytes(8, "little") + nanoseconds.to_bytes(8, "little"))
    number = next((number for number in sorted({*thread.pending, *process.pending}) if mask & bit(number)), 0)
    info = thread.pending.pop(number, None) or process.pending.pop(number, None)
    if info is None:
        host_mask = Bytes(process.signals.host_mask(mask).to_bytes(8, "little"))
        found = Bytes(SIGINFO_BYTES)
        process.host.wait(
            "rt_sigtimedwait",
            host_mask.address,
            found.address,
            0 if span is None else span.address,
            MASK_BYTES,
            restart=errno.EINTR,
        )
        info = from_host(process, found.raw[:SIGINFO_BYTES])
    if information:
        process.memory.write(information, pack_info(process, info))
    return info.number


def _send(thread: Thread, target: Thread | None, number: int, code: str) -> int:
    """Post a signal from a thread to another (None: to the process)."""
    if number:
        info = SignalInfo(check(number), CODES[code], None, thread.process.pid, os.getuid())
        if target is thread:
            post(thread, info)
        else:
            thread.process.send(target, info)
    return 0


@system_call("int signal")
def kill(thread: Thread, pid: int, number: int) -> int:
    process = thread.process
    if number:
        check(number)
    if pid == process.pid:
        if number and send_own(thread, number, "kill", pid):
            return 0
        # Linux tries the caller first.
        own = thread if number and not thread.blocked & bit(number) else None
        return _send(thread, own if process.group is not None else thread, number, "SI_USER")
    if pid == -1:
        raise fail(errno.EPERM)  # everything the user runs on the host
    os.kill(pid, process.host_signal(number) if number else 0)
    return 0


@system_call("int signal")
def tkill(thread: Thread, tid: int, number: int) -> int:
    if tid <= 0:
        raise fail(errno.EINVAL)
    return tgkill(thread, tid if thread.process.thread(tid) is None else thread.process.pid, tid, number)


@system_call("int int signal")
def tgkill(thread: Thread, pid: int, tid: int, number: int) -> int:
    if pid <= 0 or tid <= 0:
        raise fail(errno.EINVAL)
    if number:
        check(number)
    process = thread.process
    target = process.thread(tid) if pid == process.pid else None
    if target is None:
        if not process.own_signals:
            raise fail(errno.ESRCH)
        return process.host.do("tgkill", pid, tid, process.host_signal(number) if number else 0)
    if number and send_own(target, number, "tgkill", pid, tid):
        return 0
    return _send(thread, target, number, "SI_TKILL")


def _queue(thread: Thread, call: str, targets: tuple[int, ...], number: int, address: int) -> int:
    process = thread.process
    if not process.own_signals:
        raise fail(errno.ENOSYS)
    if -1 in targets:
        raise fail(errno.EPERM)
    data = Bytes(to_host(process, number, process.memory.read(address, SIGINFO_BYTES)))
    return process.host.do(call, *targets, process.host_signal(number) if number else 0, data.address)


@system_call("int signal pointer")
def rt_sigqueueinfo(thread: Thread, pid: int, number: int, address: int) -> int:
    return _queue(thread, "rt_sigqueueinfo", (pid,), number, address)


@system_call("int int signal pointer")
def rt_tgsigqueueinfo(thread: Thread, pid: int, tid: int, number: int, address: int) -> int:
    return _queue(thread, "rt_tgsigqueueinfo", (pid, tid), number, address)
