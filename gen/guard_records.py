"""Guard records: what stands before the record of an instruction in a space with a predicate.

The guard's handler asks the predicate and, when that fails, passes the next record over.  So an instruction has one
handler, whatever conditions it can be given, and each condition has one, whatever stands behind it.  Where the decoder
knows that the predicate holds there is no guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gen.decode_values import FIELD, DecodeValue, Pool
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Value

if TYPE_CHECKING:
    from gen.handler_builder import HandlerBuilder, Variant

Predicate = Callable[[Builder, Any], Value]
#: the operand that says how long the next record is, always the first
SKIP, SKIP_OFFSET = "skip", 8


@dataclass(frozen=True, slots=True)
class Guard:
    """One predicate's guards.  `fields` are those of the encoding it is about."""

    symbol: str  # of the function that writes the record, and gives its size: 0 if there is none
    fields: tuple[tuple[str, int], ...]  # names and widths
    variants: tuple[Variant | None, ...]  # None: the predicate holds
    decisions: tuple[tuple[tuple[DecodeValue, bool], ...], ...]  # of each variant


def fields_of(operands: object) -> tuple[tuple[str, int], ...]:
    """The fields a predicate is asked about."""
    values = [getattr(operands, field.name) for field in fields(operands)]  # type: ignore[arg-type]  # a dataclass
    return tuple((value.symbol, value.width) for value in values)


def own_fields(operands: Any, pool: Pool) -> object:
    """The same fields, of another pool."""
    return type(operands)(*(pool.leaf(FIELD, width, name) for name, width in fields_of(operands)))


def emit_guard(b: HandlerBuilder, predicate: Predicate, operands: object) -> None:
    """The guard itself."""
    distance = b.materialise(b.pool.leaf(FIELD, 64, SKIP), 64)
    for holds in b.If(predicate(b, operands)):
        if not holds:
            b.emit("skip", (b.budget(), distance), (64, 64))
