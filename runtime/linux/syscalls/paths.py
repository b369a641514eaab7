"""System calls that take a path: open, stat, rename, remove, list directories."""

from __future__ import annotations

import errno
import os
import stat as modes

from runtime.core import foreign
from runtime.linux.host import Bytes
from runtime.linux.own_files import answer
from runtime.linux.paths import (
    AT_FDCWD,
    OWN_DESCRIPTORS,
    canonical,
    check_own,
    descriptor_of,
    guest_name,
    locate,
    own_file,
    read_link,
    read_path,
    working_directory,
)
from runtime.linux.syscalls.table import fail, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process, Thread

AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EACCESS = 0x100, 0x200, 0x200
AT_SYMLINK_FOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH = 0x400, 0x800, 0x1000
AT_STATX_SYNC_TYPE = 0x6000
STATX_BASIC_STATS = 0x7FF
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2

_libc = foreign.CDLL(None, use_errno=True)
_DT_DIR, _DT_LNK = 4, 10
#: bytes of one getdents64 from the host
_LISTING = 65536


# ------------------------------------------------------------ opening


@system_call("dirfd path open_flags mode")
def openat(thread: Thread, dirfd: int, address: int, flags: int, mode: int) -> int:
    process = thread.process
    host_flags = process.host_open_flags(flags) | os.O_CLOEXEC
    links = not host_flags & os.O_NOFOLLOW and host_flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
    path, directory = locate(process, dirfd, read_path(process, address), follow=False, links=links)
    name = own_file(process, path)
    if name is None:
        host = _open(process, path, host_flags, mode & 0o7777, directory)
        name = own_file(process, canonical(host))
        if name is not None:
            os.close(host)
    if name is not None:
        host = _open_own(process, name, host_flags)
    shown = OWN_DESCRIPTORS if name == b"fd" else None
    return process.descriptors.add(host, bool(flags & process.abi.constants["O_CLOEXEC"]), shown)


def _open(process: Process, path: bytes, host_flags: int, mode: int, directory: int | None) -> int:
    """Open a host file; what is cut off must not be touched in mappings of it any more."""
    if not host_flags & os.O_TRUNC or host_flags & os.O_PATH or not process.space.has_files:
        return os.open(path, host_flags, mode, dir_fd=directory)
    host = os.open(path, host_flags & ~os.O_TRUNC, mode, dir_fd=directory)
    try:
        if modes.S_ISREG(os.fstat(host).st_mode):
            process.space.resized(host, 0)
            os.truncate(b"/proc/self/fd/%d" % host, 0)
    except OSError:
        os.close(host)
        raise
    return host


def _open_own(process: Process, name: bytes, host_flags: int) -> int:
    """Open what stands at /proc/self/<name> for the guest."""
    if name == b"fd":
        return os.open(OWN_DESCRIPTORS, host_flags | os.O_DIRECTORY)
    host = descriptor_of(process, name)
    if host is not None:
        return os.open(b"/proc/self/fd/%d" % host, host_flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW))
    contents = answer(process, name)
    if contents is not None:
        if host_flags & os.O_ACCMODE != os.O_RDONLY:
            raise fail(errno.EACCES)
        host = os.memfd_create(os.fsdecode(name), os.MFD_CLOEXEC)
        os.write(host, contents)
        os.lseek(host, 0, os.SEEK_SET)
        return host
    target = read_link(process, name)
    if target is not None:
        return os.open(target, host_flags)
    check_own(name)
    return os.open(b"/proc/self/" + name, host_flags & ~os.O_NOFOLLOW)


# ------------------------------------------------------------ stat


