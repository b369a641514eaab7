"""Host files behind images: opened, locked as QEMU locks them, read whole, punched."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Mapping

from runtime.hw.block.backend import BlockError, ImageError
from runtime.hw.device import DeviceError

__all__ = ["HostFile", "Kept"]

#: QEMU's image locks: byte 100+n is held by who uses permission n, byte 200+n by who does not share it; bit 1 is
#: writing, bit 0 reading what is consistent.
USES, UNSHARED, READING, WRITING, RESIZING = 100, 200, 0, 1, 3
_FLOCK = struct.Struct("hhqqi4x")

_KEEP_SIZE, _PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class HostFile:
    """A regular file or a block device.  ImageError while opening, BlockError afterwards."""

    def __init__(self, path: str, *, read_only: bool, lock: bool = True) -> None:
        self.path = path
        self.read_only = read_only
        self.durable = True
        try:
            self.descriptor = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            mend = "; readonly=on would do for a look" if error.errno in (errno.EACCES, errno.EROFS) else ""
            raise ImageError(f"{path}: {error.strerror}{mend if not read_only else ''}") from error
        try:
            mode = os.fstat(self.descriptor).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise ImageError(f"{path}: neither a file nor a block device")
            self.regular = stat.S_ISREG(mode)
            if lock:
                self._lock()
        except BaseException:
            os.close(self.descriptor)
            raise

    def _lock(self) -> None:
        """Take QEMU's locks, so that neither it nor a second one of us opens the image while somebody writes it."""
        used = [READING] if self.read_only else [READING, WRITING, RESIZING]
        unshared = [WRITING, RESIZING]
        try:
            for byte in [USES + bit for bit in used] + [UNSHARED + bit for bit in unshared]:
                fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))
            others = [USES + bit for bit in unshared] + [UNSHARED + bit for bit in used]
            taken = any(self._held(byte) for byte in others)
        except OSError:
            return  # a file system without locks
        if taken:
            raise ImageError(f"{self.path}: another process is using this image")

    def _held(self, byte: int) -> bool:
        answer = fcntl.fcntl(self.descriptor, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def size(self) -> int:
        """Bytes in it."""
        return os.lseek(self.descriptor, 0, os.SEEK_END)

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes; zeros behind the file's end."""
        try:
            data = os.pread(self.descriptor, size, offset)
            while len(data) < size:
                more = os.pread(self.descriptor, size - len(data), offset + len(data))
                if not more:
                    return data.ljust(size, b"\0")
                data += more
        except OSError as error:
            raise BlockError(f"{self.path}: {error.strerror}") from error
        return data

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Store all of it."""
        try:
            done = os.pwrite(self.descriptor, data, offset)
            while done < len(data):
                done += os.pwrite(self.descriptor, memoryview(data)[done:], offset + done)
        except OSError as error:
            raise BlockError(f"{self.path}: {error.strerror}") from error

    def sync(self) -> None:
        """Have the host make everything durable."""
        if not self.durable:
            return
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            raise BlockError(f"{self.path}: {error.strerror}") from error

    def punch(self, offset: int, size: int) -> bool:
        """Make a hole of zeros; False if the host's file system cannot."""
        if not self.regular:
            return False
        mode = _PUNCH_HOLE | _KEEP_SIZE
        done: int = _libc.fallocate(self.descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(size))
        return done == 0

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Kept:
    """An image that holds all of its disk itself, so that a saved machine need not."""

    name: str

    def save(self) -> dict[int, bytes]:
        """The image has it all."""
        return {}

    def load(self, state: Mapping[int, bytes]) -> None:
        """The image is as it is."""
        if state:
            raise DeviceError(f"{self.name}: the machine was saved with -snapshot; start it with that")
