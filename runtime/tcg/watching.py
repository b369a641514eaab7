"""Memory of a machine's that somebody watches: which pages, which of their bytes, and whose access it was.

A watched page's entries in the TLBs say that it is no RAM, so that loads and stores come to the bus's functions as
those of devices do (soft_mmu.ll).  There the vCPU leaves native code before the access; the instruction is then
executed alone, with its accesses let through and noted.
"""

from __future__ import annotations

from runtime.core.env import PAGE_BITS, PAGE_HOOKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.core.accelerator import Watched
    from runtime.tcg.places import RamPlaces

    #: physical address, bytes, whether it is a store
    Access = tuple[int, int, bool]


class WatchedMemory:
    """The ranges of one machine; whoever changes them has the vCPUs stand still, and flushes their TLBs."""

    def __init__(self, ram: RamPlaces) -> None:
        self._ram = ram
        self._ranges: tuple[Watched, ...] = ()
        self._marked: set[int] = set()  # pages, by their places
        self.pages: frozenset[int] = frozenset()

    def set(self, ranges: Iterable[Watched]) -> None:
        """Watch these, and nothing else."""
        table = self._ram.table
        for page in self._marked:
            table[page] &= ~PAGE_HOOKED & 0xFF
        self._marked.clear()
        self._ranges = tuple(ranges)
        pages: set[int] = set()
        for one in self._ranges:
            pages.update(range(one.start >> PAGE_BITS, (one.end - 1 >> PAGE_BITS) + 1))
            for start, end in self._ram.places(one.start, one.end - one.start):
                for page in range(start >> PAGE_BITS, (end - 1 >> PAGE_BITS) + 1):
                    table[page] |= PAGE_HOOKED
                    self._marked.add(page)
        self.pages = frozenset(pages)

    def touched(self, accesses: Iterable[Access]) -> Access | None:
        """The first of these accesses that is of what is watched."""
        for address, size, store in accesses:
            for one in self._ranges:
                if address < one.end and one.start < address + size and (one.stores if store else one.loads):
                    return address, size, store
        return None
