"""The code cache: a bounded buffer of blocks in segments, refreshed least recently used; and its TcgContext.

Blocks are data (op records), so the buffer is never executable.  Each is bump-allocated in the current segment.  When
that is full native code exits with CACHE_FULL and `evict` frees the segment that was longest not looked into, so
memory stays flat however many blocks a program makes.  Everything is in this object's own buffers: machines do not
share a cache.
"""

from __future__ import annotations

import struct

from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_BITS, PAGE_CODE
from runtime.core.foreign import CFUNCTYPE, c_uint64, c_void_p, string_at
from runtime.tcg.tb import (
    COUNT_RECORD,
    HOT_RING,
    LISTED_BITS,
    RECORD_MAX_BYTES,
    SEEN_TARGETS,
    SEGMENT,
    TB,
    TB_MAX_BYTES,
    TCG_CONTEXT,
    TranslationBlock,
)
from runtime.tcg.world import MOST_VCPUS, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from mmap import mmap
    from typing import Protocol

    from runtime.core.memory import GuestMemory
    from runtime.tcg.blobs import Blob
    from runtime.tcg.tier import Tier

DEFAULT_BYTES = 64 << 20
DEFAULT_SEGMENTS = 16
GOOD_SEGMENT = 16 << 10  # in smaller ones much room is lost at the end: fewer of them are better
SMALLEST_SEGMENT = 4 << 10

