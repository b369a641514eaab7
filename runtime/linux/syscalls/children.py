"""System calls that make processes and wait for them: clone as fork and vfork, execve, wait4, waitid."""

from __future__ import annotations

import errno
import os
import stat

from runtime.core.light import suppress
from runtime.core.memory import GuestFault
from runtime.linux import vfork
from runtime.linux.host import Bytes
from runtime.linux.paths import AT_FDCWD, canonical, guest_name, locate, read_path
from runtime.linux.siginfo import from_host
from runtime.linux.signals import check
from runtime.linux.syscalls.process import GuestReplaced
from runtime.linux.syscalls.table import fail, system_call
from runtime.linux.syscalls.thread_areas import set_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.linux.process import Process, Thread

    #: prepares what executes a program: (its name, its open file, arguments, environment, its name for ps)
    Replace = Callable[[bytes, int, list[bytes], list[bytes], bytes], object]

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE = 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000
CLONE_VFORK, CLONE_PARENT, CLONE_THREAD, CLONE_SYSVSEM, CLONE_SETTLS = 0x4000, 0x8000, 0x10000, 0x40000, 0x80000
CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_UNTRACED = 0x100000, 0x200000, 0x400000, 0x800000
CLONE_CHILD_SETTID = 0x1000000
#: what a process of its own may share with its parent without anybody seeing a difference soon
_HARMLESS = CLONE_PTRACE | CLONE_SYSVSEM | CLONE_DETACHED | CLONE_UNTRACED
_SHARED = CLONE_FS | CLONE_FILES | CLONE_SIGHAND
_KNOWN = (
    CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID
    | CLONE_PIDFD | _HARMLESS
)  # fmt: skip
#: what a thread shares with the others, all of it, and what else may be said of it
_OF_THREADS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD
_WITH_THREADS = CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | _HARMLESS

P_PIDFD = 3
WNOHANG, WNOWAIT = 1, 0x01000000
AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = 0x100, 0x1000
#: most arguments and environment strings, and most bytes of a script's first line (BINPRM_BUF_SIZE)
_MOST_STRINGS, _LONGEST_STRING = 1 << 16, 131072
_FIRST_LINE, _MOST_INTERPRETERS = 256, 4
_ALL_SIGNALS = (1 << 64) - 1


# ------------------------------------------------------------ clone


@system_call("flags pointer pointer pointer pointer")
def clone(thread: Thread, flags: int, stack: int, parent_tid: int, fourth: int, fifth: int) -> int:
    tls, child_tid = (fourth, fifth) if thread.process.abi.clone_tls_first else (fifth, fourth)
    flags &= 0xFFFFFFFF
    return _clone(thread, flags & ~0xFF, stack, parent_tid, child_tid, tls, parent_tid)


@system_call("pointer size")
def clone3(thread: Thread, address: int, size: int) -> int:
    memory, layout = thread.memory, thread.process.abi.struct("clone_args")
    if size < layout.size:
        raise fail(errno.EINVAL)
    if size > 4096:
        raise fail(errno.E2BIG)
    data = memory.read(address, size)
    if any(data[layout.size :]):  # cgroups, a pid of one's own choice
        raise fail(errno.EINVAL)
    fields = layout.unpack(data[: layout.size])
    if bool(fields["stack"]) != bool(fields["stack_size"]) or fields["exit_signal"] & ~0xFF or fields["flags"] & 0xFF:
        raise fail(errno.EINVAL)
    stack = fields["stack"] + fields["stack_size"]
    return _clone(
        thread, fields["flags"], stack, fields["parent_tid"], fields["child_tid"], fields["tls"], fields["pidfd"]
    )


def _clone(thread: Thread, flags: int, stack: int, parent_tid: int, child_tid: int, tls: int, pidfd: int) -> int:
    """fork: a copy of this host process goes on as the child.  With CLONE_THREAD a thread of this one."""
    process = thread.process
    if flags & CLONE_THREAD:
        return _clone_thread(thread, flags, stack, parent_tid, child_tid, tls)
    if not process.own_signals:
        raise fail(errno.ENOSYS)  # other guests live in this host process
    if flags & ~_KNOWN or (flags & CLONE_VM and not flags & CLONE_VFORK):
        raise fail(errno.EINVAL if flags & (_SHARED | CLONE_VM | CLONE_PARENT) else errno.EPERM)
    if flags & CLONE_PIDFD:
        process.memory.writable(pidfd, 4)
    waiting = os.pipe2(os.O_CLOEXEC) if flags & CLONE_VFORK else None
    process.flush()
    host = process.host
    host.set_mask(_ALL_SIGNALS)
    thread.host_blocked = -1  # have it set anew before the guest goes on
    try:
        pid = _fork(thread)
    except OSError:
        for end in waiting or ():
            os.close(end)
        raise
    if pid:
        return _parent(thread, flags, pid, waiting, parent_tid, pidfd)
    process.become_child(thread)
    if waiting is not None:
        os.close(waiting[0])
        process.waiting_parent = waiting[1]
    _begin(thread, flags, stack, child_tid, tls)
    return 0


