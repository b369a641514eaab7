"""Operands of sub-tables: which row of a table the instruction's bytes choose, and the place it then stands for.

translate.py has a Table for each `operand` of the spec as one use of it instantiates it; an instruction's fields hold
what `take` found.  An emitter binds it, once, and reads and writes the Reference it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from runtime.core.record import mutable_record, record
from runtime.tcg.builder import Builder, Value
from runtime.tcg.memory import AtomicUpdate

# ---------------------------------------------------------------- what an emitter is given


class Update(Protocol):
    """One read-modify-write: `old` was found, `commit` replaces it."""

    @property
    def old(self) -> Value: ...

    def commit(self, new: Value) -> None:
        """Write the new value."""


class Reference(Protocol):
    """A value that can be read and perhaps written; where it is was worked out when it was bound."""

    def get(self) -> Value:
        """Read it."""

    def set(self, new: Value) -> None:
        """Write it."""

    def atomic(self) -> Iterator[Update]:
        """Read and write it as one step."""


class Operand(Protocol):
    """What an instruction's fields hold for an operand."""

    def bind(self, b: Builder) -> Reference:
        """Do what comes with it, and say where it is."""


@mutable_record
class _PlainUpdate:
    """A place nobody else can see."""

    place: Storage
    old: Value

    def commit(self, new: Value) -> None:
        self.place.set(new)


class Unwritable(Exception):
    """A plain value is written: a spec leaves a row to an instruction that is no place."""


@record
class Computed:
    """A value that was computed when the operand was bound."""

    value: Value

    def get(self) -> Value:
        return self.value

    def set(self, new: Value) -> None:
        raise Unwritable

    def atomic(self) -> Iterator[Update]:
        raise Unwritable


@record
class Storage:
    """A register or a part of some."""

    read: Callable[[], Value]
    write: Callable[[Value], object] | None = None

    def get(self) -> Value:
        return self.read()

    def set(self, new: Value) -> None:
        assert self.write is not None
        self.write(new)

    def atomic(self) -> Iterator[Update]:
        yield _PlainUpdate(self, self.get())


@record
class InMemory:
    """`width` bits at an address."""

    b: Builder
    memory: str
    address: Value
    width: int
    big: Value

    def get(self) -> Value:
        return self.b.load(self.memory, self.address, self.width, self.big)

    def set(self, new: Value) -> None:
        self.b.store(self.memory, self.address, self.width, new, self.big)

    def atomic(self) -> Iterator[AtomicUpdate]:
        yield from self.b.atomic(self.memory, self.address, self.width, self.big)


class _Unbound:
    """Stands in an instruction's fields until the decoder knows better."""

    def bind(self, b: Builder) -> Reference:
        raise AssertionError("an operand that was not decoded")


UNBOUND: Operand = _Unbound()


# ---------------------------------------------------------------- tables


@record
class Part:
    """A field of a pattern: bits field_low .. +width-1 stand at bits low .., slice by slice."""

    name: str
    width: int
    slices: tuple[tuple[int, int, int], ...]  # field_low, low, width

    def extract(self, fetch: int) -> int:
        """The field's value."""
        value = 0
        for field_low, low, width in self.slices:
            value |= (fetch >> low & (1 << width) - 1) << field_low
        return value


def part_of(part: Part, whole: Value, width: int, b: Builder) -> Value:
    """A field out of a value that holds it in slices."""
    parts: list[tuple[Value, int]] = []
    top = part.width
    for field_low, low, size in sorted(part.slices, reverse=True):
        if top > field_low + size:
            parts.append((0, top - field_low - size))
        parts.append((b.slice(whole, width, low, size), size))
        top = field_low
    if top:
        parts.append((0, top))
    return b.cat(tuple(parts))


@record
class Bits:
    """A pattern: `length` bits of which those in `mask` are `value`."""

    length: int
    mask: int = 0
    value: int = 0
    parts: tuple[Part, ...] = ()

    def matches(self, bits: int) -> bool:
        """Whether the fixed bits agree."""
        return bits & self.mask == self.value


@record
class Row:
    """One row: `head` is matched against the arguments, `rest` against the bytes that follow."""

    name: str
    head: Bits
    rest: Bits
    fields: Callable[..., Any]  # a class with an attribute for each field and nested operand
    bind: Callable[[Builder, Any], Reference]
    guard: Callable[[Builder, Any], Value] | None = None
    uses: tuple[Use, ...] = ()


@record
class Table:
    """A table; `computed` if every row is a plain value: its address, say, can then be worked out beforehand."""

    name: str
    width: int
    head_width: int
    computed: bool
    rows: tuple[Row, ...]


@record
class Use:
    """`with name = table(…)`; `head` gives the arguments side by side, the first most significant."""

    name: str
    table: Table
    head: Callable[[Builder, Any], Value]


@record
class Taken:
    """The row that an instruction's bytes chose, with its fields."""

    row: Row
    fields: Any

    def bind(self, b: Builder) -> Reference:
        return self.row.bind(b, self.fields)


@record
class Variable:
    """What an instruction has beside a fixed pattern: operands, and its own units behind each."""

    uses: tuple[Use, ...] = ()
    tails: tuple[Bits, ...] = ()

    def complete(self, b: Builder, fields: Any, fetch: int, at: int) -> int | None:
        """Find the operands of fields known so far; gives the bits that all take together, None if no row fits."""
        for number, use in enumerate(self.uses):
            found = _take(use, b, fields, fetch, at)
            if found is None:
                return None
            taken, at = found
            setattr(fields, use.name, taken)
            if number < len(self.tails):
                tail = self.tails[number]
                for part in tail.parts:
                    setattr(fields, part.name, part.extract(fetch >> at))
                at += tail.length
        return at


def _take(use: Use, b: Builder, outer: Any, fetch: int, at: int) -> tuple[Taken, int] | None:
    """The first row that fits, and where the instruction goes on behind it."""
    head = use.head(b, outer)
    assert isinstance(head, int)
    for row in use.table.rows:
        if not row.head.matches(head) or not row.rest.matches(fetch >> at):
            continue
        values = {part.name: part.extract(head) for part in row.head.parts}
        values |= {part.name: part.extract(fetch >> at) for part in row.rest.parts}
        fields = row.fields(**values)
        if row.guard is not None and not row.guard(b, fields):
            continue
        after = Variable(row.uses).complete(b, fields, fetch, at + row.rest.length)
        if after is not None:
            return Taken(row, fields), after
    return None
