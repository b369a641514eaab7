"""What Unicorn's numbers of ARM registers are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isomorph.compat.unicorn import arm_const as arm
from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.errors import UcError
from isomorph.compat.unicorn.registers import Bank, Joined, Kept, Missing, Named, Place, Status, Value, number, run_of

_FLAGS = (("n", 0, 31), ("z", 0, 30), ("c", 0, 29), ("v", 0, 28))
_APSR = (*_FLAGS, ("q", 0, 27), *run_of("ge", 16, 4))
#: CPSR (ARM ARM B1.3.3), whose IT is in two parts
_CPSR = (*_APSR, *run_of("it", 25, 2), *run_of("it", 10, 6, ours=2), ("e", 0, 9), ("t", 0, 5))
#: the supervisor's mode and the interrupts it masks, as Unicorn starts; nothing here depends on them
_SUPERVISOR = 0x1D3
#: FPSCR (A2.5.3), whose cumulative flags are the other way round here
_FPSCR = (
    ("fn", 0, 31), ("fz", 0, 30), ("fc", 0, 29), ("fv", 0, 28), ("qc", 0, 27), *run_of("fpmode", 22, 5), ("idc", 0, 7),
    *(("fflags", bit, 4 - bit) for bit in range(5)),
)  # fmt: skip
#: coprocessor registers by what MRC names them: (coprocessor, first opcode, CRn, CRm, second opcode)
_COPROCESSOR: dict[tuple[int, ...], Place] = {
    (15, 0, 13, 0, 2): Named("tpidrurw"),
    (15, 0, 13, 0, 3): Named("tpidruro"),
    (15, 0, 1, 0, 2): Kept("C1_C0_2", width=32),
}


@dataclass(frozen=True)
class ProgramCounter:
    """The pc, of which bit 0, written, chooses Thumb."""

    def read(self, bank: Bank, argument: object) -> Value:
        return bank.emulator.regs.pc

    def write(self, bank: Bank, value: object) -> None:
        address = number(value)
        bank.emulator.regs.t = address & 1
        bank.emulator.regs.pc = address & 0xFFFF_FFFE


@dataclass(frozen=True)
class Coprocessor:
    """Unicorn's (cp, is64, sec, crn, crm, opc1, opc2, val), without the value to read."""

    def read(self, bank: Bank, argument: object) -> Value:
        place, _ = self._find(argument, 7)
        return place.read(bank, None)

    def write(self, bank: Bank, value: object) -> None:
        place, new = self._find(value, 8)
        place.write(bank, new)

    @staticmethod
    def _find(argument: object, count: int) -> tuple[Place, int]:
        if not isinstance(argument, tuple) or len(argument) != count:
            raise UcError(uc.UC_ERR_ARG, f"a coprocessor register needs {count} numbers, not {argument!r}")
        cp, wide, _, crn, crm, opc1, opc2 = argument[:7]
        place = _COPROCESSOR.get((cp, opc1, crn, crm, opc2))
        if wide or place is None:
            raise UcError(uc.UC_ERR_ARG, f"coprocessor {cp} has no register c{crn}, c{crm}, {opc1}, {opc2} here")
        return place, argument[-1]


def table() -> Mapping[int, Place]:
    """Core, floating-point and status registers, and the thread's."""
    places: dict[int, Place] = {
        arm.UC_ARM_REG_SP: Named("r13"),
        arm.UC_ARM_REG_LR: Named("r14"),
        arm.UC_ARM_REG_PC: ProgramCounter(),
        arm.UC_ARM_REG_CPSR: Status(_CPSR, "CPSR", _SUPERVISOR),
        arm.UC_ARM_REG_SPSR: Kept("SPSR", width=32),
        arm.UC_ARM_REG_APSR: Status(_APSR, "CPSR", _SUPERVISOR, mask=0xF80F_0000),
        arm.UC_ARM_REG_APSR_NZCV: Status(_FLAGS, "CPSR", _SUPERVISOR, mask=0xF000_0000),
        arm.UC_ARM_REG_APSR_NZCVQ: Status(_APSR, "CPSR", _SUPERVISOR, mask=0xF800_0000),
        arm.UC_ARM_REG_APSR_G: Status(_APSR, "CPSR", _SUPERVISOR, mask=0x000F_0000),
        arm.UC_ARM_REG_APSR_NZCVQG: Status(_APSR, "CPSR", _SUPERVISOR, mask=0xF80F_0000),
        arm.UC_ARM_REG_ITSTATE: Named("it"),
        arm.UC_ARM_REG_FPSCR: Status(_FPSCR, "FPSCR"),
        arm.UC_ARM_REG_FPSCR_NZCV: Status(_FPSCR, "FPSCR", mask=0xF000_0000),
        # Floating point works whether it is switched on or not.
        arm.UC_ARM_REG_FPEXC: Kept("FPEXC", width=32),
        arm.UC_ARM_REG_FPSID: Kept("FPSID", 0x4104_30F0, width=32),
        arm.UC_ARM_REG_C1_C0_2: Kept("C1_C0_2", width=32),
        arm.UC_ARM_REG_C13_C0_2: Named("tpidrurw"),
        arm.UC_ARM_REG_C13_C0_3: Named("tpidruro"),
        arm.UC_ARM_REG_CP_REG: Coprocessor(),
    }
    for entry in range(13):
        places[arm.UC_ARM_REG_R0 + entry] = Named(f"r{entry}")
    for entry in range(32):
        places[arm.UC_ARM_REG_D0 + entry] = Named(f"d{entry}")
        places[arm.UC_ARM_REG_S0 + entry] = Named(f"s{entry}")
    for entry in range(16):
        places[arm.UC_ARM_REG_Q0 + entry] = Joined((f"d{2 * entry}", f"d{2 * entry + 1}"))
    for name, entry in vars(arm).items():
        if name.startswith("UC_ARM_REG_") and name not in ("UC_ARM_REG_INVALID", "UC_ARM_REG_ENDING"):
            places.setdefault(
                entry, Missing(f"{name[11:]} is not here: there are the registers of A and R profiles' programs")
            )
    return places
