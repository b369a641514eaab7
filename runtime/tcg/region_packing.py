"""Floating-point operations on lanes, one after the other, become one operation on all of them.

Each lane's result is looked at for a NaN, which the guest may want to be another one than the host's, before the next
lane is computed.  Here all are computed first, and looked at together; where one is a NaN, each is looked at as before:

    r0 = a0 + b0;  if r0 is a number: p0 = r0, else p0 = ...        r0 = a0 + b0;  r1 = a1 + b1
    r1 = a1 + b1;  if r1 is a number: p1 = r1, else p1 = ...   ->   if both are numbers: d = r1 : r0, else as before
    d = p1 : p0

The operations that stand side by side are marked (`flag`), and the lowering makes one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.core.record import mutable_record
from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.ops import OPS
from runtime.tcg.optimize import blocks_of
from runtime.tcg.region_vectors import WIDTHS

#: operations that are the same done with many lanes at once
_PACKED = frozenset(("host_add", "host_sub", "host_mul", "host_div", "host_sqrt"))


@mutable_record
class _Lane:
    """A lane: blocks of its operation, of its two ways, and where they meet.

    before  what is computed of the operands in the same block, for lanes behind the first
    """

    block: list[Op]
    number: list[Op]
    other: list[Op]
    meeting: list[Op]
    before: list[Op]

    @property
    def operation(self) -> Op:
        return self.block[-3]

    @property
    def test(self) -> Op:
        return self.block[-2]


def pack_lanes(function: Function) -> bool:
    """Rewrite the function; whether there was something to do."""
    if not any(op.name in _PACKED for op in function.ops):
        return False
    return _Packing(function).run()


class _Packing:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._blocks = blocks_of(function.ops)
        self._by_label = {block[0].labels[0]: block for block in self._blocks if block[0].name == "label"}
        self._ways: dict[Label, int] = {}
        self._uses: dict[Operand, int] = {}
        for op in function.ops:
            for value in op.args:
                self._uses[value] = self._uses.get(value, 0) + 1
            if op.name != "label":
                for label in op.labels:
                    self._ways[label] = self._ways.get(label, 0) + 1
        #: blocks to be put behind another one, by its id
        self._behind: dict[int, list[list[Op]]] = {}

    def run(self) -> bool:
        changed = False
        done: set[int] = set()
        for start in self._blocks:
            block = start
            while id(block) not in done:
                lanes = self._lanes(block)
                done |= {id(lane.block) for lane in lanes} | {id(block)}
                if len(lanes) > 1 and (joined := self._joined(lanes)) is not None:
                    block = self._pack(lanes, joined)
                    changed = True
        if changed:
            self._function.ops[:] = [op for block in self._blocks for op in self._emitted(block)]
        return changed

    def _emitted(self, block: list[Op]) -> Iterator[Op]:
        """The ops of a block and of those behind it."""
        yield from block
        for other in self._behind.get(id(block), ()):
            yield from self._emitted(other)

    # ------------------------------------------------------------ finding

    def _lanes(self, block: list[Op]) -> list[_Lane]:
        """The lanes that begin with the operation at the block's end."""
        lanes: list[_Lane] = []
        inside: set[Operand] = set()  # what is not there yet where the first is computed
        while (lane := self._lane(block, inside if lanes else None)) is not None:
            if lanes and _kind(lane.operation) != _kind(lanes[0].operation):
                break
            lanes.append(lane)
            inside.update(lane.operation.results, lane.meeting[0].results)
            block = lane.meeting
        return lanes

    def _lane(self, block: list[Op], inside: set[Operand] | None) -> _Lane | None:
        """The lane at the end of a block, which for others than the first begins with their operands."""
        if len(block) < 3:
            return None
        operation, test, branch = block[-3:]
        if operation.name not in _PACKED or test.name != "host_eq" or branch.name != "brcond":
            return None
        if test.args != (operation.result, operation.result) or branch.args != test.results:
            return None
        before = block[1:-3] if inside is not None else []
        if inside is not None:
            if any(op.name != "slice" for op in before):
                return None
            if not inside.isdisjoint(value for op in (*before, operation) for value in op.args):
                return None
        ways = [self._by_label[label] for label in branch.labels]
        ends = {way[-1].labels for way in ways if way[-1].name == "br" and self._ways[way[0].labels[0]] == 1}
        if len(ends) != 1 or any(way[-1].name != "br" or way[0].results for way in ways) or ways[0] is ways[1]:
            return None
        number, other = ways
        meeting = self._by_label[number[-1].labels[0]]
        if len(number) != 2 or number[-1].args != operation.results or self._ways[meeting[0].labels[0]] != 2:
            return None
        if len(meeting[0].results) != 1 or any(OPS[op.name].evaluate is None for op in other[1:-1]):
            return None
        return _Lane(block, number, other, meeting, before)

    def _joined(self, lanes: list[_Lane]) -> Op | None:
        """What makes one value of the lanes' results, which nobody else uses."""
        results = tuple(lane.meeting[0].result for lane in reversed(lanes))
        if any(self._uses.get(value) != 1 for value in results):
            return None
        width = results[0].width
        for op in lanes[-1].meeting:
            if op.name == "cat" and op.args == results and set(op.widths) == {width}:
                return op if op.result.width in WIDTHS else None
        return None

    # ------------------------------------------------------------ rewriting

    def _pack(self, lanes: list[_Lane], joined: Op) -> list[Op]:
        """Compute them side by side; the block behind them."""
        first, last = lanes[0].block, lanes[-1].meeting
        operations, tests = [lane.operation for lane in lanes], [lane.test for lane in lanes]
        branches = [lane.block[-1] for lane in lanes]
        all_numbers, one_by_one, done = (self._function.label() for _ in range(3))
        first[-3:] = [op for lane in lanes[1:] for op in lane.before] + operations + tests
        for op in operations:
            op.flag = True
        together = tests[0].result
        for test in tests[1:]:
            both = self._function.temp(1)
            first.append(Op("and", (both,), (together, test.result), (1, 1)))
            together = both
        first.append(Op("brcond", (), (together,), (1,), labels=(all_numbers, one_by_one)))
        self._behind[id(first)] = [[Op("label", labels=(one_by_one,)), branches[0]]]
        found: list[Temp] = []
        rest = [op for op in last[1:] if op is not joined]
        for lane, branch in zip(lanes, (*branches[1:], None), strict=True):
            label = lane.meeting[0]
            found.append(self._function.temp(label.result.width))
            label.results = (found[-1],)
            lane.meeting[1:] = [] if branch is None else [branch]
        last += self._join(joined, tuple(reversed(found)), done)
        usual = [Op("label", labels=(all_numbers,))]
        usual += self._join(joined, tuple(op.result for op in reversed(operations)), done)
        following = [Op("label", joined.results, labels=(done,)), *rest]
        self._behind[id(last)] = [usual, following]
        return following

    def _join(self, joined: Op, lanes: tuple[Operand, ...], done: Label) -> list[Op]:
        whole = self._function.temp(joined.result.width)
        return [
            Op("cat", (whole,), lanes, joined.widths),
            Op("br", (), (whole,), (whole.width,), labels=(done,)),
        ]


def _kind(op: Op) -> tuple[str, int]:
    return op.name, op.result.width


def find_packs(function: Function) -> Iterator[tuple[list[Op], Op]]:
    """Operations that stand side by side in a function that `pack_lanes` has rewritten, the lowest lane first; and what
    says that all their results are numbers."""
    for block in blocks_of(function.ops):
        operations = [op for op in block if op.name in _PACKED and op.flag]
        if operations:
            yield operations, block[-2]
