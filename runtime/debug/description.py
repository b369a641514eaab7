"""A guest's registers as gdb knows them: the types of build/<isa>/gdb.py, which is generated from NAME.gdb.toml."""

from __future__ import annotations

from runtime.core.record import record
from runtime.core.register_part import Part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.accelerator import Registers
    from runtime.core.cpu import Isa


@record
class WireRegister:
    """A register as it goes over the wire: its bytes, and what they are made of, the lowest bits first."""

    name: str
    bits: int
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return self.bits // 8


@record
class Description:
    """An instruction set for gdb: target.xml, byte order, and the registers by their numbers."""

    isa: str
    big_endian: bool
    xml: str
    registers: tuple[WireRegister, ...]


def load_description(isa: Isa) -> Description:
    """What `gen` printed for an instruction set."""
    description: Description = isa.module("gdb").DESCRIPTION
    return description


def read_register(vcpu: Registers, register: WireRegister) -> int:
    """Its value; a register that cannot be had whole is made of its parts."""
    value = shift = 0
    for part in register.parts:
        bits = _read(vcpu, part) >> part.low ^ (-1 if part.inverted else 0)
        value |= (bits & part.mask) << shift
        shift += part.width
    return value


def write_register(vcpu: Registers, register: WireRegister, value: int) -> None:
    """Set it; bits that no part has are dropped, and so are hard-wired registers."""
    for part in register.parts:
        for place in (part, *part.also):
            if place.name:
                bits = (value ^ (-1 if place.inverted else 0)) & place.mask
                _write(vcpu, place, _read(vcpu, place) & ~(place.mask << place.low) | bits << place.low)
        value >>= part.width


def _read(vcpu: Registers, part: Part) -> int:
    """All of what the part is of."""
    if part.name == "pc":
        return vcpu.pc
    if not part.name:
        return part.index
    if part.name in vcpu.layout.by_name:
        return vcpu.get(part.name, _entry(vcpu, part))
    return vcpu.get_mode(part.name)


def _write(vcpu: Registers, part: Part, value: int) -> None:
    if part.name == "pc":
        if value != vcpu.pc and vcpu.layout.slot is not None:
            vcpu.set_mode(vcpu.layout.slot, 0)  # no branch was before what gdb goes on with
        vcpu.pc = value
    elif part.name in vcpu.layout.by_name:
        vcpu.set(part.name, value, _entry(vcpu, part))
    else:
        vcpu.set_mode(part.name, value)


def _entry(vcpu: Registers, part: Part) -> int:
    """Which entry of its file it is now."""
    if not part.counted_from:
        return part.index
    return (part.index + vcpu.get_mode(part.counted_from)) % part.entries
