"""Which accesses of a region the host checks: it refuses what the guest may not do (runtime/core/guard.py).

Such an access is made without asking.  If the host refuses it, control goes on at the instruction's way out to tier 0.
All that is asked is that the address does not lie outside the guest's memory and its margins: an address is a *root*
plus a displacement known now, and a root below 2**ADDRESS_BITS, with any displacement less than ADDRESS_MARGIN, is a
place where the host refuses what is nobody's.  One comparison of a root serves wherever it has certainly been made.

An instruction that has stored something must not fault any more: its later accesses are checked first, by the table.
So are those that are not one plain load or store of the host's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.core.env import ADDRESS_BITS, ADDRESS_MARGIN
from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.ops import OPS, Effect, mask
from runtime.tcg.region_flow import Flow

_SIZES = (1, 2, 4, 8, 16)


@dataclass(slots=True)
class GuardPlan:
    """checks: the root to compare instead of what a check_mem does, or None for nothing; by id.

    accesses: where a load or store goes when it is refused; by id.
    """

    checks: dict[int, Temp | None] = field(default_factory=dict)
    accesses: dict[int, Label] = field(default_factory=dict)


def plan_guards(function: Function) -> GuardPlan:
    """Look through the function."""
    return _Planner(function).run()


class _Planner:
    def __init__(self, function: Function) -> None:
        self._flow = Flow(function)
        self._made = {op.result: op for op in function.ops if op.name == "add"}
        self._plan = GuardPlan()
        #: roots that were compared, at the end of each block if control takes its last way
        self._known: dict[int, frozenset[Temp]] = {}
        #: whether the instruction at hand may have stored something, at the end of each block
        self._stored: dict[int, bool] = {}

    def run(self) -> GuardPlan:
        flow = self._flow
        for at in flow.order:
            before = flow.predecessors[at]
            stored = any(self._stored.get(other, True) for other in before)
            known = self._known[flow.dominator[at]] if at else frozenset()
            if len(before) == 1 and (root := self._compared(before[0], at)) is not None:
                known |= {root}
            block = flow.blocks[at]
            check: Op | None = None
            for op in block:
                if op.name == "insn_start":
                    stored = False
                elif op.name == "check_mem":
                    check = op
                elif OPS[op.name].effects & Effect.WRITE_MEMORY:
                    stored = True
            if check is not None and not stored:
                self._consider(check, block[-1], known)
            self._known[at], self._stored[at] = known, stored
        return self._plan

    def _compared(self, before: int, at: int) -> Temp | None:
        """The root that was compared on the way from one block to the next."""
        block = self._flow.blocks[before]
        if len(block) < 3 or block[-3].name != "check_mem":
            return None
        good = block[-1].labels[1]
        return self._plan.checks.get(id(block[-3])) if self._flow.number[good] == at else None

    def _consider(self, check: Op, branch: Op, known: frozenset[Temp]) -> None:
        bad, good = branch.labels
        number = self._flow.number[good]
        if check.size not in _SIZES or len(self._flow.predecessors[number]) > 1:
            return
        access = self._access(check, number)
        if access is None or (check.size > 8 and access.flag):  # no vector's bytes are turned round
            return
        width = check.widths[0]
        root: Temp | None = None
        if width > ADDRESS_BITS:
            base, offset = self._root(check.args[0], width)
            if not -ADDRESS_MARGIN < offset < ADDRESS_MARGIN - _SIZES[-1]:
                base = check.args[0]
            if isinstance(base, int):
                if base >> ADDRESS_BITS:
                    return
            elif base not in known:
                root = base
        self._plan.checks[id(check)] = root
        self._plan.accesses[id(access)] = bad

    def _access(self, check: Op, number: int) -> Op | None:
        """The load or store that the check is for, if that is the next thing done in memory."""
        for op in self._flow.blocks[number]:
            if op.name in ("insn_start", "check_mem"):
                return None
            if OPS[op.name].effects & (Effect.READ_MEMORY | Effect.WRITE_MEMORY):
                same = op.args[0] == check.args[0] and op.widths[0] == check.widths[0]
                if op.name == "ld_mem" and check.offset == 0 and op.result.width == 8 * check.size and same:
                    return op
                if op.name == "st_mem" and check.offset == 1 and op.widths[1] == 8 * check.size and same:
                    return op
                return None
        return None

    def _root(self, address: Operand, width: int) -> tuple[Operand, int]:
        """The address as a root and a displacement."""
        offset = 0
        while isinstance(address, Temp) and (op := self._made.get(address)) is not None:
            one, other = op.args
            if isinstance(other, int):
                following, more = one, other
            elif isinstance(one, int):
                following, more = other, one
            else:
                break
            total = offset + more & mask(width)
            total = total - (1 << width) if total >> (width - 1) else total
            if not -ADDRESS_MARGIN < total < ADDRESS_MARGIN - _SIZES[-1]:
                break
            address, offset = following, total
        return address, offset
