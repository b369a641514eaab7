"""Builds a region: many blocks of guest code as one TCG function, with jumps between them as branches.

The function is ordinary TCG of kind 'handler', so the reference executor runs it as it is.  Its ways out:

* `next`      at once, when the budget does not last for the longest way through the region
* `goto_ptr`  the ordinary way, to a pc that no block of the region begins at
* `exit`      with reason DEOPT: tier 0 is to do the instruction at that pc from scratch.  Faults, raised exceptions and
              whatever else is not worth compiling go this way, before the instruction has had any effect
* `exit`      with another reason: a wait

What is called from inside the region is there once for each call, as far as room lasts: so the address to return to is
known, or one comparison tells, and no other caller's registers have to meet there.  A block is named by its pc and its
*calls*: the pcs that calls still open return to, as far as they were seen.  The calls are a guess of where control
goes; a block does the same whatever they are.

The budget is a local, kept less BIAS: the longest way through the region that meets no test of the budget.  So the test
at the head of a loop is one of its sign, and nowhere else need it be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from runtime.core.env import ENV, Exit
from runtime.core.layout import LAZY_ARGUMENTS, LAZY_SYMBOL, LAZY_SYNC, Layout, LazyLayout
from runtime.core.record import fresh, mutable_record
from runtime.tcg.builder import NOT_TAKEN, Builder
from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Function, Label, Op, Temp, Value
from runtime.tcg.memory import WRITE
from runtime.tcg.ops import mask
from runtime.tcg.region import RegionBlock
from runtime.tcg.tb import COUNT_RECORD
from runtime.tcg.transaction import FLAGS_SYMBOL
from runtime.tcg.values import same

#: the reason of an `exit` that tier 0 takes over from
DEOPT = Exit.NONE
#: most places that an indirect jump is compared with
MOST_CANDIDATES = 16
#: ... one after the other; of more it is found out by halves
_MOST_IN_TURN = 4
#: calls inside one another that get copies of what they call
_DEEPEST = 3
#: instructions that all the copies may have
_MOST_COPIED = 128
_ALL = mask(64)

#: a block's pc, and where the calls around it return to, the innermost last
_Place = tuple[int, tuple[int, ...]]


@mutable_record
class Region:
    """A region as TCG."""

    function: Function
    start: Label  # where control goes once the budget has been found sufficient
    longest: int  # least budget it runs with
    instructions: int
    headers: frozenset[Label]  # blocks that some loop goes through


@mutable_record
class _Flow:
    """One block of the region: where control goes from it, after how many instructions."""

    label: Label
    calls: tuple[int, ...] = ()
    count: int = 0
    edges: list[tuple[_Place, int]] = fresh(factory=list)  # where to, instructions
    indirect: list[tuple[Op, int, int | None]] = fresh(factory=list)  # goto_ptr, instructions, returns to
    returns_to: int = -1  # the pc behind a block that ends with a jump
    seen: tuple[int, ...] = ()  # where its indirect jump goes to, if that is known (RegionBlock)


class RegionBuilder(Builder):
    """Emits the blocks one after the other; `build` does it all."""

    def __init__(self, translate: ModuleType, layout: Layout, flags: int, blocks: Sequence[RegionBlock]) -> None:
        super().__init__(layout, Function(f"region_{blocks[0].pc:x}"), None)
        self.checks_apart = True
        self._translate = translate
        self._blocks = blocks
        self._initial: dict[str, Value | None] = {
            mode.name: flags >> mode.shift & mask(mode.width) for mode in layout.modes if not mode.prefix
        }
        self._flags = flags
        self._left = self.function.local(64)  # the budget, less the bias
        self._by_pc = {block.pc: block for block in blocks}
        self._ends = {block.end for block in blocks}
        self._order = {block.pc: number for number, block in enumerate(blocks)}
        self._flows: dict[_Place, _Flow] = {}
        self._unbuilt: list[_Place] = []
        self._in_rule = False
        #: indirect jumps, by id, and where they are likely to lead
        self._likely: dict[int, list[_Place]] = {}
        self._copied = 0
        self._flow = self._new_flow((blocks[0].pc, ()))
        self._biased: Value = 0  # the budget as this block found it
        #: sums that the bias is still to be added to
        self._unbiased: list[Op] = []
        self._mask = mask(layout.pc_width)

    # ------------------------------------------------------------ places

    def _new_flow(self, place: _Place) -> _Flow:
        block = self._by_pc[place[0]]
        flow = self._flows[place] = _Flow(self.function.label(f"{block.pc:x}"), place[1], seen=block.seen)
        self._unbuilt.append(place)
        return flow

    def _place(self, pc: int, calls: tuple[int, ...]) -> _Place:
        """The block at pc for these calls; if there is no room for it, the one for any."""
        place = pc, calls
        if calls and place not in self._flows:
            size = len(self._by_pc[pc].code) // self.layout.unit_bytes
            if self._copied + size > _MOST_COPIED:
                place = pc, ()
            else:
                self._copied += size
        if place not in self._flows:
            self._new_flow(place)
        return place

    def _called(self, pc: int, returns_to: int | None) -> _Place:
        """The block at pc, to which control goes by a call that returns there, or by a jump."""
        calls = self._flow.calls
        if returns_to is not None:
            calls = () if len(calls) == _DEEPEST else (*calls, returns_to)
        return self._place(pc, calls)

    def _link(self) -> int | None:
        """The pc behind this instruction, if that was stored just now for a call to return to and is in the region."""
        following = self.next_pc_value
        if not isinstance(following, int) or following not in self._by_pc:
            return None
        begun = 0
        for op in reversed(self.ops):
            if op.name in ("st_env", "st_mem"):
                value = op.args[-1]
                if isinstance(value, int) and following <= value < following + self.layout.unit_bytes:
                    return following
            elif op.name == "insn_start":
                begun += 1
                if begun == 2:  # this one, and the one whose delay slot it is in
                    return None
        return None

    # ------------------------------------------------------------ the budget

    def _budget_after(self, count: int) -> Value:
        """The true budget `count` instructions into the block."""
        left = self.emit1("add", (self._biased, -count & _ALL), (64, 64), 64)
        if not self.dead:
            self._unbiased.append(self.ops[-1])
        return left

    def _index(self) -> int:
        assert isinstance(self.index_value, int)
        return self.index_value

    def budget_here(self) -> Value:
        return self._budget_after(self._index())

    def budget_after(self) -> Value:
        return self._budget_after(self._index() + 1)

    def _spend(self, count: int) -> None:
        """Leave the block after so many instructions, for another."""
        self.emit("st_local", (self.sub(64, self._biased, count),), (64,), local=self._left)

    # ------------------------------------------------------------ the ends of an instruction

    def _same_modes(self) -> bool:
        """Whether the region's blocks may follow: they were decoded for the modes at its entry."""
        for name, value in self._initial.items():
            known = self.modes.get(name)
            if known is None or value is None or not same(known, value):
                return False
        return True

    def _perhaps_same_modes(self) -> bool:
        """Whether it is only for values found now that the modes may be others than at the region's entry."""
        if self.layout.machine:  # another way of translating addresses begins with another block
            return False
        known = ((self.modes.get(name), value) for name, value in self._initial.items())
        return all(now is None or (value is not None and same(now, value)) for now, value in known)

    def _finish(self, kind: Value, target: Value) -> None:
        """Where the way out has just been decided, each way goes on by itself instead of meeting the others first."""
        meeting = self.ops[-1]
        if not isinstance(kind, Temp) or meeting.name != "label" or meeting.results != (kind,):
            super()._finish(kind, target)
            return
        edges = [op for op in self.ops[self._start :] if op.name == "br" and op.labels == meeting.labels]
        ways = [way for (way,) in (op.args for op in edges) if isinstance(way, int)]
        if len(ways) < len(edges):  # a way that was decided further up may be any, and NEXT must come once
            super()._finish(kind, target)
            return
        self.ops.pop()
        self.dead = True
        labels = {way: self.function.label() for way in ways}
        for op, way in zip(edges, ways, strict=True):
            op.labels, op.args, op.widths = (labels[way],), (), ()
        for way in sorted(labels, reverse=True):  # NEXT comes last
            self.bind(labels[way])
            super()._finish(way, target)

    def finish_next(self) -> None:
        self.ends_block = False

    def finish_goto(self, slot: int, target: Value) -> None:
        assert isinstance(target, int)
        self._go_on_at(target, self._index() + 1, self._link())

    def _go_on_at(self, target: int, count: int, returns_to: int | None = None) -> None:
        """To a pc known now, `count` instructions into the block."""
        if target in self._by_pc and self._same_modes():
            place = self._called(target, returns_to)
            self._spend(count)
            self.emit("br", labels=(self._flows[place].label,))
            self._flow.edges.append((place, count))
        else:
            self.emit("goto_ptr", (target, self._budget_after(count)), (self.layout.pc_width, 64))

    def finish_goto_ptr(self, target: Value) -> None:
        modes = self.modes
        if self._same_modes():
            self._go_to(target)
        elif self._perhaps_same_modes():
            same, other = self.function.label(), self.function.label()
            flags = self.emit1("ld_env", (), (), 64, offset=ENV["flags"], symbol=FLAGS_SYMBOL)
            self.branch(self.ne(64, flags, self._flags), other, same, SELDOM)
            self.bind(other)
            self._leave_for(target)
            self.bind(same)
            self.store_flags(self._flags)
            self.modes = dict(self._initial)
            self._go_to(target)
            self.modes = modes  # of other ways out of the instruction
        else:
            self._leave_for(target)

    def _npc(self) -> Value:
        """Where the branch before this slot goes, which is over: nobody wants to know it any more."""
        npc = super()._npc()
        self.emit("st_env", (NOT_TAKEN,), (64,), offset=ENV["npc"])
        return npc

    def _go_to(self, target: Value) -> None:
        """To a pc perhaps found now, in the modes of the region."""
        count = self._index() + 1
        if isinstance(target, int):
            self._go_on_at(target, count, self._link())
            return
        self._spend(count)
        self._leave_for(target)
        self._flow.indirect.append((self.ops[-1], count, self._link()))

    def _leave_for(self, target: Value) -> None:
        budget = self._budget_after(self._index() + 1)
        self.emit("goto_ptr", (target, budget), (self.layout.pc_width, 64))

    # ------------------------------------------------------------ lazy groups

    def lazy(self, rule: int, *arguments: tuple[Value, int]) -> bool:
        """Run the rule, for whoever reads in the region, and note it for the ways out, which need then not have run it
        (region_state.py)."""
        owed = self.layout.owed
        if owed is None or self._in_rule:
            return False
        body, _ = self._translate.LAZY[rule - 1]
        self._in_rule = True
        body(self, *(value for value, _ in arguments))
        self._in_rule = False
        wide = [self.zext(value, width, 64) for value, width in arguments]
        self._note(owed, rule, *wide, *(0 for _ in range(LAZY_ARGUMENTS - len(wide))))
        return True

    def _note(self, owed: LazyLayout, *words: Value) -> None:
        for number, value in enumerate(words):
            self.emit("st_env", (value,), (64,), offset=owed.rule + 8 * number, symbol=LAZY_SYMBOL)

    def set_reg(self, name: str, value: Value) -> None:
        """Where one register of the group is written by itself, all of them hold their values from there on."""
        owed = self.layout.owed
        if owed is not None and not self._in_rule and name in owed.registers:
            for other in owed.registers:
                if other != name:
                    super().set_reg(other, self.get_reg(other))
            self._note(owed, 0)
        super().set_reg(name, value)

    # ------------------------------------------------------------ what is left to tier 0

    def exit_here(self, reason: Exit) -> None:
        self.emit("exit", (self.pc_value, self.budget_here()), (self.layout.pc_width, 64), offset=DEOPT)

    def raise_(self, code: Value, *args: Value) -> None:
        if not self.dead:
            self.exit_here(Exit.EXCEPTION)

    def check(self, memory: str, address: Value, size: int, access: int, atomic: bool = False) -> None:
        """Tier 0 finds out what is wrong with the access: here it is only seen that something is."""
        if self.dead:
            return
        width = self.memory_layout(memory).address_width
        status = self.emit1("check_mem", (address,), (width,), 2, symbol=memory, size=size, offset=access)
        bad, fine = self.function.label(), self.function.label()
        self.branch(self.ne(2, status, 0), bad, fine, SELDOM)
        self.bind(bad)
        self.exit_here(Exit.CODE_WRITE if access == WRITE else Exit.EXCEPTION)
        self.bind(fine)

    # ------------------------------------------------------------ blocks

    def build(self) -> Region:
        """The whole region."""
        self._build_reached()
        anywhere: list[_Place] = []
        while any(flow.indirect and not flow.seen and not flow.calls for flow in self._flows.values()):
            anywhere = self._candidates()
            if self._flows.keys() >= set(anywhere):
                break
            for place in anywhere:
                self._place(*place)
            self._build_reached()
        return self._assemble(anywhere)

    def _build_reached(self) -> None:
        """The blocks that control was found to come to, and those it comes to from them."""
        while self._unbuilt:
            # As they were asked for, hot ones first: copies are made as far as there is room.
            place = min(self._unbuilt, key=self._rank)
            self._unbuilt.remove(place)
            block = self._by_pc[place[0]]
            self._flow = self._flows[place]
            self.dead = True
            self.bind(self._flow.label)
            self.modes = dict(self._initial)
            self._delayed = False
            self._biased = self.emit1("ld_local", (), (), 64, local=self._left)
            self._flow.count = self._block(block)
            self._follow_indirect()

    def _rank(self, place: _Place) -> tuple[bool, int]:
        return bool(place[1]), self._order[place[0]]

    def _block(self, block: RegionBlock) -> int:
        """Instructions up to the first that certainly leaves, or that another block begins at; gives their number."""
        code, layout = block.code, self.layout
        at, index = 0, 0
        here = block.pc
        while at < len(code):
            if at and here in self._by_pc and self._same_modes():
                self._go_on_at(here, index)
                return index
            rest = code[at : at + layout.max_bytes]
            decoded = self._translate.decode(int.from_bytes(rest, "little"), len(rest), self)
            following = here + (decoded.length if decoded else layout.unit_bytes) & self._mask
            instruction = decoded.instruction if decoded else None
            line = f"{instruction.mnemonic} {instruction.source}" if instruction else "?"
            self.begin_instruction(here, following, index, line)
            if decoded is None:
                self.exit_here(Exit.EXCEPTION)
                return index
            decoded.emit(self, decoded.fields)
            self.end_instruction()
            at += decoded.length
            here = following
            index += 1
            if self.dead:
                self._flow.returns_to = here
                return index
        self._go_on_at(here, index)
        return index

    # ------------------------------------------------------------ the region

    def _follow_indirect(self) -> None:
        """See to it that there is a block where the indirect jumps of the one just built are likely to lead."""
        flow = self._flow
        for op, count, returns_to in flow.indirect:
            places: list[_Place] = []
            if flow.calls:
                places.append(self._place(flow.calls[-1], flow.calls[:-1]))
            if not flow.calls or flow.calls[-1] not in flow.seen:  # where it returned to it is a return
                for pc in flow.seen:
                    if pc not in self._by_pc:
                        continue
                    # Behind a jump there is what another call returns to: these calls say nothing of that one's.
                    other = bool(flow.calls) and returns_to is None and pc in self._ends
                    places.append(self._place(pc, ()) if other else self._called(pc, returns_to))
            self._likely[id(op)] = places
            flow.edges += [(place, count) for place in places]

    def _candidates(self) -> list[_Place]:
        """Blocks that any indirect jump may lead to: behind a jump (a call's return), and where no other way leads."""
        direct = {place[0] for flow in self._flows.values() for place, _ in flow.edges}
        behind = {flow.returns_to for flow in self._flows.values()}
        entry = self._blocks[0].pc
        places: list[_Place] = [(pc, ()) for pc in self._by_pc if pc in behind or (pc not in direct and pc != entry)]
        return places[:MOST_CANDIDATES]

    def _assemble(self, anywhere: list[_Place]) -> Region:
        for flow in self._flows.values():
            if flow.seen or flow.calls:
                continue
            for op, count, _ in flow.indirect:
                likely = self._likely[id(op)]
                others = [place for place in anywhere if place not in likely]
                likely += others
                flow.edges += [(place, count) for place in others]
        entry = self._blocks[0].pc, ()
        headers, order = self._depth_first(entry)
        longest = self._longest(order)
        bias = max(longest[place] for place in {entry, *headers})
        for op in self._unbiased:
            left, spent = op.args
            assert isinstance(spent, int)
            op.args = (left, spent + bias & _ALL)
        heads = {self._flows[place].label: place[0] for place in headers}
        body, self.function.ops[:] = list(self.function.ops), []
        start = self._prologue(bias, body)
        for op in body:
            if id(op) in self._likely:
                self._compare(op, self._likely[id(op)])
            self.ops.append(op)
            if op.name == "label" and op.labels[0] in heads:
                self._test_budget(heads[op.labels[0]], bias)
        instructions = sum(self._flows[place].count for place in order)
        return Region(self.function, start, bias, instructions, frozenset(heads))

    def _depth_first(self, entry: _Place) -> tuple[set[_Place], list[_Place]]:
        """Blocks that a retreating edge leads to, and all blocks reached, last finished first."""
        headers: set[_Place] = set()
        order: list[_Place] = []
        state: dict[_Place, int] = {entry: 1}  # 1: on the way, 2: done
        stack = [(entry, iter(self._flows[entry].edges))]
        while stack:
            pc, edges = stack[-1]
            for target, _ in edges:
                if target not in state:
                    state[target] = 1
                    stack.append((target, iter(self._flows[target].edges)))
                    break
                if state[target] == 1:
                    headers.add(target)
            else:
                state[pc] = 2
                order.append(pc)
                stack.pop()
        order.reverse()
        return headers, order

    def _longest(self, order: list[_Place]) -> dict[_Place, int]:
        """Instructions on the longest way from each block on, up to an exit or the head of a loop."""
        longest: dict[_Place, int] = {}
        for place in reversed(order):
            flow = self._flows[place]
            # A block not yet in `longest` is reached by a retreating edge.
            longest[place] = max([flow.count, *(count + longest.get(target, 0) for target, count in flow.edges)])
        return longest

    def _prologue(self, bias: int, body: Sequence[Op]) -> Label:
        leave, start = self.function.label(), self.function.label("start")
        self.dead = False
        budget = self.emit1("ld_budget", (), (), 64)
        refused = self.slt(64, self.sub(64, budget, bias), self._least())
        if self.layout.machine:
            current = self.function.label()
            self.branch(self.emit1("region_stale", (), (), 1), leave, current, SELDOM)
            self.bind(current)
        owed = self._owed(body)
        enough = self.function.label() if owed else start
        self.branch(refused, leave, enough, SELDOM)
        self.bind(leave)
        self.emit("next", (budget,), (64,), size=COUNT_RECORD["bytes"])
        if owed:
            self.bind(enough)
            pay = self.function.label()
            pending = self.emit1("ld_env", (), (), 64, offset=owed.rule)
            self.branch(self.ne(64, pending, 0), pay, start)
            self.bind(pay)
            self.call_env(LAZY_SYNC)
            self.emit("br", labels=(start,))
        self.bind(start)
        self.emit("st_local", (self.sub(64, budget, bias),), (64,), local=self._left)
        self.emit("br", labels=(self._flows[self._blocks[0].pc, ()].label,))
        return start

    def _owed(self, body: Sequence[Op]) -> LazyLayout | None:
        """The lazy group, if the region has to do with its registers: here they hold their values."""
        owed = self.layout.owed
        return owed if owed and any(op.symbol in owed.registers for op in body) else None

    def _least(self) -> Value:
        """What the budget less the bias must not be less than."""
        return self.emit1("kick", (), (), 64) if self.layout.machine else 0

    def _test_budget(self, pc: int, bias: int) -> None:
        """At the head of a loop: what is left must last for the longest way from here."""
        spent, enough = self.function.label(), self.function.label()
        self.dead = False
        left = self.emit1("ld_local", (), (), 64, local=self._left)
        self.branch(self.slt(64, left, self._least()), spent, enough, SELDOM)
        self.bind(spent)
        # Marked: sharing its code with the ways out of accesses, LLVM would join the two tests into a longer one.
        self.emit("exit", (pc, self.add(64, left, bias)), (self.layout.pc_width, 64), offset=DEOPT, flag=True)
        self.bind(enough)

    def _compare(self, jump: Op, candidates: list[_Place]) -> None:
        """Before an indirect jump: is it to a block of the region?"""
        if len(candidates) > _MOST_IN_TURN:
            other = self.function.label()
            places = {place[0]: place for place in reversed(candidates)}  # the first counts
            self._search(jump.args[0], [places[pc] for pc in sorted(places)], other)
            self.bind(other)
            return
        for place in candidates:
            other = self.function.label()
            self._go_if(jump.args[0], place, other)
            self.bind(other)

    def _search(self, target: Value, places: list[_Place], other: Label) -> None:
        """Find the target among places in the order of their pcs; it is for `other` if it is none of them."""
        self.dead = False
        if len(places) == 1:
            self._go_if(target, places[0], other)
            return
        middle = len(places) // 2
        low, high = self.function.label(), self.function.label()
        self.branch(self.ult(self.layout.pc_width, target, places[middle][0]), low, high)
        self.bind(low)
        self._search(target, places[:middle], other)
        self.bind(high)
        self._search(target, places[middle:], other)

    def _go_if(self, target: Value, place: _Place, other: Label) -> None:
        self.dead = False
        self.branch(self.eq(self.layout.pc_width, target, place[0]), self._flows[place].label, other)
