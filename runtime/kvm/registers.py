"""A processor's registers by name: what listings, debuggers and boards read and write of one that does not run."""

from __future__ import annotations

from runtime.kvm import abi
from runtime.kvm.processor import Processor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")
CONTROL = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base")
GENERAL = tuple(field[0] for field in abi.kvm_regs._fields_)
_BASES = {"fs_base": "fs", "gs_base": "gs"}
_FLOATING = {
    "fctrl": "fcw",
    "fstat": "fsw",
    "fop": "last_opcode",
    "fioff": "last_ip",
    "fooff": "last_dp",
    "mxcsr": "mxcsr",
}
_FILES = {"st": 10, "xmm": 16}


class RegisterNames:
    """The names that `get` and `set` know, as debuggers look for them."""

    def __init__(self) -> None:
        names = (*GENERAL, *SEGMENTS, *CONTROL, *_BASES, *_FLOATING, *_FILES, "ftag", "fiseg", "foseg")
        self.by_name = dict.fromkeys(names)
        self.slot: str | None = None  # it has no delay slots


class Registers:
    """The part of a vCPU that names its registers."""

    layout = RegisterNames()
    processor: Processor

    def registers(self) -> Mapping[str, int]:
        general, special = self.processor.regs(), self.processor.sregs()
        found = {name: int(getattr(general, name)) for name in GENERAL}
        for name in SEGMENTS:
            found[name] = getattr(special, name).selector
            found[f"{name}.base"] = getattr(special, name).base
        return found | {name: int(getattr(special, name)) for name in CONTROL}

    def set_register(self, name: str, value: int) -> None:
        general, special = self.processor.regs(), self.processor.sregs()
        segment, dot, base = name.partition(".")
        if name in GENERAL:
            setattr(general, name, value)
            self.processor.set_regs(general)
        elif name in CONTROL:
            setattr(special, name, value)
            self.processor.set_sregs(special)
        elif segment in SEGMENTS and (not dot or base == "base"):
            setattr(getattr(special, segment), "base" if dot else "selector", value)
            self.processor.set_sregs(special)
        else:
            raise KeyError(name)

    @property
    def pc(self) -> int:
        """The linear address of the next instruction."""
        special = self.processor.sregs()
        return int(self.processor.regs().rip) + (0 if special.cs.l else int(special.cs.base))

    @pc.setter
    def pc(self, value: int) -> None:
        special = self.processor.sregs()
        self.set_register("rip", value - (0 if special.cs.l else int(special.cs.base)))

    def translate(self, address: int, access: int = 0) -> int | None:
        """The physical address behind a linear one, whatever the access."""
        return self.processor.translate(address)

    # ------------------------------------------------------------ as debuggers ask

    def get(self, name: str, index: int = 0) -> int:
        """A register by gdb's name, or one of a file; KeyError."""
        if name in _FILES:
            unit = self.processor.fpu()
            data = bytes((unit.fpr if name == "st" else unit.xmm)[index])
            return int.from_bytes(data[: _FILES[name]], "little")
        if name in _FLOATING:
            return int(getattr(self.processor.fpu(), _FLOATING[name]))
        if name == "ftag":
            return _full_tags(int(self.processor.fpu().ftwx))
        if name in ("fiseg", "foseg"):
            return 0
        if name in _BASES:
            return int(getattr(self.processor.sregs(), _BASES[name]).base)
        return self.registers()[name]

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Change it; KeyError."""
        if name in _FILES or name in _FLOATING:
            unit = self.processor.fpu()
            if name in _FLOATING:
                setattr(unit, _FLOATING[name], value)
            else:
                file = unit.fpr if name == "st" else unit.xmm
                for place, byte in enumerate(value.to_bytes(_FILES[name], "little")):
                    file[index][place] = byte
            self.processor.set_fpu(unit)
        elif name in _BASES:
            self.set_register(f"{_BASES[name]}.base", value)
        elif name not in ("ftag", "fiseg", "foseg"):  # which follow from what is in the unit
            self.set_register(name, value)

    def get_mode(self, name: str) -> int:
        """There are no modes beside the registers."""
        raise KeyError(name)

    def set_mode(self, name: str, value: int) -> None:
        """There are no modes beside the registers."""
        raise KeyError(name)


def _full_tags(short: int) -> int:
    """Two bits a register, 3 for an empty one, of the bit that FXSAVE has for each."""
    return sum((0 if short >> number & 1 else 3) << 2 * number for number in range(8))
