"""Which blocks are compiled together with a hot one: those that control goes to from it, as counted so far.

The blocks of tier 0 know how often they were entered (count records) and, by the jump slots that are linked and by what
indirect jumps leave behind them, where they went.  A region is built of the blocks from which control comes back to its
first, for they are the loops around it, and then of what else is hot: calls, the code behind them, inner loops.

What other regions have already is compiled again only where that pays: the loops through the first block, unless
another region has that, too, or they are long and others have most of them; otherwise a few instructions.  A region
that begins inside another one, or inside such a loop, is a way into those that are there: it ends where one begins that
is large.
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
_MOST_EXPLORED = 3 * MOST_BLOCKS // 2
#: a block belongs to a region if it is entered this part as often as the first
_HOT_PART = 32
#: instructions of other regions that one has, too, unless they are in loops with its first block
_MOST_AGAIN = 48
#: ... and of a loop that another region has already
_MOST_LOOP_AGAIN = 96
#: blocks looked at for the end of what is called
_MOST_CALLED = 24
#: a region of so many instructions is entered rather than having its code in another one, too
LARGE = 64
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
        "armed",
        "cflags",
        "compiled",
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
        #: whether it lies in a region already
        self.compiled = False
        self.heat = 0
        #: whether Python is going to hear of it, again perhaps; from then on it is counted on, below 0
        self.armed = False
        if self.counted:
            remaining, base = _COUNTS.unpack_from(code, at + TB["bytes"] + COUNT_RECORD["remaining"])
            self.heat = base - remaining & _ALL_ONES
            self.armed = 0 < remaining < 1 << 63
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


def heat(cache: CodeCache, address: int) -> int:
    """A Node's heat, without the rest."""
    code, at = cache.code, address - cache.code_address
    if not _WORD.unpack_from(code, at + TB["counted"])[0]:
        return 0
    remaining, base = _COUNTS.unpack_from(code, at + TB["bytes"] + COUNT_RECORD["remaining"])
    return int(base - remaining & _ALL_ONES)


