"""gdb's file requests (vFile): the guest's files, for reading only, and no others than the guest itself could open."""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress

from runtime.linux.paths import AT_FDCWD, canonical, guest_name, locate, own_file
from runtime.linux.syscalls.table import fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.linux.process import Process

_MOST_OPEN = 64
_MOST_BYTES = 1 << 13
#: struct fst_stat of the protocol: dev, ino, mode, nlink, uid, gid, rdev; size, blksize, blocks; three times
_STAT = struct.Struct(">7I3Q3I")
#: errno as the protocol numbers it (the GDB manual, "Errno Values")
_ERRORS = {
    errno.EPERM: 1, errno.ENOENT: 2, errno.EINTR: 4, errno.EBADF: 9, errno.EACCES: 13, errno.EFAULT: 14,
    errno.EBUSY: 16, errno.EEXIST: 17, errno.ENODEV: 19, errno.ENOTDIR: 20, errno.EISDIR: 21, errno.EINVAL: 22,
    errno.ENFILE: 23, errno.EMFILE: 24, errno.EFBIG: 27, errno.ENOSPC: 28, errno.ESPIPE: 29, errno.EROFS: 30,
    errno.ENAMETOOLONG: 91,
}  # fmt: skip
_UNKNOWN = 9999


class HostFiles:
    """The files that gdb has open."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._open: dict[int, int] = {}

    def close(self) -> None:
        """Close all of them."""
        for host in self._open.values():
            os.close(host)
        self._open.clear()

    def answer(self, data: bytes) -> bytes:
        """The answer to a packet vFile:DATA; empty for an operation that is not here."""
        operation, _, rest = data.partition(b":")
        words = rest.split(b",")
        try:
            if operation == b"setfs":
                return b"F0"
            if operation == b"open":
                path, flags, _ = words
                return b"F%x" % self._open_file(bytes.fromhex(path.decode("ascii")), int(flags, 16))
            if operation == b"pread":
                number, count, offset = (int(word, 16) for word in words)
                host = self._host(number)
                read = os.pread(host, min(count, _MOST_BYTES), offset)
                return b"F%x;" % len(read) + read
            if operation == b"fstat":
                (number,) = (int(word, 16) for word in words)
                packed = self._stat(self._host(number))
                return b"F%x;" % len(packed) + packed
            if operation == b"readlink":
                (path,) = words
                target = self._read_link(bytes.fromhex(path.decode("ascii")))
                return b"F%x;" % len(target) + target
            if operation == b"close":
                (number,) = (int(word, 16) for word in words)
                os.close(self._host(number))
                del self._open[number]
                return b"F0"
            if operation in (b"pwrite", b"unlink"):
                raise fail(errno.EROFS)
        except OSError as error:
            return b"F-1,%x" % _ERRORS.get(error.errno or 0, _UNKNOWN)
        except (ValueError, OverflowError, struct.error):
            return b"F-1,%x" % _ERRORS[errno.EINVAL]
        return b""

    def _host(self, number: int) -> int:
        if number not in self._open:
            raise fail(errno.EBADF)
        return self._open[number]

    def _open_file(self, name: bytes, flags: int) -> int:
        if flags:  # O_RDONLY is 0; the others are O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_EXCL
            raise fail(errno.EROFS)
        if len(self._open) >= _MOST_OPEN:
            raise fail(errno.EMFILE)
        if not name.startswith(b"/") or b"\0" in name:
            raise fail(errno.ENOENT)
        # As openat does: what leads to this process's own files is taken there for the guest, or refused.
        path, _ = locate(self._process, AT_FDCWD, name)
        host = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            own = own_file(self._process, canonical(host))
            if own is not None or not stat.S_ISREG(os.fstat(host).st_mode):
                raise fail(errno.EACCES)
        except OSError:
            os.close(host)
            raise
        number = next(number for number in range(_MOST_OPEN) if number not in self._open)
        self._open[number] = host
        return number

    def _read_link(self, name: bytes) -> bytes:
        if not name.startswith(b"/") or b"\0" in name:
            raise fail(errno.ENOENT)
        if own_file(self._process, name) is not None:
            raise fail(errno.EACCES)
        path, _ = locate(self._process, AT_FDCWD, name, links=False)
        return guest_name(self._process, os.readlink(path))

    @staticmethod
    def _stat(host: int) -> bytes:
        status = os.fstat(host)
        low = 0xFFFFFFFF
        times = [0, 0, 0]
        with suppress(ValueError):
            times = [int(seconds) & low for seconds in (status.st_atime, status.st_mtime, status.st_ctime)]
        return _STAT.pack(
            status.st_dev & low,
            status.st_ino & low,
            status.st_mode & low,
            status.st_nlink & low,
            status.st_uid & low,
            status.st_gid & low,
            status.st_rdev & low,
            status.st_size,
            status.st_blksize,
            status.st_blocks,
            *times,
        )
