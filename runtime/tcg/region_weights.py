"""How often the branches of a region go each way, as far as its loops and its ways out tell.

A region begins where control is most of the time, so its outermost loop is entered at a block that may well begin the
innermost one, too: to LLVM, which takes all ways back to a block for one loop, everything in the region would be as hot
as everything else, and the innermost loop would not get the host's registers.  Here each way back is a loop of its own,
inside the larger ones; the deeper inside an edge is, the more often it is gone.
"""

from __future__ import annotations

from itertools import pairwise

from runtime.core.record import mutable_record
from runtime.tcg.ir import Function
from runtime.tcg.region_builder import DEOPT
from runtime.tcg.region_flow import Flow

#: times that a loop goes round, for want of a better guess
_TURNS = 8
#: loops inside one another that make a difference
_DEEPEST = 6
#: ways back to one block that are loops inside one another; more are of one loop with many ends, a dispatcher's
_MOST_NESTED = 3
#: how much seldomer an instruction is left to tier 0 than done
_GIVES_UP = 2000
#: a region with more ways back is not looked at
_MOST_LOOPS = 200


@mutable_record
class _Loop:
    """Its first block, the last blocks of a turn of it or of a loop inside, and all blocks."""

    header: int
    latches: set[int]
    body: set[int]


def branch_weights(function: Function) -> dict[int, tuple[int, int]]:
    """Weights of the two ways of brconds that differ, by id."""
    flow = Flow(function)
    loops = _loops(flow)
    if len(loops) > _MOST_LOOPS:
        loops = []
    weights: dict[int, tuple[int, int]] = {}
    for at in flow.order:
        last = flow.blocks[at][-1]
        if last.name == "brcond":
            ways = [gives_up(flow, flow.number[label]) for label in last.labels]
            if ways[0] != ways[1]:
                weights[id(last)] = (1, _GIVES_UP) if ways[0] else (_GIVES_UP, 1)
                continue
            one, other = (_depth(at, flow.number[label], loops) for label in last.labels)
            if one != other:
                weights[id(last)] = _TURNS**one, _TURNS**other
    return weights


def gives_up(flow: Flow, at: int) -> bool:
    """Whether a block only leaves an instruction to tier 0."""
    block = flow.blocks[at]
    if block[-1].name == "br" and len(flow.successors[at]) == 1:
        block = flow.blocks[flow.successors[at][0]]
    return block[-1].name == "exit" and block[-1].offset == DEOPT


def _loops(flow: Flow) -> list[_Loop]:
    """A loop for each edge to a block that dominates its source; of those of one header, the smaller in the larger."""
    dominates = flow.dominance()
    by_header: dict[int, list[_Loop]] = {}
    for at in flow.order:
        for header in flow.successors[at]:
            if dominates(header, at):
                by_header.setdefault(header, []).append(_Loop(header, {at}, _body(flow, header, at)))
    for loops in by_header.values():
        if len(loops) > _MOST_NESTED:
            continue
        loops.sort(key=lambda loop: len(loop.body))
        for inner, outer in pairwise(loops):
            outer.body |= inner.body
            outer.latches |= inner.latches
    return [loop for loops in by_header.values() for loop in loops]


def _body(flow: Flow, header: int, latch: int) -> set[int]:
    """The blocks from which control comes to the header by way of a latch."""
    body, pending = {header, latch}, [latch]
    while pending:
        block = pending.pop()
        if block != header:
            fresh = [before for before in flow.predecessors[block] if before not in body]
            body.update(fresh)
            pending += fresh
    return body


def _depth(at: int, after: int, loops: list[_Loop]) -> int:
    """In how many loops an edge is."""
    count = 0
    for loop in loops:
        if at in loop.body and after in loop.body and (after != loop.header or at in loop.latches):
            count += 1
    return min(count, _DEEPEST)
