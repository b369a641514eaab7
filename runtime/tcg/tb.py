"""Layouts of what native code and Python share besides `env`: TcgContext, segments, TranslationBlock, JumpSlot.

This is the one place their offsets are written down: the engine (*.ll) takes them through engine.py.

A TranslationBlock is a header followed at once by its op records, bump-allocated in one segment of the code cache.
It is in one list of the TB hash, in one list for each of the (at most two) guest pages it was translated from, and
each JumpSlot of its own that is linked is in the `incoming` list of the block it jumps to.  The lists are doubly
linked (`prev` is the address of the pointer that points here), so that freeing a block is a handful of stores.
"""

from __future__ import annotations

import struct

from runtime.core.light import MappingProxyType
from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def _layout(fields: Iterable[tuple[str, int]]) -> MappingProxyType[str, int]:
    """Offsets of consecutive fields of the sizes given, and of the end as "bytes"."""
    offsets, at = {}, 0
    for name, size in fields:
        offsets[name] = at
        at += size
    offsets["bytes"] = at
    return MappingProxyType(offsets)


#: blocks that one block can be linked to at a time; it is cut before it has more jump slots (one past these would
#: work, unlinked, through tb_find_slow)
TB_OUTGOING = 16
#: targets of its last, indirect jump that a block remembers: as many as an interpreter's has for its common operations
SEEN_BITS = 4
SEEN_TARGETS = 1 << SEEN_BITS
#: one is found by the upper bits of its product with this, or in one of the next places
SEEN_FACTOR = -7046029254386353131
SEEN_TRIES = 6
#: most guest instructions in a block
TB_MAX_INSTRUCTIONS = 64
#: most bytes of op records in a block
TB_MAX_BYTES = 4096
#: most bytes the decoder writes for one instruction
RECORD_MAX_BYTES = 256
#: most bytes the decoder looks at for one instruction
FETCH_BYTES = 32

# TranslationBlock.delayed_kind: what is known of the jump that waits for the end of the delay slot.
DELAYED_UNKNOWN = 0  # env.npc says
DELAYED_MAYBE = 1  # to delayed_target, if it is taken
DELAYED_TAKEN = 2  # to delayed_target
DELAYED_NOT_TAKEN = 3

# TranslationBlock.cflags: how it was made.
CF_SINGLE_STEP = 1  # one instruction, to run once: in no list, so never `alive`
CF_HOOKED = 2  # begins at a hooked address, or holds one: run from Python only, never chained to
CF_GUARD = 4  # no block: a GUARD

# env.trace
TRACE_TRANSLATION = 1  # exit TRANSLATED after each tb_gen_code
TRACE_NOCHAIN = 2  # link no jump slots
TRACE_TRAPS = 4  # machines: exit TRAPPED behind each exception and interrupt that was entered
TRACE_WALKS = 8  # machines: tell Python of each translation that was asked for, as a bus read of no bytes

TB = _layout(
    [
        ("pc", 8),
        ("cs_base", 8),
        ("flags", 8),
        ("cflags", 8),
        ("tc_ptr", 8),  # the first op record
        ("size", 8),  # bytes of guest code
        ("icount", 8),  # guest instructions
        ("allocated", 8),  # bytes of the segment that header and records take
        ("alive", 8),  # 0 once freed; the space comes back with its segment
        ("hash_next", 8),
        ("hash_prev", 8),
        ("incoming", 8),  # first JumpSlot linked to this block
        ("outgoing", 8 * TB_OUTGOING),  # linked JumpSlots of this block, 0 where none
        ("page0", 48),  # a PageLink for the page of its first byte
        ("page1", 48),  # and for the page of its last byte, when that is another (tb = 0 otherwise)
        ("place", 8),  # machines: where in RAM its first byte is
        ("seen", 8),  # where in it, behind its records, SEEN_TARGETS pcs begin that an indirect jump went to (or 0)
        ("counted", 8),  # bytes of the count record that its records begin with, 0 if it has none
        ("region", 8),  # machines: host address of the REGION_TABLE of the region installed in it
        # While it is generated, what the decoder said of the last delayed instruction:
        ("delayed_kind", 8),  # DELAYED_*
        ("delayed_target", 8),  # where it goes, if that is known
    ]
)

#: start, end: the bytes of the page that the block was made from, as places in memory; they may reach beyond the page
PAGE_LINK = _layout([("next", 8), ("prev", 8), ("tb", 8), ("page", 8), ("start", 8), ("end", 8)])

JUMP_SLOT = _layout(
    [
        ("target", 8),  # op record to run: the target's first, or `stub` below while unlinked
        ("stub", 8),  # handler @tb_link: this half of the slot is an op record itself
        ("pc", 8),  # where to
        ("owner", 8),  # the block the slot lies in
        ("next", 8),
        ("prev", 8),
    ]
)

SEGMENT = _layout(
    [
        ("stamp", 8),  # TcgContext.clock when a block in it was last looked up
        ("used", 8),  # bytes allocated, valid while the segment is not the current one
        ("flushes", 8),
        ("spare", 8),
    ]
)

