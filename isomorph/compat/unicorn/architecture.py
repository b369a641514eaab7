"""What tells one architecture of Unicorn's from another: its registers, where it starts, what its exceptions become."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from isomorph.compat.unicorn.registers import Bank, Place
from isomorph.stop import GuestException


@dataclass(frozen=True)
class Interrupt:
    """UC_HOOK_INTR is called with `number` while the pc is `pc`; without such hooks it is UC_ERR_EXCEPTION.

    error   ends the run behind the hooks, too: they are told, and cannot mend it
    """

    number: int
    pc: int
    error: int | None = None


@dataclass(frozen=True)
class Invalid:
    """No instruction: UC_HOOK_INSN_INVALID, else UC_ERR_INSN_INVALID."""


@dataclass(frozen=True)
class Instruction:
    """UC_HOOK_INSN of a kind whose hooks are all that the instruction does; it goes on at `next`."""

    kind: int
    next: int


@dataclass(frozen=True)
class Input:
    """UC_HOOK_INSN of `in`: the hook's answer goes into the register of `name`, 0 without hooks."""

    port: int
    size: int
    name: str
    next: int


@dataclass(frozen=True)
class Output:
    """UC_HOOK_INSN of `out`."""

    port: int
    size: int
    value: int
    next: int


@dataclass(frozen=True)
class Done:
    """What the instruction does has been done; `halt` ends the run without an error."""

    next: int
    halt: bool = False


Outcome = Interrupt | Invalid | Instruction | Input | Output | Done


class Architecture(ABC):
    """One architecture in one mode; those there are stand in files of their own."""

    #: as messages name it
    name: str
    #: which of our instruction sets it is
    isa: str
    registers: Mapping[int, Place]
    #: exceptions that say that an access was not possible
    access_faults: frozenset[str]

    def reset(self, bank: Bank) -> None:
        """Registers that start otherwise than ours."""

    def start(self, bank: Bank, begin: int) -> None:
        """Have the next instruction be the one at `begin`."""
        bank.emulator.regs.pc = begin

    def end(self, begin: int, until: int) -> int:
        """The address that `until` means."""
        return until

    def mode_now(self, bank: Bank, mode: int) -> int:
        """The mode that the processor is in; it was made with `mode`."""
        return mode

    def size_of_fetch(self, bank: Bank) -> int:
        """How many bytes a fetch that fails is said to have."""
        return 4

    @abstractmethod
    def outcome(self, bank: Bank, exception: GuestException) -> Outcome:
        """What becomes of an exception that is no access's."""

    def hooked_instruction(self, bank: Bank, kind: int) -> bool:
        """Whether the instruction at the pc, which raises nothing, is one of a kind of UC_HOOK_INSN."""
        return False

    def knows_instruction(self, kind: int) -> bool:
        """Whether UC_HOOK_INSN takes this kind."""
        return False

    def is_quiet(self, kind: int) -> bool:
        """Whether instructions of a kind raise nothing, so that somebody has to look for them."""
        return False
