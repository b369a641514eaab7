"""Whether addresses are aligned is asked before loops, not in them.

Where an instruction wants its address to be a multiple of its size, a loop asks in each turn what is so in every turn
or in none: of an address that stays the same, or that steps by a multiple of what is asked for.  Who enters with
another one leaves for tier 0 there, as if the budget were spent (region_hoisting.py), and finds out what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import mask
from runtime.tcg.optimize import remove_dead, straighten
from runtime.tcg.region_flow import Flow
from runtime.tcg.region_hoisting import copy_of, way_when_spent
from runtime.tcg.region_weights import gives_up

#: questions asked where a loop is entered, at most
_MOST_ASKED = 6
#: ... and loops inside one another that they are taken out of
_DEEPEST = 3
#: bits of an address that are asked about, at most
_WIDEST = 6

#: an address: what it is made of, what is added to that, and how many of the sum's lower bits must be 0
_Question = tuple[Temp, int, int]


def align_before_loops(function: Function) -> None:
    """Rewrite the function, which is in SSA form and has its last form but for what is done to loops."""
    for _ in range(_DEEPEST):
        if not _Aligning(function).run():
            return
        straighten(function)
        remove_dead(function)


class _Aligning:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._flow = flow = Flow(function)
        self._dominates: Callable[[int, int], bool] = flow.dominance()
        self._made = {temp: (op, at) for at, block in enumerate(flow.blocks) for op in block for temp in op.results}
        #: blocks that end with a question, and what it is
        self._questions: dict[int, _Question] = {}
        for at in flow.order:
            question = self._question(flow.blocks[at][-1])
            if question is not None:
                self._questions[at] = question

    def run(self) -> bool:
        """Whether anything was found: then more may be."""
        flow, dominates = self._flow, self._dominates
        if not self._questions:
            return False
        latches: dict[int, list[int]] = {}
        for at in flow.order:
            for after in flow.successors[at]:
                if dominates(after, at):
                    latches.setdefault(after, []).append(at)
        added: list[Op] = []
        changed = False
        for header in reversed(flow.order):  # those inside come first
            if header in latches:
                changed |= self._lighten(header, latches[header], added)
        if changed:
            self._function.ops[:] = [op for block in flow.blocks for op in block] + added
        return changed

    # ------------------------------------------------------------ what is asked

    def _question(self, branch: Op) -> _Question | None:
        """What a branch asks that leaves the region where an address is not aligned."""
        if branch.name != "brcond" or not isinstance(branch.args[0], Temp):
            return None
        if not gives_up(self._flow, self._flow.number[branch.labels[0]]):
            return None
        op, turned = self._made[branch.args[0]][0], False
        while op.name == "not" and isinstance(op.args[0], Temp):
            op, turned = self._made[op.args[0]][0], not turned
        if op.name == ("eq" if turned else "ne") and op.args[1] == 0 and isinstance(op.args[0], Temp):
            op = self._made[op.args[0]][0]
        elif turned or op.result.width > 1:
            return None
        if op.name != "slice" or op.offset or op.result.width > _WIDEST:
            return None
        root, distance = self._root(op.args[0], op.widths[0])
        return (root, distance & mask(op.result.width), op.result.width) if isinstance(root, Temp) else None

    def _root(self, address: Operand, width: int) -> tuple[Operand, int]:
        """What an address is made of, and what is added to that."""
        distance = 0
        while isinstance(address, Temp) and (op := self._made[address][0]).name == "add":
            one, other = op.args
            if isinstance(one, int):
                one, other = other, one
            if not isinstance(other, int):
                break
            address, distance = one, distance + other & mask(width)
        return address, distance

    # ------------------------------------------------------------ one loop

    def _lighten(self, header: int, latches: list[int], added: list[Op]) -> bool:
        flow, dominates = self._flow, self._dominates
        wanted: dict[_Question, list[int]] = {}
        for at, question in self._questions.items():
            each_turn = dominates(header, at) and all(dominates(at, latch) for latch in latches)
            if each_turn and self._stays(question, header, latches):
                wanted.setdefault(question, []).append(at)
        entries = [before for before in flow.predecessors[header] if before not in latches]
        ways = [flow.blocks[before][-1] for before in entries]
        where = {temp: at for temp, (_, at) in self._made.items()}
        if (
            not wanted
            or any(way.name != "br" for way in ways)
            or (spent := way_when_spent(flow, header, where)) is None
        ):
            return False
        asked = dict(list(wanted.items())[:_MOST_ASKED])
        values = [[self._entering(question, header, way) for question in asked] for way in ways]
        if any(isinstance(value, int) and value & mask(bits) for row in values for value, bits in row):
            return False
        for before, row in zip(entries, values, strict=True):
            self._ask(before, header, spent, row, added)
        for places in asked.values():
            for at in places:
                branch = flow.blocks[at].pop()
                flow.blocks[at].append(Op("br", labels=(branch.labels[1],)))
                del self._questions[at]
        return True

    def _stays(self, question: _Question, header: int, latches: list[int]) -> bool:
        """Whether the answer is the same in each turn."""
        root, _, bits = question
        place = self._made[root][1]
        if place != header:
            return self._dominates(place, header)
        parameters = self._flow.blocks[header][0].results
        if root not in parameters:
            return False
        column = parameters.index(root)
        for latch in latches:
            jump = self._flow.blocks[latch][-1]
            if jump.name != "br":
                return False
            before, step = self._root(jump.args[column], root.width)
            if before != root or step & mask(bits):
                return False
        return True

    def _entering(self, question: _Question, header: int, way: Op) -> tuple[Operand, int]:
        """Of what, and how many bits, is to be asked where the loop is entered this way."""
        root, distance, bits = question
        parameters = self._flow.blocks[header][0].results
        value: Operand = way.args[parameters.index(root)] if root in parameters else root
        if isinstance(value, int):
            return value + distance & mask(root.width), bits
        if not distance:
            return value, bits
        moved = self._function.temp(root.width)
        self._made[moved] = Op("add", (moved,), (value, distance), (root.width, root.width)), -1
        return moved, bits

    def _ask(self, before: int, header: int, spent: list[Op], row: list[tuple[Operand, int]], added: list[Op]) -> None:
        """Ask where a block goes to a loop's head, and add the way out."""
        block = self._flow.blocks[before]
        jump = block.pop()
        out = self._function.label()
        asked = False
        for value, bits in row:
            if isinstance(value, int):
                continue
            asked = True
            made, place = self._made[value]
            if place < 0:
                block.append(made)
            low, wrong, fine = self._function.temp(bits), self._function.temp(1), self._function.label()
            block.append(Op("slice", (low,), (value,), (value.width,)))
            block.append(Op("ne", (wrong,), (low, 0), (bits, bits)))
            block.append(Op("brcond", (), (wrong,), (1,), offset=SELDOM, labels=(out, fine)))
            block.append(Op("label", labels=(fine,)))
        block.append(jump)
        if asked:
            added += copy_of(self._function, spent, out, self._flow.blocks[header][0].results, jump.args)