TCG_CONTEXT = _layout(
    [
        ("code_buffer", 8),  # host address of the code cache
        ("cursor", 8),  # where the next block goes
        ("limit", 8),  # end of the current segment
        ("tb_reserve", 8),  # a block is begun only when this much is left
        ("tb_max_bytes", 8),  # most bytes of op records in one block
        ("segment_shift", 8),  # log2 of a segment's bytes
        ("segments", 8),  # host address of SEGMENT records
        ("current", 8),  # index of the segment being filled
        ("clock", 8),  # counts look-ups, for the segments' stamps
        ("hash", 8),  # host address of the TB hash: heads of lists
        ("hash_mask", 8),
        ("pages", 8),  # host address of the heads of page lists, one a guest page
        ("page_count", 8),
        ("memory_base", 8),
        ("permissions", 8),
        ("jump_caches", 8),  # host address of an array of the vCPUs' jump cache addresses
        ("vcpus", 8),  # host address of an array of the addresses of their envs, in the same order
        ("vcpu_count", 8),
        ("lock", 8),  # the engine's lock (threads.ll)
        ("stopped", 8),  # 1 while no vCPU may enter native code but that of env `stopper`
        ("stopper", 8),
        ("tb_count", 8),  # blocks alive
        ("generated", 8),  # statistics: blocks made
        ("invalidated", 8),  # blocks freed
        ("linked", 8),  # jump slots linked
        ("slow_lookups", 8),
        ("fetch", FETCH_BYTES),  # scratch for code bytes before a page that must not be read as code
        ("hooked", 8),  # host address of a bit for every guest address, set where code is hooked; 0: nowhere
        ("guarded", 8),  # non-zero: the host's protection of pages follows their permissions (runtime/core/guard.py)
        ("hot_threshold", 8),  # entries after which a new block is hot; 0: blocks are not counted
        (
            "listed",
            8,
        ),  # host address of LISTED_BITS bits; a block at an address that is set (@tb_threshold) is hot sooner
        ("listed_threshold", 8),  # when those do
        ("hot_exit", 8),  # native code is left when a block becomes hot after at most so many entries
        ("hot_ring", 8),  # host address of HOT_RING block addresses, 0 where free
        ("hot_next", 8),  # entries of the ring tried so far
        # Machines only:
        ("ram", 8),  # host address of RAM_RECORDs
        ("ram_count", 8),
        # Called for what is no RAM: (env, physical address, bytes, value) -> BUS_*; env.bus_value is what was read
        ("bus_read", 8),
        ("bus_write", 8),
        ("threaded", 8),  # non-zero: vCPUs run side by side
        ("breakpoints", 8),  # host address of sorted virtual addresses that Python wants to see before they run
        ("breakpoint_count", 8),
        ("regions_dead", 8),  # regions whose code was changed by native code, so far: Python is still to free them
    ]
)

#: a run of physical addresses that is host memory
RAM_RECORD = _layout(
    [
        ("start", 8),  # physical
        ("end", 8),
        ("host", 8),  # host address of its first byte
        ("place", 8),  # of its first byte: all RAM has places one after the other, where blocks and pages are entered
        ("writable", 8),
    ]
)
# What the bus callbacks return.
BUS_DONE, BUS_NOBODY, BUS_FAILED = 0, 1, 2

#: the op record that counts how often a block is entered; a compiled region is installed as its handler
COUNT_RECORD = _layout([("handler", 8), ("remaining", 8), ("base", 8)])
#: blocks that can become hot between two looks of Python's: a power of two
HOT_RING = 256
#: addresses are told apart by so many bits where it does little harm to take one for another: a power of two
LISTED_BITS = 1 << 17
#: like a block in a page's list, for code that a region was compiled from; cflags is CF_GUARD
GUARD = MappingProxyType(
    {
        "pc": TB["pc"],
        "table": TB["flags"],  # machines: host address of the region's REGION_TABLE, else 0
        "cflags": TB["cflags"],
        "size": TB["size"],
        "link": TB["size"] + 8,
        "bytes": TB["size"] + 8 + PAGE_LINK["bytes"],
    }
)
#: machines: where the code of a region is to be.  A generation (env.jump_generation) for each vCPU follows: that in
#: which its pages were last found there; then a REGION_PAGE for each page
REGION_TABLE = _layout(
    [
        ("pages", 8),  # how many; 0: the code has changed, the region is not to be entered any more
        ("vcpus", 8),
        ("generations", 0),
    ]
)
REGION_PAGE = _layout([("address", 8), ("place", 8)])
#: set in a generation: some page was elsewhere then
REGION_ELSEWHERE = 1 << 63

#: an access log: bytes used, then for each access this and the bytes found there, padded to whole words
ACCESS = _layout([("address", 8), ("size", 8), ("access", 8)])
ACCESS_LOG_BYTES = 1 << 16

_TB_HEADER = struct.Struct("<9Q")


@record
class TranslationBlock:
    """What Python looks at in a block (tracing, statistics): a copy of the header's first fields."""

    address: int
    pc: int
    cs_base: int
    flags: int
    cflags: int
    tc_ptr: int
    size: int
    icount: int
    allocated: int
    alive: int

    @classmethod
    def read(cls, code: memoryview, code_buffer: int, address: int) -> TranslationBlock:
        """The block at host address `address` of a code cache."""
        return cls(address, *_TB_HEADER.unpack_from(code, address - code_buffer))
