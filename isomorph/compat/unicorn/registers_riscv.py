"""What Unicorn's numbers of RISC-V registers are called here."""

from __future__ import annotations

from collections.abc import Mapping

from isomorph.compat.unicorn import riscv_const as riscv
from isomorph.compat.unicorn.registers import Constant, Joined, Named, Place


def table() -> Mapping[int, Place]:
    """Machine mode's registers read as 0: programs here are user mode's."""
    numbers = {value for name, value in vars(riscv).items() if name.startswith("UC_RISCV_REG_")}
    places: dict[int, Place] = {number: Constant(0) for number in numbers}
    for number in range(32):
        places[riscv.UC_RISCV_REG_X0 + number] = Named(f"x{number}")
        places[riscv.UC_RISCV_REG_F0 + number] = Named(f"f{number}")
    places[riscv.UC_RISCV_REG_PC] = Named("pc")
    places[riscv.UC_RISCV_REG_FFLAGS] = Named("fflags")
    places[riscv.UC_RISCV_REG_FRM] = Named("frm")
    places[riscv.UC_RISCV_REG_FCSR] = Joined(("fflags", "frm"))
    return places
