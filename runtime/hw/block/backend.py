"""What a disk device asks of the thing behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["BlockBackend", "BlockError", "ImageError"]


class ImageError(Exception):
    """An image that cannot be used; the message is for the user and names the file."""


class BlockError(Exception):
    """Reading or writing failed; the guest's driver hears of it as an I/O error."""


class BlockBackend(Protocol):
    """Bytes by their place.  Callers stay within `size`.  What was written is durable after `flush`, not before."""

    name: str
    format: str
    size: int  # bytes, whole sectors of 512
    read_only: bool
    granularity: int  # bytes; what `discard` frees comes in such pieces

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes."""

    def write(self, offset: int, data: bytes) -> None:
        """Store bytes."""

    def write_zeroes(self, offset: int, size: int, *, unmap: bool) -> None:
        """Store zeros; `unmap` allows giving the space back to the host."""

    def discard(self, offset: int, size: int) -> None:
        """The bytes are wanted no more; what is read there afterwards does not matter."""

    def flush(self) -> None:
        """Make everything durable that was written."""

    def save(self) -> dict[int, bytes]:
        """What a saved machine must hold of the disk: nothing, if it is all in the image.  A key is an offset."""

    def load(self, state: Mapping[int, bytes]) -> None:
        """What `save` gave."""

    def has_snapshot(self, name: str) -> bool:
        """Whether `go_to_snapshot` would find that one."""

    def take_snapshot(self, name: str) -> None:
        """Have the image keep its contents under a name, if a saved machine does not hold them; BlockError."""

    def go_to_snapshot(self, name: str) -> None:
        """Back to them; BlockError."""

    def drop_snapshot(self, name: str) -> None:
        """Forget them, if they are there."""

    def close(self) -> None:
        """Flush, and let go of the host's files."""

    def describe(self) -> Mapping[str, object]:
        """What a monitor shows of it."""
