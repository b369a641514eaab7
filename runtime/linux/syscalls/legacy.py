"""System calls that newer machines were not given: older ABIs have them beside those that replaced them."""

from __future__ import annotations

import errno
import os
import time as host_time

from runtime.linux.paths import AT_FDCWD, locate, read_path
from runtime.linux.signals import Action, bit, check
from runtime.linux.syscalls import children, files, paths, polling, signals, sockets, standing
from runtime.linux.syscalls.table import CALLS, Bound, Call, fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_NSEC = 1_000_000_000
_SIGNAL_SET_BYTES = 8


def _also(name: str, *others: str) -> None:
    """The same call under further names."""
    for other in others:
        CALLS[other] = Call(other, CALLS[name].kinds, CALLS[name].answer)


# ------------------------------------------------------------ paths


@system_call("path open_flags mode", "open")
def open_(thread: Thread, path: int, flags: int, mode: int) -> int:
    return paths.openat(thread, AT_FDCWD, path, flags, mode)


@system_call("path mode")
def creat(thread: Thread, path: int, mode: int) -> int:
    constants = thread.process.abi.constants
    flags = constants["O_CREAT"] | constants["O_WRONLY"] | constants["O_TRUNC"]
    return paths.openat(thread, AT_FDCWD, path, flags, mode)


@system_call("path mode")
def access(thread: Thread, path: int, mode: int) -> int:
    return paths.faccessat(thread, AT_FDCWD, path, mode)


@system_call("path mode")
def mkdir(thread: Thread, path: int, mode: int) -> int:
    return paths.mkdirat(thread, AT_FDCWD, path, mode)


@system_call("path mode word")
def mknod(thread: Thread, path: int, mode: int, device: int) -> int:
    return paths.mknodat(thread, AT_FDCWD, path, mode, device)


@system_call("path")
def rmdir(thread: Thread, path: int) -> int:
    return paths.unlinkat(thread, AT_FDCWD, path, paths.AT_REMOVEDIR)


@system_call("path")
def unlink(thread: Thread, path: int) -> int:
    return paths.unlinkat(thread, AT_FDCWD, path, 0)


@system_call("path path")
def rename(thread: Thread, old: int, new: int) -> int:
    return paths.renameat(thread, AT_FDCWD, old, AT_FDCWD, new)


@system_call("path path")
def link(thread: Thread, old: int, new: int) -> int:
    return paths.linkat(thread, AT_FDCWD, old, AT_FDCWD, new, 0)


@system_call("path path")
def symlink(thread: Thread, text: int, path: int) -> int:
    return paths.symlinkat(thread, text, AT_FDCWD, path)


@system_call("path output size")
def readlink(thread: Thread, path: int, address: int, size: int) -> int:
    return paths.readlinkat(thread, AT_FDCWD, path, address, size)


@system_call("path mode")
def chmod(thread: Thread, path: int, mode: int) -> int:
    return paths.fchmodat(thread, AT_FDCWD, path, mode)


@system_call("path int int", "chown", "chown32")
def chown(thread: Thread, path: int, user: int, group: int) -> int:
    return paths.fchownat(thread, AT_FDCWD, path, user, group, 0)


@system_call("path int int", "lchown", "lchown32")
def lchown(thread: Thread, path: int, user: int, group: int) -> int:
    return paths.fchownat(thread, AT_FDCWD, path, user, group, paths.AT_SYMLINK_NOFOLLOW)


@system_call("path pointer")
def stat(thread: Thread, path: int, address: int) -> int:
    return paths.write_stat(thread, address, paths.status_of(thread, AT_FDCWD, path, 0))


@system_call("path pointer")
def lstat(thread: Thread, path: int, address: int) -> int:
    return paths.write_stat(thread, address, paths.status_of(thread, AT_FDCWD, path, paths.AT_SYMLINK_NOFOLLOW))


@system_call("path pointer")
def stat64(thread: Thread, path: int, address: int) -> int:
    return paths.write_stat(thread, address, paths.status_of(thread, AT_FDCWD, path, 0), "stat64")


@system_call("path pointer")
def lstat64(thread: Thread, path: int, address: int) -> int:
    found = paths.status_of(thread, AT_FDCWD, path, paths.AT_SYMLINK_NOFOLLOW)
    return paths.write_stat(thread, address, found, "stat64")


@system_call("fd pointer")
def fstat64(thread: Thread, fd: int, address: int) -> int:
    return paths.write_stat(thread, address, os.fstat(thread.process.descriptors.host(fd)), "stat64")