def status_of(thread: Thread, dirfd: int, address: int, flags: int) -> os.stat_result:
    """What fstatat and statx look at: a path, or with AT_EMPTY_PATH the descriptor itself."""
    process = thread.process
    raw = read_path(process, address) if address or not flags & AT_EMPTY_PATH else b""
    if not raw and flags & AT_EMPTY_PATH:
        return os.stat(process.directory or b".") if dirfd == AT_FDCWD else os.fstat(process.descriptors.host(dirfd))
    follow = not flags & AT_SYMLINK_NOFOLLOW
    path, directory = locate(process, dirfd, raw, follow=False, links=follow)
    name = own_file(process, path)
    if name is not None:
        host = descriptor_of(process, name)
        if host is not None:
            return os.fstat(host) if follow else os.lstat(b"/proc/self/fd/%d" % host)
    if name is not None and follow:
        path, directory = read_link(process, name) or path, None
    return os.stat(path, dir_fd=directory, follow_symlinks=follow)


def _times(status: os.stat_result) -> dict[str, int]:
    times = {}
    for name, nanoseconds in (
        ("atime", status.st_atime_ns),
        ("mtime", status.st_mtime_ns),
        ("ctime", status.st_ctime_ns),
    ):
        times[name], times[name + "_nsec"] = divmod(nanoseconds, 1_000_000_000)
    return times


def _fields(status: os.stat_result) -> dict[str, int]:
    return {
        "dev": status.st_dev,
        "ino": status.st_ino,
        "mode": status.st_mode,
        "nlink": status.st_nlink,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "rdev": status.st_rdev,
        "size": status.st_size,
        "blksize": status.st_blksize,
        "blocks": status.st_blocks,
        **_times(status),
    }


def write_stat(thread: Thread, address: int, status: os.stat_result, structure: str = "stat") -> int:
    thread.memory.write(address, thread.process.abi.struct(structure).pack(_fields(status)))
    return 0


@system_call("fd pointer")
def fstat(thread: Thread, fd: int, address: int) -> int:
    return write_stat(thread, address, os.fstat(thread.process.descriptors.host(fd)))


