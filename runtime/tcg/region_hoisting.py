"""Addresses are compared before loops, not in them: on the way in, what each turn is going to access.

Two kinds of roots (region_guard.py) are: those that are the same in each turn, and parameters of the loop's first block
that step through memory and are accessed in each turn.  Who enters with a root that is nowhere near the guest's memory
leaves for tier 0 there, as if the budget were spent: the test of the budget at each loop's head has the way out for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.region_builder import DEOPT
from runtime.tcg.region_flow import Flow
from runtime.tcg.region_guard import LAST_ADDRESS, WIDEST, Addresses

#: roots compared where a loop is entered, at most
_MOST_COMPARED = 4


def compare_before_loops(function: Function, widest: int = WIDEST) -> None:
    """Rewrite the function, which is in SSA form and has its last form but for this.  widest: as in region_guard.py."""
    _Hoisting(function, widest).run()


class _Hoisting:
    def __init__(self, function: Function, widest: int) -> None:
        self._function = function
        self._addresses = Addresses(function, widest)
        self._flow = self._addresses.flow

    def run(self) -> None:
        addresses, flow = self._addresses, self._flow
        addresses.step(True)
        if not addresses.loops:
            return
        made = {temp: at for at, block in enumerate(flow.blocks) for op in block for temp in op.results}
        dominates = flow.dominance()
        compared: dict[Temp, list[int]] = {}  # and the first blocks of the loops before which
        added: list[Op] = []
        for header in flow.order:
            if header not in addresses.loops or (spent := way_when_spent(flow, header, made)) is None:
                continue
            entries = [before for before in flow.predecessors[header] if before not in addresses.loops[header]]
            same: list[Temp] = []
            if len(entries) == 1:
                for root in self._unchanged(header, made, dominates):
                    if not any(dominates(other, header) for other in compared.get(root, ())):
                        compared.setdefault(root, []).append(header)
                        same.append(root)
            for before in entries:
                wanted: list[Operand] = [*same]
                for temp in sorted(addresses.stepping.get(header, ()), key=lambda temp: temp.id):
                    value = addresses.argument(before, header, temp)
                    if not addresses.is_near(value, temp.width, before):
                        wanted.append(value)
                roots = list(dict.fromkeys(value for value in wanted if isinstance(value, Temp)))
                if roots:
                    added += self._compare(before, header, spent, roots)
        self._function.ops[:] = [op for block in flow.blocks for op in block] + added

    def _unchanged(self, header: int, made: dict[Temp, int], dominates: Callable[[int, int], bool]) -> list[Temp]:
        """Roots from outside a loop that are compared in each turn of it."""
        flow, latches = self._flow, self._addresses.loops[header]
        found: list[Temp] = []
        for at in flow.order:
            block = flow.blocks[at]
            root = self._addresses.plan.checks.get(id(block[-3])) if len(block) > 2 else None
            if root is None or root in found or not dominates(header, at):
                continue
            outside = made[root] != header and dominates(made[root], header)
            if outside and any(dominates(at, latch) for latch in latches):
                found.append(root)
        return found[:_MOST_COMPARED]

    def _compare(self, before: int, header: int, spent: list[Op], roots: list[Temp]) -> list[Op]:
        """Compare what a block passes to a loop's head; the ops of the way out."""
        block = self._flow.blocks[before]
        jump = block.pop()
        out = self._function.label()
        for root in roots:
            fine, far = self._function.label(), self._function.temp(1)
            block.append(Op("ult", (far,), (LAST_ADDRESS, root), (root.width, root.width)))
            block.append(Op("brcond", (), (far,), (1,), offset=SELDOM, labels=(out, fine)))
            block.append(Op("label", labels=(fine,)))
        block.append(jump)
        return copy_of(self._function, spent, out, self._flow.blocks[header][0].results, jump.args)


def way_when_spent(flow: Flow, header: int, made: Mapping[Temp, int]) -> list[Op] | None:
    """The way out of a loop's head when the budget is spent, which can be gone before the head, too.

    made: the number of the block that each value is made in."""
    last = flow.blocks[header][-1]
    if last.name != "brcond" or flow.predecessors[number := flow.number[last.labels[0]]] != [header]:
        return None
    way = flow.blocks[number]
    shared = flow.blocks[flow.number[way[-1].labels[0]]] if way[-1].name == "br" else []
    end = [*way, *shared][-1]
    if end.name != "exit" or end.offset != DEOPT or not end.flag:
        return None
    parameters = flow.blocks[header][0].results

    def used(ops: list[Op]) -> set[Operand]:
        return {value for op in ops for value in op.args if isinstance(value, Temp) and made[value] == header}

    if used(shared):  # all ways to it come from this head
        instead: dict[Operand, Operand] = dict(zip(shared[0].results, way[-1].args, strict=True))
        way = [*way[:-1], *(_copy(op, op.results, instead) for op in shared[1:])]
    return way if used(way) <= set(parameters) else None


def copy_of(
    function: Function, way: list[Op], label: Label, parameters: tuple[Temp, ...], given: tuple[Operand, ...]
) -> list[Op]:
    """A way out of a loop's head for somebody who was about to pass the loop these values."""
    instead: dict[Operand, Operand] = dict(zip(parameters, given, strict=True))
    copied = [Op("label", labels=(label,))]
    for op in way[1:]:
        results = tuple(function.temp(temp.width) for temp in op.results)
        copied.append(_copy(op, results, instead))
        instead.update(zip(op.results, results, strict=True))
    return copied


def _copy(op: Op, results: tuple[Temp, ...], instead: Mapping[Operand, Operand]) -> Op:
    args = tuple([instead.get(value, value) if isinstance(value, Temp) else value for value in op.args])
    return Op(op.name, results, args, op.widths, op.offset, op.size, op.symbol, op.flag, op.labels, op.local)
