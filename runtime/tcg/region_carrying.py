"""Values that a loop carries for its ways out alone are made there, of what it carries anyway.

Flags, say, are stored by the exits of the next turn up to the next comparison, and seldom looked at again.  There they
are a function of the registers that were compared; in the first turn they are what they were before the loop, which for
the region's outermost is what env still holds.  So all that need be carried is whether this is the first turn.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.core.layout import LAZY_SYNC
from runtime.core.record import fresh, mutable_record
from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import OPS, Effect
from runtime.tcg.region_flow import Flow
from runtime.tcg.region_sinking import CHEAP, exit_blocks

#: ops that make a value in an exit
_MOST_OPS = 6
#: exits that make it
_MOST_EXITS = 16
_WIDEST = 64

#: an operand of a turn's beginning, or an op of such: (op, result's width, offset, widths, arguments)
_Leaf = Operand
_Tree = tuple[str, int, int, tuple[int, ...], tuple["_Leaf | _Tree", ...]]
_Value = _Leaf | _Tree


@mutable_record
class _Carried:
    """A parameter that is none any more: what it is in the first turn, and in others."""

    place: int
    temp: Temp
    first: Op | Operand
    later: _Value


@mutable_record
class _Head:
    """The first block of a loop: the jumps to it from outside and from inside."""

    label: Op
    number: int
    entries: list[Op] = fresh(factory=list)
    latches: list[Op] = fresh(factory=list)


def carry_less(function: Function) -> bool:
    """Rewrite the function, which must be in SSA form; whether there was something to do."""
    return _Carrying(function).run()


class _Carrying:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._flow = Flow(function)
        self._dominates: Callable[[int, int], bool] = self._flow.dominance()
        reached = set(self._flow.order)
        exits = {at for at in exit_blocks(self._flow.blocks)[0] if at in reached}
        self._made: dict[Temp, tuple[Op, int]] = {}
        #: exits that use a value, and jumps and other ops that do
        self._exits: dict[Temp, set[int]] = {}
        self._inside: dict[Temp, list[Op]] = {}
        self._stored: set[int] = set()
        for at, block in enumerate(self._flow.blocks):
            for op in block:
                for temp in op.results:
                    self._made[temp] = op, at
                for value in op.args:
                    if isinstance(value, Temp):
                        if at in exits:
                            self._exits.setdefault(value, set()).add(at)
                        else:
                            self._inside.setdefault(value, []).append(op)
                if op.name == "st_env" and not OPS[block[-1].name].effects & Effect.LEAVE:
                    self._stored.add(op.offset)
        #: files that are stored to at offsets found now, and whether there are functions that may store anywhere
        self._dynamic = {op.symbol for op in function.ops if op.name == "st_envx"}
        self._called = any(op.name == "call_env" and op.symbol != LAZY_SYNC for op in function.ops)
        #: parameters that others are made of: these stay
        self._kept: set[Temp] = set()

    def run(self) -> bool:
        changed = False
        for at in self._flow.order:
            head = self._head(at)
            if head is not None:
                changed |= self._lighten(head)
        if changed:
            self._function.ops[:] = [op for block in self._flow.blocks for op in block]
        return changed

    def _head(self, at: int) -> _Head | None:
        label = self._flow.blocks[at][0]
        if label.name != "label" or not label.results:
            return None
        head = _Head(label, at)
        for before in self._flow.predecessors[at]:
            jump = self._flow.blocks[before][-1]
            if jump.name != "br":
                return None
            (head.latches if self._dominates(at, before) else head.entries).append(jump)
        jumps = sum(block[-1].labels == label.labels for block in self._flow.blocks)
        if not head.latches or not head.entries or jumps != len(head.latches) + len(head.entries):
            return None
        return head

    def _lighten(self, head: _Head) -> bool:
        found: list[_Carried] = []
        gone: set[Temp] = set()
        for place, temp in enumerate(head.label.results):
            carried = self._carried(head, place, temp, gone)
            if carried is not None:
                found.append(carried)
                gone.add(temp)
        if len(found) < 2:  # whether this is the first turn is a value, too
            return False
        later = self._function.temp(1)
        for carried in found:
            for at in self._exits.get(carried.temp, ()):
                self._make(self._flow.blocks[at], carried, later)
        kept = [place for place, temp in enumerate(head.label.results) if temp not in gone]
        head.label.results = (*(head.label.results[place] for place in kept), later)
        for number, jumps in enumerate((head.entries, head.latches)):
            for jump in jumps:
                jump.args = (*(jump.args[place] for place in kept), number)
                jump.widths = (*(jump.widths[place] for place in kept), 1)
        return True

    # ------------------------------------------------------------ what a parameter is

    def _carried(self, head: _Head, place: int, temp: Temp, gone: set[Temp]) -> _Carried | None:
        exits = self._exits.get(temp, ())
        if temp.width > _WIDEST or temp in self._inside or temp in self._kept or not 0 < len(exits) <= _MOST_EXITS:
            return None
        first = self._first(head, place)
        if first is None:
            return None
        values = [self._value(head, jump, jump.args[place], gone) for jump in head.latches]
        if values[0] is None or any(value != values[0] for value in values) or _size(values[0]) > _MOST_OPS:
            return None
        self._kept |= _temps(values[0])
        return _Carried(place, temp, first, values[0])

    def _first(self, head: _Head, place: int) -> Op | Operand | None:
        """What it is when the loop is entered, or the load of it, if that may be done in the exit as well."""
        value = head.entries[0].args[place]
        if any(jump.args[place] != value for jump in head.entries):
            return None
        if isinstance(value, int):
            return value
        op = self._made[value][0]
        again = op.name == "ld_env" and op.symbol and op.symbol not in self._dynamic and op.offset not in self._stored
        return op if again and not self._called else value

    def _value(self, head: _Head, jump: Op, value: Operand, gone: set[Temp]) -> _Value | None:
        """A value that a turn ends with, as one of the next turn's beginning."""
        if isinstance(value, int):
            return value
        for parameter, passed in zip(head.label.results, jump.args, strict=True):
            if passed == value and parameter not in gone and parameter in self._inside:
                return parameter
        op, at = self._made[value]
        if at != head.number and self._dominates(at, head.number):
            return value
        if op.name not in CHEAP:
            return None
        arguments: list[_Value] = []
        for argument in op.args:
            made = self._value(head, jump, argument, gone)
            if made is None or _size(made) > _MOST_OPS:
                return None
            arguments.append(made)
        return op.name, value.width, op.offset, op.widths, tuple(arguments)

    # ------------------------------------------------------------ in an exit

    def _make(self, block: list[Op], carried: _Carried, later: Temp) -> None:
        """Make the value behind the exit's label, and have it used."""
        made: list[Op] = []
        value = self._build(carried.later, made)
        first: Operand
        if isinstance(carried.first, Op):
            load = carried.first
            first = self._function.temp(load.result.width)
            made.append(Op("ld_env", (first,), offset=load.offset, symbol=load.symbol))
        else:
            first = carried.first
        width = carried.temp.width
        chosen = self._function.temp(width)
        made.append(Op("select", (chosen,), (later, value, first), (1, width, width)))
        for op in block:
            if carried.temp in op.args:
                op.args = tuple([chosen if argument == carried.temp else argument for argument in op.args])
        block[1:1] = made

    def _build(self, value: _Value, made: list[Op]) -> Operand:
        if not isinstance(value, tuple):
            return value
        name, width, offset, widths, parts = value
        arguments = tuple([self._build(part, made) for part in parts])
        result = self._function.temp(width)
        made.append(Op(name, (result,), arguments, widths, offset=offset))
        return result


def _size(value: _Value) -> int:
    """Ops."""
    return 1 + sum(_size(part) for part in value[4]) if isinstance(value, tuple) else 0


def _temps(value: _Value) -> set[Temp]:
    if isinstance(value, tuple):
        return {temp for part in value[4] for temp in _temps(part)}
    return {value} if isinstance(value, Temp) else set()
