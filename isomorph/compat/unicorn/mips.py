"""MIPS32 as Unicorn's users see it."""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.architecture import Architecture, Interrupt, Outcome
from isomorph.compat.unicorn.registers import Bank
from isomorph.compat.unicorn.registers_mips import table
from isomorph.stop import GuestException

#: the numbers its interrupts have, which are QEMU's (target/mips/cpu.h)
_NUMBERS = {
    "LoadAddress": 12, "StoreAddress": 13, "Syscall": 17, "Break": 18, "Coprocessor": 19, "Illegal": 20, "Overflow": 21,
    "Trap": 22, "FloatingPoint": 23,
}  # fmt: skip
_UNALIGNED = {"LoadAddress": uc.UC_ERR_READ_UNALIGNED, "StoreAddress": uc.UC_ERR_WRITE_UNALIGNED}


class Mips(Architecture):
    """MIPS32 release 2 in either byte order."""

    name = "MIPS"
    access_faults = frozenset(("LoadMiss", "StoreMiss"))

    def __init__(self, mode: int) -> None:
        self.isa = "mips" if mode & uc.UC_MODE_BIG_ENDIAN else "mipsel"
        self.registers = table()

    def outcome(self, bank: Bank, exception: GuestException) -> Outcome:
        at = exception.pc + 4 if exception.name == "Syscall" else exception.pc
        return Interrupt(_NUMBERS[exception.name], at, _UNALIGNED.get(exception.name))
