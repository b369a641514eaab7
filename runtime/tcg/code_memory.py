"""Memory for compiled code: written, then made executable; never both at once."""

from __future__ import annotations

import mmap
import os

from runtime.core.foreign import CDLL, addressof, c_char, c_int, c_size_t, c_void_p, get_errno
from runtime.core.host_faults import host_faults

_libc = CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (c_void_p, c_size_t, c_int)


class CodeMemory:
    """A copy of position-independent code at `address`, executable; `fork` copies it with everything else."""

    __slots__ = ("_faults", "_map", "address", "size")

    def __init__(self, code: bytes, table: int = 0, accesses: int = 0) -> None:
        """table, accesses: where in the code its table of accesses that may fault is, and how many there are."""
        self.size = -(-len(code) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(
            -1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE
        )
        self._map[: len(code)] = code
        self.address = addressof(c_char.from_buffer(self._map))
        if _libc.mprotect(self.address, self.size, mmap.PROT_READ | mmap.PROT_EXEC):
            error = get_errno()
            self._map.close()
            raise OSError(error, f"cannot make compiled code executable: {os.strerror(error)}")
        self._faults: int | None = None
        if accesses:
            self._faults = host_faults().add_code(
                self.address, self.address + len(code), self.address + table, accesses
            )

    def close(self) -> None:
        """Free it; nothing may run in it."""
        if self._faults is not None:
            host_faults().remove_code(self._faults)
        self._map.close()
