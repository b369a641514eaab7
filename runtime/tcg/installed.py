"""The compiled regions of one machine: mapped, installed in their first blocks, guarded, and taken out again.

A region is installed by one store: its address becomes the handler of its first block's count record.  Its code is
guarded: stores to it are noticed as those to blocks are, whether or not the blocks it was made from are still there.
"""

from __future__ import annotations

import struct

from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_BITS
from runtime.core.foreign import CFUNCTYPE, c_uint64, c_void_p
from runtime.tcg.code_memory import CodeMemory
from runtime.tcg.region_formation import LARGE
from runtime.tcg.tb import CF_GUARD, GUARD, PAGE_LINK, REGION_PAGE, REGION_TABLE, TB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runtime.tcg.blobs import Blob
    from runtime.tcg.code_cache import CodeCache
    from runtime.tcg.region import RegionAnswer, RegionRequest
    from runtime.tcg.region_formation import Key

_PAGE = 1 << PAGE_BITS
_GUARD_PC, _GUARD_SIZE, _GUARD_CFLAGS, _GUARD_TABLE = (GUARD[name] // 8 for name in ("pc", "size", "cflags", "table"))
_COUNTS = struct.Struct("<2Q")
_ALL_ONES = (1 << 64) - 1
_PAIR = struct.Struct("<2Q")
#: tables of regions are given out from buffers of so many bytes
_TABLE_BYTES = 1 << 16
#: guards are given out from buffers of so many
_GUARDS = 1024


class Region:
    """A region on its way: asked for, compiled, installed.

    places  where the code of its blocks is: their addresses, or in a machine where in RAM
    points  address and place of each block
    spans   the places of the code it is made from, [start, end), none over a page boundary
    instructions  of the guest's in it, once it is compiled
    heads   host addresses of the count records it is installed in
    table   host address of its REGION_TABLE, in a machine
    """

    __slots__ = (
        "function",
        "guards",
        "heads",
        "instructions",
        "key",
        "memory",
        "places",
        "points",
        "probation",
        "request",
        "spans",
        "table",
    )

    def __init__(self, request: RegionRequest, places: tuple[int, ...]) -> None:
        self.request = request
        self.places = places
        self.key: Key = request.entry, request.flags, places[0]
        self.points = frozenset((block.pc, place) for block, place in zip(request.blocks, places, strict=True))
        self.spans = tuple(spans_of(request, places))
        self.memory: CodeMemory | None = None
        self.function = 0
        self.instructions = 0
        self.table = 0
        self.heads: set[int] = set()
        self.guards: list[int] = []
        self.probation = False

    def pages(self) -> dict[int, int]:
        """Address of each page with code of it -> the page's place."""
        return {pc & -_PAGE: place & -_PAGE for pc, place in self.points}

    def touches(self, start: int, end: int) -> bool:
        """Whether it is made from any byte of [start, end)."""
        return any(first < end and start < last for first, last in self.spans)


def spans_of(request: RegionRequest, places: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The code of a request, without overlap, cut at page boundaries."""
    start = end = -1
    for place, size in sorted((p, len(block.code)) for p, block in zip(places, request.blocks, strict=True)):
        if place > end:
            yield from _pieces(start, end)
            start, end = place, place + size
        else:
            end = max(end, place + size)
    yield from _pieces(start, end)


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        boundary = min(end, (start | _PAGE - 1) + 1)
        yield start, boundary
        start = boundary


class _Guards:
    """Guard records in host memory."""

    def __init__(self) -> None:
        self._buffers: list[HostBuffer] = []
        self._free: list[int] = []
        self._words: dict[
            int, tuple[memoryview, int]
        ] = {}  # where each is: words of a buffer, and the first one's number

    def take(self, start: int, end: int, table: int) -> int:
        """A guard for [start, end) of the region with this table (0: none): its host address."""
        if not self._free:
            size = GUARD["bytes"]
            buffer = HostBuffer(_GUARDS * size)
            self._buffers.append(buffer)
            self._free = [buffer.address + number * size for number in range(_GUARDS)]
            words = memoryview(buffer.memory).cast("Q")
            self._words.update({guard: (words, guard - buffer.address >> 3) for guard in self._free})
        guard = self._free.pop()
        words, at = self._words[guard]
        words[at + _GUARD_PC], words[at + _GUARD_SIZE] = start, end - start
        words[at + _GUARD_CFLAGS], words[at + _GUARD_TABLE] = CF_GUARD, table
        return guard

    def stands(self, guard: int) -> bool:
        """Whether a guard is in the list of its page."""
        return bool(c_uint64.from_address(guard + GUARD["link"] + PAGE_LINK["tb"]).value)

    def give_back(self, guard: int) -> None:
        self._free.append(guard)

    def close(self) -> None:
        for words, _ in self._words.values():
            words.release()
        for buffer in self._buffers:
            buffer.close()


class _Tables:
    """REGION_TABLEs in host memory, for regions of a machine with so many vCPUs."""

    def __init__(self, vcpus: int) -> None:
        self._vcpus = vcpus
        self._pages = REGION_TABLE["generations"] + 8 * vcpus
        self._buffers: list[HostBuffer] = []
        self._used = _TABLE_BYTES

    def make(self, pages: dict[int, int]) -> int:
        """A table for these pages, address -> place: its host address."""
        size = self._pages + REGION_PAGE["bytes"] * len(pages)
        if self._used + size > _TABLE_BYTES:
            self._buffers.append(HostBuffer(_TABLE_BYTES))
            self._used = 0
        buffer, at = self._buffers[-1], self._used
        self._used += size
        for number, page in enumerate(pages.items()):
            _PAIR.pack_into(buffer.memory, at + self._pages + number * REGION_PAGE["bytes"], *page)
        _PAIR.pack_into(buffer.memory, at, len(pages), self._vcpus)
        return buffer.address + at

    def is_dead(self, table: int) -> bool:
        """Whether the region's code was changed by native code."""
        return not c_uint64.from_address(table + REGION_TABLE["pages"]).value

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.close()


class InstalledRegions:
    """Which regions there are, by what enters them and by the guest pages they are made from.

    limit      bytes of compiled code to keep; those that are not entered any more go first
    retire     frees code memory, at once or when no vCPU can be in it
    vcpus      of a machine, whose regions have tables of where their pages are; 0 for a program
    """

    def __init__(
        self, cache: CodeCache, code: Blob, limit: int, retire: Callable[[CodeMemory], None], vcpus: int = 0
    ) -> None:
        self._cache = cache
        self._words = memoryview(cache.code).cast("Q")
        self._limit = limit
        self._retire = retire
        self._guards = _Guards()
        self._tables = _Tables(vcpus) if vcpus else None
        self._count_handler = code.address("h_count")
        self._guard: Callable[[int, int, int], None] = CFUNCTYPE(None, c_void_p, c_void_p, c_uint64)(
            code.address("region_guard")
        )
        self._unguard: Callable[[int, int], None] = CFUNCTYPE(None, c_void_p, c_void_p)(code.address("region_unguard"))
        #: compiled ones, the one longest in use first
        self.ready: dict[Key, Region] = {}
        #: all that are being compiled or are compiled, by guest page
        self._pages: dict[int, set[Region]] = {}
        self._heads: dict[int, Region] = {}
        self.bytes = 0
        #: keys of the blocks that compiled regions have, and in how many they are
        self._inside: dict[Key, int] = {}

    def close(self) -> None:
        """Take out and free everything; no vCPU may run."""
        for region in list(self.ready.values()):
            self.remove(region)
        self._words.release()
        self._guards.close()
        if self._tables is not None:
            self._tables.close()

    # ------------------------------------------------------------ known

    def watch(self, region: Region) -> None:
        """Have `touching` find a region."""
        for start, _ in region.spans:
            self._pages.setdefault(start >> PAGE_BITS, set()).add(region)

    def forget(self, region: Region) -> None:
        """Undo `watch`."""
        for start, _ in region.spans:
            page = start >> PAGE_BITS
            inside = self._pages.get(page)
            if inside is not None:
                inside.discard(region)
                if not inside:
                    del self._pages[page]

    def touching(self, start: int, end: int) -> list[Region]:
        """The regions made from any byte of [start, end)."""
        first, last = start >> PAGE_BITS, end - 1 >> PAGE_BITS
        pages: Iterable[int] = range(first, last + 1)
        if last - first > len(self._pages):
            pages = [page for page in self._pages if first <= page <= last]
        return [
            region for region in {r for page in pages for r in self._pages.get(page, ())} if region.touches(start, end)
        ]

    def covers(self, key: Key) -> bool:
        """Whether a compiled region has a block with this key."""
        return key in self._inside

    def code_in(self, page: int, flags: int) -> set[tuple[int, int]]:
        """The places in a page, [start, end), whose code regions with these modes are made from."""
        return {
            span
            for region in self._pages.get(page, ())
            if region.key[1] == flags
            for span in region.spans
            if span[0] >> PAGE_BITS == page
        }

    def first_large(self, pc: int, end: int, flags: int, place: int) -> int:
        """The first pc of [pc, end), which is at this place, that a large region begins at; 0 if there is none."""
        regions = {
            region
            for page in range(place >> PAGE_BITS, (place + end - 1 - pc >> PAGE_BITS) + 1)
            for region in self._pages.get(page, ())
        }
        heads = [
            region.key[0]
            for region in regions
            if region.instructions >= LARGE
            and pc <= region.key[0] < end
            and region.key[1:] == (flags, place + region.key[0] - pc)
        ]
        return min(heads, default=0)

    def dead(self) -> list[Region]:
        """Those whose code native code has changed."""
        tables = self._tables
        return [] if tables is None else [one for one in self.ready.values() if tables.is_dead(one.table)]

    def changed_pages(self, region: Region) -> set[int]:
        """The pages in which native code has changed a region's code, and taken its guards out."""
        return {
            start >> PAGE_BITS
            for (start, _), guard in zip(region.spans, region.guards, strict=True)
            if not self._guards.stands(guard)
        }

    # ------------------------------------------------------------ making

    def add(self, region: Region, answer: RegionAnswer) -> None:
        """Map a watched region's code and guard what it was made from."""
        region.memory = CodeMemory(answer.code, answer.table, answer.accesses)
        region.function = region.memory.address + answer.entry
        region.instructions = answer.instructions
        for pc, place in region.points:
            key = pc, region.key[1], place
            self._inside[key] = self._inside.get(key, 0) + 1
        self.bytes += region.memory.size
        if self._tables is not None:
            region.table = self._tables.make(region.pages())
        for start, end in region.spans:
            guard = self._guards.take(start, end, region.table)
            self._guard(self._cache.address, guard, start >> PAGE_BITS)
            region.guards.append(guard)
        self.ready[region.key] = region
        if self.bytes > self._limit * 7 // 8:
            self._make_room()

    def install(self, region: Region, block: int) -> None:
        """Let a block, which begins where the region does, be run as the region."""
        head = block + TB["bytes"]
        self._words[block + TB["region"] - self._cache.code_address >> 3] = region.table
        self._words[head - self._cache.code_address >> 3] = region.function
        region.heads.add(head)
        self._heads[head] = region
        if region.probation:
            region.probation = False
            del self.ready[region.key]
            self.ready[region.key] = region

    def remove(self, region: Region) -> None:
        """Take a region out and free it."""
        self.uninstall(region)
        self.forget(region)
        for guard in region.guards:
            self._unguard(self._cache.address, guard)
            self._guards.give_back(guard)
        region.guards = []
        if self.ready.get(region.key) is region:
            del self.ready[region.key]
        if region.memory is not None:
            for pc, place in region.points:
                key = pc, region.key[1], place
                self._inside[key] -= 1
                if not self._inside[key]:
                    del self._inside[key]
            self.bytes -= region.memory.size
            self._retire(region.memory)
            region.memory = None
            region.function = 0

    def uninstall(self, region: Region, remaining: int = 0) -> None:
        """Have its blocks run by tier 0 again, hot after `remaining` more entries (0: as they stand)."""
        for head in region.heads:
            at = head - self._cache.code_address
            if remaining:
                self.count(head, remaining)
            self._words[at >> 3] = self._count_handler
            del self._heads[head]
        region.heads.clear()

    def count(self, head: int, remaining: int) -> None:
        """Let the block of a count record become hot after so many more entries."""
        at = head - self._cache.code_address >> 3
        heat = self._words[at + 2] - self._words[at + 1]
        self._words[at + 2] = heat + remaining & _ALL_ONES
        self._words[at + 1] = remaining

    def recount(self, block: int, remaining: int) -> bool:
        """`count`, for a block at a host address; False if it is not counted."""
        if not self._words[block + TB["counted"] - self._cache.code_address >> 3]:
            return False
        self.count(block + TB["bytes"], remaining)
        return True

    def forget_heads(self, start: int, end: int) -> None:
        """The blocks at host addresses [start, end) are about to be freed."""
        for head in [head for head in self._heads if start <= head < end]:
            self._heads.pop(head).heads.discard(head)

    def _make_room(self) -> None:
        """Free what was not entered since it was put on probation, the oldest first; then put others there."""
        for region in list(self.ready.values()):
            if self.bytes <= self._limit:
                break
            if region.probation:
                self.remove(region)
        oldest = list(self.ready.values())
        for region in oldest:
            if self.bytes <= self._limit:
                break
            self.remove(region)
        for region in oldest[: len(oldest) // 4 + 1]:
            if not region.probation and region.memory is not None:
                region.probation = True
                # The next entry is noticed, and installs it anew.
                self.uninstall(region, 1)
