"""Which blocks are compiled together with a hot one: those that control goes to from it, as counted so far.

The blocks of tier 0 know how often they were entered (count records) and, by the jump slots that are linked and by what
indirect jumps leave behind them, where they went.  A region is built of the blocks from which control comes back to its
first, for they are the loops around it, and then of what else is hot: calls, the code behind them, inner loops.
"""

from __future__ import annotations

import struct

from runtime.core.env import PAGE_BITS
from runtime.tcg.region import MOST_BLOCKS, RegionBlock, RegionRequest
from runtime.tcg.tb import COUNT_RECORD, SEEN_TARGETS, TB, TB_OUTGOING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from runtime.tcg.code_cache import CodeCache, CodeMemory

#: blocks looked at to choose a region's from
_MOST_EXPLORED = 4 * MOST_BLOCKS
#: a block belongs to a region if it is entered this part as often as the first
_HOT_PART = 32
#: heat of a block whose count says nothing any more, for a region does its work
COMPILED = 1 << 62

#: pc, modes, place
Key = tuple[int, int, int]

_ALL_ONES = (1 << 64) - 1
_HEADER = struct.Struct("<9Q")
_OUTGOING = struct.Struct(f"<{TB_OUTGOING}Q")
_BEHIND = struct.Struct("<3Q")  # place, seen, counted
_COUNTS = struct.Struct("<2Q")
_SEEN = struct.Struct(f"<{SEEN_TARGETS}Q")
_WORD = struct.Struct("<Q")


class Node:
    """A block of tier 0 as the choice of regions sees it."""

    __slots__ = (
        "_seen_at",
        "address",
        "alive",
        "cflags",
        "counted",
        "end",
        "flags",
        "heat",
        "icount",
        "pc",
        "place",
        "seen",
        "size",
        "targets",
    )

    def __init__(self, cache: CodeCache, address: int) -> None:
        """The block at a host address of the cache."""
        code, at = cache.code, address - cache.code_address
        self.address = address
        self.pc, _, self.flags, self.cflags, _, size, self.icount, _, self.alive = _HEADER.unpack_from(code, at)
        self.end = self.pc + size
        self.size = size
        #: where its code is: its address, or in a machine its place in RAM
        self.place, self._seen_at, self.counted = _BEHIND.unpack_from(code, at + TB["place"])
        self.heat = 0
        if self.counted:
            remaining, base = _COUNTS.unpack_from(code, at + TB["bytes"] + COUNT_RECORD["remaining"])
            self.heat = base - remaining & _ALL_ONES
        #: where its last jump goes to, if that is an indirect one to few places (or any that leaves a machine's page)
        self.seen: tuple[int, ...] = ()
        #: blocks that its linked jumps lead to
        self.targets: list[int] = []

    def look(self, cache: CodeCache) -> None:
        """Find out where it goes."""
        code, at = cache.code, self.address - cache.code_address
        seen = _SEEN.unpack_from(code, at + self._seen_at)
        self.seen = () if all(seen) else tuple(pc for pc in seen if pc)
        self.targets = [
            _WORD.unpack_from(code, slot - cache.code_address)[0] - TB["bytes"]
            for slot in _OUTGOING.unpack_from(code, at + TB["outgoing"])
            if slot
        ]

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.pc, self.flags, self.place

    def block(self, memory: CodeMemory) -> RegionBlock:
        """What a request says of it, once `look` was called."""
        return RegionBlock(self.pc, memory.read(self.place, self.size, 0), min(self.heat, COMPILED), self.seen)


