"""Which rows an instruction's operands may take together, and what its emitter knows of them.

An instruction has handlers for each choice of rows (register or memory, say).  Only rows of computed operands, such as
the many ways to work out an address, are left open: records before the instruction's own leave their values in env.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from gen.decode_values import FIELD, DecodeValue, Facts, Pool
from runtime.core.env import ENV
from runtime.tcg.builder import Builder
from runtime.tcg.ir import InternalError, Value
from runtime.tcg.operands import Computed, Reference, Row, Taken, Use, part_of

#: the field that is a computed operand's arguments, in its records
HEAD = "head"
#: env.operand0 and so on
MOST_COMPUTED = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """A row for an operand; None: it is computed, whatever its row, by a record of its own."""

    use: Use
    row: Row | None
    inner: tuple[Choice, ...] = ()


class Slots:
    """Numbers computed operands in the order in which they are met."""

    def __init__(self) -> None:
        self._used = 0

    def next(self) -> int:
        """The next number."""
        self._used += 1
        if self._used > MOST_COMPUTED:
            raise InternalError(f"an instruction with more than {MOST_COMPUTED} computed operands")
        return self._used - 1


@dataclass(frozen=True, slots=True)
class Ready:
    """A computed operand as the instruction's own handler sees it."""

    slot: int
    width: int

    def bind(self, b: Builder) -> Reference:
        return Computed(b.emit1("ld_env", (), (), self.width, offset=ENV[f"operand{self.slot}"]))


def all_choices(uses: Sequence[Use]) -> list[tuple[Choice, ...]]:
    """Every way to choose rows for operands, and rows for theirs."""
    each = []
    for use in uses:
        if use.table.computed:
            each.append([Choice(use, None)])
        else:
            each.append([Choice(use, row, inner) for row in use.table.rows for inner in all_choices(row.uses)])
    return [tuple(choices) for choices in product(*each)]


def row_fields(row: Row, head: Value, head_width: int, b: Builder, pool: Pool) -> Any:
    """A row's fields: those of its head are parts of the arguments, the others leaves."""
    values: dict[str, Value] = {part.name: part_of(part, head, head_width, b) for part in row.head.parts}
    values |= {part.name: pool.leaf(FIELD, part.width, part.name) for part in row.rest.parts}
    return row.fields(**values)


def assume_row(row: Row, fields: Any, head: Value, head_width: int, b: Builder, facts: Facts) -> bool:
    """Note what is known where a row was taken; False if it cannot be."""
    low = 0
    while row.head.mask >> low:
        if not row.head.mask >> low & 1:
            low += 1
            continue
        width = 1
        while row.head.mask >> (low + width) & 1:
            width += 1
        wanted = row.head.value >> low & (1 << width) - 1
        condition = b.eq(width, b.slice(head, head_width, low, width), wanted)
        if not _assume(facts, condition):
            return False
        low += width
    return row.guard is None or _assume(facts, row.guard(b, fields))


def _assume(facts: Facts, condition: Value) -> bool:
    """Note that a condition on fields holds; False if it cannot."""
    if not isinstance(condition, int | DecodeValue):
        raise InternalError(f"{condition!r} is no decode value")
    if facts.value(condition) == 0:
        return False
    facts.assume(condition, True)
    return True


def settle(choices: Sequence[Choice], fields: Any, b: Builder, pool: Pool, facts: Facts, slots: Slots) -> bool:
    """Put the operands chosen into `fields`, and note what follows; False if they cannot be chosen."""
    for choice in choices:
        use = choice.use
        if choice.row is None:
            setattr(fields, use.name, Ready(slots.next(), use.table.width))
            continue
        head = use.head(b, fields)
        inner = row_fields(choice.row, head, use.table.head_width, b, pool)
        setattr(fields, use.name, Taken(choice.row, inner))
        if not assume_row(choice.row, inner, head, use.table.head_width, b, facts):
            return False
        if not settle(choice.inner, inner, b, pool, facts, slots):
            return False
    return True
