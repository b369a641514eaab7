"""Fewer checks of memory accesses in a region: those that others imply go, those of one base register become one.

Why that is sound.  A check that succeeds says: these bytes may be read (or written).  What may be read or written is
changed by Python alone, and by the translation of code in the same page; both happen while the vCPU is outside native
code, or with all vCPUs stopped outside it (@page_stable), and a region is left at each of its exits, not in between:
the helpers it calls compute values.  The exception are stores to pages that hold translated code already, of which the
engine remembers the last page only (env.store_page): such a store is never made here (region_lowering._SLOW).  So
wherever control can come only by way of a successful check, in SSA: in every block that the check's good branch
dominates, bytes it covered, at the same base value, need no other.

A check may also be widened to bytes that are accessed later on, from the same base, if control certainly gets there
unless another check fails: a failing check has no effect but that tier 0 does the instruction, and finds out what is
really wrong, if anything is.  A check of several bytes looks at the pages of the first and the last, so the range may
not be longer than a page.
"""

from __future__ import annotations

from runtime.core.env import PAGE_BITS
from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import mask
from runtime.tcg.region_flow import Flow

_WIDEST = 1 << PAGE_BITS

Base = Temp | None
#: (base, access) -> ranges [low, high) relative to the base
_Facts = dict[tuple[Base, int], list[tuple[int, int]]]


class _Check:
    """A check_mem op, where it stands and what it covers."""

    __slots__ = ("access", "base", "block", "high", "low", "op")

    def __init__(self, op: Op, block: int, base: Base, low: int) -> None:
        self.op = op
        self.block = block
        self.base = base
        self.low = low
        self.high = low + op.size
        self.access = op.offset


def merge_checks(function: Function) -> None:
    """Rewrite the function; what becomes unreachable is left for `straighten` to remove."""
    _Merger(function).run()


class _Merger:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._flow = Flow(function)
        self._made = {op.result: op for op in function.ops if op.name == "add"}
        #: checks by block; a block ends with its only one
        self._checks: dict[int, _Check] = {}
        self._facts: dict[int, _Facts] = {}

    def _place(self, address: Operand, width: int) -> tuple[Base, int]:
        """The address as base and displacement, the latter signed."""
        offset = 0
        while isinstance(address, Temp):
            op = self._made.get(address)
            if op is None:
                break
            one, other = op.args
            if isinstance(other, int):
                address, offset = one, offset + other
            elif isinstance(one, int):
                address, offset = other, offset + one
            else:
                break
        base: Base = None
        if isinstance(address, Temp):
            base = address
        else:
            offset += address
        offset &= mask(width)
        return base, offset - (1 << width) if offset >> (width - 1) else offset

    def run(self) -> None:
        flow = self._flow
        for at in flow.order:
            block = flow.blocks[at]
            if len(block) >= 3 and block[-3].name == "check_mem":
                op = block[-3]
                self._checks[at] = _Check(op, at, *self._place(op.args[0], op.widths[0]))
        for at in flow.order:
            self._enter(at)
            check = self._checks.get(at)
            if check is not None:
                self._decide(check)
        self._function.ops[:] = [op for at in flow.order for op in flow.blocks[at]]

    # ------------------------------------------------------------ what is known

    def _enter(self, at: int) -> None:
        """What is known at the start of a block."""
        flow = self._flow
        if at == flow.order[0]:
            self._facts[at] = {}
            return
        above = flow.dominator[at]
        facts = dict(self._facts[above])
        before = flow.predecessors[at]
        if len(before) == 1 and (check := self._checks.get(before[0])) is not None:
            branch = flow.blocks[before[0]][-1]
            if branch.labels[-1] == flow.blocks[at][0].labels[0]:  # the good side, or the only one
                key = (check.base, check.access)
                facts[key] = [*facts.get(key, ()), (check.low, check.high)]
        self._facts[at] = facts

    def _known(self, facts: _Facts, base: Base, access: int, low: int, high: int) -> bool:
        return any(one <= low and high <= other for one, other in facts.get((base, access), ()))

    # ------------------------------------------------------------ one check

    def _decide(self, check: _Check) -> None:
        facts = self._facts[check.block]
        block = self._flow.blocks[check.block]
        if self._known(facts, check.base, check.access, check.low, check.high):
            branch = block[-1]
            block[-3:] = [Op("br", labels=(branch.labels[1],))]
            return
        low, high = check.low, check.high
        for other in self._following(check.block):
            if other.base is check.base and other.access == check.access:
                most = max(high, other.high), min(low, other.low)
                if most[0] - most[1] <= _WIDEST:
                    high, low = most
        op = check.op
        if (low, high) != (check.low, check.high):
            width = op.widths[0]
            if check.base is None:
                op.args = (low & mask(width),)
            elif low != check.low:
                address = self._function.temp(width)
                block.insert(-3, Op("add", (address,), (check.base, low & mask(width)), (width, width)))
                op.args = (address,)
            op.size = high - low
            check.low, check.high = low, high
        op.flag = self._known(facts, check.base, 1 - check.access, low, high)

    def _following(self, at: int) -> list[_Check]:
        """Checks that come certainly after that of block `at` if each succeeds."""
        flow = self._flow
        found: list[_Check] = []
        seen = {at}
        while True:
            last = flow.blocks[at][-1]
            if last.name == "brcond" and at not in self._checks:
                return found
            if not last.labels:
                return found
            at = flow.number[last.labels[-1]]
            if at in seen or len(flow.predecessors[at]) > 1:
                return found
            seen.add(at)
            if at in self._checks:
                found.append(self._checks[at])