@system_call("dirfd path pointer flags")
def fstatat64(thread: Thread, dirfd: int, path: int, address: int, flags: int) -> int:
    if flags & ~(paths.AT_SYMLINK_NOFOLLOW | paths.AT_NO_AUTOMOUNT | paths.AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    return paths.write_stat(thread, address, paths.status_of(thread, dirfd, path, flags), "stat64")


@system_call("path pointer")
def utimes(thread: Thread, path: int, address: int) -> int:
    return futimesat(thread, AT_FDCWD, path, address)


@system_call("path pointer")
def utime(thread: Thread, path: int, address: int) -> int:
    """Whole seconds, of access and of change; without them the present."""
    times = None
    if address:
        layout = thread.process.abi.struct("utimbuf")
        fields = layout.unpack(thread.memory.read(address, layout.size))
        times = (fields["actime"] * _NSEC, fields["modtime"] * _NSEC)
    found, directory = locate(thread.process, AT_FDCWD, read_path(thread.process, path))
    os.utime(found, ns=times, dir_fd=directory) if times else os.utime(found, dir_fd=directory)
    return 0


@system_call("dirfd path pointer")
def futimesat(thread: Thread, dirfd: int, path: int, address: int) -> int:
    process, layout = thread.process, thread.process.abi.struct("timeval")
    times = None
    if address:
        data = thread.memory.read(address, 2 * layout.size)
        pair = [layout.unpack(data[at : at + layout.size]) for at in (0, layout.size)]
        if any(not 0 <= one["usec"] < 1_000_000 for one in pair):
            raise fail(errno.EINVAL)
        times = (pair[0]["sec"] * _NSEC + pair[0]["usec"] * 1000, pair[1]["sec"] * _NSEC + pair[1]["usec"] * 1000)
    found, directory = locate(process, dirfd, read_path(process, path))
    os.utime(found, ns=times, dir_fd=directory) if times else os.utime(found, dir_fd=directory)
    return 0


@system_call("fd pointer unsigned")
def getdents(thread: Thread, fd: int, address: int, count: int) -> int:
    """getdents64's entries, which have just the bytes: the type stands last, not before the name."""
    size = paths.getdents64(thread, fd, address, count)
    layout, order = thread.process.abi.struct("dirent64"), thread.process.abi.byte_order
    data = bytearray(thread.memory.read(address, size, 0))
    kind = layout.offsets["type"]
    at = 0
    while at < size:
        end = at + int.from_bytes(data[at + kind - 2 : at + kind], order)
        data[at + kind : end] = data[at + kind + 1 : end] + data[at + kind : at + kind + 1]
        at = end
    thread.memory.write(address, data)
    return size


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
    return CALLS["inotify_init1"].answer(thread, 0)


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
    return CALLS["fadvise64_64"].answer(thread, fd, offset, size, advice)


@system_call("fd input size flags")
def send(thread: Thread, fd: int, address: int, size: int, flags: int) -> int:
    return CALLS["sendto"].answer(thread, fd, address, size, flags, 0, 0)


@system_call("fd output size flags")
def recv(thread: Thread, fd: int, address: int, size: int, flags: int) -> int:
    return CALLS["recvfrom"].answer(thread, fd, address, size, flags, 0, 0)


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
    bound = Bound(CALLS[names[number - 1]], thread.process.abi)
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
    return CALLS["mmap"].answer(thread, *words, (fd ^ 1 << 31) - (1 << 31), offset)


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


@system_call("int word")
def arch_prctl(thread: Thread, code: int, value: int) -> int:
    """Set or get the base of a segment, which a program has no instruction for."""
    abi = thread.process.abi
    for (setting, getting), register in abi.base_registers.items():
        if code == setting:
            if value >= thread.memory.size:
                raise fail(errno.EPERM)
            thread.set(register, value)
            return 0
        if code == getting:
            thread.memory.write(value, thread.get(register).to_bytes(abi.long_bytes, abi.byte_order))
            return 0
    raise fail(errno.EINVAL)


@system_call("pointer")
def set_tls(thread: Thread, value: int) -> int:
    register = thread.process.abi.thread_pointer
    if register is not None:
        thread.set(register, value)
    return 0


@system_call("pointer")
def set_thread_area(thread: Thread, address: int) -> int:
    """Where the thread pointer is, or a descriptor of the segment that is one."""
    if thread.process.abi.segments is None:
        return set_tls(thread, address)
    children.set_segment(thread, address, choose=True)
    return 0


@system_call("pointer")
def get_thread_area(thread: Thread, address: int) -> int:
    """The descriptor whose number stands in the structure."""
    abi = thread.process.abi
    if abi.segments is None:
        raise fail(errno.ENOSYS)
    layout = abi.struct("user_desc")
    number = layout.unpack(thread.memory.read(address, layout.size))["entry_number"] - abi.segments.first
    if not 0 <= number < len(abi.segments.bases):
        raise fail(errno.EINVAL)
    base = thread.get(abi.segments.bases[number])
    fields = {"entry_number": number + abi.segments.first, "base_addr": base}
    # Of 4 GiB, 32 bits, counted in pages, usable; or empty (fill_user_desc of arch/x86/kernel/tls.c).
    fields |= {"limit": 0xFFFFF, "flags": 0x51} if base else {"flags": 0x28}
    thread.memory.write(address, layout.pack(fields))
    return 0


@system_call("pointer pointer flags", "cacheflush")
def cacheflush(thread: Thread, start: int, end: int, flags: int) -> int:
    """Stores into translated code are noticed as they happen: there is nothing to flush."""
    return 0


for _module in (sockets, standing):
    assert _module  # imported for the calls they declare, which the names below stand for
for _who in ("uid", "gid"):
    for _verb in ("get", "gete", "set", "setre", "setres", "getres"):
        _also(f"{_verb}{_who}", f"{_verb}{_who}32")
for _name in ("getgroups", "setgroups", "fchown"):
    _also(_name, f"{_name}32")
_also("getrlimit", "ugetrlimit")
