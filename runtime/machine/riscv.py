"""What a monitor and a log say of RISC-V processors: traps by their CSRs, page tables, and Spike's commit log.

Everything is read from a processor's registers by the names its spec has for them, and from physical memory.
"""

from __future__ import annotations

from runtime.core.record import record
from runtime.machine.machine import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from runtime.core.accelerator import Vcpu

    class Hart(Protocol):
        """A processor whose registers can be had one by one (TCG's)."""

        index: int

        @property
        def pc(self) -> int: ...

        def get(self, name: str, index: int = 0) -> int: ...

        def get_mode(self, name: str) -> int: ...

        def translate(self, address: int, access: int = 0) -> int | None: ...

    #: (physical address, size) -> bytes; MachineError where there is no RAM
    ReadPhysical = Callable[[int, int], bytes]

__all__ = ["commit_line", "describe_trap", "mappings"]

_PRIVILEGES = {0: "u", 1: "s", 3: "m"}
#: satp's MODE -> levels, bits of an index, bytes of an entry (privileged architecture, 12.1.11)
_MODES_64 = {8: (3, 9, 8), 9: (4, 9, 8), 10: (5, 9, 8)}
_MODE_32 = (2, 10, 4)
_VALID, _LEAF = 0x1, 0xE
_ATTRIBUTES = "rwxugad"
_MOST_LINES = 2000


def describe_trap(vcpu: Vcpu, exception: str) -> str:
    """What a trap's CSRs say, once it was entered."""
    registers = vcpu.registers()
    mode = _PRIVILEGES.get(registers["PRIV"], "?")
    words = [
        f"{mode}{name}={registers[mode + name]:#x}" for name in ("cause", "epc", "tval") if mode + name in registers
    ]
    return f": {' '.join(words)}"


# -------------------------------------------------------------------- page tables


def mappings(vcpu: Vcpu, bits: int, read: ReadPhysical) -> str:
    """`info mem`: what satp maps, neighbours of the same kind together."""
    satp = vcpu.registers()["satp"]
    if bits == 32:
        mode, root = (_MODE_32 if satp >> 31 else None), (satp & 0x3FFFFF) << 12
    else:
        mode, root = _MODES_64.get(satp >> 60), (satp & (1 << 44) - 1) << 12
    if mode is None:
        return "no translation (satp says Bare)"
    lines = [f"{'virtual':18} {'physical':16} {'size':>14}  attributes"]
    last: _Mapping | None = None
    for found in _leaves(mode, mode[0] - 1, root, 0, bits, read):
        if last is not None and last.virtual + last.size == found.virtual and last.continues(found):
            last = _Mapping(last.virtual, last.physical, last.size + found.size, last.attributes)
            continue
        if last is not None:
            lines.append(str(last))
        last = found
        if len(lines) > _MOST_LINES:
            return "\n".join([*lines, "and more"])
    if last is not None:
        lines.append(str(last))
    return "\n".join(lines)


@record
class _Mapping:
    virtual: int
    physical: int
    size: int
    attributes: str

    def continues(self, other: _Mapping) -> bool:
        return self.attributes == other.attributes and self.physical + self.size == other.physical

    def __str__(self) -> str:
        return f"{self.virtual:#018x} {self.physical:016x} {self.size:#14x}  {self.attributes}"


def _leaves(
    mode: tuple[int, int, int], level: int, table: int, start: int, bits: int, read: ReadPhysical
) -> Iterator[_Mapping]:
    levels, index_bits, entry_bytes = mode
    try:
        data = read(table, entry_bytes << index_bits)
    except MachineError:  # a table outside RAM maps nothing
        return
    size = 1 << 12 + index_bits * level
    for index in range(1 << index_bits):
        entry = int.from_bytes(data[index * entry_bytes : (index + 1) * entry_bytes], "little")
        if not entry & _VALID:
            continue
        virtual = start + index * size
        if level == levels - 1 and bits == 64 and index >> index_bits - 1:
            virtual |= -1 << 12 + index_bits * levels & (1 << 64) - 1  # addresses are signed
        physical = (entry >> 10 & ((1 << 44) - 1 if bits == 64 else (1 << 22) - 1)) << 12
        if entry & _LEAF:
            attributes = "".join(
                letter if entry >> bit & 1 else "-" for letter, bit in zip(_ATTRIBUTES, range(1, 8), strict=True)
            )
            yield _Mapping(virtual, physical & -size, size, attributes)
        elif level:
            yield from _leaves(mode, level - 1, physical, virtual, bits, read)


