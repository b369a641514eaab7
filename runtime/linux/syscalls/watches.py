"""inotify and extended attributes: what can be known of a file beyond its status.  The host's do the work."""

from __future__ import annotations

import errno
import os

from runtime.linux.host import Bytes
from runtime.linux.paths import AT_FDCWD, locate, read_path
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Thread

IN_DONT_FOLLOW = 0x02000000
XATTR_CREATE, XATTR_REPLACE = 1, 2
_LONGEST_VALUE, _LONGEST_LIST = 65536, 65536


def _place(thread: Thread, address: int, follow: bool) -> bytes:
    """The host's name for the path at an address."""
    process = thread.process
    path, directory = locate(process, AT_FDCWD, read_path(process, address), links=follow)
    return path if directory is None or path.startswith(b"/") else b"/proc/self/fd/%d/%s" % (directory, path)


@system_call("inotify_flags")
def inotify_init1(thread: Thread, flags: int) -> int:
    process = thread.process
    close_on_exec, no_wait = process.abi.constants["O_CLOEXEC"], process.abi.constants["O_NONBLOCK"]
    if flags & ~(close_on_exec | no_wait):
        raise fail(errno.EINVAL)
    host = process.host.do("inotify_init1", os.O_CLOEXEC | (os.O_NONBLOCK if flags & no_wait else 0))
    return process.descriptors.add(host, bool(flags & close_on_exec))


@system_call("fd path inotify_mask")
def inotify_add_watch(thread: Thread, fd: int, address: int, mask: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    path = Bytes(_place(thread, address, not mask & IN_DONT_FOLLOW))
    return process.host.do("inotify_add_watch", host, path.address, mask & 0xFFFFFFFF)


@system_call("fd int")
def inotify_rm_watch(thread: Thread, fd: int, watch: int) -> int:
    return thread.process.host.do("inotify_rm_watch", thread.process.descriptors.host(fd), watch)


# ------------------------------------------------------------ extended attributes


def _give(thread: Thread, address: int, size: int, data: bytes) -> int:
    """Data for a buffer that may be too small, or of no size: then its length is all that is asked for."""
    if size:
        if len(data) > size:
            raise fail(errno.ERANGE)
        thread.memory.write(address, data)
    return len(data)


def _get(thread: Thread, target: bytes | int, name: int, address: int, size: int, follow: bool = True) -> int:
    found = os.getxattr(target, _name(thread, name), follow_symlinks=follow)
    return _give(thread, address, size, found)


def _list(thread: Thread, target: bytes | int, address: int, size: int, follow: bool = True) -> int:
    names = os.listxattr(target, follow_symlinks=follow)
    return _give(thread, address, size, b"".join(os.fsencode(name) + b"\0" for name in names))


def _set(
    thread: Thread, target: bytes | int, name: int, address: int, size: int, flags: int, follow: bool = True
) -> int:
    if flags & ~(XATTR_CREATE | XATTR_REPLACE):
        raise fail(errno.EINVAL)
    if size > _LONGEST_VALUE:
        raise fail(errno.E2BIG)
    os.setxattr(target, _name(thread, name), thread.memory.read(address, size), flags, follow_symlinks=follow)
    return 0


def _name(thread: Thread, address: int) -> bytes:
    name = thread.memory.read_string(address, 256)
    if not 0 < len(name) < 256:
        raise fail(errno.ERANGE)
    return name


@system_call("path path output size")
def getxattr(thread: Thread, path: int, name: int, address: int, size: int) -> int:
    return _get(thread, _place(thread, path, True), name, address, size)


@system_call("path path output size")
def lgetxattr(thread: Thread, path: int, name: int, address: int, size: int) -> int:
    return _get(thread, _place(thread, path, False), name, address, size, False)


@system_call("fd path output size")
def fgetxattr(thread: Thread, fd: int, name: int, address: int, size: int) -> int:
    return _get(thread, thread.process.descriptors.host(fd), name, address, size)


@system_call("path output size")
def listxattr(thread: Thread, path: int, address: int, size: int) -> int:
    return _list(thread, _place(thread, path, True), address, size)


@system_call("path output size")
def llistxattr(thread: Thread, path: int, address: int, size: int) -> int:
    return _list(thread, _place(thread, path, False), address, size, False)


@system_call("fd output size")
def flistxattr(thread: Thread, fd: int, address: int, size: int) -> int:
    return _list(thread, thread.process.descriptors.host(fd), address, size)


@system_call("path path input size xattr_flags")
def setxattr(thread: Thread, path: int, name: int, address: int, size: int, flags: int) -> int:
    return _set(thread, _place(thread, path, True), name, address, size, flags)


@system_call("path path input size xattr_flags")
def lsetxattr(thread: Thread, path: int, name: int, address: int, size: int, flags: int) -> int:
    return _set(thread, _place(thread, path, False), name, address, size, flags, False)


@system_call("fd path input size xattr_flags")
def fsetxattr(thread: Thread, fd: int, name: int, address: int, size: int, flags: int) -> int:
    return _set(thread, thread.process.descriptors.host(fd), name, address, size, flags)


@system_call("path path")
def removexattr(thread: Thread, path: int, name: int) -> int:
    os.removexattr(_place(thread, path, True), _name(thread, name))
    return 0


@system_call("path path")
def lremovexattr(thread: Thread, path: int, name: int) -> int:
    os.removexattr(_place(thread, path, False), _name(thread, name), follow_symlinks=False)
    return 0


@system_call("fd path")
def fremovexattr(thread: Thread, fd: int, name: int) -> int:
    os.removexattr(thread.process.descriptors.host(fd), _name(thread, name))
    return 0
