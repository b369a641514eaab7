"""Native handlers: an instruction's emitter run with fields that only the decoder will know.

What an emitter computes from fields alone becomes a DecodeValue.  Where one meets a run-time value it becomes an
operand of the op record (a slot); where the emitter branches on one, it is run once for each answer, and each way
through it is a *variant*: a handler of its own that the decoder chooses.  Handlers that come out alike are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gen import model
from gen.decode_values import FIELD, INDEX, MODE, NEXT_PC, PC, DecodeValue, Facts, Part, Pool
from gen.guard_records import Guard, Predicate, emit_guard, fields_of, own_fields
from gen.lazy import settle_first
from gen.operand_choices import HEAD, Choice, Slots, all_choices, assume_row, row_fields, settle
from gen.source import identifier
from runtime.core.env import ENV
from runtime.core.layout import LAZY_SYMBOL, Layout, RegisterLayout
from runtime.tcg.builder import NOT_TAKEN, Builder
from runtime.tcg.instructions import Instruction
from runtime.tcg.ir import Deferred, Function, InternalError, Operand, Temp, Value, format_op
from runtime.tcg.operands import Row, Table
from runtime.tcg.optimize import optimize
from runtime.tcg.tb import (
    DELAYED_MAYBE,
    DELAYED_NOT_TAKEN,
    DELAYED_TAKEN,
    DELAYED_UNKNOWN,
    JUMP_SLOT,
    RECORD_MAX_BYTES,
)
from runtime.tcg.values import same

#: ways through one instruction that get handlers of their own, and the ops of all of these together (a loop over what
#: the decoder knows gives few ways, but long ones); past either, only the first decisions do
MOST_VARIANTS = 160
MOST_OPS = 2500
#: … of an instruction that has more of them, those that are asked first (a table of system registers is one question
#: after the other: its first rows get handlers of their own, the rest share one), and the ways there may be then
FIRST_DECISIONS = (16, 8, 6, 3, 0)
MOST_FIRST_VARIANTS = 64
_COMPARISONS = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})
RECORD_HEAD = 8  # the handler's address
#: what the record behind an instruction in one-shot modes is told
AFTER_FLAGS, AFTER_TARGET = "flags", "target"

Decision = tuple[DecodeValue, bool]
BadAddress = Callable[[Builder, Value, Value], object]


@dataclass(slots=True)
class Slot:
    """An operand of an op record: the low `bits` of `value`, sign-extended into them if `signed`."""

    value: DecodeValue
    bits: int
    signed: bool
    offset: int = 0
    in_jump_slot: bool = False  # it stands there anyway


@dataclass(slots=True)
class Variant:
    """One way through an instruction: the handler, and what the decoder must put into its record."""

    handler: str
    decisions: tuple[Decision, ...]
    slots: tuple[Slot, ...]
    jump_targets: tuple[Part, ...]
    record_bytes: int
    ends_block: bool
    new_modes: Mapping[str, Part]  # values with which decoding goes on behind it
    #: of a delayed instruction: tb.DELAYED_*, and the target if that is known
    delayed: tuple[int, Part] | None


class RecordTooLong(InternalError):
    """More operands than an op record has room for."""


class HandlerBuilder(Builder):
    """Builds one variant.  `answers` are the decisions to take first; later ones are taken as true and recorded."""

    def __init__(
        self,
        layout: Layout,
        function: Function,
        bad_address: BadAddress | None,
        pool: Pool,
        facts: Facts,
        answers: tuple[bool, ...] = (),
        most_decisions: int = MOST_VARIANTS,
        guard_records: bool = False,
        seldom: Sequence[DecodeValue] = (),
        puts_off: bool = True,
    ) -> None:
        super().__init__(layout, function, bad_address)
        #: whether rules of a lazy group are put off; whether one was, and whether its registers were wanted after that
        self._puts_off = puts_off and layout.owed is not None
        self._has_put_off = False
        self.too_lazy = False
        self.pool = pool
        self.facts = facts
        self.decisions: list[Decision] = []
        self.slots: list[Slot] = []
        self.jump_targets: list[Part] = []
        self._answers = answers
        #: what seldom holds: once it is asked, the rest is not; and what this path has met of it
        self._seldom_values = seldom
        self.met_seldom: list[DecodeValue] = []
        self._most_decisions = most_decisions
        #: predicates are the business of a record before this one; what was asked for
        self._guard_records = guard_records
        self.asked: tuple[Predicate, object] | None = None
        self._slot_numbers: dict[tuple[DecodeValue, int, bool, bool], int] = {}
        #: a register's offset for writing has a slot of its own even where it equals one for reading: so an encoding
        #: that names a register once, as source and destination, shares the handler of one that names two
        self._writing = False
        self._offset_bits = 16 if layout.size <= 1 << 16 else 32
        self.modes = {mode.name: pool.leaf(MODE, mode.width, mode.name) for mode in layout.modes}

    # ------------------------------------------------------------ values the decoder computes

    def _now(self, value: Value) -> Value:
        """A decode value as a number, if this path has settled it."""
        if isinstance(value, DecodeValue) and (number := self.facts.value(value)) is not None:
            return number
        return value

    def pure(self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int = 0) -> Value:
        return super().pure(name, width, tuple([self._now(value) for value in args]), widths, offset)

    def defer(
        self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int
    ) -> Value | None:
        return self.pool.op(name, width, args, widths, offset)  # type: ignore[arg-type]  # none is a Temp

    def select(self, w: int, c: Value, a: Value, b: Value) -> Value:
        """A choice between decode values is one, and no reason for a variant."""
        c = self._now(c)
        if isinstance(c, Deferred) and not isinstance(a, Temp) and not isinstance(b, Temp):
            return self._deferred_select(w, c, a, b)
        return super().select(w, c, a, b)

    def _deferred_select(self, w: int, c: Deferred, a: Value, b: Value) -> Value:
        if a is b or (isinstance(a, int) and a == b):
            return a
        if w == 1 and isinstance(a, int) and isinstance(b, int):
            return c if a else self.not_(1, c)
        return self.pure("select", w, (c, a, b), (1, w, w))

    def decide(self, condition: Deferred) -> bool | None:
        if not isinstance(condition, DecodeValue):
            raise InternalError(f"{condition!r} is no decode value")
        known = self.facts.value(condition)
        if known is not None:
            return bool(known)
        if self.dead:
            return True
        taken = len(self.decisions)
        if taken >= self._most_decisions:
            return None
        answer = self._answers[taken] if taken < len(self._answers) else True
        self.decisions.append((condition, answer))
        self.facts.assume(condition, answer)
        return answer

    def seldom(self, condition: Value) -> Value:
        condition = self._now(condition)
        if isinstance(condition, DecodeValue) and not self.dead:
            self.met_seldom.append(condition)
        return super().seldom(condition)

    def settle_seldom(self) -> None:
        """Before an instruction begins: where any of what seldom holds does, all else is found out at run time, by one
        handler; the others need not ask."""
        any_of_them: Value = 0
        for condition in self._seldom_values:
            any_of_them = self.or_(1, any_of_them, condition)
        holds = self.known(any_of_them)
        if holds:
            self._most_decisions = len(self.decisions)

    def materialise(self, value: Deferred, width: int) -> Operand:
        if not isinstance(value, DecodeValue):
            raise InternalError(f"{value!r} is no decode value")
        known = self.facts.value(value)
        if known is not None:
            return known
        undecided = len(self.decisions) >= self._most_decisions and value.name in _COMPARISONS
        if undecided and isinstance(value.args[1], int):
            return self._compare_now(value)
        core, signed = value, False
        if value.name in {"sext", "zext"} and value.widths[0] <= 64 and isinstance(value.args[0], DecodeValue):
            core, signed = value.args[0], value.name == "sext"
        bits = _slot_bits(core)
        if core is not value and core.width < bits:
            # Zero-extended into the slot, it may as well be sign-extended out of it: more handlers come out alike.
            stored_signed, signed = signed, True
        else:
            stored_signed = False
        key = (core, bits, stored_signed, self._writing)
        number = self._slot_numbers.get(key)
        if number is None:
            number = self._slot_numbers[key] = len(self.slots)
            self.slots.append(Slot(core, bits, stored_signed))
        return self._load_slot(number, width, signed)

    def _compare_now(self, value: DecodeValue) -> Operand:
        """One of many comparisons nobody decided beforehand: done at run time, so that they share an operand."""
        operands = tuple([self.operand(part, width) for part, width in zip(value.args, value.widths, strict=True)])
        return self.emit1(value.name, operands, value.widths, 1)

    def _load_slot(self, number: int, width: int, signed: bool = False) -> Temp:
        """Read an operand; `lay_out` replaces its number by its offset."""
        return self.emit1("ld_slot", (), (), width, offset=number, size=self.slots[number].bits, flag=signed)

    # ------------------------------------------------------------ predicates

    def guarded(self, predicate: Predicate, fields: object) -> Iterator[None]:
        if not self._guard_records:
            yield from super().guarded(predicate, fields)
        elif not self.dead:
            self.asked = predicate, fields
            yield

    def can_be_passed_over(self) -> bool:
        """Whether it tells the decoder nothing that depends on its happening."""
        return self.waiting() is None and (self.ends_block or not self.new_modes())

    # ------------------------------------------------------------ lazy groups

    def lazy(self, rule: int, *arguments: tuple[Value, int]) -> bool:
        """Note the rule and its arguments, for whoever reads."""
        owed = self.layout.owed
        if owed is None or not self._puts_off:
            return False
        self._has_put_off = True
        self.emit("st_env", (rule,), (64,), offset=owed.rule, symbol=LAZY_SYMBOL)
        for number, (value, width) in enumerate(arguments):
            wide = self.zext(value, width, 64)
            self.emit("st_env", (wide,), (64,), offset=owed.argument(number), symbol=LAZY_SYMBOL)
        return True

    def _wants(self, name: str) -> None:
        if self._has_put_off and self.layout.owed is not None and name in self.layout.owed.registers:
            self.too_lazy = True

    def get_reg(self, name: str) -> Value:
        self._wants(name)
        return super().get_reg(name)

    def set_reg(self, name: str, value: Value) -> None:
        self._wants(name)
        super().set_reg(name, value)

    # ------------------------------------------------------------ register files

    def get_regfile(self, name: str, index: Value) -> Value:
        return super().get_regfile(name, self._now(index))

    def set_regfile(self, name: str, index: Value, value: Value) -> None:
        value = self.operand(value, self.layout.by_name[name].width)
        self._writing = True
        super().set_regfile(name, self._now(index), value)
        self._writing = False

    def regfile_offset(self, file: RegisterLayout, index: Value) -> Value:
        if not isinstance(index, Deferred):
            return super().regfile_offset(file, index)
        w = self._offset_bits
        wide = self.zext(index, index.width, w) if index.width <= w else self.slice(index, index.width, 0, w)
        return self.add(w, self.mul(w, wide, file.stride), file.offset)

    def regfile_write_offset(self, file: RegisterLayout, index: Value) -> Value:
        if not isinstance(index, Deferred):
            return super().regfile_write_offset(file, index)
        offset = self.regfile_offset(file, index)
        if file.zero is None:
            return offset
        return self.select(self._offset_bits, self.eq(index.width, index, file.zero), ENV["sink"], offset)

    # ------------------------------------------------------------ the ends of an instruction

    def set_mode(self, name: str, value: Value) -> None:
        value, known = self._now(value), self.modes[name]
        if known is None or not same(self._now(known), value):
            super().set_mode(name, value)

    def new_modes(self) -> dict[str, Part]:
        """Modes that the instruction leaves with another value, known when it is decoded."""
        found: dict[str, Part] = {}
        for mode in self.layout.modes:
            value = self.modes[mode.name]
            before = self.pool.leaf(MODE, mode.width, mode.name)
            if not mode.prefix and value is not before and not isinstance(value, Temp | None):
                found[mode.name] = value
        return found

    def slot_offset(self, slot: int) -> int:
        return RECORD_HEAD + JUMP_SLOT["bytes"] * slot

    def finish_next(self) -> None:
        """To the next record, even from an instruction that may jump: a branch not taken does not end the block."""
        self.ends_block = False
        self.emit("next", (self.budget(),), (64,))

    def finish_goto(self, slot: int, target: Value) -> None:
        if isinstance(target, Temp):
            raise InternalError("a jump slot to a run-time target")
        reached = len(self.jump_targets)  # numbered as they are reached: not every goto noted is
        self.jump_targets.append(target)
        if isinstance(target, DecodeValue):
            place = self.slot_offset(reached) + JUMP_SLOT["pc"]
            self.slots.append(Slot(target, 64, False, place, in_jump_slot=True))
            target = self._load_slot(len(self.slots) - 1, self.layout.pc_width)
        super().finish_goto(reached, target)

    # ------------------------------------------------------------ one-shot modes and delay slots

    def _leaves(self) -> bool:
        """Whether it may leave the block, or tell the decoder the modes after it."""
        return bool(self._kinds_used) or self._run_time_modes() or bool(self.new_modes())

    def next_mode(self, name: str, value: Value) -> None:
        """Behind an instruction that goes on to the next the engine puts a record that does it (`after_slot`)."""
        if self.dead or not self._leaves():
            return
        if self.known(self.eq(self.layout.mode(name).width, self.get_mode(name), value)) is not True:
            self.set_mode(name, value)

    def leave_slot(self) -> None:
        if not self.dead and self._leaves() and self.known(self._in_slot) is not False:
            super().leave_slot()

    def after_slot(self, kind: int) -> None:
        """The record behind an instruction in one-shot modes: the modes get their next values, and the branch that
        waited for the end of its slot is taken."""
        self.store_flags(self.pool.leaf(FIELD, 64, AFTER_FLAGS))
        if kind == DELAYED_UNKNOWN:
            self._goto_now(self.operand(self._after_slot(), self.layout.pc_width))
        elif kind != DELAYED_NOT_TAKEN:
            target = self.pool.leaf(FIELD, self.layout.pc_width, AFTER_TARGET)
            for taken in self.If(1 if kind == DELAYED_TAKEN else self.ne(64, self._npc(), NOT_TAKEN)):
                if taken:
                    self._goto_now(target)

    def waiting(self) -> tuple[int, Part] | None:
        """What this instruction, if it is delayed, says of where it goes after the slot."""
        if not self._delayed:
            return None
        pending, target = self._pending.value, self._waiting_target()
        if isinstance(pending, int) and pending == NOT_TAKEN:
            return DELAYED_NOT_TAKEN, 0
        if target is None:
            return DELAYED_UNKNOWN, 0
        assert isinstance(target, int | Deferred)
        return (DELAYED_MAYBE if isinstance(pending, Temp) else DELAYED_TAKEN), target

    # ------------------------------------------------------------ operands that records before this one worked out

    def set_operand(self, slot: int, value: Value, width: int) -> None:
        """Leave a value to the next record."""
        self.emit("st_env", (self.zext(value, width, 64),), (64,), offset=ENV[f"operand{slot}"])

    # ------------------------------------------------------------ the op record

    def lay_out(self) -> int:
        """Give the slots still used their places, largest first, after the jump slots; gives the record's size."""
        used = {op.offset for op in self.ops if op.name == "ld_slot"}
        own = [number for number in used if not self.slots[number].in_jump_slot]
        kept = sorted(own, key=lambda number: (-self.slots[number].bits, number))
        at = self.slot_offset(len(self.jump_targets))
        for number in kept:
            self.slots[number].offset = at
            at += self.slots[number].bits // 8
        size = -(-at // 8) * 8
        if size > RECORD_MAX_BYTES:
            raise RecordTooLong(f"{self.function.name}: an op record of {size} bytes")
        last = all(op.name != "next" for op in self.ops)
        for op in self.ops:
            if op.name == "ld_slot":
                op.offset = self.slots[op.offset].offset
            elif op.name in ("next", "skip") or (op.name == "goto_ptr" and last):
                op.size = size
        self.slots = [self.slots[number] for number in kept]
        return size


@dataclass(slots=True)
class InstructionHandlers:
    """What the decoder needs of one instruction."""

    name: str  # an identifier
    instruction: model.Instruction
    #: one for each way its operands' rows may be chosen; one that chooses nothing if it has no operands
    forms: list[Form]
    guard: Guard | None = None

    @property
    def variants(self) -> list[Variant]:
        """Of all forms."""
        return [variant for form in self.forms for variant in form.variants]


@dataclass(slots=True)
class Form:
    """One choice of rows, and the handlers for it."""

    choices: tuple[Choice, ...]
    variants: list[Variant]


@dataclass(slots=True)
class ComputedRows:
    """The records that work out one computed operand, row by row."""

    name: str
    table: Table
    slot: int
    rows: list[list[Variant]]


@dataclass(slots=True)
class HandlerSet:
    """All handlers of an ISA, each distinct one once."""

    layout: Layout
    bad_address: BadAddress | None
    prefixes: bool = False  # whether instructions have any: their length is then known to the decoder only
    functions: list[Function] = field(default_factory=list)
    computed: dict[tuple[str, int], ComputedRows] = field(default_factory=dict)
    _by_text: dict[str, str] = field(default_factory=dict)
    #: by predicate and the fields it is asked about
    guards: dict[tuple[Predicate, tuple[tuple[str, int], ...]], Guard] = field(default_factory=dict)

    def handler(self, function: Function) -> str:
        """Enter a finished handler; gives the name of its equal if there is one."""
        text = "\n".join(format_op(op) for op in function.ops if op.name != "insn_start")
        known = self._by_text.setdefault(text, function.name)
        if known == function.name:
            self.functions.append(function)
        return known

    def known(self, pool: Pool) -> Facts:
        """What is known about every instruction: a user program keeps the machine's modes as they were at the start."""
        known = Facts()
        for mode in self.layout.modes:
            if mode.machine and not self.layout.machine:
                value = pool.op("eq", 1, (pool.leaf(MODE, mode.width, mode.name), mode.reset), (mode.width, mode.width))
                known.assume(value, True)
        return known

    # ------------------------------------------------------------ one instruction

    def instruction(
        self,
        insn: model.Instruction,
        name: str,
        entry: Instruction,
        fields: Callable[..., Any],
        when: Callable[[Builder], Value] | None = None,
    ) -> InstructionHandlers:
        """Run the emitter along every way through it; `when` says that the instruction's space is active."""
        pool = Pool()
        operands = fields(**field_values(insn, pool))
        known = self.known(pool)
        scratch = HandlerBuilder(self.layout, Function("guard"), None, pool, Facts(known), most_decisions=0)
        conditions = [] if when is None else [when(scratch)]
        if entry.guard is not None:
            conditions.append(entry.guard(scratch, operands))
        for condition in conditions:
            if isinstance(condition, DecodeValue):
                known.assume(condition, True)

        length = None if self.prefixes or entry.variable else insn.pattern.length // 8
        if entry.variable is not None:
            return InstructionHandlers(name, insn, self._forms(insn, name, entry, fields, pool, known))

        def emit(b: HandlerBuilder) -> None:
            entry.emit(b, operands)

        def build(guard_records: bool) -> list[tuple[HandlerBuilder, int]]:
            return self._build(name, emit, length, entry.source, pool, known, insn.restartable, guard_records)

        built = build(guard_records=not self.prefixes)
        asked = next((b.asked for b, _ in built if b.asked is not None), None)
        if asked is not None and not all(b.can_be_passed_over() for b, _ in built):
            built, asked = build(guard_records=False), None
        guard = None if asked is None else self._guard(*asked, when)
        return InstructionHandlers(name, insn, [Form((), [self._variant(b, size) for b, size in built])], guard)

    def _forms(
        self,
        insn: model.Instruction,
        name: str,
        entry: Instruction,
        fields: Callable[..., Any],
        pool: Pool,
        known: Facts,
    ) -> list[Form]:
        """Of an instruction with operands: handlers for each choice of rows."""
        assert entry.variable is not None
        scratch = HandlerBuilder(self.layout, Function("guard"), None, pool, Facts(), most_decisions=0)
        forms: list[Form] = []
        for choices in all_choices(entry.variable.uses):
            facts = Facts(known)
            chosen = field_values(insn, pool)
            for layout in (layout for tail in insn.tails for layout in tail.fields):
                chosen[identifier(layout.name)] = pool.leaf(FIELD, layout.width, identifier(layout.name))
            operands = fields(**chosen)
            if not settle(choices, operands, scratch, pool, facts, Slots()):
                continue

            def emit(b: HandlerBuilder, operands: Any = operands) -> None:
                entry.emit(b, operands)

            stem = f"{name}_f{len(forms)}"
            built = self._build(stem, emit, None, entry.source, pool, facts, insn.restartable)
            forms.append(Form(choices, [self._variant(b, size) for b, size in built]))
            self._compute(choices, Slots())
        return forms

    def _compute(self, choices: tuple[Choice, ...], slots: Slots) -> None:
        """See to it that the operands left open have records."""
        for choice in choices:
            if choice.row is None:
                table, slot = choice.use.table, slots.next()
                if (table.name, slot) not in self.computed:
                    rows = [self._row_record(table, row, slot) for row in table.rows]
                    self.computed[table.name, slot] = ComputedRows(f"{table.name}_{slot}", table, slot, rows)
            else:
                self._compute(choice.inner, slots)

    def _row_record(self, table: Table, row: Row, slot: int) -> list[Variant]:
        pool = Pool()
        facts = self.known(pool)
        scratch = HandlerBuilder(self.layout, Function("guard"), None, pool, Facts(), most_decisions=0)
        head = pool.leaf(FIELD, table.head_width, HEAD)
        fields = row_fields(row, head, table.head_width, scratch, pool)
        assume_row(row, fields, head, table.head_width, scratch, facts)

        def emit(b: HandlerBuilder) -> None:
            b.set_operand(slot, row.bind(b, fields).get(), table.width)

        built = self._build(f"{row.name}_to_{slot}", emit, None, row.name, pool, facts)
        return [self._variant(b, size) for b, size in built]

    def _guard(self, predicate: Predicate, operands: object, when: Callable[[Builder], Value] | None) -> Guard:
        """The guards of a predicate, made once."""
        key = predicate, fields_of(operands)
        found = self.guards.get(key)
        if found is not None:
            return found
        pool, known, name = Pool(), Facts(), f"guard_{len(self.guards)}"
        if when is not None:
            scratch = HandlerBuilder(self.layout, Function("guard"), None, pool, Facts(), most_decisions=0)
            active = when(scratch)
            if isinstance(active, DecodeValue):
                known.assume(active, True)
        own = own_fields(operands, pool)

        def emit(b: HandlerBuilder) -> None:
            emit_guard(b, predicate, own)

        built = self._build(name, emit, 0, "", pool, known)
        variants = [self._variant(b, size) if any(op.name == "skip" for op in b.ops) else None for b, size in built]
        decisions = tuple(tuple(b.decisions) for b, _ in built)
        found = self.guards[key] = Guard(f"write_{name}", key[1], tuple(variants), decisions)
        return found

    def _build(
        self,
        name: str,
        emit: Callable[[HandlerBuilder], None],
        length: int | None,
        source: str,
        pool: Pool,
        known: Facts,
        restartable: bool = False,
        guard_records: bool = False,
    ) -> list[tuple[HandlerBuilder, int]]:
        """Every way through an emitter; if they are too many, those that a few decisions tell apart."""
        seldom: list[DecodeValue] = []
        puts_off = True
        for most in (MOST_VARIANTS, *FIRST_DECISIONS):
            pending: list[tuple[bool, ...]] = [()]
            built: list[tuple[HandlerBuilder, int]] = []
            fits, ops = True, 0
            most_built = MOST_VARIANTS if most == MOST_VARIANTS else MOST_FIRST_VARIANTS
            while pending and fits:
                answers = pending.pop()
                if len(built) + len(pending) >= most_built or (ops > MOST_OPS and most):
                    fits = False
                    break
                function = Function(f"h_{name}_{len(built)}")
                b = HandlerBuilder(
                    self.layout,
                    function,
                    self.bad_address,
                    pool,
                    Facts(known),
                    answers,
                    most,
                    guard_records,
                    seldom,
                    puts_off,
                )
                self.run(b, emit, length, f"{name} {source}", restartable)
                if most and (new := [value for value in b.met_seldom if value not in seldom]):
                    # Asked before all else, it makes one handler, not one for each answer to what is asked before it.
                    seldom += dict.fromkeys(new)
                    pending, built, ops = [()], [], 0
                    continue
                if b.too_lazy:  # on one way, so on none: all are to ask the same questions
                    puts_off = False
                    pending, built, ops = [()], [], 0
                    continue
                optimize(function)
                settle_first(function, self.layout)
                ops += len(function.ops)
                try:
                    built.append((b, b.lay_out()))
                except RecordTooLong:
                    if not most:
                        raise
                    fits = False
                pending += [
                    (*[truth for _, truth in b.decisions[:at]], not b.decisions[at][1])
                    for at in range(len(answers), len(b.decisions))
                ]
            if fits:
                return built
        raise AssertionError("without decisions there is one variant")

    def run(
        self,
        b: HandlerBuilder,
        emit: Callable[[HandlerBuilder], None],
        length: int | None,
        line: str,
        restartable: bool = False,
    ) -> None:
        """One instruction through a builder."""
        pc = b.pool.leaf(PC, self.layout.pc_width)
        width = self.layout.pc_width
        next_pc = b.pool.leaf(NEXT_PC, width) if length is None else b.add(width, pc, length)
        b.settle_seldom()
        b.begin_instruction(pc, next_pc, b.pool.leaf(INDEX, 32), line, restartable)
        emit(b)
        b.end_instruction()

    def _variant(self, b: HandlerBuilder, size: int) -> Variant:
        targets = tuple(b.jump_targets)
        return Variant(
            self.handler(b.function),
            tuple(b.decisions),
            tuple(b.slots),
            targets,
            size,
            b.ends_block,
            b.new_modes(),
            b.waiting(),
        )

    def fixed(self, name: str, emit: Callable[[HandlerBuilder], None], length: int) -> Variant:
        """A handler that belongs to no instruction: for undecodable words, for blocks cut short."""
        pool = Pool()
        function = Function(f"h_{name}")
        b = HandlerBuilder(self.layout, function, self.bad_address, pool, self.known(pool), most_decisions=0)
        self.run(b, emit, length, name)
        optimize(b.function)
        settle_first(b.function, self.layout)
        return self._variant(b, b.lay_out())


def _slot_bits(value: DecodeValue) -> int:
    """Storage of an operand: 16 or 32 bits, or a multiple of 64."""
    counted = value.args[0] if value.name == "add" and isinstance(value.args[1], int) else value
    if isinstance(counted, DecodeValue) and counted.name == INDEX:
        return 16  # an index or a little more: no block has that many instructions
    if value.width <= 32:
        return 16 if value.width <= 16 else 32
    return -(-value.width // 64) * 64


def field_values(insn: model.Instruction, pool: Pool) -> dict[str, DecodeValue]:
    """The fields of an encoding, as the dataclass in translate.py names them."""
    return {identifier(f.name): pool.leaf(FIELD, f.width, f.name) for f in insn.pattern.fields}


def identifiers(instructions: Mapping[str, Instruction]) -> dict[str, str]:
    """A distinct identifier for each instruction, for symbols."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in instructions:
        found[name] = identifier(name, frozenset(taken))
        taken.add(found[name])
    return found
