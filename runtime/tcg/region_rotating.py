"""Whether the budget lasts for another turn is asked where a turn ends, not where the next begins.

There it was counted down just now, so the host need not look at it again: its subtraction says whether it went below 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Function, Op, Temp
from runtime.tcg.optimize import straighten
from runtime.tcg.region_flow import Flow
from runtime.tcg.region_hoisting import copy_of, way_when_spent


def rotate_loops(function: Function) -> None:
    """Rewrite the function, which has its last form but for this."""
    flow = Flow(function)
    made = {temp: at for at in flow.order for op in flow.blocks[at] for temp in op.results}
    added: list[Op] = []
    for header in flow.order:
        block = flow.blocks[header]
        if len(block) == 3 and _asks(block):
            added += _rotate(function, flow, header, made)
    if added:
        function.ops[:] = [op for at in flow.order for op in flow.blocks[at]] + added
        straighten(function)


def _asks(block: list[Op]) -> bool:
    """Whether a block does nothing but ask whether one of its parameters is below 0, and leave the region then."""
    label, compare, branch = block
    if label.name != "label" or compare.name != "slt" or branch.name != "brcond" or branch.offset != SELDOM:
        return False
    return compare.args[0] in label.results and compare.args[1] == 0 and branch.args == (compare.result,)


def _rotate(function: Function, flow: Flow, header: int, made: Mapping[Temp, int]) -> list[Op]:
    """Have those ask that go to this block; the ways they go then."""
    label, compare, branch = flow.blocks[header]
    jumps = [flow.blocks[before] for before in flow.predecessors[header]]
    way = way_when_spent(flow, header, made)
    if way is None or any(jump[-1].name != "br" for jump in jumps):
        return []
    # The way out takes what it uses of the block's parameters as parameters of its own.
    used = {value for op in way for value in op.args}
    columns = [column for column, temp in enumerate(label.results) if temp in used]
    parameters = tuple([label.results[column] for column in columns])
    given = tuple([function.temp(temp.width) for temp in parameters])
    out = function.label()
    ways = copy_of(function, way, out, parameters, given)
    ways[0].results = given
    asked = label.results.index(compare.args[0])
    for block in jumps:
        jump = block.pop()
        below, spent, on = function.temp(1), function.label(), function.label()
        block.append(Op("slt", (below,), (jump.args[asked], 0), compare.widths))
        block.append(Op("brcond", (), (below,), (1,), offset=SELDOM, labels=(spent, on)))
        block += [Op("label", labels=(on,)), jump]
        ways.append(Op("label", labels=(spent,)))
        passed = tuple([jump.args[column] for column in columns])
        widths = tuple([jump.widths[column] for column in columns])
        ways.append(Op("br", (), passed, widths, labels=(out,)))
    flow.blocks[header][1:] = [Op("br", labels=branch.labels[1:])]
    return ways
