"""Blocks of a TCG function as a graph: order, dominators, dominance frontiers."""

from __future__ import annotations

from collections.abc import Callable

from runtime.tcg.ir import Function, Label, Op
from runtime.tcg.optimize import blocks_of


class Flow:
    """The blocks reached from the first one.

    blocks       ops of each; every one ends with a terminator and, but for the first, begins with its label
    order        numbers of the blocks in reverse postorder
    successors, predecessors   numbers, by number
    dominator    the immediate dominator of each; of the first, itself
    frontier     where each block's dominance ends
    """

    def __init__(self, function: Function) -> None:
        self.blocks: list[list[Op]] = blocks_of(function.ops)
        self.number: dict[Label, int] = {block[0].labels[0]: at for at, block in enumerate(self.blocks) if at}
        number = self.number
        self.successors: list[list[int]] = [
            list(dict.fromkeys([number[label] for label in block[-1].labels])) for block in self.blocks
        ]
        self.order = self._reverse_postorder()
        self.predecessors: list[list[int]] = [[] for _ in self.blocks]
        for at in self.order:
            for after in self.successors[at]:
                self.predecessors[after].append(at)
        self.position = {at: place for place, at in enumerate(self.order)}
        self.dominator = self._dominators()
        self.frontier = self._frontiers()

    def _reverse_postorder(self) -> list[int]:
        order: list[int] = []
        seen = {0}
        stack = [(0, iter(self.successors[0]))]
        while stack:
            at, onward = stack[-1]
            for after in onward:
                if after not in seen:
                    seen.add(after)
                    stack.append((after, iter(self.successors[after])))
                    break
            else:
                order.append(at)
                stack.pop()
        order.reverse()
        return order

    def _dominators(self) -> dict[int, int]:
        """Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm."""
        place = self.position
        dominator = {0: 0}
        changed = True
        while changed:
            changed = False
            for at in self.order[1:]:
                meet = -1
                for before in self.predecessors[at]:
                    if before not in dominator:
                        continue
                    if meet < 0:
                        meet = before
                        continue
                    other = before
                    while meet != other:
                        while place[other] > place[meet]:
                            other = dominator[other]
                        while place[meet] > place[other]:
                            meet = dominator[meet]
                if dominator.get(at) != meet:
                    dominator[at] = meet
                    changed = True
        return dominator

    def _frontiers(self) -> dict[int, set[int]]:
        frontier: dict[int, set[int]] = {}
        for at in self.order:
            if len(self.predecessors[at]) < 2:
                continue
            for before in self.predecessors[at]:
                while before != self.dominator[at]:
                    frontier.setdefault(before, set()).add(at)
                    before = self.dominator[before]
        return frontier

    def dominance(self) -> Callable[[int, int], bool]:
        """Whether one block dominates another (or is it), as a function."""
        below: dict[int, list[int]] = {}
        for at in self.order[1:]:
            below.setdefault(self.dominator[at], []).append(at)
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        stack = [(0, False)]
        while stack:
            at, done = stack.pop()
            if done:
                last[at] = len(first)
            else:
                first[at] = len(first)
                stack.append((at, True))
                stack += [(child, False) for child in below.get(at, ())]
        return lambda one, other: first[one] <= first[other] < last[one]
