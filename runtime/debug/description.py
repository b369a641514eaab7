"""A guest's registers as gdb knows them: the types of build/<isa>/gdb.py, which is generated from NAME.gdb.toml."""

from __future__ import annotations

from runtime.core.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.accelerator import Registers
    from runtime.core.cpu import Isa


@record
class Part:
    """A piece of a register: a register, a mode or the entry of a file of the spec, or "pc".

    Without a name: bits that never change, whose value is `index`.
    """

    name: str
    index: int
    width: int


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
        value |= (_read(vcpu, part) & ((1 << part.width) - 1)) << shift
        shift += part.width
    return value


def write_register(vcpu: Registers, register: WireRegister, value: int) -> None:
    """Set it; bits that no part has are dropped, and so are hard-wired registers."""
    for part in register.parts:
        _write(vcpu, part, value & ((1 << part.width) - 1))
        value >>= part.width


def _read(vcpu: Registers, part: Part) -> int:
    if part.name == "pc":
        return vcpu.pc
    if not part.name:
        return part.index
    if part.name in vcpu.layout.by_name:
        return vcpu.get(part.name, part.index)
    return vcpu.get_mode(part.name)


def _write(vcpu: Registers, part: Part, value: int) -> None:
    if part.name == "pc":
        vcpu.pc = value
    elif part.name in vcpu.layout.by_name:
        vcpu.set(part.name, value, part.index)
    elif part.name:
        vcpu.set_mode(part.name, value)
