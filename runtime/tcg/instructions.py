"""What a generated translate.py says about its instructions, and what its decoder answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.core.record import record, replace
from runtime.tcg.builder import Builder, Value
from runtime.tcg.operands import Variable


@record
class Instruction:
    """One encoding of one instruction.

    The fields are a dataclass of its own for each set of fields there is; emitter, extraction and guard agree on it.
    """

    name: str
    mnemonic: str  # shared by all encodings and clones of one instruction
    source: str  # file:line in the spec
    space: str
    length: int  # bytes
    emit: Callable[[Builder, Any], None]
    fields: Callable[[int], Any]  # from the fetch integer
    guard: Callable[[Builder, Any], Value] | None = None  # `where` and `when`: 1 if this encoding applies
    undefined: tuple[str, ...] = ()  # registers whose new values the manual leaves open: comparisons pass over them
    variable: Variable | None = None  # operands of sub-tables; `length` is then that of what comes before them


@record
class Decoded:
    """An instruction with the values of its fields."""

    instruction: Instruction
    fields: Any
    #: bytes, prefixes and operands included; 0 for an instruction that has neither
    whole: int = 0

    @property
    def name(self) -> str:
        """The encoding's unique name."""
        return self.instruction.name

    @property
    def length(self) -> int:
        """Bytes."""
        return self.whole or self.instruction.length

    @property
    def emit(self) -> Callable[[Builder, Any], None]:
        """The emitter, to be called with a builder and `fields`."""
        return self.instruction.emit


@record
class Prefix:
    """Bytes before an instruction that say something about it."""

    fields: Callable[[int], Any]
    apply: Callable[[Builder, Any], None]
    guard: Callable[[Builder, Any], Value] | None = None


def behind(found: Decoded | None, length: int) -> Decoded | None:
    """What was found behind `length` bytes of prefix."""
    return replace(found, whole=found.length + length) if found else None


def with_operands(instruction: Instruction, fields: Any, fetch: int, b: Builder) -> Decoded | None:
    """An instruction whose operands are still to be found in its bytes; None if no row of a table fits them."""
    assert instruction.variable is not None
    bits = instruction.variable.complete(b, fields, fetch, 8 * instruction.length)
    return None if bits is None else Decoded(instruction, fields, bits // 8)


@record
class Helper:
    """A function of the spec that is compiled once and called."""

    name: str
    body: Callable[..., Any]  # (builder, *parameters) -> a value, a tuple of them, or None
    parameters: tuple[int, ...]  # widths
    results: tuple[int, ...]


def known(*values: Value) -> bool:
    """Whether all of them are numbers."""
    return all(isinstance(value, int) for value in values)


def one(result: Value | tuple[Value, ...]) -> Value:
    """What a helper with one result gave."""
    assert not isinstance(result, tuple)
    return result


def several(result: Value | tuple[Value, ...]) -> tuple[Value, ...]:
    """What a helper with several results, or none, gave."""
    assert isinstance(result, tuple)
    return result


@record
class Hook:
    """An `on …` of the spec."""

    name: str
    body: Callable[..., Any]  # (builder, *parameters) -> as a helper's body
    parameters: tuple[int, ...]
    results: tuple[int, ...] = ()
