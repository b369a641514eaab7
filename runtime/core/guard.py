"""Guard pages: the host refuses what the permission table refuses, so that compiled code need not look there.

The table stays the truth; the host's protection of each page follows it.  The emulator's own accesses may do what the
guest's may not (a debugger writes to code): such a page is opened by the handler of runtime/core/host_faults.py, and
`close_opened` must be called before guest code is entered again.
"""

from __future__ import annotations

import mmap

from runtime.core.buffer import HOST_PAGE, HostBuffer
from runtime.core.env import ADDRESS_MARGIN, PAGE_BITS, PAGE_READ, PAGE_WRITE
from runtime.core.host_faults import MOST_OPENED, OPENED_BYTES, host_faults, protect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
#: permission byte -> the host's protection.  What may be written but not read is refused: the host cannot do just that.
_PROTECTION = bytes(
    (_READ_WRITE if byte & PAGE_WRITE else mmap.PROT_READ) if byte & PAGE_READ else 0 for byte in range(256)
)
_CHUNK = 1 << 20  # pages looked at in one piece


class Guard:
    """Keeps the host's protection of a reservation like its permission table.

    base, size  of the reservation on the host; the margins around it (ADDRESS_MARGIN) are refused altogether
    table       a byte a page (runtime/core/env.py)
    """

    def __init__(self, base: int, size: int, table: mmap.mmap) -> None:
        self._base = base
        self._table = table
        self._size = size
        self._note = HostBuffer(OPENED_BYTES)
        #: [0] is not 0 when pages were opened
        self.opened = memoryview(self._note.memory).cast("Q")
        self._changes = 0
        # Other threads may be in a system call, and write there now: before anything is refused it can be opened.
        self._entry = host_faults().add_memory(base, base + size + HOST_PAGE, self._note.address)
        protect(base - ADDRESS_MARGIN, ADDRESS_MARGIN, 0)
        # One page behind the end is the emulator's own: the decoder looks a few bytes past the last instruction.
        protect(base + size, HOST_PAGE + ADDRESS_MARGIN, 0)

    def close(self) -> None:
        """The memory is about to be freed."""
        host_faults().remove_memory(self._entry)
        self.opened.release()
        self._note.close()

    def begin(self, mapped: Callable[[], list[tuple[int, int]]]) -> None:
        """Follow the whole table for the first time; `mapped`: the runs of pages that grant something, by address.

        No page that grants something is refused meanwhile: the host may be writing there for a thread's system call.
        A table that another thread changes is looked at again.
        """
        seen = -1
        while seen != self._changes:
            seen, at = self._changes, 0
            for first, last in mapped():
                if first > at:
                    self._protect(at, first, 0)
                self._follow(first, last)
                at = last
            self._protect(at, self._size >> PAGE_BITS, 0)

    def follow(self, first: int, last: int) -> None:
        """The table changed for pages first .. last - 1."""
        self._changes += 1
        self._follow(first, last)

    def _follow(self, first: int, last: int) -> None:
        table = self._table
        for chunk in range(first, last, _CHUNK):
            stop = min(chunk + _CHUNK, last)
            wanted = table[chunk:stop].translate(_PROTECTION)
            at = 0
            while at < len(wanted):
                protection = wanted[at]
                run = len(wanted) - len(wanted[at:].lstrip(wanted[at : at + 1]))
                self._protect(chunk + at, chunk + run, protection)
                at = run

    def open(self, address: int, size: int) -> None:
        """Let everything be done to these pages until `follow`."""
        protect(self._base + address, size, _READ_WRITE)

    def close_opened(self) -> None:
        """Let the pages that the emulator opened for itself be as the table says again."""
        count = self.opened[0]
        pages = list(self.opened[1 : min(count, MOST_OPENED) + 1])
        self.opened[0] = 0
        if count > MOST_OPENED:
            self.follow(0, self._size >> PAGE_BITS)
            return
        for address in pages:
            page = (address - self._base) >> PAGE_BITS
            if address < self._base + self._size:
                self.follow(page, page + 1)
            else:
                self._protect(page, page + 1, 0)

    def _protect(self, first: int, last: int, protection: int) -> None:
        if first < last:
            protect(self._base + (first << PAGE_BITS), (last - first) << PAGE_BITS, protection)
