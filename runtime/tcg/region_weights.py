"""How often the branches of a region go each way, as far as its loops tell.

A region begins where control is most of the time, so its outermost loop is entered at a block that may well begin the
innermost one, too: to LLVM, which takes all ways back to a block for one loop, everything in the region would be as hot
as everything else, and the innermost loop would not get the host's registers.  Here each way back is a loop of its own,
inside those whose blocks include all of its; the deeper inside an edge is, the more often it is gone.
"""

from __future__ import annotations

from runtime.tcg.ir import Function
from runtime.tcg.region_flow import Flow

#: times that a loop goes round, for want of a better guess
_TURNS = 8
#: loops inside one another that make a difference
_DEEPEST = 6
#: a region with more ways back is not looked at
_MOST_LOOPS = 200


def branch_weights(function: Function) -> dict[int, tuple[int, int]]:
    """Weights of the two ways of brconds that differ, by id."""
    flow = Flow(function)
    loops = _loops(flow)
    if not loops or len(loops) > _MOST_LOOPS:
        return {}
    inside: dict[int, list[int]] = {}
    for number, (_, body) in enumerate(loops):
        for at in body:
            inside.setdefault(at, []).append(number)
    weights: dict[int, tuple[int, int]] = {}
    for at in flow.order:
        last = flow.blocks[at][-1]
        if last.name == "brcond":
            one, other = (_depth(at, flow.number[label], loops, inside) for label in last.labels)
            if one != other:
                weights[id(last)] = _TURNS**one, _TURNS**other
    return weights


def _loops(flow: Flow) -> list[tuple[tuple[int, int], set[int]]]:
    """Each edge to a block that dominates its source, and the blocks from which control comes to it from there."""
    dominates = flow.dominance()
    found = []
    for at in flow.order:
        for header in flow.successors[at]:
            if dominates(header, at):
                body, pending = {header, at}, [at]
                while pending:
                    block = pending.pop()
                    if block != header:
                        fresh = [before for before in flow.predecessors[block] if before not in body]
                        body.update(fresh)
                        pending += fresh
                found.append(((at, header), body))
    return found


def _depth(at: int, after: int, loops: list[tuple[tuple[int, int], set[int]]], inside: dict[int, list[int]]) -> int:
    """In how many loops an edge is."""
    count = 0
    for number in inside.get(at, ()):
        (source, header), body = loops[number]
        if after in body and (after != header or source == at):
            count += 1
    return min(count, _DEEPEST)
