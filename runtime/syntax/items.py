"""What sections are made of: one item for each statement that takes space, names a place or sets a symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.syntax.encode import Candidate, Encoder
from runtime.syntax.expressions import Expression
from runtime.syntax.statements import Statement

__all__ = ["Align", "Assignment", "Bytes", "Code", "Data", "Extent", "Fault", "Item", "Label", "Leb", "Origin", "Space"]


class Fault(Exception):
    """An error at 0-based places of a statement's text."""

    def __init__(self, message: str, start: int = 0, end: int | None = None, notes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.notes = message, start, end, tuple(notes)


@dataclass(slots=True)
class Item:
    """One statement in a section; `locals` counts the numbered labels before it."""

    statement: Statement
    locals: Mapping[str, int]


@dataclass(slots=True)
class Label(Item):
    name: str


@dataclass(slots=True)
class Assignment(Item):
    name: str
    value: Expression


@dataclass(slots=True)
class Extent(Item):
    """`.size name, value`."""

    name: str
    value: Expression


@dataclass(slots=True)
class Data(Item):
    size: int
    values: list[tuple[Expression, int, int]]


@dataclass(slots=True)
class Leb(Item):
    """`.uleb128`: seven bits a byte; it keeps the size it once had."""

    signed: bool
    value: Expression
    size: int = 1


@dataclass(slots=True)
class Bytes(Item):
    """Bytes that are the same wherever they stand: data, or an instruction, whose `mark` is a symbol for its kind."""

    data: bytes
    mark: str = ""


@dataclass(slots=True)
class Space(Item):
    """`.fill count, size, value`: `.space` has size 1."""

    count: Expression
    size: int
    fill: Expression


@dataclass(slots=True)
class Origin(Item):
    """`.org address`: up to this place of the section."""

    to: Expression
    fill: Expression


@dataclass(slots=True)
class Align(Item):
    """Up to a multiple of a number, given itself or as a power of two, unless that takes more than `most`."""

    boundary: Expression
    power: bool
    fill: Expression | None
    most: Expression | None
    encoder: Encoder
    short: bool
    mark: str


@dataclass(slots=True)
class Code(Item):
    """An instruction whose bytes depend on symbols or its address; `short` ones are chosen as long as they fit."""

    encoder: Encoder
    short: bool
    candidates: list[Candidate]
    mark: str
    size: int = 0
