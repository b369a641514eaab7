"""RISC-V as Unicorn's users see it."""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.architecture import Architecture, Interrupt, Invalid, Outcome
from isomorph.compat.unicorn.registers import Bank
from isomorph.compat.unicorn.registers_riscv import table
from isomorph.stop import GuestException

_ISAS = {uc.UC_MODE_RISCV32: "riscv32", uc.UC_MODE_RISCV64: "riscv64"}
_TRAP = 4  # by which it moves the pc on before it shows an exception


class RiscV(Architecture):
    """RV32GC and RV64GC."""

    name = "RISC-V"
    access_faults = frozenset(("LoadFault", "StoreFault", "FetchFault"))

    def __init__(self, mode: int) -> None:
        self.isa = _ISAS[mode]
        self.registers = table()

    def size_of_fetch(self, bank: Bank) -> int:
        return 2

    def outcome(self, bank: Bank, exception: GuestException) -> Outcome:
        if exception.name == "Breakpoint":
            return Invalid()
        return Interrupt(exception.code, exception.pc + _TRAP)
