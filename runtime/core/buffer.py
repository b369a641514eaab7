"""Anonymous host memory with a known address: what native code and Python both read and write."""

from __future__ import annotations

import mmap
import os

from runtime.core.foreign import CDLL, addressof, c_char, c_int, c_long, c_size_t, c_void_p, get_errno
from runtime.core.light import suppress

_NORESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000)
_PRIVATE_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
HOST_PAGE = mmap.PAGESIZE
#: asm-generic/mman-common.h and linux/mman.h; Python's mmap does not name them
_FIXED, _MAYMOVE, _MREMAP_FIXED, _DONTUNMAP = 0x10, 1, 2, 4

_libc = CDLL(None, use_errno=True)
_libc.mmap.argtypes = (c_void_p, c_size_t, c_int, c_int, c_int, c_long)
_libc.mmap.restype = _libc.mremap.restype = c_void_p
_libc.mremap.argtypes = (c_void_p, c_size_t, c_size_t, c_int, c_void_p)
_FAILED = c_void_p(-1).value


def _mremap(address: int, size: int, new_size: int, flags: int, target: int | None = None) -> int:
    found: int = _libc.mremap(address, size, new_size, flags, target)
    if found == _FAILED:
        raise OSError(get_errno(), "")
    return found


class HostBuffer:
    """`size` zeroed bytes (rounded up to host pages) at `address`; physical pages come with the first touch.

    Nothing is charged until it is used (MAP_NORESERVE), so a buffer may be far larger than the host's memory.
    `fork` copies it on write.  It is never executable.  Of a `sparse` one few bytes here and there are ever touched:
    the host shall not spend huge pages on it.  `margin`: bytes on either side that nothing else is mapped into;
    `memory`, the host's whole mapping, begins with them.
    """

    __slots__ = ("_margin", "address", "memory", "size")

    def __init__(self, size: int, sparse: bool = False, margin: int = 0) -> None:
        self.size = -(-size // HOST_PAGE) * HOST_PAGE
        self._margin = margin
        whole = self.size + 2 * margin
        try:
            self.memory = mmap.mmap(
                -1, whole, flags=_PRIVATE_ANONYMOUS | _NORESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        except (OSError, OverflowError) as error:
            raise MemoryError(f"cannot reserve {whole:#x} bytes of address space: {error}") from error
        if sparse:
            self._advise_no_huge_pages()
        # The ctypes object exports the mmap's buffer, and while it lives the mmap cannot be closed: let it go at once.
        self.address = addressof(c_char.from_buffer(self.memory)) + margin

    def _advise_no_huge_pages(self) -> None:
        with suppress(OSError):  # a kernel without them refuses the advice
            self.memory.madvise(mmap.MADV_NOHUGEPAGE)

    def advise_huge_pages(self) -> None:
        """Most of it will be touched: the host may as well give huge pages, each for hundreds of faults."""
        with suppress(OSError):
            self.memory.madvise(mmap.MADV_HUGEPAGE)

    def view(self) -> memoryview:
        """The bytes, without the margins."""
        with memoryview(self.memory) as whole:
            return whole[self._margin : self._margin + self.size]

    def flush(self, offset: int, size: int) -> None:
        """Have the host write what was stored to a shared file's pages to disk."""
        self.memory.flush(self._margin + offset, size)

    def discard(self, offset: int, size: int) -> None:
        """Make whole host pages read as zeros again and return them to the host."""
        if size > 0:
            self.memory.madvise(mmap.MADV_DONTNEED, self._margin + offset, size)

    # ------------------------------------------------------------ other memory under parts of it

    def renew(self, offset: int, size: int) -> None:
        """Put fresh anonymous memory under whole host pages, whatever was there."""
        self._place(offset, size, -1, 0, _PRIVATE_ANONYMOUS | _NORESERVE, True)

    def place(self, offset: int, size: int, descriptor: int, file_offset: int, shared: bool, writable: bool) -> None:
        """Put a file's pages there, or for descriptor -1 anonymous ones; `shared` as in MAP_SHARED. OSError on failure.

        Touching a page behind the file's end kills the process (SIGBUS), and storing where not `writable`, too.
        """
        flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | (mmap.MAP_ANONYMOUS if descriptor < 0 else 0)
        self._place(offset, size, descriptor, file_offset, flags | _NORESERVE, writable)

    def repeat(self, data: bytes) -> None:
        """Have it hold `data`, whole host pages, over and over, whatever was there.

        The host keeps that once, until somebody stores to a page."""
        pattern = os.memfd_create("isomorph")
        try:
            if os.write(pattern, data) != len(data) or len(data) % HOST_PAGE:
                raise MemoryError(f"cannot fill {self.size:#x} bytes")
            for offset in range(0, self.size, len(data)):
                self.place(offset, min(len(data), self.size - offset), pattern, 0, False, True)
        except OSError as error:
            raise MemoryError(f"cannot fill {self.size:#x} bytes: {error}") from error
        finally:
            os.close(pattern)

    def _place(self, offset: int, size: int, descriptor: int, file_offset: int, flags: int, writable: bool) -> None:
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        if _libc.mmap(self._at(offset, size), size, protection, flags | _FIXED, descriptor, file_offset) == _FAILED:
            raise OSError(get_errno(), "")

    def move(self, offset: int, size: int, target: int, new_size: int) -> None:
        """Move pages elsewhere, perhaps growing, and leave fresh memory; OSError, nothing moved, if the host cannot."""
        self._transfer(offset, size, target, new_size)
        self.renew(offset, size)

    def grow(self, offset: int, size: int, new_size: int) -> None:
        """Let what `place` put at [offset, offset + size) go on up to `new_size` bytes; OSError on failure."""
        self._transfer(offset, size, offset, new_size)

    def _transfer(self, offset: int, size: int, target: int, new_size: int) -> None:
        """Replace the target by these pages, by way of a place outside of the buffer.

        At no moment is there a hole in the buffer, where memory of another thread's would be mapped: so the pages'
        old place stays mapped (MREMAP_DONTUNMAP: Linux 5.7, for files 5.13).
        """
        start, end = self._at(offset, size), self._at(target, new_size)
        away, length = _mremap(start, size, size, _MAYMOVE | _DONTUNMAP), size
        try:
            away, length = _mremap(away, size, new_size, _MAYMOVE), new_size
            _mremap(away, new_size, new_size, _MAYMOVE | _MREMAP_FIXED, end)
        except OSError:
            _mremap(away, length, size, _MAYMOVE | _MREMAP_FIXED, start)
            raise

    def _at(self, offset: int, size: int) -> int:
        """The host's address of a part of the buffer: nothing else may ever be remapped."""
        if offset < 0 or size <= 0 or offset + size > self.size:
            raise ValueError(f"{size:#x} bytes at {offset:#x} are not in a buffer of {self.size:#x}")
        return self.address + offset

    def can_be_touched(self, offset: int) -> bool:
        """Whether the page of a file at `offset` is there: asked of the kernel, which does not die of it."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            with self.view()[offset : offset + 1] as byte:
                return os.write(writer, byte) == 1
        except OSError:
            return False
        finally:
            os.close(reader)
            os.close(writer)

    def close(self) -> None:
        """Free the memory; whoever holds a memoryview of it must have released it (BufferError otherwise)."""
        self.memory.close()
