"""Which accesses of a region the host checks: it refuses what the guest may not do (runtime/core/guard.py).

Such an access is made without asking.  If the host refuses it, control goes on at the instruction's way out to tier 0.
All that is asked is that the address does not lie outside the guest's memory and its margins: an address is a *root*
plus a displacement known now, and a root below 2**ADDRESS_BITS, with any displacement of the margins, is a place where
the host refuses what is nobody's.  One comparison of a root serves wherever it has certainly been made.

An access that was not refused says as much of its root as a comparison does, but for its displacement.  So what steps
through memory in a loop, by a distance known now, need not be compared in a turn if it was accessed in the one before;
before the first turn it was compared (region_hoisting.py).  Displacements and steps are a quarter of a margin at most
(_FAR): a root that was accessed is at most that far from the guest's memory, what it becomes for the next turn is twice
as far, and what is accessed then three times.

Tier 0 does a refused access's instruction again, from its beginning.  What that stored before is stored once more, and
is the same if nothing was loaded, as in a store of several registers.  One that has loaded and stored something must
not fault any more: its later accesses are checked first, by the table.  So are those that are not one plain load or
store of the host's.

A function that computes in the host's extended precision is not guarded.  LLVM takes the stack of those registers to be
the same on both ways on from an access, though on one it reloads a value behind it: what was refused would go on with
another number of values on the stack.
"""

from __future__ import annotations

from runtime.core.env import ADDRESS_BITS, ADDRESS_MARGIN
from runtime.core.record import fresh, mutable_record
from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.ops import OPS, Effect, mask
from runtime.tcg.region_flow import Flow

_SIZES = (1, 2, 4, 8, 16, 32)
#: bytes of the widest access that any host makes by one instruction
WIDEST = 16
_FAR = ADDRESS_MARGIN // 4
#: what a root is compared with: it is less than one of the guest's own addresses and margins are
LAST_ADDRESS = (1 << ADDRESS_BITS) - 1
_NOTHING: frozenset[Temp] = frozenset()
#: operations whose operands and results LLVM has on the host's stack of registers
_ON_A_STACK = "extended_"
#: what an instruction may have done in memory, as bits
_LOADED, _STORED = 1, 2
_BOTH = _LOADED | _STORED
_DOES = {
    name: (_LOADED if one.effects & Effect.READ_MEMORY else 0) | (_STORED if one.effects & Effect.WRITE_MEMORY else 0)
    for name, one in OPS.items()
}


@mutable_record
class GuardPlan:
    """checks: the root to compare instead of what a check_mem does, or None for nothing; by id.

    accesses: where a load or store goes when it is refused; by id.
    places: the root and displacement of such an access, where an address has no more bits than memory has; by id.  The
            host need not wrap them round: it refuses a sum that lies outside.
    """

    checks: dict[int, Temp | None] = fresh(factory=dict)
    accesses: dict[int, Label] = fresh(factory=dict)
    places: dict[int, tuple[Temp, int]] = fresh(factory=dict)


def can_be_guarded(function: Function) -> bool:
    """Whether accesses can be left to the host: not where something is computed in its extended precision."""
    return not any(op.name.startswith(_ON_A_STACK) for op in function.ops)


def plan_guards(function: Function, widest: int = WIDEST) -> GuardPlan:
    """Look through the function.  widest: bytes that the host accesses by one instruction."""
    addresses = Addresses(function, widest)
    addresses.step(False)
    return addresses.plan


