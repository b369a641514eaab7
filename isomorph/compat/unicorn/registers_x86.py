"""What Unicorn's numbers of x86 registers are called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn import x86_const as x86
from isomorph.compat.unicorn.errors import UcError
from isomorph.compat.unicorn.registers import Bank, Joined, Kept, Missing, Named, Place, Status, Value, number, parts

_OF_FLAGS = (("cf", 0, 0), ("pf", 0, 2), ("af", 0, 4), ("zf", 0, 6), ("sf", 0, 7), ("df", 0, 10), ("of", 0, 11))
#: MXCSR (volume 1, 10.2.3): flags, whose order is the other way round in ours and which DE is not among, controls, RC
_MXCSR = (
    *(("sflags", 4 - ours, place) for ours, place in enumerate((0, 2, 3, 4, 5))),
    *(("mxctl", bit, bit) for bit in (1, 6, 7, 8, 9, 10, 11, 12, 15)),
    ("rc", 0, 13), ("rc", 1, 14),
)  # fmt: skip
#: the status word of the x87 unit (8.1.3) with TOP in it
_FPSW = (
    *(("fsw", bit, bit) for bit in (*range(11), 14, 15)),
    *(("top", bit, 11 + bit) for bit in range(3)),
)  # fmt: skip
_WORDS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_LOW = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
_LOW_64 = ("spl", "bpl", "sil", "dil")
MSR_FS_BASE, MSR_GS_BASE = 0xC000_0100, 0xC000_0101
_INTERRUPTS = 9  # EFLAGS.IF
_FLAGS_KEPT = "EFLAGS"


@dataclass(frozen=True)
class Pointer:
    """The instruction pointer: an offset in the code segment where that begins elsewhere."""

    width: int

    def read(self, bank: Bank, argument: object) -> Value:
        return bank.emulator.regs.pc - _code_base(bank) & (1 << self.width) - 1

    def write(self, bank: Bank, value: object) -> None:
        registers = bank.emulator.regs
        registers.pc = (number(value) & (1 << self.width) - 1) + _code_base(bank) & (1 << registers.width("pc")) - 1


def _code_base(bank: Bank) -> int:
    registers = bank.emulator.regs
    if "segments" not in registers or not registers["segments"]:
        return 0
    return registers["cs"] << 4 if registers["segments"] == 2 else registers["csbase"]


@dataclass(frozen=True)
class Segment:
    """A selector.  In protected mode with a descriptor table its descriptor's base is what counts from then on."""

    name: str

    def read(self, bank: Bank, argument: object) -> Value:
        if self.name == "cs" and not _real(bank):
            return number(bank.kept.get("CS", 0))
        return bank.emulator.regs[self.name]

    def write(self, bank: Bank, value: object) -> None:
        registers = bank.emulator.regs
        selector = number(value) & 0xFFFF
        offset = registers.pc - _code_base(bank)
        if _real(bank):
            registers[self.name] = selector
        else:
            if self.name == "cs":
                bank.kept["CS"] = selector
            else:
                registers[self.name] = selector
            base = self._base(bank, selector)
            if base is not None:
                registers[f"{self.name}base"] = base
                based = any(registers[f"{name}base"] for name in ("cs", "ds", "es", "ss"))
                registers["segments"] = int(based)
        if self.name == "cs":
            registers.pc = offset + _code_base(bank) & (1 << registers.width("pc")) - 1

    @staticmethod
    def _base(bank: Bank, selector: int) -> int | None:
        """The base in the descriptor (volume 3, 3.4.5), None where there is no table or bases are not of segments."""
        table = bank.kept.get("GDTR", (0, 0, 0, 0))
        if "segments" not in bank.emulator.regs or not isinstance(table, tuple) or not table[2] or selector < 4:
            return None
        if selector & 4 or (selector | 7) > table[2]:
            raise UcError(uc.UC_ERR_EXCEPTION, f"selector {selector:#x} is not in the descriptor table of GDTR")
        at = table[1] + (selector & ~7)
        if not bank.emulator.mem.is_mapped(at, 8):
            raise UcError(uc.UC_ERR_EXCEPTION, f"the descriptor table of GDTR is not mapped at {at:#x}")
        descriptor = bank.emulator.mem.read_int(at, 8)
        return descriptor >> 16 & 0xFF_FFFF | descriptor >> 32 & 0xFF00_0000