def _clone_thread(thread: Thread, flags: int, stack: int, parent_tid: int, child_tid: int, tls: int) -> int:
    """A thread of this process, on a host thread of its own."""
    if flags & _OF_THREADS != _OF_THREADS or flags & ~(_OF_THREADS | _WITH_THREADS):
        raise fail(errno.EINVAL)
    from runtime.linux.threads import group_of

    process = thread.process

    def prepare(child: Thread) -> None:
        if flags & CLONE_PARENT_SETTID:
            _store(child, parent_tid, child.tid)
        _begin(child, flags, stack, child_tid, tls)
        child.set_result(0)

    return group_of(process).start(thread, prepare)


def _begin(thread: Thread, flags: int, stack: int, child_tid: int, tls: int) -> None:
    """What differs in a new thread or process from the one it is a copy of."""
    abi = thread.process.abi
    if stack:
        thread.set(abi.stack, stack)
    if flags & CLONE_SETTLS and abi.segments is not None:
        set_segment(thread, tls)
    elif flags & CLONE_SETTLS and abi.thread_pointer is not None:
        thread.set(abi.thread_pointer, tls)
    thread.clear_child_tid = child_tid if flags & CLONE_CHILD_CLEARTID else 0
    thread.robust_list = 0
    if flags & CLONE_CHILD_SETTID:
        _store(thread, child_tid, thread.tid)


def _fork(thread: Thread) -> int:
    """os.fork, with no lock held by a thread that will not be in the child."""
    process = thread.process
    if process.group is None or process.crew is None:
        return os.fork()
    world = process.crew.world
    with process.group.changed, process.lock, process.descriptors.lock, world.stopped():
        pid = os.fork()
        if not pid:
            world.keep_only(thread.vcpu.address)
    return pid


def _parent(thread: Thread, flags: int, pid: int, waiting: tuple[int, int] | None, parent_tid: int, pidfd: int) -> int:
    process = thread.process
    if flags & CLONE_PARENT_SETTID:
        _store(thread, parent_tid, pid)
    if flags & CLONE_PIDFD:
        number = process.descriptors.add(os.pidfd_open(pid), True)
        process.memory.write(pidfd, number.to_bytes(4, process.abi.byte_order))
    if waiting is not None:
        os.close(waiting[1])
        process.host.set_mask(process.signals.host_mask(thread.blocked))
        # Beside other threads only what is the caller's alone: they go on.
        own = None if process.group is None else process.memory.region_at(thread.get(process.abi.stack))
        vfork.listen(waiting[0], process.memory, own)
    return pid


def _store(thread: Thread, address: int, value: int) -> None:
    """put_user of the kernel's, whose failure nobody looks at."""
    with suppress(GuestFault):
        thread.memory.write(address, value.to_bytes(4, thread.process.abi.byte_order))


# ------------------------------------------------------------ execve


@system_call("path pointer pointer")
def execve(thread: Thread, path: int, arguments: int, environment: int) -> int:
    return _execute(thread, AT_FDCWD, path, arguments, environment, 0)


@system_call("dirfd path pointer pointer flags")
def execveat(thread: Thread, dirfd: int, path: int, arguments: int, environment: int, flags: int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    return _execute(thread, dirfd, path, arguments, environment, flags)


def _execute(thread: Thread, dirfd: int, address: int, arguments: int, environment: int, flags: int) -> int:
    process = thread.process
    if process.replace is None:
        raise fail(errno.ENOSYS)
    name = read_path(process, address)
    if not name and flags & AT_EMPTY_PATH:
        host = process.descriptors.host(dirfd)
        name = canonical(host)
        descriptor = os.open(b"/proc/self/fd/%d" % host, os.O_RDONLY | os.O_CLOEXEC)
        shown = b"/dev/fd/%d" % dirfd
    else:
        descriptor = _open(process, dirfd, name, bool(flags & AT_SYMLINK_NOFOLLOW))
        shown = name if dirfd == AT_FDCWD or name.startswith(b"/") else b"/dev/fd/%d/%s" % (dirfd, name)
    argv, envp = _strings(thread, arguments), _strings(thread, environment)
    command = os.path.basename(name)
    try:
        for _ in range(_MOST_INTERPRETERS + 1):
            _check_file(descriptor)
            line = _interpreter(os.pread(descriptor, _FIRST_LINE, 0))
            if line is None:
                break
            argv = [*line, shown, *argv[1:]]
            shown = line[0]
            os.close(descriptor)
            descriptor = -1
            descriptor = _open(process, AT_FDCWD, shown, False)
        else:
            raise fail(errno.ELOOP)
        program = guest_name(process, canonical(descriptor))
        process.executing = thread
        successor = process.replace(program, descriptor, argv or [b""], envp, command[:15])
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    if process.group is not None:
        process.group.end_others(thread)
    process.leave()
    raise GuestReplaced(successor)


def _open(process: Process, dirfd: int, name: bytes, keep_link: bool) -> int:
    path, directory = locate(process, dirfd, name, links=not keep_link)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if keep_link else 0)
    return os.open(path, flags, dir_fd=directory)