# -------------------------------------------------------------------- Spike's commit log


@record
class _Effect:
    """What an instruction of the base, M, A, F, D, C or Zicsr extensions writes, by its encoding.

    register   X or F and its number
    csr        its number
    access     load, store or both (AMO); register and offset that make the address, bytes, and the register stored
    """

    register: tuple[str, int] | None = None
    csr: int | None = None
    access: str = ""
    base: int = 0
    offset: int = 0
    size: int = 0
    source: tuple[str, int] = ("X", 0)


_CSR_NAMES = {
    **{0x3B0 + number: f"pmpaddr{number}" for number in range(64)},
    0x105: "stvec",
    0x106: "scounteren",
    0x10A: "senvcfg",
    0x140: "sscratch",
    0x141: "sepc",
    0x142: "scause",
    0x143: "stval",
    0x14D: "stimecmp",
    0x180: "satp",
    0x302: "medeleg",
    0x303: "mideleg",
    0x304: "mie",
    0x305: "mtvec",
    0x306: "mcounteren",
    0x30A: "menvcfg",
    0x320: "mcountinhibit",
    0x340: "mscratch",
    0x341: "mepc",
    0x342: "mcause",
    0x343: "mtval",
}


def commit_line(hart: Hart, bits: int, read: ReadPhysical) -> Callable[[], str]:
    """Called before an instruction; what it returns is called behind it, for the line."""
    pc, privilege = hart.pc, hart.get_mode("PRIV")
    mask, digits = (1 << bits) - 1, bits // 4
    word = _fetch(hart, pc, read)
    effect = _effect(word, bits)
    address = hart.get("X", effect.base) + effect.offset & mask if effect.access else 0
    stored = hart.get(*effect.source)

    def line() -> str:
        width = 8 if word & 3 == 3 else 4
        text = f"core{hart.index:4}: {privilege} 0x{pc & mask:0{digits}x} (0x{word:0{width}x})"
        failed = False
        if effect.register is not None and effect.register != ("X", 0):
            file, number = effect.register
            value = hart.get(file, number)
            failed = effect.access == "conditional" and value != 0
            text += f" {file.lower()}{number:<2} 0x{value:0{digits if file == 'X' else 16}x}"
        if effect.csr is not None and (written := _csr(hart, effect.csr)) is not None:
            text += f" c{effect.csr}_{_CSR_NAMES[effect.csr]} 0x{written:0{digits}x}"
        if effect.access in ("load", "both"):
            text += f" mem 0x{address:0{digits}x}"
        if effect.access in ("store", "both", "conditional") and not failed:
            value = stored
            if effect.access == "both":
                place = hart.translate(address)
                value = 0 if place is None else int.from_bytes(read(place, effect.size), "little")
            text += f" mem 0x{address:0{digits}x} 0x{value & (1 << 8 * effect.size) - 1:0{2 * effect.size}x}"
        return text

    return line


def _csr(hart: Hart, number: int) -> int | None:
    """A CSR that is a register by itself."""
    name = _CSR_NAMES.get(number, "")
    if name.startswith("pmpaddr"):
        return hart.get("PMPADDR", int(name.removeprefix("pmpaddr")))
    for known in (name, name.upper()):
        try:
            return hart.get(known)
        except KeyError:
            continue
    return None


def _fetch(hart: Hart, pc: int, read: ReadPhysical) -> int:
    word = 0
    for part in (0, 2):
        place = hart.translate(pc + part, 2)
        try:
            half = 0 if place is None else int.from_bytes(read(place, 2), "little")
        except MachineError:
            half = 0
        word |= half << 8 * part
        if not part and half & 3 != 3:
            break
    return word


def _bits(word: int, *places: tuple[int, int, int]) -> int:
    """A number put together of fields: (from bit, width, to bit)."""
    return sum((word >> low & (1 << width) - 1) << to for low, width, to in places)