@system_call("dirfd path pointer flags")
def newfstatat(thread: Thread, dirfd: int, path: int, address: int, flags: int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    return write_stat(thread, address, status_of(thread, dirfd, path, flags))


@system_call("dirfd path flags unsigned pointer")
def statx(thread: Thread, dirfd: int, path: int, flags: int, mask: int, address: int) -> int:
    allowed = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE
    if flags & ~allowed or flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE or mask >> 31:
        raise fail(errno.EINVAL)
    status = status_of(thread, dirfd, path, flags)
    fields = {
        **_fields(status),
        "mask": STATX_BASIC_STATS,
        "rdev_major": os.major(status.st_rdev),
        "rdev_minor": os.minor(status.st_rdev),
        "dev_major": os.major(status.st_dev),
        "dev_minor": os.minor(status.st_dev),
    }
    layout = thread.process.abi.struct("statx")
    thread.memory.write(address, layout.pack(fields))
    return 0


def _write_statfs(thread: Thread, address: int, structure: str, status: os.statvfs_result) -> int:
    fields = {
        "type": 0xEF53,  # statvfs does not tell; programs only compare it with what they know to be special
        "bsize": status.f_bsize,
        "blocks": status.f_blocks,
        "bfree": status.f_bfree,
        "bavail": status.f_bavail,
        "files": status.f_files,
        "ffree": status.f_ffree,
        "fsid": status.f_fsid,
        "namelen": status.f_namemax,
        "frsize": status.f_frsize,
        "flags": status.f_flag,
    }
    thread.memory.write(address, thread.process.abi.struct(structure).pack(fields))
    return 0


@system_call("path pointer")
def statfs(thread: Thread, path: int, address: int) -> int:
    return _write_statfs(thread, address, "statfs", _statvfs(thread, path))


@system_call("fd pointer")
def fstatfs(thread: Thread, fd: int, address: int) -> int:
    return _write_statfs(thread, address, "statfs", os.fstatvfs(thread.process.descriptors.host(fd)))


@system_call("path size pointer")
def statfs64(thread: Thread, path: int, size: int, address: int) -> int:
    if size != thread.process.abi.struct("statfs64").size:
        raise fail(errno.EINVAL)
    return _write_statfs(thread, address, "statfs64", _statvfs(thread, path))


@system_call("fd size pointer")
def fstatfs64(thread: Thread, fd: int, size: int, address: int) -> int:
    if size != thread.process.abi.struct("statfs64").size:
        raise fail(errno.EINVAL)
    return _write_statfs(thread, address, "statfs64", os.fstatvfs(thread.process.descriptors.host(fd)))


def _statvfs(thread: Thread, address: int) -> os.statvfs_result:
    process = thread.process
    path, directory = locate(process, AT_FDCWD, read_path(process, address))
    if directory is None:
        return os.statvfs(path)
    host = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.fstatvfs(host)
    finally:
        os.close(host)


# ------------------------------------------------------------ access


def _access(thread: Thread, dirfd: int, address: int, mode: int, flags: int) -> int:
    process = thread.process
    if mode & ~7 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    path, directory = locate(process, dirfd, read_path(process, address), follow=False, links=True)
    name = own_file(process, path)
    if name is not None:
        path = read_link(process, name) or path
    if os.access(path, mode, dir_fd=directory, effective_ids=bool(flags & AT_EACCESS)):
        return 0
    os.stat(path, dir_fd=directory)  # says why, unless it is a matter of permission
    raise fail(errno.EACCES)


@system_call("dirfd path mode")
def faccessat(thread: Thread, dirfd: int, path: int, mode: int) -> int:
    return _access(thread, dirfd, path, mode, 0)


@system_call("dirfd path mode flags")
def faccessat2(thread: Thread, dirfd: int, path: int, mode: int, flags: int) -> int:
    return _access(thread, dirfd, path, mode, flags)


@system_call("dirfd path output size")
def readlinkat(thread: Thread, dirfd: int, address: int, buffer: int, size: int) -> int:
    process = thread.process
    if not 0 < size < 1 << 31:
        raise fail(errno.EINVAL)
    path, directory = locate(process, dirfd, read_path(process, address), follow=False)
    name = own_file(process, path)
    target = None if name is None else read_link(process, name)
    if target is None:
        target = os.readlink(path, dir_fd=directory)
        if target.isdigit() and name == b"":
            target = b"%d" % process.pid
    else:
        target = guest_name(process, target)
    target = target[:size]
    thread.memory.write(buffer, target)
    return len(target)


# ------------------------------------------------------------ changing directories


@system_call("dirfd path flags")
def unlinkat(thread: Thread, dirfd: int, address: int, flags: int) -> int:
    if flags & ~AT_REMOVEDIR:
        raise fail(errno.EINVAL)
    path, directory = locate(thread.process, dirfd, read_path(thread.process, address), follow=False)
    (os.rmdir if flags & AT_REMOVEDIR else os.unlink)(path, dir_fd=directory)
    return 0


@system_call("dirfd path mode")
def mkdirat(thread: Thread, dirfd: int, address: int, mode: int) -> int:
    path, directory = locate(thread.process, dirfd, read_path(thread.process, address), follow=False)
    os.mkdir(path, mode & 0o7777, dir_fd=directory)
    return 0


@system_call("dirfd path mode word")
def mknodat(thread: Thread, dirfd: int, address: int, mode: int, device: int) -> int:
    path, directory = locate(thread.process, dirfd, read_path(thread.process, address), follow=False)
    os.mknod(path, mode, device & 0xFFFFFFFF, dir_fd=directory)
    return 0


@system_call("dirfd path dirfd path")
def renameat(thread: Thread, old_dirfd: int, old: int, new_dirfd: int, new: int) -> int:
    return renameat2(thread, old_dirfd, old, new_dirfd, new, 0)


@system_call("dirfd path dirfd path flags")
def renameat2(thread: Thread, old_dirfd: int, old: int, new_dirfd: int, new: int, flags: int) -> int:
    process = thread.process
    source, source_directory = locate(process, old_dirfd, read_path(process, old), follow=False)
    target, target_directory = locate(process, new_dirfd, read_path(process, new), follow=False)
    if not flags:
        os.rename(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory)
        return 0
    old_host = AT_FDCWD if source_directory is None else source_directory
    new_host = AT_FDCWD if target_directory is None else target_directory
    if _libc.renameat2(old_host, source, new_host, target, foreign.c_uint(flags & 0xFFFFFFFF)):
        raise fail(foreign.get_errno())
    return 0


@system_call("dirfd path dirfd path flags")
def linkat(thread: Thread, old_dirfd: int, old: int, new_dirfd: int, new: int, flags: int) -> int:
    process = thread.process
    if flags & ~AT_SYMLINK_FOLLOW:
        raise fail(errno.EINVAL)
    follow = bool(flags & AT_SYMLINK_FOLLOW)
    source, source_directory = locate(process, old_dirfd, read_path(process, old), follow=follow)
    target, target_directory = locate(process, new_dirfd, read_path(process, new), follow=False)
    # Python's os.link without directories calls link, which never follows.
    ends = Bytes(source), Bytes(target)
    directories = [AT_FDCWD if one is None else one for one in (source_directory, target_directory)]
    return process.host.do("linkat", directories[0], ends[0].address, directories[1], ends[1].address, flags)


@system_call("path dirfd path")
def symlinkat(thread: Thread, text: int, dirfd: int, address: int) -> int:
    process = thread.process
    target = read_path(process, text)
    path, directory = locate(process, dirfd, read_path(process, address), follow=False)
    os.symlink(target, path, dir_fd=directory)
    return 0


@system_call("dirfd path mode")
def fchmodat(thread: Thread, dirfd: int, address: int, mode: int) -> int:
    path, directory = locate(thread.process, dirfd, read_path(thread.process, address))
    os.chmod(path, mode & 0o7777, dir_fd=directory)
    return 0


@system_call("fd mode")
def fchmod(thread: Thread, fd: int, mode: int) -> int:
    os.fchmod(thread.process.descriptors.host(fd), mode & 0o7777)
    return 0


@system_call("dirfd path int int flags")
def fchownat(thread: Thread, dirfd: int, address: int, user: int, group: int, flags: int) -> int:
    process = thread.process
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    raw = read_path(process, address)
    if not raw and flags & AT_EMPTY_PATH:
        os.fchown(process.descriptors.host(dirfd), user, group)
        return 0
    path, directory = locate(process, dirfd, raw)
    os.chown(path, user, group, dir_fd=directory, follow_symlinks=not flags & AT_SYMLINK_NOFOLLOW)
    return 0


@system_call("fd int int", "fchown", "fchown32")
def fchown(thread: Thread, fd: int, user: int, group: int) -> int:
    os.fchown(thread.process.descriptors.host(fd), user, group)
    return 0


@system_call("path long")
def truncate(thread: Thread, address: int, length: int) -> int:
    return truncate64(thread, address, length)


@system_call("path offset")
def truncate64(thread: Thread, address: int, length: int) -> int:
    process = thread.process
    path, directory = locate(process, AT_FDCWD, read_path(process, address))
    host = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        process.space.resized(host, length)
        os.ftruncate(host, length)
    finally:
        os.close(host)
    return 0


@system_call("dirfd path pointer flags", "utimensat", "utimensat_time64")
def utimensat(thread: Thread, dirfd: int, address: int, times: int, flags: int) -> int:
    process = thread.process
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise fail(errno.EINVAL)
    host_times = None
    if times:
        size = thread.time_struct("timespec").size
        host_times = (foreign.c_long * 4)()
        for index in range(2):
            seconds, nanoseconds = thread.read_timespec_fields(times + size * index)
            if not 0 <= nanoseconds < 1_000_000_000 and nanoseconds not in (UTIME_NOW, UTIME_OMIT):
                raise fail(errno.EINVAL)
            host_times[2 * index], host_times[2 * index + 1] = seconds, nanoseconds
    if not address:  # what glibc's futimens asks for
        failed = _libc.futimens(process.descriptors.host(dirfd), host_times)
    else:
        path, directory = locate(process, dirfd, read_path(process, address))
        failed = _libc.utimensat(AT_FDCWD if directory is None else directory, path, host_times, flags)
    if failed:
        raise fail(foreign.get_errno())
    return 0


# ------------------------------------------------------------ directories


@system_call("output size")
def getcwd(thread: Thread, address: int, size: int) -> int:
    path = guest_name(thread.process, working_directory(thread.process)) + b"\0"
    if len(path) > size:
        raise fail(errno.ERANGE)
    thread.memory.write(address, path)
    return len(path)


@system_call("path")
def chdir(thread: Thread, address: int) -> int:
    process = thread.process
    path, directory = locate(process, AT_FDCWD, read_path(process, address))
    process.change_directory(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory))
    return 0