class Former:
    """Chooses regions from the blocks of a code cache.

    compiled  whether a block lies in a region already, so that its count is no measure of its heat
    allowed   whether code in the places [start, end) may be compiled
    most      instructions in a region
    """

    def __init__(
        self,
        cache: CodeCache,
        memory: CodeMemory,
        compiled: Callable[[Node], bool],
        allowed: Callable[[int, int], bool],
        most: int,
    ) -> None:
        self._cache = cache
        self._memory = memory
        self._compiled = compiled
        self._allowed = allowed
        self._most = most

    def form(self, head: int) -> tuple[RegionRequest, tuple[int, ...]] | None:
        """The region that begins with the block at host address `head`, and its blocks' places; None when that cannot
        be compiled."""
        first = Node(self._cache, head)
        if not first.alive or first.cflags or not self._allowed(first.place, first.place + first.size):
            return None
        nodes, successors = self._explore(first)
        chosen = self._choose(first, nodes, successors)
        request = RegionRequest(first.pc, first.flags, tuple(node.block(self._memory) for node in chosen))
        return request, tuple(node.place for node in chosen)

    # ------------------------------------------------------------ exploring

    def _explore(self, first: Node) -> tuple[dict[int, Node], dict[int, list[int]]]:
        """Hot blocks reached from the first, by address, nearest first, and the edges between them."""
        least = max(1, min(first.heat, COMPILED) // _HOT_PART)
        nodes = {first.address: first}
        successors: dict[int, list[int]] = {}
        queue = [first]
        pages = {first.pc >> PAGE_BITS: first.place >> PAGE_BITS}  # an address is in one place at a time
        for node in queue:
            following = successors[node.address] = []
            node.look(self._cache)
            others = [self._find(pc, first.flags, pages) for pc in (*node.seen, node.end)]
            for address in [*node.targets, *filter(None, others)]:
                if address not in nodes:
                    if len(nodes) == _MOST_EXPLORED:
                        continue
                    other = Node(self._cache, address)
                    page = other.pc >> PAGE_BITS
                    there = pages.get(page, other.place >> PAGE_BITS) == other.place >> PAGE_BITS
                    if not there or not self._takes(other, first, least):
                        continue
                    pages[page] = other.place >> PAGE_BITS
                    nodes[address] = other
                    queue.append(other)
                following.append(address)
        return nodes, successors

    def _find(self, pc: int, flags: int, pages: Mapping[int, int]) -> int:
        """The block at pc, 0 if there is none; `pages` says where pages are, as far as is known."""
        page = pages.get(pc >> PAGE_BITS)
        return self._cache.find(pc, flags, None if page is None else page << PAGE_BITS | pc & (1 << PAGE_BITS) - 1)

    def _takes(self, node: Node, first: Node, least: int) -> bool:
        if not node.alive or node.cflags or node.flags != first.flags:
            return False
        if self._compiled(node):
            node.heat = max(node.heat, least)
        return node.heat >= least and self._allowed(node.place, node.place + node.size)

    # ------------------------------------------------------------ choosing

    def _choose(self, first: Node, nodes: dict[int, Node], successors: dict[int, list[int]]) -> list[Node]:
        """The region's blocks, the first one first."""
        looping = _reaching(first.address, successors)
        chosen: dict[int, Node] = {}
        instructions = 0.0
        order = {address: number for number, address in enumerate(nodes)}
        frontier = {first.address}
        while frontier and len(chosen) < MOST_BLOCKS:
            # What leads back to the first goes before all else; then the hotter, then the nearer.
            best = max(frontier, key=lambda a: (a == first.address, a in looping, nodes[a].heat, -order[a]))
            frontier.discard(best)
            node = nodes[best]
            more = node.icount * _new_part(node, chosen.values())
            if chosen and instructions + more > self._most:
                continue
            chosen[best] = node
            instructions += more
            frontier.update(address for address in successors.get(best, ()) if address not in chosen)
        return list(chosen.values())


def _new_part(node: Node, others: Iterable[Node]) -> float:
    """How much of a block is not in others: what several blocks hold is compiled once."""
    at, shared = node.pc, 0
    size: int = node.end - at
    for start, end in sorted((other.pc, other.end) for other in others if other.pc < node.end and other.end > node.pc):
        shared += max(0, min(end, node.end) - max(start, at))
        at = max(at, end)
    return 1 - shared / size


def _reaching(goal: int, successors: dict[int, list[int]]) -> set[int]:
    """The blocks from which control comes to `goal`."""
    before: dict[int, list[int]] = {}
    for address, following in successors.items():
        for other in following:
            before.setdefault(other, []).append(address)
    found, queue = {goal}, [goal]
    for address in queue:
        for other in before.get(address, ()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found