def _effect(word: int, bits: int) -> _Effect:
    if word & 3 != 3:
        return _compressed(word, bits)
    opcode, rd, kind = word & 0x7F, word >> 7 & 31, word >> 12 & 7
    rs1, rs2, high = word >> 15 & 31, word >> 20 & 31, word >> 25
    signed = (word >> 20) - (1 << 12 if word >> 31 else 0)
    to_x, to_f = ("X", rd), ("F", rd)
    if opcode in (0x03, 0x07):
        return _Effect(to_x if opcode == 0x03 else to_f, None, "load", rs1, signed, 1 << (kind & 3))
    if opcode in (0x23, 0x27):
        offset = _bits(word, (7, 5, 0), (25, 7, 5)) - (1 << 12 if word >> 31 else 0)
        return _Effect(None, None, "store", rs1, offset, 1 << (kind & 3), ("X" if opcode == 0x23 else "F", rs2))
    if opcode == 0x2F:
        access = {2: "load", 3: "conditional"}.get(high >> 2, "both")
        return _Effect(to_x, None, access, rs1, 0, 1 << (kind & 3), ("X", rs2))
    if opcode == 0x73:
        if kind == 0:
            return _Effect()
        writes = kind & 3 == 1 or rs1 != 0  # csrrs and csrrc with x0 or 0 only read
        return _Effect(to_x, word >> 20 if writes else None)
    if opcode == 0x53:  # comparisons, classes, moves and conversions to integers
        return _Effect(to_x if high >> 2 in (0x14, 0x18, 0x1C) else to_f)
    if opcode in (0x43, 0x47, 0x4B, 0x4F):
        return _Effect(to_f)
    if opcode in (0x37, 0x17, 0x6F, 0x67, 0x13, 0x1B, 0x33, 0x3B):
        return _Effect(to_x)
    return _Effect()


def _compressed(word: int, bits: int) -> _Effect:
    """The C extension: quadrant and funct3."""
    what = (word & 3, word >> 13)
    rd, low, high = word >> 7 & 31, 8 + (word >> 2 & 7), 8 + (word >> 7 & 7)
    wide = bits == 64
    word_offset, double_offset = (
        _bits(word, (10, 3, 3), (6, 1, 2), (5, 1, 6)),
        _bits(word, (10, 3, 3), (5, 2, 6)),
    )
    accesses = {
        (0, 1): ("load", "F", high, double_offset, 8, low),
        (0, 2): ("load", "X", high, word_offset, 4, low),
        (0, 3): ("load", "X", high, double_offset, 8, low) if wide else ("load", "F", high, word_offset, 4, low),
        (0, 5): ("store", "F", high, double_offset, 8, low),
        (0, 6): ("store", "X", high, word_offset, 4, low),
        (0, 7): ("store", "X", high, double_offset, 8, low) if wide else ("store", "F", high, word_offset, 4, low),
        (2, 1): ("load", "F", 2, _bits(word, (12, 1, 5), (5, 2, 3), (2, 3, 6)), 8, rd),
        (2, 2): ("load", "X", 2, _bits(word, (12, 1, 5), (4, 3, 2), (2, 2, 6)), 4, rd),
        (2, 5): ("store", "F", 2, _bits(word, (10, 3, 3), (7, 3, 6)), 8, word >> 2 & 31),
        (2, 6): ("store", "X", 2, _bits(word, (9, 4, 2), (7, 2, 6)), 4, word >> 2 & 31),
    }
    if wide:
        accesses[2, 3] = ("load", "X", 2, _bits(word, (12, 1, 5), (5, 2, 3), (2, 3, 6)), 8, rd)
        accesses[2, 7] = ("store", "X", 2, _bits(word, (10, 3, 3), (7, 3, 6)), 8, word >> 2 & 31)
    else:
        accesses[2, 3] = ("load", "F", 2, _bits(word, (12, 1, 5), (4, 3, 2), (2, 2, 6)), 4, rd)
        accesses[2, 7] = ("store", "F", 2, _bits(word, (9, 4, 2), (7, 2, 6)), 4, word >> 2 & 31)
    if what in accesses:
        access, file, base, offset, size, number = accesses[what]
        if access == "load":
            return _Effect((file, number), None, access, base, offset, size)
        return _Effect(None, None, access, base, offset, size, (file, number))
    if what == (0, 0):
        return _Effect(("X", low))
    if what in ((1, 0), (1, 2), (1, 3), (2, 0)):
        return _Effect(("X", rd))
    if what == (1, 1):
        return _Effect(("X", rd if wide else 1))
    if what == (1, 4):
        return _Effect(("X", high))
    if what == (2, 4):
        if word >> 2 & 31:
            return _Effect(("X", rd))  # c.mv, c.add
        return _Effect(("X", 1) if word >> 12 & 1 and rd else None)  # c.jalr
    return _Effect()