def _real(bank: Bank) -> bool:
    registers = bank.emulator.regs
    return "segments" in registers and registers["segments"] == 2


@dataclass(frozen=True)
class X87:
    """A register of the x87 unit: Unicorn's FP0 to FP7 are the physical ones, as (mantissa, exponent with sign)."""

    entry: int

    def read(self, bank: Bank, argument: object) -> Value:
        whole = bank.emulator.regs[f"fpr{self.entry}"]
        return whole & (1 << 64) - 1, whole >> 64

    def write(self, bank: Bank, value: object) -> None:
        mantissa, exponent = parts(value, 2)
        bank.emulator.regs[f"fpr{self.entry}"] = mantissa & (1 << 64) - 1 | (exponent & 0xFFFF) << 64


@dataclass(frozen=True)
class Mantissa:
    """The low 64 bits of an x87 register: of a physical one, which is an MMX register, or counted from the top."""

    entry: int
    stacked: bool

    def _name(self, bank: Bank) -> str:
        return f"fpr{self.entry + (bank.emulator.regs['top'] if self.stacked else 0) & 7}"

    def read(self, bank: Bank, argument: object) -> Value:
        return bank.emulator.regs[self._name(bank)] & (1 << 64) - 1

    def write(self, bank: Bank, value: object) -> None:
        # An MMX register's upper bits are ones (volume 1, 9.2.2).
        upper = bank.emulator.regs[self._name(bank)] >> 64 if self.stacked else 0xFFFF
        bank.emulator.regs[self._name(bank)] = number(value) & (1 << 64) - 1 | upper << 64


@dataclass(frozen=True)
class Tags:
    """The tag word: 0 a number, 1 zero, 2 something special, 3 empty (volume 1, 8.1.7)."""

    def read(self, bank: Bank, argument: object) -> Value:
        used = bank.emulator.regs["ftw"]
        return sum((self._tag(bank, entry) if used >> entry & 1 else 3) << 2 * entry for entry in range(8))

    @staticmethod
    def _tag(bank: Bank, entry: int) -> int:
        whole = bank.emulator.regs[f"fpr{entry}"]
        exponent, mantissa = whole >> 64 & 0x7FFF, whole & (1 << 64) - 1
        if exponent == 0 and mantissa == 0:
            return 1
        return 2 if exponent in (0, 0x7FFF) or not mantissa >> 63 else 0

    def write(self, bank: Bank, value: object) -> None:
        tags = number(value)
        bank.emulator.regs["ftw"] = sum((tags >> 2 * entry & 3 != 3) << entry for entry in range(8))


@dataclass(frozen=True)
class ModelSpecific:
    """Model-specific registers: read with their number as `aux`, written as (number, value)."""

    def read(self, bank: Bank, argument: object) -> Value:
        which = argument[0] if isinstance(argument, tuple) and argument else argument
        return read_msr(bank, number(which or 0))

    def write(self, bank: Bank, value: object) -> None:
        which, new = parts(value, 2)
        write_msr(bank, which, new)


def read_msr(bank: Bank, which: int) -> int:
    """A model-specific register; those that nothing acts on hold what was written."""
    name = {MSR_FS_BASE: "fsbase", MSR_GS_BASE: "gsbase"}.get(which)
    return number(bank.kept.get(("MSR", which), 0)) if name is None else bank.emulator.regs[name]


