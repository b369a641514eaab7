"""Anonymous host memory with a known address: what native code and Python both read and write."""

from __future__ import annotations

import mmap
from contextlib import suppress
from ctypes import addressof, c_char

_NORESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000)
_PRIVATE_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
HOST_PAGE = mmap.PAGESIZE


class HostBuffer:
    """`size` zeroed bytes (rounded up to host pages) at `address`; physical pages come with the first touch.

    Nothing is charged until it is used (MAP_NORESERVE), so a buffer may be far larger than the host's memory.
    `fork` copies it on write.  It is never executable.  Of a `sparse` one few bytes here and there are ever touched:
    the host shall not spend huge pages on it.
    """

    __slots__ = ("address", "memory", "size")

    def __init__(self, size: int, sparse: bool = False) -> None:
        self.size = -(-size // HOST_PAGE) * HOST_PAGE
        try:
            self.memory = mmap.mmap(
                -1, self.size, flags=_PRIVATE_ANONYMOUS | _NORESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        except (OSError, OverflowError) as error:
            raise MemoryError(f"cannot reserve {self.size:#x} bytes of address space: {error}") from error
        if sparse:
            self._advise_no_huge_pages()
        # The ctypes object exports the mmap's buffer, and while it lives the mmap cannot be closed: let it go at once.
        self.address = addressof(c_char.from_buffer(self.memory))

    def _advise_no_huge_pages(self) -> None:
        with suppress(OSError):  # a kernel without them refuses the advice
            self.memory.madvise(mmap.MADV_NOHUGEPAGE)

    def discard(self, offset: int, size: int) -> None:
        """Make whole host pages read as zeros again and return them to the host."""
        if size > 0:
            self.memory.madvise(mmap.MADV_DONTNEED, offset, size)

    def close(self) -> None:
        """Free the memory; whoever holds a memoryview of it must have released it (BufferError otherwise)."""
        self.memory.close()
