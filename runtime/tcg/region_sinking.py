"""Values that only the ways out of a region want are computed there, and nowhere else.

A guest register is stored by every exit between where it is written and where it is written again, though mostly what
was written is only half of an address or of a rotation, and nobody looks at it.  LLVM computes such a value where it
stands, and keeps it in a register or on the stack, for several exits use it.  Here each exit gets a copy of the
computation, if that wants no more values kept alive for it than the one that it makes.
"""

from __future__ import annotations

from runtime.tcg.ir import Function, Label, Op, Temp
from runtime.tcg.ops import OPS, Effect
from runtime.tcg.optimize import blocks_of

#: what is worth more than its room in several copies: nothing of these is slow or long
CHEAP = frozenset(
    (
        *("add", "sub", "and", "or", "xor", "not", "neg", "shl", "lshr", "ashr", "rotl", "rotr"),
        *("sext", "zext", "slice", "cat", "eq", "ne", "ult", "ule", "slt", "sle", "ugt", "uge", "sgt", "sge", "parity"),
    )
)
#: a value that more exits use stays where it is
_MOST_EXITS = 24


def sink_into_exits(function: Function) -> None:
    """Rewrite the function, which must be in SSA form and hold no locals."""
    _Sinking(function).run()


class _Exit:
    """A block that leaves the region: what it uses from outside, and the copies made for it."""

    __slots__ = ("copies", "ops", "wanted")

    def __init__(self, ops: list[Op]) -> None:
        self.ops = ops
        made = {temp for op in ops for temp in op.results}
        self.wanted = {value for op in ops for value in op.args if isinstance(value, Temp)} - made
        self.copies: list[Op] = []  # the last one first


class _Sinking:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._blocks = blocks_of(function.ops)
        exits, _ = exit_blocks(self._blocks)
        self._exits = {number: _Exit(self._blocks[number]) for number in exits}
        #: exits that use a value
        self._users: dict[Temp, list[_Exit]] = {}
        #: uses anywhere else
        self._inside: dict[Temp, int] = {}

    def run(self) -> None:
        inside = self._inside
        for number, block in enumerate(self._blocks):
            way = self._exits.get(number)
            if way is not None:
                for wanted in way.wanted:
                    self._users.setdefault(wanted, []).append(way)
                continue
            for op in block:
                for value in op.args:
                    if isinstance(value, Temp):
                        inside[value] = inside.get(value, 0) + 1
        # Backwards, so that what only a sunk value was made of can be sunk with it.
        for number in range(len(self._blocks) - 1, -1, -1):
            if number not in self._exits:
                block = self._blocks[number]
                kept = [op for op in reversed(block) if not self._sinks(op)]
                kept.reverse()
                block[:] = kept
        for way in self._exits.values():
            way.ops[1:1] = reversed(way.copies)
        self._function.ops[:] = [op for block in self._blocks for op in block]

    def _sinks(self, op: Op) -> bool:
        """Move the op into the exits that use it, if it is for them alone and worth it."""
        if op.name not in CHEAP or op.result in self._inside:
            return False
        users = self._users.get(op.result, ())
        if not users or len(users) > _MOST_EXITS:
            return False
        operands = {value for value in op.args if isinstance(value, Temp)}
        if any(len(operands - way.wanted) > 1 for way in users):
            return False
        for way in users:
            self._copy(op, way, operands)
        for value in op.args:
            if isinstance(value, Temp):
                self._inside[value] -= 1
                if not self._inside[value]:
                    del self._inside[value]
        return True

    def _copy(self, op: Op, way: _Exit, operands: set[Temp]) -> None:
        copy = self._function.temp(op.result.width)
        for user in (*way.ops, *way.copies):
            if op.result in user.args:
                user.args = tuple([copy if value == op.result else value for value in user.args])
        way.copies.append(Op(op.name, (copy,), op.args, op.widths, offset=op.offset))
        way.wanted.discard(op.result)
        for value in operands - way.wanted:
            way.wanted.add(value)
            self._users.setdefault(value, []).append(way)


def exit_blocks(blocks: list[list[Op]]) -> tuple[list[int], set[Label]]:
    """Blocks that do nothing but leave, by themselves or by way of code that others share, and the labels of that."""
    shared = {
        block[0].labels[0]
        for block in blocks
        if block[0].name == "label" and OPS[block[-1].name].effects & Effect.LEAVE and _does_nothing(block)
    }
    found = []
    for number, block in enumerate(blocks):
        last = block[-1]
        if block[0].name != "label" or block[0].results or not _does_nothing(block):
            continue
        if OPS[last.name].effects & Effect.LEAVE or (last.name == "br" and last.labels[0] in shared):
            found.append(number)
    return found, shared


def leaving_labels(blocks: list[list[Op]]) -> set[Label]:
    """Labels of all code that only leaves, perhaps by way of code that others share."""
    found = exit_blocks(blocks)[1]
    for block in blocks:
        last = block[-1]
        if block[0].name == "label" and last.name == "br" and last.labels[0] in found and _does_nothing(block):
            found.add(block[0].labels[0])
    return found


def _does_nothing(block: list[Op]) -> bool:
    """Whether a block only computes, stores registers and leaves or jumps."""
    return all(
        OPS[op.name].evaluate is not None or op.name in ("label", "insn_start", "st_env", "ld_env") or op is block[-1]
        for op in block
    )