def write_msr(bank: Bank, which: int, value: int) -> None:
    """The other way round."""
    name = {MSR_FS_BASE: "fsbase", MSR_GS_BASE: "gsbase"}.get(which)
    if name is None:
        bank.kept["MSR", which] = value & (1 << 64) - 1
    else:
        bank.emulator.regs[name] = value & (1 << bank.emulator.regs.width(name)) - 1


def set_interrupts(bank: Bank, on: bool) -> None:
    """EFLAGS.IF, which nothing here asks for."""
    before = number(bank.kept.get(_FLAGS_KEPT, 0))
    bank.kept[_FLAGS_KEPT] = before & ~(1 << _INTERRUPTS) | on << _INTERRUPTS


def table(bits: int) -> Mapping[int, Place]:
    """The registers of a 16-, 32- or 64-bit machine."""
    numbers = {name[11:]: value for name, value in vars(x86).items() if name.startswith("UC_X86_REG_")}
    words = [*_WORDS, *(f"e{name}" for name in _WORDS), *_LOW]
    named = {name: Named(name) for name in words}
    if bits == 64:
        named |= {name: Named(name) for name in (*(f"r{name}" for name in _WORDS), *_LOW_64)}
        named |= {f"r{n}{part}": Named(f"r{n}{part}") for n in range(8, 16) for part in ("", "d", "w", "b")}
    places: dict[str, Place] = {name.upper(): place for name, place in named.items()}
    places |= {name.upper(): Segment(name) for name in ("cs", "ds", "es", "ss", "fs", "gs")}
    places |= {f"XMM{n}": Named(f"xmm{n}") for n in range(16 if bits == 64 else 8)}
    places |= {f"YMM{n}": Joined((f"xmm{n}", f"yh{n}")) for n in range(16 if bits == 64 else 8)}
    for n in range(8):
        places |= {f"FP{n}": X87(n), f"ST{n}": Mantissa(n, True), f"MM{n}": Mantissa(n, False)}
    places |= {"EIP": Pointer(32), "IP": Pointer(16), "RIP": Pointer(64)}
    for name, width in (("EFLAGS", 32), ("FLAGS", 16), ("RFLAGS", 32)):
        places[name] = Status(_OF_FLAGS, _FLAGS_KEPT, ones=2, mask=(1 << width) - 1)
    places |= {"FPSW": Status(_FPSW, "FPSW", mask=0xFFFF), "FPCW": Named("fcw"), "FPTAG": Tags()}
    places |= {"FIP": Named("fip")}
    places |= {"MXCSR": Status(_MXCSR, "MXCSR", mask=0xFFFF), "MSR": ModelSpecific()}
    places |= {"FS_BASE": Named("fsbase"), "GS_BASE": Named("gsbase")}
    places |= {name: Kept(name, (0, 0, 0, 0), fields=4) for name in ("GDTR", "IDTR", "LDTR", "TR")}
    # What the processor starts with: protected mode, cleared of what was not asked for.
    started = 0 if bits == 16 else 0x11
    places |= {"CR0": Kept("CR0", started), "CR4": Kept("CR4", 0 if bits == 16 else 0x50200)}
    places |= {name: Kept(name) for name in ("CR2", "CR3", "CR8", "FCS", "FDP", "FDS", "FOP")}
    places |= {f"DR{n}": Kept(f"DR{n}", {6: 0xFFFF_0FF0, 7: 0x400}.get(n, 0)) for n in (0, 1, 2, 3, 6, 7)}
    for name in numbers.keys() - places.keys() - {"INVALID", "ENDING"}:
        places[name] = Missing(f"{name} is not here: {_absent(name)}")
    return {numbers[name]: place for name, place in places.items() if name in numbers}


def _absent(name: str) -> str:
    if name.startswith(("ZMM", "XMM", "YMM", "K")):
        return "vectors are those of AVX in 64-bit mode, of SSE otherwise"
    return "64-bit mode has it" if name.startswith(("R", "S", "B", "D")) else "programs do not see it"
