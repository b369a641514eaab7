"""Which of Unicorn's architectures and modes there are, and the words for those there are not."""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn.architecture import Architecture
from isomorph.compat.unicorn.arm import Arm
from isomorph.compat.unicorn.errors import UcError
from isomorph.compat.unicorn.mips import Mips
from isomorph.compat.unicorn.riscv import RiscV
from isomorph.compat.unicorn.x86 import X86

SUPPORTED = frozenset((uc.UC_ARCH_X86, uc.UC_ARCH_ARM, uc.UC_ARCH_MIPS, uc.UC_ARCH_RISCV))
_OTHERS = {
    uc.UC_ARCH_ARM64: "ARM64", uc.UC_ARCH_PPC: "PowerPC", uc.UC_ARCH_SPARC: "SPARC", uc.UC_ARCH_M68K: "M68K",
    uc.UC_ARCH_S390X: "S390X", uc.UC_ARCH_TRICORE: "TriCore",
}  # fmt: skip
#: older processors, whose programs the newer one runs
_OLD_ARM = uc.UC_MODE_ARM926 | uc.UC_MODE_ARM946 | uc.UC_MODE_ARM1176
_ONE_OF_MIPS = (uc.UC_MODE_MIPS32, uc.UC_MODE_MIPS32 | uc.UC_MODE_BIG_ENDIAN)


def architecture_of(arch: int, mode: int) -> Architecture:
    """The architecture of a `Uc(arch, mode)`; UcError says what there is instead."""
    if arch not in SUPPORTED:
        name = _OTHERS.get(arch, f"architecture {arch}")
        raise UcError(uc.UC_ERR_ARCH, f"{name} is not here; x86, ARM (32 bits), MIPS32 and RISC-V are")
    if arch == uc.UC_ARCH_ARM:
        return _arm(mode)
    if arch == uc.UC_ARCH_MIPS:
        if mode not in _ONE_OF_MIPS:
            raise UcError(uc.UC_ERR_MODE, "MIPS has UC_MODE_MIPS32 here, with UC_MODE_BIG_ENDIAN or without")
        return Mips(mode)
    if arch == uc.UC_ARCH_X86:
        if mode not in (uc.UC_MODE_16, uc.UC_MODE_32, uc.UC_MODE_64):
            raise UcError(uc.UC_ERR_MODE, "x86 has UC_MODE_16, UC_MODE_32 and UC_MODE_64")
        return X86(mode)
    if mode not in (uc.UC_MODE_RISCV32, uc.UC_MODE_RISCV64):
        raise UcError(uc.UC_ERR_MODE)
    return RiscV(mode)


def _arm(mode: int) -> Architecture:
    if mode & uc.UC_MODE_BIG_ENDIAN:
        raise UcError(uc.UC_ERR_MODE, "ARM is little-endian here")
    if mode & uc.UC_MODE_MCLASS:
        raise UcError(uc.UC_ERR_MODE, "ARM is an A profile's here, not UC_MODE_MCLASS")
    if mode & ~(uc.UC_MODE_THUMB | _OLD_ARM):
        raise UcError(uc.UC_ERR_MODE, "ARM has UC_MODE_ARM and UC_MODE_THUMB here")
    return Arm()
