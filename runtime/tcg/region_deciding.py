"""What a branch has decided is known behind it.

Code that compares in one instruction and branches in the next leaves the outcome in a register, which the exits behind
the branch store; and in the slot of a delayed branch there is where that goes.  Behind the branch these are numbers: so
nothing need be made of the comparison but the branch itself.

What blocks pass to one another stays as it is, but for numbers that would else be made of the condition: a register
that was compared is in its place already, and flags that are the same everywhere are made in exits
(region_carrying.py).
"""

from __future__ import annotations

from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import OPS, mask
from runtime.tcg.optimize import folded, straighten
from runtime.tcg.region_flow import Flow
from runtime.tcg.region_sinking import exit_blocks

#: values found for one branch, at most
_MOST_FOUND = 24

_Known = dict[Temp, Operand]


def decide(function: Function) -> bool:
    """Rewrite the function, which must be in SSA form; whether there was something to do."""
    return _Deciding(function).run()


def join_numbers(function: Function) -> None:
    """Where a branch only chooses which numbers are passed on, as one does that is taken behind its slot, choose
    without it: then the two ways are one block."""
    flow = Flow(function)
    ends = {op.labels[0]: number for number, block in enumerate(flow.blocks) for op in block[:1] if op.labels}
    changed = False
    for at in flow.order:
        branch = flow.blocks[at][-1]
        if branch.name != "brcond" or branch.offset:
            continue
        ways = [flow.blocks[ends[label]] for label in branch.labels]
        if any(len(way) != 2 or way[0].results or way[1].name != "br" for way in ways):
            continue
        one, other = (way[1] for way in ways)
        meeting = one.labels[0]
        if other.labels[0] is not meeting or len(flow.predecessors[ends[meeting]]) != 2:
            continue
        if one is other or any(isinstance(value, Temp) for value in (*one.args, *other.args)):
            continue
        chosen: list[Operand] = []
        condition = branch.args[0]
        flow.blocks[at].pop()
        for width, *values in zip(one.widths, one.args, other.args, strict=True):
            temp = function.temp(width)
            flow.blocks[at].append(Op("select", (temp,), (condition, *values), (1, width, width)))
            chosen.append(temp)
        flow.blocks[at].append(Op("br", (), tuple(chosen), one.widths, labels=(meeting,)))
        changed = True
    if changed:
        function.ops[:] = [op for at in flow.order for op in flow.blocks[at]]
        straighten(function)


class _Deciding:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._flow = Flow(function)
        self._made = {op.results[0]: op for op in function.ops if OPS[op.name].evaluate is not None}
        self._users: dict[Temp, list[Op]] = {}
        for op in self._made.values():
            for value in op.args:
                if isinstance(value, Temp):
                    self._users.setdefault(value, []).append(op)
        #: code that exits share, and what is passed on as a number to other code, too
        self._leaving = exit_blocks(self._flow.blocks)[1]
        self._passed: set[Temp] = set()

    def run(self) -> bool:
        flow = self._flow
        known: dict[int, _Known] = {}
        changed = False
        # What dominates a block comes before it in this order.
        for at in flow.order:
            here = known[flow.dominator[at]] if at else {}
            if len(flow.predecessors[at]) == 1:
                last = flow.blocks[flow.predecessors[at][0]][-1]
                if last.name == "brcond" and last.labels[0] is not last.labels[1] and isinstance(last.args[0], Temp):
                    taken = flow.number[last.labels[0]] == at
                    here = self._learn(here, last.args[0], int(taken))
            known[at] = here
            changed |= bool(here) and self._rewrite(at, here)
        if changed:
            self._function.ops[:] = [op for at in flow.order for op in flow.blocks[at]]
        return changed

    def _rewrite(self, at: int, here: _Known) -> bool:
        changed = False
        kept: list[Op] = []
        for op in self._flow.blocks[at]:
            known = here
            if op.name == "br" and op.labels[0] not in self._leaving:
                known = {temp: value for temp, value in here.items() if temp in self._passed}
            if any(value in known for value in op.args if isinstance(value, Temp)):
                op.args = _resolved(op, known)
                changed = True
                if OPS[op.name].evaluate is not None and (value := folded(op)) is not None:
                    here[op.result] = value
                    continue
            kept.append(op)
        self._flow.blocks[at][:] = kept
        return changed

    def _learn(self, before: _Known, condition: Temp, value: int) -> _Known:
        """What is known where a condition is decided."""
        here = dict(before)
        pending: list[tuple[Temp, Operand]] = [(condition, value)]
        found = 0
        while pending and found < _MOST_FOUND:
            temp, equal = pending.pop()
            if temp in here:
                continue
            here[temp] = equal
            found += 1
            if isinstance(equal, Temp):
                continue
            pending += self._implied(temp, equal)
            for op in self._users.get(temp, ()):
                if op.result not in here:
                    copy = Op(op.name, op.results, _resolved(op, here), op.widths, op.offset, op.size)
                    result = folded(copy)
                    if result is not None:
                        if op.result.width > 1:
                            self._passed.add(op.result)
                        pending.append((op.result, result))
        return here

    def _implied(self, temp: Temp, value: int) -> list[tuple[Temp, Operand]]:
        """What the operands of an op must have been that gave this value."""
        op = self._made.get(temp)
        if op is None or not isinstance(op.args[0], Temp):
            return []
        first, width = op.args[0], op.widths[0]
        other = op.args[1] if len(op.args) == 2 else None
        if op.name in ("eq", "ne") and isinstance(other, int):
            if value == (op.name == "eq"):
                return [(first, other)]
            return [(first, other ^ 1)] if width == 1 else []
        if op.name in ("zext", "sext"):
            return [(first, value & mask(width))]
        if op.name == "not":
            return [(first, value ^ mask(width))]
        if op.name in ("and", "or") and value == (mask(width) if op.name == "and" else 0):
            return [(operand, value) for operand in op.args if isinstance(operand, Temp)]
        return []


def _resolved(op: Op, known: _Known) -> tuple[Operand, ...]:
    return tuple([known.get(value, value) if isinstance(value, Temp) else value for value in op.args])
