"""System calls on paths from before they could begin at a directory's descriptor, and stat64 of 32-bit ABIs."""

from __future__ import annotations

import errno
import os

from runtime.linux.paths import AT_FDCWD, locate, read_path
from runtime.linux.syscalls import paths
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

_NSEC = 1_000_000_000


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
