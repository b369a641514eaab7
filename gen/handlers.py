"""Native handlers: an instruction's emitter run with fields that only the decoder will know.

What an emitter computes from fields alone becomes a DecodeValue.  Where one meets a run-time value it becomes an
operand of the op record (a slot); where the emitter branches on one, it is run once for each answer, and each way
through it is a *variant*: a handler of its own that the decoder chooses.  Handlers that come out alike are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gen import model
from gen.decode_values import FIELD, INDEX, MODE, NEXT_PC, PC, DecodeValue, Facts, Pool
from gen.errors import Diagnostic, SpecError
from gen.guard_records import Guard, Predicate, emit_guard, fields_of, own_fields
from gen.handler_builder import MOST_VARIANTS, BadAddress, HandlerBuilder, RecordTooLong, Variant
from gen.lazy import settle_first
from gen.operand_choices import HEAD, Choice, Slots, all_choices, assume_row, row_fields, settle
from gen.source import identifier
from gen.tree import Pos
from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.instructions import Instruction
from runtime.tcg.ir import Function, Value, format_op
from runtime.tcg.operands import Row, Table, Unwritable
from runtime.tcg.optimize import optimize

#: the ops of all ways through one instruction together (a loop over what the decoder knows gives few ways, but long
#: ones); past this, or MOST_VARIANTS ways, only the first decisions give handlers of their own
MOST_OPS = 2500
#: … of an instruction that has more of them, those that are asked first (a table of system registers is one question
#: after the other: its first rows get handlers of their own, the rest share one), and the ways there may be then
FIRST_DECISIONS = (16, 8, 6, 3, 0)
MOST_FIRST_VARIANTS = 64


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
        forms: list[Form] = []
        for choices in all_choices(entry.variable.uses):
            facts = Facts(known)
            operands = self.chosen(insn, fields, choices, pool, facts)
            if operands is None:
                continue

            def emit(b: HandlerBuilder, operands: Any = operands) -> None:
                entry.emit(b, operands)

            stem = f"{name}_f{len(forms)}"
            try:
                built = self._build(stem, emit, None, entry.source, pool, facts, insn.restartable)
            except Unwritable:
                raise _unwritable(insn, choices) from None
            forms.append(Form(choices, [self._variant(b, size) for b, size in built]))
            self._compute(choices, Slots())
        return forms

    def chosen(
        self,
        insn: model.Instruction,
        fields: Callable[..., Any],
        choices: tuple[Choice, ...],
        pool: Pool,
        facts: Facts,
    ) -> Any:
        """The fields of an instruction whose operands take these rows, noted in `facts`; None if they cannot."""
        values = field_values(insn, pool)
        for layout in (layout for tail in insn.tails for layout in tail.fields):
            values[identifier(layout.name)] = pool.leaf(FIELD, layout.width, identifier(layout.name))
        operands = fields(**values)
        scratch = HandlerBuilder(self.layout, Function("guard"), None, pool, Facts(), most_decisions=0)
        return operands if settle(choices, operands, scratch, pool, facts, Slots()) else None

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


def _unwritable(insn: model.Instruction, choices: Sequence[Choice]) -> SpecError:
    """An instruction writes an operand of which a row that it may take is a plain value."""
    rows: dict[Pos, str] = {}
    for operand, choice in zip(insn.operands, choices, strict=True):
        if choice.row is not None:
            alternative = operand.alternatives[choice.use.table.rows.index(choice.row)]
            if alternative.place is None and not alternative.write:
                rows[alternative.pos] = f"this row of '{operand.name}' is a plain value"
    message = f"'{insn.mnemonic}' writes an operand that may be a plain value"
    help = "say `where` the instruction takes other rows only, or have the row be a place"
    return SpecError([Diagnostic(insn.pos, message, tuple(rows.items()), help)])


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
