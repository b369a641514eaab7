"""Contents of guest memory at some moments, sharing every page that did not change between them."""

from __future__ import annotations

from runtime.core.env import PAGE_BITS, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestMemory, Region
from runtime.core.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ZERO = bytes(PAGE_SIZE)
_TOUCHED = 3 << 62  # of /proc/self/pagemap: present or swapped out
_PIECE = 1 << 15  # pages looked up at a time


class MemorySnapshot:
    """Mappings, permissions and contents: pages that are not in `pages` hold zeros."""

    __slots__ = ("pages", "regions")

    def __init__(self, regions: tuple[Region, ...], pages: dict[int, bytes]) -> None:
        self.regions = regions
        self.pages = pages


class PageStore:
    """Takes snapshots of a memory and restores them, any of them in any order."""

    def __init__(self, memory: GuestMemory, watch: Watch) -> None:
        self._memory = memory
        self._watch = watch
        self._pages: dict[int, bytes] = {}  # as of the last snapshot or restore

    def take(self) -> MemorySnapshot:
        """What the memory holds now."""
        self._refresh()
        return MemorySnapshot(tuple(self._memory.regions()), dict(self._pages))

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Make the memory what it was."""
        memory = self._memory
        self._refresh()
        now, then = self._pages, snapshot.pages
        changed = {page for page in now.keys() | then.keys() if now.get(page) is not then.get(page)}
        here, wanted = set(memory.regions()), set(snapshot.regions)
        # A mapping of a file that is gone comes back as memory with the same contents.
        for region in here - wanted:
            memory.unmap(region.start, region.size)
            changed.update(page for page in then if region.start <= page << PAGE_BITS < region.end)
        for region in sorted(wanted - here, key=lambda region: region.start):
            memory.map(region.start, region.size, region.permissions, region.name, region.offset, region.shared)
            changed.update(page for page in then if region.start <= page << PAGE_BITS < region.end)
        for page in changed:
            address = page << PAGE_BITS
            place = memory.region_at(address)
            # What cannot be written cannot have changed, and to touch a page behind its file's end is fatal.
            if place is not None and address < place.data_end and _writable(place):
                memory.write(address, then.get(page, _ZERO), need=0)
        self._pages = dict(then)
        self._watch.start_tracking()

    def _refresh(self) -> None:
        """Bring `_pages` up to date, and begin to track changes from here."""
        memory, watch = self._memory, self._watch
        if watch.tracking:
            ranges = [*watch.dirty_ranges, *((r.start, r.end) for r in memory.regions() if not r.permissions)]
            pages = watch.dirty
        else:
            ranges, pages = [(0, memory.size)], set()
        for start, end in ranges:
            first, last = start >> PAGE_BITS, end >> PAGE_BITS
            for page in [page for page in self._pages if first <= page < last]:
                del self._pages[page]
            for region in memory.regions():
                low, high = max(start, region.start), min(end, region.end)
                if region.backing is None:
                    pieces = touched(memory, low >> PAGE_BITS, high >> PAGE_BITS)
                else:
                    pieces = iter(range(low >> PAGE_BITS, min(high, region.data_end) >> PAGE_BITS))
                for page in pieces:
                    self._look(page)
        for page in pages:
            self._look(page)
        watch.start_tracking()

    def _look(self, page: int) -> None:
        address = page << PAGE_BITS
        region = self._memory.region_at(address)
        if region is None or address >= region.data_end:
            self._pages.pop(page, None)
            return
        data = bytes(self._memory.view[address : address + PAGE_SIZE])
        if data == _ZERO:
            self._pages.pop(page, None)
        elif self._pages.get(page) != data:
            self._pages[page] = data


def touched(memory: GuestMemory, first: int, last: int) -> Iterator[int]:
    """Pages of first .. last - 1 that the host has given memory to: all others of the reservation hold zeros."""
    if first >= last:
        return
    base = memory.base >> PAGE_BITS
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            for piece in range(first, last, _PIECE):
                count = min(_PIECE, last - piece)
                pagemap.seek((base + piece) * 8)
                data = pagemap.read(count * 8)
                if len(data) != count * 8:
                    raise OSError("short read")
                for index, entry in enumerate(memoryview(data).cast("Q")):
                    if entry & _TOUCHED:
                        yield piece + index
    except OSError:  # no /proc: look at every page
        yield from range(first, last)


def _writable(region: Region) -> bool:
    return region.backing is None or bool(region.backing.most & PAGE_WRITE)
