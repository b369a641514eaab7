"""The native decoder of instructions with prefixes and operands: where each operand's row is found, and its records.

`@dec_…` of such an instruction looks for the rows and adds their lengths up before anything is written, for a record
may need the next instruction's address.  A computed operand has functions of its own, which all its instructions share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from gen import model
from gen.handlers import ComputedRows, InstructionHandlers
from gen.operand_choices import HEAD, Choice
from gen.record_builder import (
    CODE,
    DECODER_PARAMETERS,
    FLAGS,
    ILLEGAL,
    INDEX_AT,
    OUT,
    PC_AT,
    TAKEN_SHIFT,
    RecordBuilder,
)
from gen.source import identifier
from runtime.core.layout import Layout
from runtime.tcg.instructions import Instruction, Prefix
from runtime.tcg.ir import Function, Temp, Value, plain_function
from runtime.tcg.operands import Bits, Row, Use, part_of

#: what @row_… answers when no row of an operand fits
NO_ROW = 0xFF


def has_prefixes(layout: Layout) -> bool:
    """Whether instructions may begin with prefixes."""
    return any(mode.prefix for mode in layout.modes)


class OperandPrinter:
    """Finds an instruction's operands, and how long it is, before its record is written."""

    def __init__(self, b: RecordBuilder, handlers: InstructionHandlers, entry: Instruction, fields: Any) -> None:
        self.b = b
        self.handlers = handlers
        self.fields = fields
        self.uses = entry.variable.uses if entry.variable else ()
        self.tails = entry.variable.tails if entry.variable else ()
        #: arguments and place of the computed operands met
        self.open: list[tuple[Value, Value]] = []
        self.length = entry.length

    def print(self) -> None:
        """The rest of `@dec_…`: 0 when no rows fit."""
        self._all(self.uses, self.fields, self.length, (), self._finish, self.tails)
        if not self.b.dead:
            self.b.ret((0,))

    def _all(
        self,
        uses: Sequence[Use],
        fields: Any,
        at: Value,
        chosen: tuple[Choice, ...],
        then: Callable[[Value, tuple[Choice, ...]], None],
        tails: Sequence[Bits] = (),
    ) -> None:
        """Every row of the first operand, and below it of those after it; `then` with all of them."""
        if not uses:
            then(at, chosen)
            return
        use, b = uses[0], self.b
        number = len(chosen)

        def go_on(at: Value, choice: Choice) -> None:
            if number < len(tails):
                for name, value in b.read_parts(tails[number], at).items():
                    b.set_field(name, value)
                at = b.add(64, at, tails[number].length // 8)
            self._all(uses[1:], fields, at, (*chosen, choice), then, tails)

        head = use.head(b, fields)
        if use.table.computed:
            self._computed(use, head, at, go_on)
            return
        for row in use.table.rows:
            test = b.eq(use.table.head_width, b.and_(use.table.head_width, head, row.head.mask), row.head.value)
            for fits in b.If(test):
                if fits:
                    self._row(use, row, head, at, go_on)

    def _row(self, use: Use, row: Row, head: Value, at: Value, then: Callable[[Value, Choice], None]) -> None:
        b = self.b
        values: dict[str, Value] = {part.name: part_of(part, head, use.table.head_width, b) for part in row.head.parts}
        rest = b.read_parts(row.rest, at)
        for name, value in rest.items():
            b.set_field(name, value)
        fields = row.fields(**values, **rest)
        for holds in b.If(row_test(row, fields, at, b)):
            if holds:
                after = b.add(64, at, row.rest.length // 8)
                self._all(row.uses, fields, after, (), lambda at, inner: then(at, Choice(use, row, inner)))

    def _computed(self, use: Use, head: Value, at: Value, then: Callable[[Value, Choice], None]) -> None:
        b = self.b
        wide = b.zext(head, use.table.head_width, 64)
        start = b.add(64, b.parameter(CODE), at)
        arguments: tuple[tuple[Value, int], ...] = ((start, 64), (wide, 64), (b.parameter(FLAGS), 64))
        length = b.call(f"row_{use.table.name}", arguments, (64,), pure=False)
        assert not isinstance(length, tuple)
        for none in b.If(b.eq(64, length, NO_ROW)):
            if none:
                b.ret((0,))
        self.open.append((wide, start))
        then(b.add(64, at, length), Choice(use, None))
        self.open.pop()

    def _finish(self, at: Value, chosen: tuple[Choice, ...]) -> None:
        """All rows are known: the records of computed operands, then the instruction's own."""
        b = self.b
        form = next((form for form in self.handlers.forms if form.choices == chosen), None)
        if form is None:
            b.ret((0,))  # these rows cannot go together
            return
        length = b.add(64, at, b.lshr(64, b.parameter(FLAGS), TAKEN_SHIFT, 8))
        for long in b.If(b.ugt(64, length, b.layout.max_bytes)):
            if long:
                arguments = tuple((b.parameter(number), 64) for number in range(len(DECODER_PARAMETERS)))
                illegal = b.call(f"dec_{ILLEGAL}", arguments, (64,), pure=False)
                assert not isinstance(illegal, tuple)
                b.ret((illegal,))
        width = b.layout.pc_width
        b.next_value = b.add(width, b.slice(b.parameter(PC_AT), 64, 0, width), b.slice(length, 64, 0, width))
        next_pc = b.zext(b.next_value, width, 64)
        b.out = b.parameter(OUT)
        before: Value = 0
        for (head, start), name in zip(self.open, computed_names(chosen), strict=True):
            parameters = (start, head, b.parameter(FLAGS), b.parameter(PC_AT), next_pc, b.out, b.parameter(INDEX_AT))
            size = b.call(f"place_{name}", tuple((value, 64) for value in parameters), (64,), pure=False)
            assert not isinstance(size, tuple)
            b.out, before = b.add(64, b.out, size), b.add(64, before, size)
        b.choose(form.variants, length, {}, before=before)


def computed_names(chosen: Sequence[Choice]) -> list[str]:
    """The records before an instruction's own, in order."""
    tables: list[str] = []

    def collect(choices: Sequence[Choice]) -> None:
        for choice in choices:
            if choice.row is None:
                tables.append(choice.use.table.name)
            collect(choice.inner)

    collect(chosen)
    return [f"{name}_{slot}" for slot, name in enumerate(tables)]


def row_test(row: Row, fields: Any, at: Value, b: RecordBuilder) -> Value:
    """Whether the bytes behind the arguments, and the guard, let a row be taken whose arguments fit."""
    test: Value = 1
    if row.rest.mask:
        length = row.rest.length
        fetch = b.emit1("ld_host", (b.add(64, b.parameter(CODE), at),), (64,), length)
        test = b.eq(length, b.and_(length, fetch, row.rest.mask), row.rest.value)
    if row.guard is not None:
        test = b.and_(1, test, row.guard(b, fields))
    return test


class _RowBuilder(RecordBuilder):
    """Builds the functions of one computed operand; `head` are its arguments."""

    def __init__(self, layout: Layout, function: Function, parameters: Sequence[Temp | None], head: Value) -> None:
        super().__init__(layout, function, parameters)
        self.head = head

    def each(self, computed: ComputedRows, found: Callable[[int], None], missing: int) -> None:
        """`found` where the row with that number fits, the first that does."""
        width = computed.table.head_width
        for number, row in enumerate(computed.table.rows):
            test = self.eq(width, self.and_(width, self.head, row.head.mask), row.head.value)
            for fits in self.If(test):
                if not fits:
                    continue
                values: dict[str, Value] = {part.name: part_of(part, self.head, width, self) for part in row.head.parts}
                rest = self.read_parts(row.rest, 0)
                for name, value in rest.items():
                    self.set_field(name, value)
                self.set_field(HEAD, self.head)
                for holds in self.If(row_test(row, row.fields(**values, **rest), 0, self)):
                    if holds:
                        found(number)
        if not self.dead:
            self.ret((missing,))


def row_finder(layout: Layout, computed: ComputedRows) -> Function:
    """`@row_<table>(code, arguments, flags)`: how many bytes the operand takes, NO_ROW if no row fits."""
    function = plain_function(f"row_{computed.table.name}", (64,) * 3, (64,))
    code, arguments, flags = function.parameters
    b = _RowBuilder(layout, function, (code, None, flags, None, None, None), 0)
    b.head = b.slice(arguments, 64, 0, computed.table.head_width)
    b.each(computed, lambda number: b.ret((computed.table.rows[number].rest.length // 8,)), NO_ROW)
    return function


def row_writer(layout: Layout, computed: ComputedRows) -> Function:
    """`@place_<table>_<slot>(code, arguments, flags, pc, next pc, out, index)`: writes the operand's record, whose size
    it gives."""
    function = plain_function(f"place_{computed.name}", (64,) * 7, (64,))
    code, arguments, flags, pc, next_pc, out, index = function.parameters
    b = _RowBuilder(layout, function, (code, pc, flags, out, None, index), 0)
    b.head = b.slice(arguments, 64, 0, computed.table.head_width)
    b.next_value = b.slice(next_pc, 64, 0, layout.pc_width)

    def write(number: int) -> None:
        b.choose(computed.rows[number], 0, {})

    b.each(computed, write, 0)
    # What a record says of itself, its size apart, is for those that are an instruction's.
    for op in function.ops:
        if op.name == "ret" and not isinstance(op.args[0], int):
            raise AssertionError("a record of an operand has a size known at generation")
        if op.name == "ret":
            (word,) = op.args
            assert isinstance(word, int)
            op.args = (word >> 8 & 0xFFFF,)
    return function


def prefix_function(layout: Layout, number: int, prefix: model.Prefix, entry: Prefix) -> Function:
    """`@prefix_<number>(code, flags)`: FLAGS behind it; 0 when its guard does not hold."""
    function = plain_function(f"prefix_{number}", (64,) * 2, (64,))
    code, flags = function.parameters
    b = RecordBuilder(layout, function, (code, None, flags, None, None, None))
    fields_class = inspect.get_annotations(entry.fields, eval_str=True)["return"]
    fields = fields_class(**{identifier(name): value for name, value in b.read_fields(prefix.pattern).items()})
    if entry.guard is not None:
        for holds in b.If(entry.guard(b, fields)):
            if not holds:
                b.ret((0,))
    entry.apply(b, fields)
    taken = b.lshr(64, flags, TAKEN_SHIFT, 8)
    word = b.shl(64, b.add(64, taken, prefix.pattern.length // 8), TAKEN_SHIFT, 8)
    for mode in layout.modes:
        value = b.zext(b.get_mode(mode.name), mode.width, 64)
        word = b.or_(64, word, b.shl(64, value, mode.shift, 8))
    b.ret((word,))
    return function
