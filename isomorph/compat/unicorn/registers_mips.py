"""What Unicorn's numbers of MIPS registers are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isomorph.compat.unicorn import mips_const as mips
from isomorph.compat.unicorn.registers import Bank, Kept, Missing, Named, Place, Status, Value, number, run_of

#: FCSR (MIPS32 volume I, 5.6): rounding, flags, enables, causes, the first condition, flush to zero, the others.  Ours
#: have inexact at bit 0, as FCSR has.
_FCSR = (
    *run_of("rm", 0, 2), *run_of("flags", 2, 5), *run_of("enables", 7, 5), *run_of("cause", 12, 6),
    ("cc0", 0, 23), ("fs", 0, 24), *run_of("cc", 25, 7),
)  # fmt: skip
#: Status (volume III, 9.24): FR chooses 64-bit registers; the rest holds what is written, and starts as Unicorn's
_STATUS = (("fr", 0, 26),)
_STATUS_AT_FIRST, _CONFIG3, _FIR = 0x2040_0004, 0xC20, 0x0073_9300
_NOT_HERE = (
    (("DSP", "AC", "MPL", "P"), "the DSP module is not here"),
    (("W",), "MSA is not here"),
    (("CC", "FCC"), "conditions are bits of FCSR here"),
)


@dataclass(frozen=True)
class FloatingPoint:
    """A register of the FPU: 32 bits wide, a half of a pair, unless FR says that each has 64."""

    entry: int

    def _name(self, bank: Bank) -> tuple[str, int, int]:
        """Our name, and which bits of it."""
        if bank.emulator.regs["fr"]:
            return f"f{self.entry}", 0, 64
        return f"f{self.entry & ~1}", 32 * (self.entry & 1), 32

    def read(self, bank: Bank, argument: object) -> Value:
        name, low, width = self._name(bank)
        return bank.emulator.regs[name] >> low & (1 << width) - 1

    def write(self, bank: Bank, value: object) -> None:
        name, low, width = self._name(bank)
        mask = (1 << width) - 1
        bank.emulator.regs[name] = bank.emulator.regs[name] & ~(mask << low) | (number(value) & mask) << low


def table() -> Mapping[int, Place]:
    """General and floating-point registers, the pc, HI, LO, and what of coprocessor 0 scripts ask for."""
    places: dict[int, Place] = {
        mips.UC_MIPS_REG_PC: Named("pc"),
        mips.UC_MIPS_REG_HI: Named("hi"),
        mips.UC_MIPS_REG_LO: Named("lo"),
        mips.UC_MIPS_REG_CP0_USERLOCAL: Named("userlocal"),
        mips.UC_MIPS_REG_CP0_STATUS: Status(_STATUS, "CP0_STATUS", _STATUS_AT_FIRST),
        mips.UC_MIPS_REG_CP0_CONFIG3: Kept("CP0_CONFIG3", _CONFIG3),
        mips.UC_MIPS_REG_FIR: Kept("FIR", _FIR),
        mips.UC_MIPS_REG_FCSR: Status(_FCSR, "FCSR"),
    }
    for entry in range(32):
        places[mips.UC_MIPS_REG_0 + entry] = Named(f"r{entry}")
        places[mips.UC_MIPS_REG_F0 + entry] = FloatingPoint(entry)
    for name, entry in vars(mips).items():
        for starts, why in _NOT_HERE:
            if name.startswith("UC_MIPS_REG_") and name[12:].rstrip("0123456789_").startswith(starts):
                places.setdefault(entry, Missing(why))
    return places
