"""What an ISA's generated oracle.py says: where other emulators keep its state, and where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from runtime.core.cpu import Isa

__all__ = ["Difference", "Oracle", "Qemu", "Unicorn", "oracle_of"]


@dataclass(frozen=True)
class Difference:
    """Where another emulator cannot be compared with.

    It holds for an instruction called as one of the patterns `instructions`, and as none that has "!" before it:
    if the value of one of `fields`, or of the register it names, has (value & equal[0]) == equal[1], and
    (value & unequal[0]) != unequal[1]; if one of them, or of all where none is said, names one of these entries of
    a register file, as `registers` says; or if two of the fields in `same` name the same one.  Then the instruction
    is not tried; or, with `result`, only those bits of the register that a field names are compared.
    """

    instructions: tuple[str, ...]
    why: str
    fields: tuple[str, ...] = ()
    equal: tuple[int, int] | None = None
    unequal: tuple[int, int] | None = None
    result: Mapping[str, int] = field(default_factory=dict)
    registers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    same: tuple[str, ...] = ()

    def concerns(self, mnemonic: str) -> bool:
        """Whether this is about an instruction of that name."""
        return any(fnmatchcase(mnemonic, pattern) for pattern in self.instructions) and not any(
            fnmatchcase(mnemonic, pattern[1:]) for pattern in self.instructions if pattern.startswith("!")
        )

    @property
    def always(self) -> bool:
        """Whether it is about such instructions whatever they read and name."""
        return self.equal is None and self.unequal is None and not self.registers and not self.same

    def is_named(self, places: Mapping[str, tuple[str, int]]) -> bool:
        """Whether the registers that the instruction's fields name are such that the two differ."""
        read = [place for field, place in places.items() if not self.fields or field in self.fields]
        if any(number in self.registers.get(name, ()) for name, number in read):
            return True
        named = [places[field] for field in self.same if field in places]
        return len(set(named)) < len(named)

    def holds_for(self, sources: Iterator[int]) -> bool:
        """Whether one of the values that the instruction reads is such that the two differ."""
        if self.always:
            return True
        if self.equal is None and self.unequal is None:
            return False
        return any(
            (self.equal is None or value & self.equal[0] == self.equal[1])
            and (self.unequal is None or value & self.unequal[0] != self.unequal[1])
            for value in sources
        )


@dataclass(frozen=True)
class Unicorn:
    """Names of Unicorn's constants.

    `registers` has a `{}` for the number of a file's entry, or a `{name}` for its name in capitals; `NAME[n]` is a part
    from bit n up of a register that stands for several of ours, `NAME[n,m,...]` these bits of it, from our lowest up.
    `address_mode` is the mode that bit 0 of a start address says.  Registers and modes it is `without` are as after a
    reset at the start of its cases, and not compared; nor is what raises an exception it is without.
    """

    arch: str
    mode: str
    constants: str
    pc: str
    registers: Mapping[str, str]
    setup: Mapping[str, int] = field(default_factory=dict)  # constant of a register -> its value at the start
    unknown: tuple[str, ...] = ()  # patterns of modules, and of instruction spaces, whose instructions it does not know
    differs: tuple[Difference, ...] = ()
    address_mode: str = ""
    without: tuple[str, ...] = ()  # registers, modes, exceptions


@dataclass(frozen=True)
class Qemu:
    """How a program under qemu-user loads and shows its state.

    All in assembly.  `start` brings the address of the symbol `state` into the register called `keep`, which holds it
    from then on; `load` and `store` move one register (`{n}`: of a file, `{at}`: its offset from there); `jump` goes
    to `{target}`; `finish` writes `{size}` bytes from `state`, then `{window_size}` from `window`, to standard output,
    and exits.
    """

    program: str
    keep: str
    start: str
    jump: str
    load: Mapping[str, str]
    store: Mapping[str, str]
    finish: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    differs: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Oracle:
    """Everything of one ISA."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # register -> kinds of random values
    modes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # mode -> values to choose from
    unicorn: Unicorn | None = None
    qemu: Qemu | None = None


def oracle_of(isa: Isa) -> Oracle:
    """What the tables beside the spec say; nothing if there are none."""
    try:
        found: Oracle = isa.module("oracle").ORACLE
    except FileNotFoundError:
        return Oracle()
    return found