def _check_file(descriptor: int) -> None:
    """EACCES for what is no regular file or may not be executed."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not os.access(
        b"/proc/self/fd/%d" % descriptor, os.X_OK, effective_ids=True
    ):
        raise fail(errno.EACCES)


def _interpreter(start: bytes) -> list[bytes] | None:
    """The words of a script's first line after #!: interpreter and at most one argument (fs/binfmt_script.c)."""
    if not start.startswith(b"#!"):
        return None
    line, newline, _ = start[2:].partition(b"\n")
    # Blanks at the end are cut off only where the line has an end.
    line = line.rstrip(b" \t") if newline else line.partition(b"\0")[0]
    words = line.lstrip(b" \t").split(None, 1)
    if not words or (not newline and len(start) == _FIRST_LINE and len(words) == 1):
        raise fail(errno.ENOEXEC)
    return words


def _strings(thread: Thread, address: int) -> list[bytes]:
    """A NULL-terminated array of strings; NULL is an empty one."""
    abi, memory = thread.process.abi, thread.memory
    found: list[bytes] = []
    total = 0
    while address:
        pointer = int.from_bytes(memory.read(address, abi.long_bytes), abi.byte_order)
        if not pointer:
            break
        text = memory.read_string(pointer, _LONGEST_STRING)
        total += len(text)
        if len(text) >= _LONGEST_STRING or len(found) >= _MOST_STRINGS or total > 64 * _LONGEST_STRING:
            raise fail(errno.E2BIG)
        found.append(text)
        address += abi.long_bytes
    return found


# ------------------------------------------------------------ waiting


def _status(process: Process, status: int) -> int:
    """A wait status with the guest's number of the signal in it."""
    if status & 0xFF == 0x7F:
        return status & ~0xFF00 | process.signals.guest(status >> 8 & 0xFF) << 8
    if 0 < status & 0x7F < 0x7F:
        return status & ~0x7F | process.signals.guest(status & 0x7F)
    return status


def _write_usage(thread: Thread, address: int, data: bytes) -> None:
    abi = thread.process.abi
    host = abi.host_struct("rusage")
    thread.memory.write(address, abi.struct("rusage").pack(host.unpack(data[: host.size])))


@system_call("int pointer flags pointer")
def wait4(thread: Thread, pid: int, status: int, options: int, usage: int) -> int:
    process = thread.process
    answer, used = Bytes(4), Bytes(process.abi.host_struct("rusage").size)
    done = process.host.wait("wait4", pid, answer.address, options, used.address if usage else 0)
    if done and status:
        value = _status(process, int.from_bytes(answer.raw[:4], "little"))
        process.memory.write(status, value.to_bytes(4, process.abi.byte_order))
    if done and usage:
        _write_usage(thread, usage, used.raw)
    return done


@system_call("int int pointer flags pointer")
def waitid(thread: Thread, kind: int, identity: int, address: int, options: int, usage: int) -> int:
    process = thread.process
    if kind == P_PIDFD:
        identity = process.descriptors.host(identity)
    answer, used = Bytes(128), Bytes(process.abi.host_struct("rusage").size)
    process.host.wait("waitid", kind, identity, answer.address, options, used.address if usage else 0)
    layout = process.abi.struct("siginfo_child")
    data = bytes(layout.size)
    if any(answer.raw[:4]):
        info = from_host(process, answer.raw)
        data = layout.pack({"signo": info.number, "code": info.code, "pid": info.pid, "uid": info.uid,
                            "status": (info.fields or {})["status"]})  # fmt: skip
    if address:
        process.memory.write(address, data[: layout.offsets["status"] + 4])
    if usage and any(answer.raw[:4]):
        _write_usage(thread, usage, used.raw)
    return 0


# ------------------------------------------------------------ process descriptors


@system_call("int flags")
def pidfd_open(thread: Thread, pid: int, flags: int) -> int:
    return thread.process.descriptors.add(os.pidfd_open(pid, flags), True)


@system_call("fd signal pointer flags")
def pidfd_send_signal(thread: Thread, fd: int, number: int, information: int, flags: int) -> int:
    process = thread.process
    if information or flags:
        raise fail(errno.EINVAL)
    host = process.descriptors.host(fd)
    import signal

    signal.pidfd_send_signal(host, process.host_signal(check(number)) if number else 0)
    return 0