_WORD = {name: offset // 8 for name, offset in TCG_CONTEXT.items()}
_SEGMENT_WORDS = SEGMENT["bytes"] // 8
_HOT_NEXT = _WORD["hot_next"]
_LISTED_SHIFT = LISTED_BITS.bit_length() - 1
_WORD_FORMAT = struct.Struct("<Q")
_KEY = struct.Struct("<3Q")  # of a block: pc, cs_base, flags
_PLACE, _HASH_NEXT = TB["place"], TB["hash_next"]
_ALL_ONES = (1 << 64) - 1
# The multipliers of @tb_hash_head.
_SPREAD_FLAGS, _SPREAD = -7046029288634856825 & _ALL_ONES, -7046029254386353131 & _ALL_ONES


if TYPE_CHECKING:

    class CodeMemory(Protocol):
        """Where code comes from: guest memory, or a machine's RAM (places.py)."""

        @property
        def size(self) -> int: ...
        @property
        def base(self) -> int: ...
        @property
        def permissions(self) -> int: ...
        @property
        def guard(self) -> object | None: ...
        @property
        def table(self) -> mmap: ...
        def check(self, address: int, size: int, need: int) -> int | None: ...
        def read(self, address: int, size: int, need: int = ...) -> bytes: ...


class CodeCache:
    """The blocks of one machine and what native code needs to find them (TcgContext at `address`).

    size, segments  bytes in all and number of segments: about what was asked for, but a segment's bytes are a power of
                    two and enough to be of use
    code            the buffer, for Python to look into; it begins at host address code_address
    world           the vCPUs that run what is in it
    tier            what compiles its hot blocks: told of changes before the blocks they concern are freed
    """

    def __init__(self, code: Blob, memory: CodeMemory, size: int = DEFAULT_BYTES, segments: int | None = None) -> None:
        if size < 1 or (segments is not None and segments < 1):
            raise ValueError(f"a code cache of {size} bytes in {segments} segments: there must be some of both")
        wanted = segments or max(1, min(DEFAULT_SEGMENTS, size // GOOD_SEGMENT))
        size = max(size, wanted * SMALLEST_SEGMENT)
        self._shift = (size // wanted).bit_length() - 1
        self.segment_bytes = 1 << self._shift
        segments = segments or size >> self._shift
        self.segments = segments
        self.size = segments << self._shift
        buckets = 1 << max(8, min(18, (self.size >> 10).bit_length() - 1))
        context_bytes = TCG_CONTEXT["bytes"]
        segment_table = context_bytes
        jump_caches = segment_table + segments * SEGMENT["bytes"]
        vcpus = jump_caches + MOST_VCPUS * 8
        self._context = HostBuffer(vcpus + MOST_VCPUS * 8)
        self._hash = HostBuffer(buckets * 8)
        self._heads = memoryview(self._hash.memory)[: buckets * 8].cast("Q")
        self._pages = HostBuffer((memory.size >> PAGE_BITS) * 8, sparse=True)
        self._code = HostBuffer(self.size)
        self.address = self._context.address
        self.code_address = self._code.address
        self.code = memoryview(self._code.memory)
        self._words = memoryview(self._context.memory).cast("Q")
        self._segment_table = segment_table // 8
        tb_max_bytes = min(TB_MAX_BYTES, self.segment_bytes // 4)
        self._set("code_buffer", self.code_address)
        # The last instruction may begin just below tb_max_bytes, with a guard before it, and the jump that ends a cut
        # block follows it; both may note where they went.
        room = 3 * RECORD_MAX_BYTES + 2 * 8 * SEEN_TARGETS
        self._set("tb_reserve", TB["bytes"] + COUNT_RECORD["bytes"] + tb_max_bytes + room)
        self._set("tb_max_bytes", tb_max_bytes)
        self._set("segment_shift", self._shift)
        self._set("segments", self.address + segment_table)
        self._set("hash", self._hash.address)
        self._set("hash_mask", buckets - 1)
        self._set("pages", self._pages.address)
        self._set("page_count", memory.size >> PAGE_BITS)
        self._set("memory_base", memory.base)
        self._set("permissions", memory.permissions)
        self._set("guarded", memory.guard is not None)
        self._set("jump_caches", self.address + jump_caches)
        self._set("vcpus", self.address + vcpus)
        self._hot_ring: HostBuffer | None = None
        self._hot_taken = 0
        self._listed: HostBuffer | None = None
        self._not_listed = 0
        self.tier: Tier | None = None
        self._fill_segment(0)
        self.world = World(code, self.address)
        self._discard: Callable[[int, int], None] = CFUNCTYPE(None, c_void_p, c_void_p)(code.address("tb_discard"))
        self._flush_segment: Callable[[int, int], None] = CFUNCTYPE(None, c_void_p, c_uint64)(
            code.address("tb_flush_segment")
        )
        self._invalidate_page: Callable[[int, int], None] = CFUNCTYPE(None, c_void_p, c_uint64)(
            code.address("tb_invalidate_page")
        )
        self._invalidate_range: Callable[[int, int, int], None] = CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)(
            code.address("tb_invalidate_range")
        )

    def close(self) -> None:
        """Free the buffers: no vCPU may run with this cache any more."""
        self.code.release()
        self._words.release()
        self._heads.release()
        for buffer in (self._context, self._hash, self._pages, self._code):
            buffer.close()
        for extra in (self._hot_ring, self._listed):
            if extra is not None:
                extra.close()

    def guard(self, memory: GuestMemory) -> None:
        """Have the host's protection follow the permissions of `memory`, which this cache's code is from."""
        if not self._get("guarded"):
            with self.world.stopped():
                memory.enable_guard()
                self._set("guarded", 1)

    # ------------------------------------------------------------ room

    def evict(self) -> None:
        """Make room after CACHE_FULL: go on in the least recently used segment, whose blocks are freed."""
        with self.world.stopped():
            full = self._get("limit") - self._get("cursor") < self._get("tb_reserve")
            if full or not self.world.is_shared:  # else another vCPU has just done it
                self._evict()

    def _evict(self) -> None:
        current = self.current
        used = self._get("cursor") - self.code_address - (current << self._shift)
        self._words[self._segment_word(current, "used")] = used
        others = [index for index in range(self.segments) if index != current] or [current]
        oldest = min(others, key=self.stamps().__getitem__)
        if self._words[self._segment_word(oldest, "used")]:
            self._forget(oldest)
            self._flush_segment(self.address, oldest)
        self._fill_segment(oldest)

    def flush_all(self) -> None:
        """Free every block."""
        with self.world.stopped():
            for index in range(self.segments):
                self._forget(index)
                self._flush_segment(self.address, index)
            self._fill_segment(0)

    # ------------------------------------------------------------ invalidation

    def invalidate_pages(self, first: int, last: int) -> None:
        """Free the blocks translated from guest pages first .. last."""
        with self.world.lock:
            if self.tier is not None:
                self.tier.invalidate(first << PAGE_BITS, last + 1 << PAGE_BITS)
            for page in range(first, last + 1):
                self._invalidate_page(self.address, page)

    def invalidate_range(self, start: int, end: int) -> None:
        """Free the blocks translated from any byte of [start, end)."""
        with self.world.lock:
            if self.tier is not None:
                self.tier.invalidate(start, end)
            self._invalidate_range(self.address, start, end)

    # ------------------------------------------------------------ hot blocks

    def count_blocks(self, threshold: int, leave: bool = False) -> None:
        """Have every new block count how often it is entered; `take_hot` names those that came to `threshold`.

        leave: have native code left, too, as soon as a block becomes hot.
        """
        if self._hot_ring is None:
            self._hot_ring = HostBuffer(HOT_RING * 8)
            self._hot_taken = self.hot_count
            self._set("hot_ring", self._hot_ring.address)
        self._set("hot_exit", _ALL_ONES if leave else 0)
        self._set("hot_threshold", max(threshold, self._not_listed) if threshold else 0)

    def list_blocks(self, pcs: Iterable[int], threshold: int, others: int, leave: bool) -> None:
        """Let new blocks at these addresses become hot after `threshold` entries, and all others after `others`.

        leave: have native code left, too, as soon as one of these does."""
        listed = self._listed = HostBuffer(LISTED_BITS >> 3)
        bits = listed.memory
        for pc in pcs:
            number = (pc ^ pc >> _LISTED_SHIFT) & LISTED_BITS - 1
            bits[number >> 3] |= 1 << (number & 7)
        self._not_listed = others
        self._set("listed_threshold", threshold)
        if self._get("hot_threshold"):
            self._set("hot_threshold", others)
        if leave and threshold < others and not self._get("hot_exit"):
            self._set("hot_exit", threshold)
        self._set("listed", listed.address)

    @property
    def hot_count(self) -> int:
        """How often a block became hot so far."""
        return self._words[_HOT_NEXT]

    def take_hot(self) -> list[int]:
        """The addresses of the blocks that became hot since this was last called."""
        if self._hot_ring is None:
            return []
        first, end = self._hot_taken, self.hot_count
        self._hot_taken = end
        # A thread may be about to store what it has counted already: then one has to look everywhere, now and again.
        everywhere = end - first >= HOT_RING or self.world.is_shared
        with memoryview(self._hot_ring.memory).cast("Q") as ring:
            found = []
            for index in range(HOT_RING) if everywhere else range(first, end):
                if address := ring[index % HOT_RING]:
                    found.append(address)
                    ring[index % HOT_RING] = 0
        return found

    # ------------------------------------------------------------ looking

    def find(self, pc: int, flags: int, place: int | None = None) -> int:
        """Host address of the block for this key, 0 when there is none: @tb_find_slow in Python.

        place: where its code is to be; else any of them, if there are several."""
        heads = self._heads
        address = heads[((pc ^ flags * _SPREAD_FLAGS & _ALL_ONES) * _SPREAD & _ALL_ONES) >> 32 & len(heads) - 1]
        code, key = self.code, (pc, 0, flags)
        while address:
            at = address - self.code_address
            if _KEY.unpack_from(code, at) == key and (
                place is None or _WORD_FORMAT.unpack_from(code, at + _PLACE)[0] == place
            ):
                break
            address = _WORD_FORMAT.unpack_from(code, at + _HASH_NEXT)[0]
        return address

    def place(self, address: int) -> int:
        """Where the code of the block at a host address is."""
        return int(_WORD_FORMAT.unpack_from(self.code, address - self.code_address + TB["place"])[0])

    def block(self, address: int) -> TranslationBlock:
        """The block at a host address (env.tb)."""
        return TranslationBlock.read(self.code, self.code_address, address)

    def records(self, tb: TranslationBlock) -> memoryview:
        """The op records of a block."""
        start = tb.tc_ptr - self.code_address
        return self.code[start : start + tb.allocated - TB["bytes"]]

    def blocks(self) -> Iterator[TranslationBlock]:
        """Every block alive, by address."""
        for index in range(self.segments):
            address = self.code_address + (index << self._shift)
            used = self._words[self._segment_word(index, "used")]
            end = self._get("cursor") if index == self.current else address + used
            while address < end:
                tb = self.block(address)
                if tb.alive:
                    yield tb
                address += tb.allocated

    @property
    def current(self) -> int:
        """The segment being filled."""
        return self._get("current")

    def code_bytes(self, address: int) -> int:
        """Bytes of guest code of the block at a host address."""
        start = address - self.code_address + TB["size"]
        return int.from_bytes(self.code[start : start + 8], "little")

    def discard(self, address: int) -> None:
        """Use the room of the single-stepped block at a host address again (it is in no list), if it is the last."""
        self._discard(self.address, address)

    def is_hooked(self, start: int, end: int) -> bool:
        """Whether Python is asked before code at any of [start, end) runs."""
        hooked = self._get("hooked")
        if not hooked:
            return False
        bits = int.from_bytes(string_at(hooked + (start >> 3), (end - 1 >> 3) - (start >> 3) + 1), "little")
        return bool(bits >> (start & 7) & (1 << end - start) - 1)

    def set_hooked(self, address: int) -> None:
        """Where the bits are that say at which guest addresses Python is asked first (runtime/core/watch.py)."""
        self._set("hooked", address)

    # ------------------------------------------------------------ machines

    def expect_much(self) -> None:
        """Tens of thousands of blocks will be made, as in any operating system."""
        self._code.advise_huge_pages()

    def set_bus(self, read: int, write: int) -> None:
        """Host addresses of what is called for physical addresses that are no RAM."""
        self._set("bus_read", read)
        self._set("bus_write", write)

    def set_ram(self, table: int, count: int) -> None:
        """Host address of RAM_RECORDs, with zeros behind them.  vCPUs may be looking: they find all of one table."""
        self._set("ram_count", max(count, self._get("ram_count")))
        self._set("ram", table)
        self._set("ram_count", count)

    def set_threaded(self, threaded: bool) -> None:
        """Whether vCPUs run side by side."""
        self._set("threaded", threaded)

    def set_breakpoints(self, table: int, count: int) -> None:
        """Host address of the virtual addresses at which Python is asked first."""
        self._set("breakpoints", table)
        self._set("breakpoint_count", count)

    def invalidate_places(self, start: int, end: int) -> None:
        """Free the blocks translated from any byte of [start, end), which may be many pages with few blocks.

        Called by devices, on the thread of a vCPU that is in native code: whoever stops the world would wait for it, so
        it must not wait for them.
        """
        pages = self._get("permissions")
        first, last = start >> PAGE_BITS, end - 1 >> PAGE_BITS
        marks = string_at(pages + first, last - first + 1)
        if any(mark & PAGE_CODE for mark in marks):
            self._invalidate_range(self.address, start, end)

    @property
    def dead_regions(self) -> int:
        """Regions whose code was changed by devices or hooks, so far."""
        return self._get("regions_dead")

    def stamps(self) -> list[int]:
        """When each segment was last looked into, on a clock that counts look-ups."""
        return [self._words[self._segment_word(index, "stamp")] for index in range(self.segments)]

    def statistics(self) -> dict[str, int]:
        """Counters since the start: blocks alive, generated and freed, jump slots linked, slow look-ups, evictions."""
        flushes = sum(self._words[self._segment_word(index, "flushes")] for index in range(self.segments))
        names = ("tb_count", "generated", "invalidated", "linked", "slow_lookups")
        return {name: self._get(name) for name in names} | {"flushes": flushes}

    # ------------------------------------------------------------ inside

    def _get(self, name: str) -> int:
        return self._words[_WORD[name]]

    def _set(self, name: str, value: int) -> None:
        self._words[_WORD[name]] = value

    def _segment_word(self, index: int, name: str) -> int:
        return self._segment_table + index * _SEGMENT_WORDS + SEGMENT[name] // 8

    def _forget(self, index: int) -> None:
        """The blocks of a segment are about to be freed."""
        if self.tier is not None:
            start = self.code_address + (index << self._shift)
            self.tier.forget(start, start + self.segment_bytes)

    def _fill_segment(self, index: int) -> None:
        """Put new blocks into an empty segment."""
        start = self.code_address + (index << self._shift)
        self._set("current", index)
        self._set("cursor", start)
        self._set("limit", start + self.segment_bytes)
