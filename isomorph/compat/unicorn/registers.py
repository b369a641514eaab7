"""Registers by Unicorn's numbers: what a number stands for is a `Place`, and an architecture has a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from typing import Protocol, SupportsIndex

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.errors import UcError
from isomorph.emulator import Emulator

#: a number for most registers; the parts of a few, in Unicorn's order
Value = int | tuple[int, ...]
#: registers and what is only kept, as a context saves them
Saved = tuple[dict[str, int], dict[object, Value]]


@dataclass
class Bank:
    """An emulator's registers under Unicorn's numbers.

    kept   values of registers that nothing here acts on: they are read as they were written
    """

    emulator: Emulator
    architecture: str
    table: Mapping[int, Place]
    kept: dict[object, Value] = field(default_factory=dict)

    def read(self, number: int, argument: object = None) -> Value:
        """A register; `argument` is what Unicorn's `aux` is: which one, of those that share a number."""
        return self._place(number).read(self, argument)

    def write(self, number: int, value: object) -> None:
        """Write a register; what is too large for it is cut."""
        self._place(number).write(self, value)

    def save(self) -> Saved:
        """All registers."""
        return self.emulator.regs.as_dict(), dict(self.kept)

    def restore(self, saved: Saved) -> None:
        """All registers as they were saved."""
        registers, kept = saved
        for name, value in registers.items():
            self.emulator.regs[name] = value
        self.kept = dict(kept)

    def _place(self, number: int) -> Place:
        place = self.table.get(number)
        if place is None:
            raise UcError(uc.UC_ERR_ARG, f"there is no {self.architecture} register with number {number}")
        return place


class Place(Protocol):
    """What one of Unicorn's numbers stands for."""

    def read(self, bank: Bank, argument: object) -> Value:
        """What is there."""

    def write(self, bank: Bank, value: object) -> None:
        """Change it; TypeError for a value of the wrong shape, as Unicorn has it."""


def number(value: object) -> int:
    """A value that must be a number."""
    if not isinstance(value, SupportsIndex):
        raise TypeError(f"got {type(value).__name__} while expecting an integer")
    return index(value)


def parts(value: object, count: int) -> tuple[int, ...]:
    """A value that must be a tuple of so many numbers."""
    if not isinstance(value, tuple):
        raise TypeError(f"got {type(value).__name__} while expecting a tuple")
    if len(value) != count:
        raise TypeError(f"got {len(value)} elements while expecting {count}")
    return tuple(map(number, value))


@dataclass(frozen=True)
class Named:
    """A register of ours, or a part of one, by its name."""

    name: str

    def read(self, bank: Bank, argument: object) -> Value:
        return bank.emulator.regs[self.name]

    def write(self, bank: Bank, value: object) -> None:
        registers = bank.emulator.regs
        registers[self.name] = number(value) & (1 << registers.width(self.name)) - 1


@dataclass(frozen=True)
class Joined:
    """Several registers as one number, the lowest bits first."""

    names: tuple[str, ...]

    def read(self, bank: Bank, argument: object) -> Value:
        value, at = 0, 0
        for name in self.names:
            value |= bank.emulator.regs[name] << at
            at += bank.emulator.regs.width(name)
        return value

    def write(self, bank: Bank, value: object) -> None:
        rest = number(value)
        for name in self.names:
            width = bank.emulator.regs.width(name)
            bank.emulator.regs[name] = rest & (1 << width) - 1
            rest >>= width


@dataclass(frozen=True)
class Kept:
    """A register that nothing acts on: it holds what was written, `initial` at first.

    fields   how many numbers it has, for those that are tuples; 0 for a plain one
    """

    name: str
    initial: Value = 0
    width: int = 64
    fields: int = 0

    def read(self, bank: Bank, argument: object) -> Value:
        return bank.kept.get(self.name, self.initial)

    def write(self, bank: Bank, value: object) -> None:
        if self.fields:
            bank.kept[self.name] = parts(value, self.fields)
        else:
            bank.kept[self.name] = number(value) & (1 << self.width) - 1


@dataclass(frozen=True)
class Constant:
    """What reads as one value whatever is written."""

    value: int

    def read(self, bank: Bank, argument: object) -> Value:
        return self.value

    def write(self, bank: Bank, value: object) -> None:
        number(value)


@dataclass(frozen=True)
class Missing:
    """A register that Unicorn has a number for and that is not here."""

    why: str

    def read(self, bank: Bank, argument: object) -> Value:
        raise UcError(uc.UC_ERR_ARG, self.why)

    def write(self, bank: Bank, value: object) -> None:
        raise UcError(uc.UC_ERR_ARG, self.why)


@dataclass(frozen=True)
class Status:
    """A register of flags that we have one by one: (name, its bit in ours, where it stands in Unicorn's).

    rest   the name under which bits are kept that are none of ours
    mask   which bits can be seen and written
    """

    bits: tuple[tuple[str, int, int], ...]
    rest: str
    initial: int = 0
    ones: int = 0
    mask: int = (1 << 32) - 1

    def read(self, bank: Bank, argument: object) -> Value:
        value = number(bank.kept.get(self.rest, self.initial)) | self.ones
        for name, bit, place in self.bits:
            value = value & ~(1 << place) | (bank.emulator.regs[name] >> bit & 1) << place
        return value & self.mask

    def write(self, bank: Bank, value: object) -> None:
        new = number(value)
        before = number(bank.kept.get(self.rest, self.initial))
        bank.kept[self.rest] = before & ~self.mask | new & self.mask
        for name, bit, place in self.bits:
            if self.mask >> place & 1:
                whole = bank.emulator.regs[name] & ~(1 << bit)
                bank.emulator.regs[name] = whole | (new >> place & 1) << bit


def run_of(name: str, low: int, width: int, ours: int = 0) -> tuple[tuple[str, int, int], ...]:
    """`Status` bits of a field of several: ours from bit `ours`, Unicorn's from bit `low`."""
    return tuple((name, ours + bit, low + bit) for bit in range(width))