class Former:
    """Chooses regions from the blocks of a code cache.

    compiled  whether a block lies in a region already, so that its count is no measure of its heat
    code_in   the places [start, end) in a page whose code regions with these modes have
    allowed   whether code in the places [start, end) may be compiled
    most      instructions in a region
    heads     the first pc in a range of addresses, with these modes and from this place on, that a region of at least
              LARGE instructions begins at, or 0
    """

    def __init__(
        self,
        cache: CodeCache,
        memory: CodeMemory,
        compiled: Callable[[Node], bool],
        code_in: Callable[[int, int], Iterable[tuple[int, int]]],
        allowed: Callable[[int, int], bool],
        most: int,
        heads: Callable[[int, int, int, int], int],
    ) -> None:
        self._cache = cache
        self._memory = memory
        self._compiled = compiled
        self._code_in = code_in
        self._allowed = allowed
        self._most = most
        self._heads = heads
        #: whether code anywhere in a page may be compiled, as far as was asked for this region
        self._pages: dict[int, bool] = {}
        #: where in a page regions have code, as far as was asked for this region
        self._spans: dict[int, tuple[tuple[int, int], ...]] = {}

    def form(self, head: int) -> tuple[RegionRequest, tuple[int, ...]] | None:
        """The region that begins with the block at host address `head`, and its blocks' places; None when that cannot
        be compiled."""
        first = Node(self._cache, head)
        if not first.alive or first.cflags or not self._allowed(first.place, first.place + first.size):
            return None
        self._pages.clear()
        self._spans.clear()
        nodes, successors = self._explore(first)
        chosen = self._choose(first, nodes, successors)
        request = RegionRequest(first.pc, first.flags, tuple(node.block(self._memory) for node in chosen))
        return request, tuple(node.place for node in chosen)

    # ------------------------------------------------------------ exploring

    def _explore(self, first: Node) -> tuple[dict[int, Node], dict[int, list[int]]]:
        """Hot blocks reached from the first, by address, nearest first, and the edges between them."""
        least = max(1, min(first.heat, COMPILED) // _HOT_PART)
        first.compiled = self._compiled(first) or self._covered(first)
        nodes = {first.address: first}
        successors: dict[int, list[int]] = {}
        calls: list[tuple[list[int], int]] = []  # what may be a call: where it leads to, and what is behind it
        queue = [first]
        pages = {first.pc >> PAGE_BITS: first.place >> PAGE_BITS}  # an address is in one place at a time

        def reached(address: int, heat: int) -> bool:
            if address in nodes:
                return True
            if len(nodes) == _MOST_EXPLORED:
                return False
            other = Node(self._cache, address)
            page = other.pc >> PAGE_BITS
            there = pages.get(page, other.place >> PAGE_BITS) == other.place >> PAGE_BITS
            if not there or not self._takes(other, first, least, heat):
                return False
            pages[page] = other.place >> PAGE_BITS
            nodes[address] = other
            queue.append(other)
            return True

        for node in queue:
            node.look(self._cache)
            known = [self._find(pc, first.flags, pages) for pc in node.seen]
            following = [at for at in (*node.targets, *filter(None, known)) if reached(at, node.heat)]
            successors[node.address] = following
            behind = self._find(node.end, first.flags, pages)
            if behind and behind not in following and reached(behind, node.heat):
                calls.append((following, behind))
        _add_returns(nodes, successors, calls)
        return nodes, successors

    def _find(self, pc: int, flags: int, pages: Mapping[int, int]) -> int:
        """The block at pc, 0 if there is none; `pages` says where pages are, as far as is known."""
        page = pages.get(pc >> PAGE_BITS)
        return self._cache.find(pc, flags, None if page is None else page << PAGE_BITS | pc & (1 << PAGE_BITS) - 1)

    def _cut(self, node: Node) -> bool:
        """Let a block end where a large region begins, if one does inside it."""
        pc = self._heads(node.pc + 1, node.end, node.flags, node.place + 1)
        if pc:
            node.icount = max(1, node.icount * (pc - node.pc) // node.size)
            node.size, node.end = pc - node.pc, pc
            node.seen = ()
        return bool(pc)

    def _takes(self, node: Node, first: Node, least: int, heat: int) -> bool:
        """heat: of the block before it, which tells of one that is compiled already."""
        if not node.alive or node.cflags or node.flags != first.flags:
            return False
        if self._compiled(node):
            node.compiled = True
            node.heat = max(min(first.heat, heat), least)
        elif node.heat >= least:
            node.compiled = self._covered(node)
        return node.heat >= least and self._may_be_compiled(node.place, node.place + node.size)

    def _may_be_compiled(self, start: int, end: int) -> bool:
        """`allowed`, which is asked for whole pages first: there are few of them."""
        page = start >> PAGE_BITS
        if end - 1 >> PAGE_BITS == page:
            whole = self._pages.get(page)
            if whole is None:
                whole = self._pages[page] = self._allowed(page << PAGE_BITS, page + 1 << PAGE_BITS)
            if whole:
                return True
        return self._allowed(start, end)

    def _covered(self, node: Node) -> bool:
        """Whether a region has the code that the block begins with, perhaps in the midst of another block."""
        place = node.place
        page = place >> PAGE_BITS
        spans = self._spans.get(page)
        if spans is None:
            spans = self._spans[page] = tuple(self._code_in(page, node.flags))
        return any(start <= place < end for start, end in spans)

    # ------------------------------------------------------------ choosing

    def _choose(self, first: Node, nodes: dict[int, Node], successors: dict[int, list[int]]) -> list[Node]:
        """The region's blocks, the first one first; control comes to each from one before it."""
        loops = self._loops(first, nodes, successors)
        looping = set(loops)
        # A block that others have, or most of whose loops they have: its region is a way into them, and ends where one
        # begins.  Who enters it comes back seldom, or to another part of the loop.
        entering = first.compiled or _mostly_compiled(looping, nodes)
        if entering:
            looping = {address for address, length in loops.items() if length <= _MOST_LOOP_AGAIN}
        passing = set() if entering else looping
        chosen: dict[int, Node] = {}
        instructions = again = 0.0
        order = {address: number for number, address in enumerate(nodes)}
        frontier = {first.address}
        while frontier and len(chosen) < MOST_BLOCKS:
            # What leads back to the first goes before all else; then the hotter, then the nearer.
            best = max(frontier, key=lambda a: (a == first.address, a in looping, nodes[a].heat, -order[a]))
            frontier.discard(best)
            node = nodes[best]
            following = () if entering and self._cut(node) else successors.get(best, ())
            more = node.icount * _new_part(node, chosen.values())
            if chosen and instructions + more > self._most:
                continue
            if chosen and best not in passing and self._heads(node.pc, node.pc + 1, node.flags, node.place):
                continue
            if node.compiled and best not in looping:
                if again + more > _MOST_AGAIN:
                    continue
                again += more
            chosen[best] = node
            instructions += more
            frontier.update(address for address in following if address not in chosen)
        return list(chosen.values())

    def _loops(self, first: Node, nodes: dict[int, Node], successors: dict[int, list[int]]) -> dict[int, int]:
        """The blocks of loops through the first that a region has room for, and instructions of the shortest."""
        before: dict[int, list[int]] = {}
        for address, following in successors.items():
            for other in following:
                before.setdefault(other, []).append(address)
        size, most = first.icount, 2 * self._most  # blocks may overlap
        there = _distances(first.address, successors, nodes, most)
        back = _distances(first.address, before, nodes, most)
        # Both ways count the first; each counts the block itself.
        lengths = {
            address: steps + back[address] - nodes[address].icount - size
            for address, steps in there.items()
            if address in back
        }
        return {address: length for address, length in lengths.items() if length <= most}


def _mostly_compiled(looping: set[int], nodes: dict[int, Node]) -> bool:
    """Whether these are many blocks and other regions have more than half of their instructions."""
    every = sum(nodes[address].icount for address in looping)
    missing = sum(nodes[address].icount for address in looping if not nodes[address].compiled)
    return bool(every > _MOST_LOOP_AGAIN and 2 * missing < every)


def _distances(start: int, edges: dict[int, list[int]], nodes: dict[int, Node], most: int) -> dict[int, int]:
    """Least instructions on a way from one block to each of the others, both included; none further than `most`."""
    from _heapq import heappop, heappush  # heapq imports as much again in Python; many runs choose no region

    found: dict[int, int] = {}
    queue: list[tuple[int, int]] = [(nodes[start].icount, start)]
    while queue:
        steps, address = heappop(queue)
        if address in found:
            continue
        found[address] = steps
        for other in edges.get(address, ()):
            if other not in found and steps + nodes[other].icount <= 2 * most:
                heappush(queue, (steps + nodes[other].icount, other))
    return found


def _add_returns(nodes: dict[int, Node], successors: dict[int, list[int]], calls: list[tuple[list[int], int]]) -> None:
    """Blocks whose last jump leads to nobody knows where may return to what is behind the calls that lead to them."""
    leaving = {address for address, following in successors.items() if not following and not nodes[address].targets}
    if not leaving:
        return
    added: dict[int, list[int]] = {}
    ends: dict[tuple[int, ...], list[int]] = {}
    for called, behind in calls:
        key = tuple(called)
        if key not in ends:
            ends[key] = _ends(called, successors, leaving)
        for address in ends[key]:
            added.setdefault(address, []).append(behind)
    for address, ways in added.items():
        successors[address] = list(dict.fromkeys(ways))


def _ends(called: list[int], successors: dict[int, list[int]], leaving: set[int]) -> list[int]:
    """Which of the blocks that leave for nobody knows where are in what these begin, as far as that is looked at."""
    found, queue = set(called), list(called)
    for address in queue:
        for other in successors[address]:
            if other not in found and len(found) < _MOST_CALLED:
                found.add(other)
                queue.append(other)
    return [address for address in queue if address in leaving]


def _new_part(node: Node, others: Iterable[Node]) -> float:
    """How much of a block is not in others: what several blocks hold is compiled once."""
    at, shared = node.pc, 0
    size: int = node.end - at
    for start, end in sorted((other.pc, other.end) for other in others if other.pc < node.end and other.end > node.pc):
        shared += max(0, min(end, node.end) - max(start, at))
        at = max(at, end)
    return 1 - shared / size
