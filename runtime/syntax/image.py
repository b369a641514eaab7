"""What the assembler makes: sections at their addresses, symbols, and where to start."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.syntax.statements import Statement

__all__ = ["Image", "Row", "Section", "Symbol"]


@dataclass(frozen=True, slots=True)
class Section:
    """`size` bytes at `address`, of which `data` are given and the rest are 0; what is not loaded has no address."""

    name: str
    address: int
    data: bytes
    size: int
    writable: bool
    executable: bool
    alignment: int
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class Symbol:
    """A label, or a constant (`section` is then None)."""

    name: str
    value: int
    section: str | None
    is_global: bool
    size: int  # as .size says, or the bytes to the next label of its section
    kind: str | None = None  # 'function' or 'object', if the text says so; 'label' of code that tells them apart


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a listing: a statement, where it stands, and its bytes."""

    statement: Statement
    section: str
    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A program, linked: sections by address."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    entry: int
    marks: tuple[tuple[str, int, str], ...] = ()  # section, address, and $x or $d: what begins there

    def section(self, name: str) -> Section:
        """The section called `name`; KeyError if there is none."""
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(name)

    def symbol(self, name: str) -> int:
        """The value of a symbol; KeyError if there is none."""
        for symbol in self.symbols:
            if symbol.name == name:
                return symbol.value
        raise KeyError(name)