@system_call("fd")
def fchdir(thread: Thread, fd: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    if not modes.S_ISDIR(os.fstat(host).st_mode):
        raise fail(errno.ENOTDIR)
    process.change_directory(os.open(b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=host))
    return 0


@system_call("mode")
def umask(thread: Thread, mask: int) -> int:
    return os.umask(mask & 0o777)


@system_call("fd pointer unsigned")
def getdents64(thread: Thread, fd: int, address: int, count: int) -> int:
    process = thread.process
    host = process.descriptors.host(fd)
    process.memory.writable(address, min(count, 1 << 31))
    if process.descriptors.get(fd).path == OWN_DESCRIPTORS:
        data = _list_descriptors(process, host, count)
        process.memory.write(address, data)
        return len(data)
    listing = foreign.create_string_buffer(min(count, _LISTING))
    got = int(_libc.getdents64(host, listing, len(listing)))
    if got < 0:
        raise fail(foreign.get_errno())
    data = listing.raw[:got]
    if process.abi.bits == 32:
        data = _short_positions(process, data)
    if process.abi.big_endian:
        data = _swap_entries(process, data)
    process.memory.write(address, data)
    return got


def _list_descriptors(process: Process, host: int, count: int) -> bytes:
    """Entries of /proc/self/fd from its position on, as many as fit: "." and "..", then the guest's descriptors."""
    names = [b".", b"..", *(b"%d" % number for number in process.descriptors.numbers())]
    layout = process.abi.struct("dirent64")
    head = layout.offsets["type"] + 1
    at = os.lseek(host, 0, os.SEEK_CUR)
    data = b""
    for index in range(at, len(names)):
        size = head + len(names[index]) + 8 & ~7
        if len(data) + size > count:
            break
        fields = {"ino": index + 1, "off": index + 1, "reclen": size, "type": _DT_DIR if index < 2 else _DT_LNK}
        data += (layout.pack(fields)[:head] + names[index]).ljust(size, b"\0")
        at = index + 1
    if not data and at < len(names):
        raise fail(errno.EINVAL)
    os.lseek(host, at, os.SEEK_SET)
    return data


def _short_positions(process: Process, data: bytes) -> bytes:
    """Host directory entries with positions of 31 bits, as the kernel makes them for 32-bit programs.

    A file system's positions may be hashes of 64 bits, which a C library that knows 32-bit ones refuses.
    """
    place, size = process.abi.struct("dirent64").offsets["off"], process.abi.struct("dirent64").offsets["reclen"]
    changed, at = bytearray(data), 0
    while at < len(data):
        off = int.from_bytes(data[at + place : at + place + 8], "little")
        changed[at + place : at + place + 8] = process.descriptors.positions.shown(off).to_bytes(8, "little")
        at += int.from_bytes(data[at + size : at + size + 2], "little")
    return bytes(changed)


def _swap_entries(process: Process, data: bytes) -> bytes:
    """Host directory entries in the guest's byte order."""
    host, guest = process.abi.host_struct("dirent64"), process.abi.struct("dirent64")
    head = host.offsets["type"] + 1
    parts = []
    at = 0
    while at < len(data):
        fields = host.unpack(data[at : at + host.size].ljust(host.size, b"\0"))
        parts.append(guest.pack(fields)[:head] + data[at + head : at + fields["reclen"]])
        at += fields["reclen"]
    return b"".join(parts)
