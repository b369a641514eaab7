"""A raw image: the disk's bytes as they are."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.hw.block.backend import BlockError
from runtime.hw.block.files import HostFile, Kept

__all__ = ["RawImage", "zeroes"]

SECTOR = 512
PIECE = 1 << 20
_ZEROES = bytes(PIECE)


def zeroes(size: int) -> bytes:
    """So many zero bytes, without making them anew for the usual sizes."""
    return _ZEROES[:size] if size <= PIECE else bytes(size)


class RawImage(Kept):
    """A file or block device.  A size that is no multiple of 512 is rounded up; the rest reads as zeros.

    If nobody said that it is raw, `guessed`: then the guest must not make another format of it by writing that one's
    magic number, for the next start would take the guest's word for which files of the host to open.
    """

    format = "raw"
    granularity = 4096

    def __init__(self, file: HostFile, *, guessed: bool = False) -> None:
        self.file = file
        self.name = file.path
        self.read_only = file.read_only
        self.guessed = guessed
        self.size = -(-file.size() // SECTOR) * SECTOR

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes."""
        return self.file.read(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """Store bytes."""
        if self.guessed and offset == 0 and data[:4] == b"QFI\xfb":
            raise BlockError(f"{self.name}: a guest may not turn it into qcow2; format=raw on the command line lets it")
        self.file.write(offset, data)

    def write_zeroes(self, offset: int, size: int, *, unmap: bool) -> None:
        """Store zeros."""
        if unmap and self.file.punch(offset, size):
            return
        while size > 0:
            piece = min(size, PIECE)
            self.file.write(offset, zeroes(piece))
            offset, size = offset + piece, size - piece

    def discard(self, offset: int, size: int) -> None:
        """Give the space back."""
        self.file.punch(offset, size)

    def flush(self) -> None:
        """Make it durable."""
        if not self.read_only:
            self.file.sync()

    def has_snapshot(self, name: str) -> bool:
        """There is no room for any."""
        return False

    def take_snapshot(self, name: str) -> None:
        """Refused, as QEMU does: going back to a state whose disk has changed since would destroy its file systems."""
        raise BlockError(f"{self.name}: a raw image holds no snapshots; use qcow2, or -snapshot")

    def go_to_snapshot(self, name: str) -> None:
        """There is none."""
        raise BlockError(f"{self.name}: a raw image holds no snapshots")

    def drop_snapshot(self, name: str) -> None:
        """There is none."""

    def close(self) -> None:
        """Flush and close."""
        if self.file.descriptor >= 0:
            try:
                self.flush()
            finally:
                self.file.close()

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {"file": self.name, "format": self.format, "size": self.size, "read-only": self.read_only}
