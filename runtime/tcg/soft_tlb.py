"""Layout of the software TLB: what a machine's vCPU remembers of how addresses are translated.

A vCPU has one TLB for each value of the modes that translation depends on.  Entry number (address / page size) modulo
TLB_ENTRIES is where a page belongs; a few victims were pushed out of their place and are looked at before the spec's
`on translate` is asked.  A tag is the page's address, to be compared with the address of an access less the bits
between the page and its alignment; flags in the tag's low bits make that comparison fail, so that whatever is not plain
RAM, allowed and aligned takes the slow path (soft_mmu.ll).
"""

from __future__ import annotations

from types import MappingProxyType

from runtime.core.env import PAGE_BITS
from runtime.core.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TLB_BITS = 10
TLB_ENTRIES = 1 << TLB_BITS
TLB_VICTIMS = 8
#: pages are told apart by so many bytes when one is flushed; ranges of large pages that are known (both even)
JUMP_PAGES = 1024
LARGE_RANGES = 8
#: log2 of an entry's bytes
ENTRY_BITS = 5
#: more modes than this would make too many TLBs
MOST_INDEX_BITS = 8

#: tags for each access, by 8 times its number (0 load, 1 store, 2 fetch), then host address - guest address
TLB_ENTRY = MappingProxyType({"read": 0, "write": 8, "fetch": 16, "addend": 24, "bytes": 1 << ENTRY_BITS})
#: what the slow path wants to know beside: the physical page, and the place of RAM (all ones: none)
TLB_FULL = MappingProxyType({"physical": 0, "place": 8, "bytes": 16})

# Flags in a tag.  An entry that is not in use has all ones.
TAG_UNUSED = 1 << 11
TAG_BUS = 1 << 10  # not RAM, or ROM's write
TAG_CODE = 1 << 9  # blocks were made from the page: stores must be looked at
TAG_WATCH = 1 << 8  # somebody watches the page: together with TAG_BUS, so that accesses come to the bus's functions
#: what a bus read of no bytes is told of, in its last argument: a change of so many bytes of a page that is watched
WATCH_UPDATE = 1 << 32

_WHOLE = TLB_ENTRIES + TLB_VICTIMS
#: one TLB: entries, victims behind them, the same of TLB_FULL; then which victim goes next, whether any is in use, and
#: whether the whole was ever selected: one that was not is zeros and takes no memory
TLB = MappingProxyType(
    {
        "victims": TLB_ENTRIES * TLB_ENTRY["bytes"],
        "full": _WHOLE * TLB_ENTRY["bytes"],
        "next_victim": _WHOLE * (TLB_ENTRY["bytes"] + TLB_FULL["bytes"]),
        "used": _WHOLE * (TLB_ENTRY["bytes"] + TLB_FULL["bytes"]) + 8,
        "ready": _WHOLE * (TLB_ENTRY["bytes"] + TLB_FULL["bytes"]) + 16,
        "bytes": _WHOLE * (TLB_ENTRY["bytes"] + TLB_FULL["bytes"]) + 64,
    }
)
#: bits of an address, shifted right by this, that are the offset of its entry
INDEX_SHIFT = PAGE_BITS - ENTRY_BITS
INDEX_MASK = (TLB_ENTRIES - 1) << ENTRY_BITS


def index_parts(layout: Layout) -> list[tuple[int, int, int]]:
    """How a TLB's number is made of env.flags: (shift, width, where it goes) for each mode that matters."""
    parts, at = [], 0
    for name in layout.translation:
        mode = layout.mode(name)
        parts.append((mode.shift, mode.width, at))
        at += mode.width
    if at > MOST_INDEX_BITS:
        raise ValueError(f"{layout.isa}: `on translate` reads {at} bits of modes, more than {MOST_INDEX_BITS}")
    return parts


def tlb_count(layout: Layout) -> int:
    """How many TLBs a vCPU has."""
    return 1 << sum(width for _, width, _ in index_parts(layout))


def after_tlbs(layout: Layout) -> dict[str, int]:
    """What stands behind a vCPU's TLBs: of which pages the jump cache may hold blocks, and where large pages are."""
    start = tlb_count(layout) * TLB["bytes"]
    return {
        "jump_pages": start,
        "large_ranges": start + JUMP_PAGES,
        "bytes": start + JUMP_PAGES + 16 * LARGE_RANGES,
    }


def entries(layout: Layout, tlbs: memoryview) -> Iterator[tuple[int, int, int, str]]:
    """What is in a vCPU's TLBs: (number of the TLB, virtual page, physical page, what is allowed without asking)."""
    unused = TAG_UNUSED
    for number in range(tlb_count(layout)):
        words = tlbs[number * TLB["bytes"] : (number + 1) * TLB["bytes"]].cast("Q")
        if not words[TLB["ready"] // 8]:
            continue
        for index in range(_WHOLE):
            at = index * TLB_ENTRY["bytes"] // 8
            tags = [words[at + TLB_ENTRY[access] // 8] for access in ("read", "write", "fetch")]
            used = [tag for tag in tags if not tag & unused]
            if used:
                physical = words[TLB["full"] // 8 + index * TLB_FULL["bytes"] // 8]
                letters = "".join(letter if not tag & unused else "-" for letter, tag in zip("rwx", tags, strict=True))
                yield (
                    number,
                    used[0] >> PAGE_BITS << PAGE_BITS,
                    physical,
                    letters + (" bus" if used[0] & TAG_BUS else ""),
                )
