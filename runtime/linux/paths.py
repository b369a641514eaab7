"""Paths as the guest means them: below its root, its directory and descriptors, with /proc/self answered for the guest.

/proc/self of the host process tells of the emulator: its executable, its mappings, its memory.  What a guest may ask
about itself is made up (own_files.py); the files that describe the process as the host runs it (io, cgroup ...) are let
through; the rest, above all mem, is refused.  Opened files are checked by their canonical name too, so that a symbolic
link or a directory descriptor leads to nothing else.
"""

from __future__ import annotations

import errno
import os

from runtime.linux.errors import fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process

AT_FDCWD = -100
PATH_MAX = 4096
#: the directory whose entries are the guest's descriptors; `path` of a descriptor open on it
OWN_DESCRIPTORS = b"/proc/self/fd"

#: files of /proc/self that are as true of the guest as of the process that runs it, and can be read
_HONEST = frozenset(
    b"cgroup cpuset io loginuid mountinfo mounts mountstats oom_adj oom_score oom_score_adj sched schedstat "
    b"sessionid timerslack_ns".split()
)


def read_path(process: Process, address: int) -> bytes:
    """The path at a guest address: EFAULT, ENAMETOOLONG as Linux's getname says."""
    path = process.memory.read_string(address, PATH_MAX)
    if len(path) >= PATH_MAX:
        raise fail(errno.ENAMETOOLONG)
    return path


def locate(
    process: Process, dirfd: int, path: bytes, follow: bool = True, links: bool | None = None
) -> tuple[bytes, int | None]:
    """The host's path and directory descriptor (None: the working directory) for a guest's; ENOENT when it is empty.

    With `follow`, a path in /proc/self is taken to where it leads for the guest: its descriptors are not the host's.
    `links` says whether the caller goes on to follow a symbolic link at the path's end; what `follow` says by default.
    """
    if not path:
        raise fail(errno.ENOENT)
    sysroot = process.sysroot
    directory, base = None, b""
    if not path.startswith(b"/"):
        directory = process.directory if dirfd == AT_FDCWD else process.descriptors.host(dirfd)
        if directory is not None:
            base = canonical(directory)
        if base == b"/proc" or base.startswith(b"/proc/"):
            path = base + b"/" + path  # its links are the host's: look them up by name
    if path.startswith(b"/"):
        name = own_file(process, path) if follow else None
        if name is not None:
            return _lead(process, name), None
        if sysroot is not None:
            path = sysroot.host(path, follow if links is None else links)
        return path, None
    if sysroot is not None:
        found = sysroot.inside(base or os.getcwdb(), path, follow if links is None else links)
        if found is not None:
            return found, None
    return path, directory


def guest_name(process: Process, path: bytes) -> bytes:
    """A host path as the guest names it."""
    return path if process.sysroot is None else process.sysroot.guest(path)


def _lead(process: Process, name: bytes) -> bytes:
    """The host's path of what /proc/self/<name> means to the guest."""
    host = descriptor_of(process, name)
    if host is not None:
        return b"/proc/self/fd/%d" % host
    target = read_link(process, name)
    if target is None:
        check_own(name)
        target = b"/proc/self/" + name
    return target


def canonical(host: int) -> bytes:
    """The host's name for an open descriptor; nothing where /proc is not mounted, and so holds no secrets either."""
    try:
        return os.readlink(b"/proc/self/fd/%d" % host)
    except FileNotFoundError:
        return b""


def own_file(process: Process, path: bytes) -> bytes | None:
    """The part of an absolute path below this process's /proc directory: b"maps", b"fd/3", b"" - or None."""
    if not path.startswith((b"/proc/", b"/dev/fd", b"/dev/std")):
        return None
    path = os.path.normpath(path)
    if path.startswith(b"/dev/"):
        number = {b"/dev/stdin": b"0", b"/dev/stdout": b"1", b"/dev/stderr": b"2"}.get(path)
        if number is not None:
            return b"fd/" + number
        return b"fd" + path[len(b"/dev/fd") :] if path == b"/dev/fd" or path.startswith(b"/dev/fd/") else None
    _, _, pid, *rest = path.split(b"/")
    if pid not in (b"self", b"thread-self", b"%d" % process.pid):
        return None
    if rest[:1] == [b"task"] and len(rest) > 1:
        rest = rest[2:]
    return b"/".join(rest)


def check_own(name: bytes) -> None:
    """EACCES for what /proc/self/<name> would tell of the emulator rather than of the guest."""
    if name not in _HONEST and not name.startswith(b"net/"):
        raise fail(errno.EACCES)


def read_link(process: Process, name: bytes) -> bytes | None:
    """The target of the symbolic link /proc/self/<name>, where it is the guest's; None when it is no such link."""
    if name == b"exe":
        return process.executable
    if name.startswith(b"fd/") and name[3:].isdigit():
        descriptor = process.descriptors.get(_number(name))
        return descriptor.path or canonical(descriptor.host)
    if name in (b"cwd", b"root"):
        return working_directory(process) if name == b"cwd" else b"/"
    return None


def descriptor_of(process: Process, name: bytes) -> int | None:
    """The host descriptor that /proc/self/fd/N names, or None when `name` is something else."""
    if name.startswith(b"fd/") and name[3:].isdigit():
        try:
            return process.descriptors.host(_number(name))
        except OSError:
            raise fail(errno.ENOENT) from None
    return None


def working_directory(process: Process) -> bytes:
    """The guest's working directory."""
    return os.getcwdb() if process.directory is None else canonical(process.directory)


def _number(name: bytes) -> int:
    digits = name[3:]
    return int(digits) if len(digits) < 10 else -1
