"""Reading and writing a request that lies scattered in guest memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

__all__ = ["Memory", "Reader", "RequestError", "Writer"]


class RequestError(Exception):
    """A driver's request breaks the rules, so that the device must be reset; the message is for the guest's author."""


class Memory(Protocol):
    """Guest-physical memory as a device reaches it.  An address outside RAM raises DmaError."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes."""

    def write(self, address: int, data: bytes) -> None:
        """Store bytes."""


class _Cursor:
    """A place in a list of (address, size), which only moves forwards."""

    def __init__(self, memory: Memory, buffers: Sequence[tuple[int, int]]) -> None:
        self.memory = memory
        self._buffers = buffers
        self._index = 0
        self._offset = 0
        self.remaining = sum(size for _, size in buffers)

    def _pieces(self, size: int) -> Iterator[tuple[int, int]]:
        """The next `size` bytes as (address, size); moves behind them."""
        while size > 0 and self._index < len(self._buffers):
            address, length = self._buffers[self._index]
            piece = min(size, length - self._offset)
            if piece:
                yield address + self._offset, piece
            size -= piece
            self.remaining -= piece
            self._offset += piece
            if self._offset == length:
                self._index += 1
                self._offset = 0

    def skip(self, size: int) -> None:
        """Leave out so many bytes."""
        for _ in self._pieces(size):
            pass


class Reader(_Cursor):
    """The bytes that a driver gives."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        read = self.memory.read
        pieces = [read(address, length) for address, length in self._pieces(size)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def exactly(self, size: int, what: str) -> bytes:
        """The next `size` bytes; RequestError if there are fewer."""
        if self.remaining < size:
            raise RequestError(f"{what} has {self.remaining} bytes, not {size}")
        return self.read(size)


class Writer(_Cursor):
    """The room that a driver gives for an answer."""

    def __init__(self, memory: Memory, buffers: Sequence[tuple[int, int]]) -> None:
        super().__init__(memory, buffers)
        self.written = 0  # up to the furthest byte

    def write(self, data: bytes) -> int:
        """Store what there is room for; how much that was."""
        done = 0
        for address, length in self._pieces(len(data)):
            self.memory.write(address, data if length == len(data) else data[done : done + length])
            done += length
        self.written += done
        return done