class Addresses:
    """What is known of addresses in a function.

    stepping  by the number of a loop's first block: its parameters that are near the guest's memory in each turn
    known     roots that were compared or accessed, at the end of each block if control takes its last way
    roots     of checks that are left to the host, by id
    """

    def __init__(self, function: Function, widest: int) -> None:
        self.flow = Flow(function)
        self._widest = widest
        self.plan = GuardPlan()
        self.stepping: dict[int, frozenset[Temp]] = {}
        self.known: dict[int, frozenset[Temp]] = {}
        self.roots: dict[int, Operand] = {}
        #: first blocks of loops, and the blocks from which control comes back to each
        self.loops: dict[int, set[int]] = {}
        self._made = {op.result: op for op in function.ops if op.name == "add"}
        self._compares = {
            op.result: op.args[1] for op in function.ops if op.name == "ult" and op.args[0] == LAST_ADDRESS
        }
        #: what the instruction at hand may have done in memory, at the end of each block
        self._done: dict[int, int] = {}

    def step(self, compared_before: bool) -> None:
        """Find what steps through memory in loops, and plan.  compared_before: what is not known where a loop is
        entered is going to be compared there."""
        flow = self.flow
        self._look()
        dominates = flow.dominance()
        for at in flow.order:
            for after in flow.successors[at]:
                if dominates(after, at):
                    self.loops.setdefault(after, set()).add(at)
        wanted = set(self.roots.values())
        for header in self.loops:
            found = frozenset(temp for temp in flow.blocks[header][0].results if temp in wanted)
            if found:
                self.stepping[header] = found
        # What is near is near only if what it is made from is: begin with all, and take out until nothing is wrong.
        while self.stepping:
            self._look()
            fewer = {
                header: frozenset(temp for temp in found if self._steps(header, temp, compared_before))
                for header, found in self.stepping.items()
            }
            if fewer == self.stepping:
                return
            self.stepping = {header: found for header, found in fewer.items() if found}
        self._look()

    def _steps(self, header: int, temp: Temp, compared_before: bool) -> bool:
        return all(
            self.is_near(self.argument(before, header, temp), temp.width, before)
            or (compared_before and before not in self.loops[header])
            for before in self.flow.predecessors[header]
        )

    def argument(self, before: int, at: int, temp: Temp) -> Operand:
        """What a block passes for a parameter of the one after it."""
        return self.flow.blocks[before][-1].args[self.flow.blocks[at][0].results.index(temp)]

    def is_near(self, value: Operand, width: int, at: int) -> bool:
        """Whether a value is known to be near the guest's memory at the end of a block."""
        root, _ = self._root(value, width)
        if isinstance(root, int):
            return not root >> ADDRESS_BITS
        return value in self.known[at] or root in self.known[at]

    # ------------------------------------------------------------ one look

    def _look(self) -> None:
        """Plan, by what `stepping` says."""
        flow = self.flow
        self.plan, self.roots, self._done = GuardPlan(), {}, {}
        near: dict[int, frozenset[Temp]] = {}
        for at in flow.order:
            before = flow.predecessors[at]
            done = 0
            for other in before:
                done |= self._done.get(other, _BOTH)
            known = self.known[flow.dominator[at]] if at else _NOTHING
            near[at] = self.stepping.get(at, _NOTHING) | (near[flow.dominator[at]] if at else _NOTHING)
            if len(before) == 1 and isinstance(root := self._compared(before[0], at), Temp):
                known |= {root}
            block = flow.blocks[at]
            check: Op | None = None
            for op in block:
                if op.name == "insn_start":
                    done = 0
                elif op.name == "check_mem":
                    check = op
                else:
                    done |= _DOES[op.name]
            if check is not None and done != _BOTH:
                self._consider(check, block[-1], known | near[at])
            self.known[at], self._done[at] = known, done

    def _compared(self, before: int, at: int) -> Operand | None:
        """The root that was compared, or will have been accessed, on the way from one block to the next."""
        block = self.flow.blocks[before]
        last = block[-1]
        if last.name != "brcond" or self.flow.number[last.labels[1]] != at:
            return None
        if isinstance(last.args[0], Temp) and last.args[0] in self._compares:
            return self._compares[last.args[0]]
        return self.roots.get(id(block[-3])) if len(block) > 2 else None

    def _consider(self, check: Op, branch: Op, near: frozenset[Temp]) -> None:
        bad, good = branch.labels
        number = self.flow.number[good]
        if check.size not in _SIZES or check.size > self._widest or len(self.flow.predecessors[number]) > 1:
            return
        access = self._access(check, number)
        if access is None or (check.size > 8 and access.flag):  # no vector's bytes are turned round
            return
        width = check.widths[0]
        root: Temp | None = None
        base, distance = self._root(check.args[0], width)
        if width > ADDRESS_BITS:
            if isinstance(base, int):
                if base >> ADDRESS_BITS:
                    return
            elif base not in near:
                root = base
            self.roots[id(check)] = base
        elif isinstance(base, Temp):
            self.plan.places[id(access)] = base, distance
        self.plan.checks[id(check)] = root
        self.plan.accesses[id(access)] = bad

    def _access(self, check: Op, number: int) -> Op | None:
        """The load or store that the check is for, if that is the next thing done in memory."""
        for op in self.flow.blocks[number]:
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
            if not -_FAR < total < _FAR - _SIZES[-1]:
                break
            address, offset = following, total
        return address, offset
