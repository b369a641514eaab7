"""The code cache: a bounded buffer of blocks in segments, refreshed least recently used; and its TcgContext.

Blocks are data (op records), so the buffer is never executable.  Each is bump-allocated in the current segment.  When
that is full native code exits with CACHE_FULL and `evict` frees the segment that was longest not looked into, so
memory stays flat however many blocks a program makes.  Everything is in this object's own buffers: machines do not
share a cache.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_uint64, c_void_p

from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_BITS
from runtime.tcg.tb import RECORD_MAX_BYTES, SEGMENT, TB, TB_MAX_BYTES, TCG_CONTEXT, TranslationBlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.core.memory import GuestMemory
    from runtime.tcg.blobs import Blob

DEFAULT_BYTES = 64 << 20
DEFAULT_SEGMENTS = 16
GOOD_SEGMENT = 16 << 10  # in smaller ones much room is lost at the end: fewer of them are better
SMALLEST_SEGMENT = 4 << 10
MOST_VCPUS = 256

_WORD = {name: offset // 8 for name, offset in TCG_CONTEXT.items()}
_SEGMENT_WORDS = SEGMENT["bytes"] // 8


class CodeCache:
    """The blocks of one machine and what native code needs to find them (TcgContext at `address`).

    size, segments  bytes in all and number of segments: about what was asked for, but a segment's bytes are a power of
                    two and enough to be of use
    code            the buffer, for Python to look into; it begins at host address code_address
    """

    def __init__(self, code: Blob, memory: GuestMemory, size: int = DEFAULT_BYTES, segments: int | None = None) -> None:
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
        self._context = HostBuffer(jump_caches + MOST_VCPUS * 8)
        self._hash = HostBuffer(buckets * 8)
        self._pages = HostBuffer((memory.size >> PAGE_BITS) * 8, sparse=True)
        self._code = HostBuffer(self.size)
        self.address = self._context.address
        self.code_address = self._code.address
        self.code = memoryview(self._code.memory)
        self._words = memoryview(self._context.memory).cast("Q")
        self._segment_table = segment_table // 8
        self._jump_caches = jump_caches // 8
        tb_max_bytes = min(TB_MAX_BYTES, self.segment_bytes // 4)
        self._set("code_buffer", self.code_address)
        # The last instruction may begin just below tb_max_bytes, and the jump that ends a cut block follows it.
        self._set("tb_reserve", TB["bytes"] + tb_max_bytes + 2 * RECORD_MAX_BYTES)
        self._set("tb_max_bytes", tb_max_bytes)
        self._set("segment_shift", self._shift)
        self._set("segments", self.address + segment_table)
        self._set("hash", self._hash.address)
        self._set("hash_mask", buckets - 1)
        self._set("pages", self._pages.address)
        self._set("page_count", memory.size >> PAGE_BITS)
        self._set("memory_base", memory.base)
        self._set("permissions", memory.permissions)
        self._set("jump_caches", self.address + jump_caches)
        self._fill_segment(0)
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
        for buffer in (self._context, self._hash, self._pages, self._code):
            buffer.close()

    # ------------------------------------------------------------ vCPUs

    def add_jump_cache(self, address: int) -> None:
        """Have blocks that are freed removed from a vCPU's jump cache too."""
        count = self._get("jump_cache_count")
        if count == MOST_VCPUS:
            raise ValueError(f"a machine has at most {MOST_VCPUS} virtual CPUs")
        self._words[self._jump_caches + count] = address
        self._set("jump_cache_count", count + 1)

    def remove_jump_cache(self, address: int) -> None:
        """Forget a vCPU's jump cache."""
        first, count = self._jump_caches, self._get("jump_cache_count")
        kept = [other for other in self._words[first : first + count] if other != address]
        for index, other in enumerate(kept):
            self._words[first + index] = other
        self._set("jump_cache_count", len(kept))

    # ------------------------------------------------------------ room

    def evict(self) -> None:
        """Make room after CACHE_FULL: go on in the least recently used segment, whose blocks are freed."""
        current = self.current
        used = self._get("cursor") - self.code_address - (current << self._shift)
        self._words[self._segment_word(current, "used")] = used
        others = [index for index in range(self.segments) if index != current] or [current]
        oldest = min(others, key=self.stamps().__getitem__)
        if self._words[self._segment_word(oldest, "used")]:
            self._flush_segment(self.address, oldest)
        self._fill_segment(oldest)

    def flush_all(self) -> None:
        """Free every block."""
        for index in range(self.segments):
            self._flush_segment(self.address, index)
        self._fill_segment(0)

    # ------------------------------------------------------------ invalidation

    def invalidate_pages(self, first: int, last: int) -> None:
        """Free the blocks translated from guest pages first .. last."""
        for page in range(first, last + 1):
            self._invalidate_page(self.address, page)

    def invalidate_range(self, start: int, end: int) -> None:
        """Free the blocks translated from any byte of [start, end)."""
        self._invalidate_range(self.address, start, end)

    # ------------------------------------------------------------ looking

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

    @property
    def cursor(self) -> int:
        """Host address where the next block goes."""
        return self._get("cursor")

    @cursor.setter
    def cursor(self, address: int) -> None:
        self._set("cursor", address)

    def set_hooked(self, address: int) -> None:
        """Where the bits are that say at which guest addresses Python is asked first (runtime/core/watch.py)."""
        self._set("hooked", address)

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

    def _fill_segment(self, index: int) -> None:
        """Put new blocks into an empty segment."""
        start = self.code_address + (index << self._shift)
        self._set("current", index)
        self._set("cursor", start)
        self._set("limit", start + self.segment_bytes)
