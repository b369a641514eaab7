"""Looking into a machine for its monitors: memory by physical and virtual addresses, maps, devices, registers."""

from __future__ import annotations

from runtime.core.accelerator import BusError
from runtime.core.record import record
from runtime.machine.machine import Machine, MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.accelerator import Vcpu
    from runtime.core.disassembly import Disassemble
    from runtime.hw.bus import AddressSpace, Region

_PAGE = 4096
_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
_MOST_ITEMS = 65536


@record
class Format:
    """`/10xw` behind x and xp: how many, how (x, d, u, o, c, s, i), and of what size."""

    count: int = 1
    how: str = "x"
    size: int = 4


def parse_format(text: str) -> Format:
    """MachineError."""
    digits = len(text) - len(text.lstrip("0123456789"))
    count, how, size = int(text[:digits] or 1), "x", 4
    for letter in text[digits:]:
        if letter in _SIZES:
            size = _SIZES[letter]
        elif letter in "xduoci":
            how = letter
        else:
            raise MachineError(f"/{text}: {letter!r} is no format; there are x d u o c i, and sizes b h w g")
    if how == "c":
        size = 1
    if not 0 < count <= _MOST_ITEMS:
        raise MachineError(f"/{text}: 1 to {_MOST_ITEMS} items")
    return Format(count, how, size)


