"""ARM and Thumb as Unicorn's users see them."""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.architecture import Architecture, Interrupt, Invalid, Outcome
from isomorph.compat.unicorn.registers import Bank
from isomorph.compat.unicorn.registers_arm import table
from isomorph.stop import GuestException

_CALLS = {"SupervisorCall": 4, "ThumbSupervisorCall": 2}  # and their lengths
#: the numbers its interrupts have, which are QEMU's (target/arm/cpu.h)
_SUPERVISOR_CALL, _BREAKPOINT, _DATA_ABORT = 2, 7, 4


class Arm(Architecture):
    """A32 and Thumb-2: which of them, bit 0 of an address says."""

    name = "ARM"
    isa = "arm"
    access_faults = frozenset(("PrefetchAbort", "DataAbort"))

    def __init__(self) -> None:
        self.registers = table()

    def reset(self, bank: Bank) -> None:
        bank.emulator.regs.z = 1

    def start(self, bank: Bank, begin: int) -> None:
        bank.emulator.regs.t = begin & 1
        bank.emulator.regs.pc = begin & ~1

    def end(self, begin: int, until: int) -> int:
        return until & ~1 if begin & 1 else until

    def mode_now(self, bank: Bank, mode: int) -> int:
        return uc.UC_MODE_THUMB if bank.emulator.regs.t else uc.UC_MODE_ARM

    def size_of_fetch(self, bank: Bank) -> int:
        return 2 if bank.emulator.regs.t else 4

    def outcome(self, bank: Bank, exception: GuestException) -> Outcome:
        if exception.name in _CALLS:
            return Interrupt(_SUPERVISOR_CALL, exception.pc + _CALLS[exception.name])
        if exception.name == "Breakpoint":
            return Interrupt(_BREAKPOINT, exception.pc)
        return Interrupt(_DATA_ABORT, exception.pc) if exception.name == "Alignment" else Invalid()