class Examiner:
    """One user's view of a machine: `vcpu` is the processor looked at."""

    def __init__(self, machine: Machine, disassemble: Callable[[], Disassemble | None] = lambda: None) -> None:
        self.machine = machine
        self.current = 0
        self._disassemble = disassemble

    @property
    def vcpu(self) -> Vcpu:
        return self.machine.vcpus[self.current]

    # ------------------------------------------------------------ memory

    def physical(self, address: int, size: int) -> bytes:
        """Bytes of RAM or ROM; devices are not read, for that may change them.  MachineError."""
        data = bytearray()
        while size > 0:
            piece = self.machine.space.find(address)
            if piece is None or piece.region.memory is None:
                what = "nothing" if piece is None else f"the device {piece.region.name}"
                raise MachineError(f"cannot read {address:#x}: {what} is there")
            count = min(size, piece.end - address)
            offset = address - piece.start + piece.offset
            data += piece.region.memory.bytes[offset : offset + count]
            address, size = address + count, size - count
        return bytes(data)

    def virtual(self, address: int, size: int) -> bytes:
        """Bytes as the processor sees them; MachineError."""
        data = b""
        while size > 0:
            count = min(size, _PAGE - address % _PAGE)
            place = self.translate(address)
            if place is None:
                raise MachineError(f"cannot read {address:#x}: it is not mapped")
            data += self.physical(place, count)
            address, size = address + count, size - count
        return data

    def write_virtual(self, address: int, data: bytes) -> None:
        """Store bytes where the processor sees `address`; MachineError."""
        while data:
            count = min(len(data), _PAGE - address % _PAGE)
            place = self.translate(address)
            if place is None:
                raise MachineError(f"cannot write {address:#x}: it is not mapped")
            try:
                self.machine.memory.write(place, data[:count])
            except BusError as error:
                raise MachineError(str(error)) from error
            address, data = address + count, data[count:]

    def translate(self, address: int) -> int | None:
        """The physical address, as for a fetch and then as for a load: code may be executable only."""
        found = self.vcpu.translate(address, 0)
        return self.vcpu.translate(address, 2) if found is None else found

    def dump(self, wanted: Format, address: int, physical: bool) -> str:
        """What x and xp print; MachineError."""
        read = self.physical if physical else self.virtual
        digits = 16 if address >> 32 or not physical else 8
        if wanted.how == "i":
            return self._instructions(wanted.count, address, read, digits)
        lines, line = [], ""
        width = {"x": 2 * wanted.size + 2, "c": 5}.get(wanted.how, 0)
        per_line = max(1, 16 // wanted.size)
        for index in range(wanted.count):
            if index % per_line == 0:
                if line:
                    lines.append(line)
                line = f"{address + index * wanted.size:0{digits}x}:"
            value = int.from_bytes(read(address + index * wanted.size, wanted.size), "little")
            line += f" {_shown(value, wanted):>{width}}"
        return "\n".join([*lines, line])

    def _instructions(self, count: int, address: int, read: Callable[[int, int], bytes], digits: int) -> str:
        disassemble = self._disassemble()
        if disassemble is None:
            raise MachineError("there is no disassembler for these processors")
        lines = []
        for _ in range(count):
            data = b""
            for size in (16, 8, 4, 2):  # less, where the memory ends
                try:
                    data = read(address, size)
                    break
                except MachineError:
                    if size == 2:
                        raise
            used, shown, text = disassemble(data, address, 0)
            lines.append(f"{address:0{digits}x}:  {shown:>8}  {text}")
            address += used
        return "\n".join(lines)

    # ------------------------------------------------------------ the rest

    def registers(self) -> str:
        """`info registers`."""
        lines, line = [], ""
        for name, value in self.vcpu.registers().items():
            cell = f"{name:>10} {value:016x}"
            if len(line) + len(cell) > 116:
                lines.append(line)
                line = ""
            line += ("  " if line else "") + cell
        return "\n".join([f"CPU#{self.current}", *lines, line])

    def memory_map(self) -> str:
        """`info mtree`."""
        lines = [f"address-space: {self.machine.space.name}"]
        lines += _regions(self.machine.space, 1)
        lines.append("flat view:")
        for piece in self.machine.space.pieces:
            offset = f" @{piece.offset:x}" if piece.offset else ""
            lines.append(f"  {piece.start:016x}-{piece.end - 1:016x} {piece.kind:6} {piece.region.name}{offset}")
        return "\n".join(lines)

    def devices(self) -> str:
        """`info qtree`."""
        lines = []
        for placed in self.machine.devices.values():
            where = "" if placed.address is None else f" at {placed.address:#x}"
            wires = f", irq {' '.join(map(str, placed.interrupts))}" if placed.interrupts else ""
            lines.append(f"{placed.device.name} ({placed.device.kind}){where}{wires}")
            if text := placed.device.describe():
                lines.append(f"    {text}")
        return "\n".join(lines)

    def interrupts(self) -> str:
        """`info irq`: controllers, and the processors' wires that are up."""
        lines = [
            f"{placed.device.name}: {placed.device.describe()}"
            for placed in self.machine.devices.values()
            if "plic" in placed.device.name or "pic" in placed.device.name
        ]
        up = [line.name for line in self.machine.lines if line.level]
        return "\n".join([*lines, f"processors' inputs that are up: {' '.join(up) or 'none'}"])


def _regions(space: AddressSpace, depth: int) -> list[str]:
    lines = []
    for region in sorted(space.regions, key=lambda region: (region.address, -region.priority)):
        hidden = "" if region.enabled else " [disabled]"
        lines.append(
            f"{'  ' * depth}{region.address:016x}-{region.end - 1:016x} (prio {region.priority}, {_kind(region)}): "
            f"{region.name}{hidden}"
        )
        if region.space is not None:
            lines += _regions(region.space, depth + 1)
    return lines


def _kind(region: Region) -> str:
    if region.space is not None:
        return f"window at {region.offset:#x} of {region.space.name}"
    if region.memory is None:
        return "device"
    if region.device is not None:
        return "flash"
    return "ram" if region.writable else "rom"


def _shown(value: int, wanted: Format) -> str:
    bits = 8 * wanted.size
    if wanted.how == "d":
        return str(value - (1 << bits) if value >> (bits - 1) else value)
    if wanted.how == "u":
        return str(value)
    if wanted.how == "o":
        return f"0{value:o}"
    if wanted.how == "c":
        return repr(chr(value))
    return f"0x{value:0{2 * wanted.size}x}"
