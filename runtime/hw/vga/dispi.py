"""Bochs' display interface: a framebuffer's size and depth by eleven registers (QEMU's docs/specs/standard-vga)."""

from __future__ import annotations

from runtime.hw.bus import Memory
from runtime.hw.device import Device, DeviceError
from runtime.hw.display import Display
from runtime.hw.pci.function import COMMAND, IO_ENABLE, MASTER_ENABLE, MEMORY_ENABLE, Bar, PciFunction
from runtime.hw.registry import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.hw.device import Platform

__all__ = ["BochsDisplay", "Dispi", "DispiPorts", "Framebuffer"]

VENDOR, DEVICE, SUBSYSTEM = 0x1234, 0x1111, (0x1AF4, 0x1100)
ID, WIDTH, HEIGHT, DEPTH, ENABLE, BANK, VIRTUAL_WIDTH, VIRTUAL_HEIGHT, LEFT, TOP, MEMORY = range(11)
_IDENTITY = 0xB0C5
_ON, _CAPABILITIES, _KEEP_MEMORY = 0x01, 0x02, 0x80
_MOST = {WIDTH: 2560, HEIGHT: 1600, DEPTH: 32}
_BAND = 16  # rows that are compared in one go
_DEPTHS = (8, 15, 16, 24, 32)
#: where the registers are in the second base-address register's memory
LEGACY_AT, DISPI_AT, MMIO_SIZE = 0x400, 0x500, 0x1000


class Dispi:
    """The registers; `on_change` hears when the picture has another size or place."""

    def __init__(self, memory: Memory, on_change: Callable[[], None]) -> None:
        self.memory = memory
        self.on_change = on_change
        self.index = 0
        self.values = [0] * 11
        self.reset()

    def reset(self) -> None:
        self.index = 0
        self.values[:] = [0] * 11
        self.values[ID] = _IDENTITY

    @property
    def shown(self) -> bool:
        """Whether the picture is the framebuffer."""
        return bool(self.values[ENABLE] & _ON)

    def read(self, index: int) -> int:
        if index == MEMORY:
            return self.memory.size >> 16
        if index >= len(self.values):
            return 0
        if self.values[ENABLE] & _CAPABILITIES and index in _MOST:
            return _MOST[index]
        return self.values[index]

    def write(self, index: int, value: int) -> None:
        value &= 0xFFFF
        if index == ENABLE:
            self._enable(value)
        elif index in (WIDTH, HEIGHT, DEPTH):
            if not self.shown:
                self.values[index] = value
        elif index in (ID, BANK, VIRTUAL_WIDTH, LEFT, TOP):
            self.values[index] = value
            self._fit()
            self.on_change()

    def _enable(self, value: int) -> None:
        values = self.values
        before, values[ENABLE] = values[ENABLE], value
        if value & _ON and not before & _ON:
            if values[DEPTH] not in _DEPTHS:
                values[DEPTH] = 8
            values[WIDTH] = min(max(values[WIDTH], 1), _MOST[WIDTH])
            values[HEIGHT] = min(max(values[HEIGHT], 1), _MOST[HEIGHT])
            values[VIRTUAL_WIDTH] = values[LEFT] = values[TOP] = 0
            self._fit()
            if not value & _KEEP_MEMORY:
                self.memory.discard()
        self.on_change()

    def bytes_per_pixel(self) -> int:
        return (self.values[DEPTH] + 7) // 8

    def _fit(self) -> None:
        """The picture within the memory: rows at least as long as it is wide, and no more of them than there are."""
        values = self.values
        if not self.shown:
            return
        values[VIRTUAL_WIDTH] = max(values[VIRTUAL_WIDTH], values[WIDTH])
        row = values[VIRTUAL_WIDTH] * self.bytes_per_pixel()
        rows = min(self.memory.size // row, 0xFFFF)
        values[HEIGHT] = min(values[HEIGHT], rows)
        values[VIRTUAL_HEIGHT] = rows
        values[LEFT] = min(values[LEFT], values[VIRTUAL_WIDTH] - values[WIDTH])
        values[TOP] = min(values[TOP], rows - values[HEIGHT])

    def pixels(self, palette: Callable[[], bytes]) -> bytes | memoryview:
        """Four bytes a pixel: blue, green, red, nothing.  `palette` gives those of 256 colours."""
        values, size = self.values, self.bytes_per_pixel()
        row, width = values[VIRTUAL_WIDTH] * size, values[WIDTH] * size
        start = values[TOP] * row + values[LEFT] * size
        rows = [self.memory.bytes[at : at + width] for at in range(start, start + values[HEIGHT] * row, row)]
        data = b"".join(rows)
        if size == 4:
            return data
        result = bytearray(len(data) // size * 4)
        if size == 3:
            for colour in range(3):
                result[colour::4] = data[colour::3]
        elif size == 1:
            colours = palette()
            for colour in range(3):
                result[colour::4] = data.translate(colours[colour::4])
        else:
            green = 6 if values[DEPTH] == 16 else 5
            words = memoryview(data).cast("H")
            result[0::4] = bytes([(word & 31) * 255 // 31 for word in words])
            top = (1 << green) - 1
            result[1::4] = bytes([(word >> 5 & top) * 255 // top for word in words])
            result[2::4] = bytes([(word >> 5 + green & 31) * 255 // 31 for word in words])
        return bytes(result)

    def save(self) -> dict[str, object]:
        return {"index": self.index, "values": list(self.values)}

    def load(self, owner: str, state: object) -> None:
        values = state.get("values") if isinstance(state, dict) else None
        index = state.get("index") if isinstance(state, dict) else None
        if not isinstance(values, list) or len(values) != len(self.values) or not isinstance(index, int):
            raise DeviceError(f"{owner}: the saved state has no fitting display registers")
        if not all(isinstance(value, int) and 0 <= value <= 0xFFFF for value in values):
            raise DeviceError(f"{owner}: the saved display registers are out of range")
        self.index, self.values[:] = index, values
        if self.shown and values[DEPTH] not in _DEPTHS:
            raise DeviceError(f"{owner}: the saved display registers are out of range")
        for register in (WIDTH, HEIGHT):
            self.values[register] = min(max(values[register], int(self.shown)), _MOST[register])
        self._fit()


class DispiPorts(Device):
    """The same at two I/O ports of two bytes: the index at 0x1CE, the value at 0x1CF and at 0x1D0."""

    kind = "dispi-ports"

    def __init__(self, name: str, registers: Dispi) -> None:
        super().__init__(name, 4)
        self._registers = registers

    def read(self, offset: int, size: int) -> int:
        if offset == 0:
            return self._registers.index
        return self._registers.read(self._registers.index)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0:
            self._registers.index = value & 0xFFFF
        else:
            self._registers.write(self._registers.index, value)


class Window(Device):
    """The second base-address register's memory: VGA's registers, if the card has them, and the display's."""

    kind = "dispi-window"

    def __init__(self, name: str, registers: Dispi, legacy: Device | None) -> None:
        super().__init__(name, MMIO_SIZE)
        self._registers = registers
        self._legacy = legacy

    def read(self, offset: int, size: int) -> int:
        value = 0
        if DISPI_AT <= offset < DISPI_AT + 22:
            for at in range(0, size, 2):
                value |= self._registers.read((offset + at - DISPI_AT) // 2) << 8 * at
            return value >> 8 * (offset & 1)
        if self._legacy is not None and LEGACY_AT <= offset < LEGACY_AT + 0x20:
            for at in range(size):
                value |= self._legacy.read(offset + at - LEGACY_AT + 0x10, 1) << 8 * at
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if DISPI_AT <= offset < DISPI_AT + 22:
            for at in range(0, size, 2):
                self._registers.write((offset + at - DISPI_AT) // 2, value >> 8 * at)
        elif self._legacy is not None and LEGACY_AT <= offset < LEGACY_AT + 0x20:
            for at in range(size):
                self._legacy.write(offset + at - LEGACY_AT + 0x10, 1, value >> 8 * at & 0xFF)


class Framebuffer(PciFunction):
    """What cards with these registers have in common: memory in base-address register 0, registers in 2, a screen."""

    OPTIONS = (Option("vgamem", "size", 16 << 20, "bytes of the framebuffer, a power of two"),)
    #: the firmware's program for it, by the name that Debian gives it
    firmware = ""
    class_code = 0x038000

    def __init__(self, name: str, size: int, legacy: Device | None = None) -> None:
        if size & (size - 1) or not 1 << 20 <= size <= 256 << 20:
            raise DeviceError(f"{name}: vgamem is a power of two from 1M to 256M")
        super().__init__(
            name, vendor=VENDOR, device=DEVICE, class_code=self.class_code, revision=2, subsystem=SUBSYSTEM
        )
        self.memory = Memory(f"{name}.vram", size)
        self.display = Display(name)
        self.display.poll = self._look
        self._seen = b""
        self.registers = Dispi(self.memory, self.show)
        self.allow(COMMAND, IO_ENABLE | MEMORY_ENABLE | MASTER_ENABLE, 2)
        self.add_bar(Bar(0, self.memory, wide=False, prefetch=True))
        self.add_bar(Bar(2, Window(f"{name}.registers", self.registers, legacy), wide=False, prefetch=False))

    @classmethod
    def make(cls, platform: Platform, name: str, values: dict[str, Any]) -> Framebuffer:
        """For -device."""
        return cls(name, values["vgamem"])

    def show(self) -> None:
        """The picture may have another size."""
        registers = self.registers
        if registers.shown:
            values = registers.values
            self.display.show(values[WIDTH], values[HEIGHT], (2, 1, 0), lambda: registers.pixels(self.palette))
        else:
            self.display.blank()

    def _look(self) -> None:
        """Tell of the rows that are not what they were when this was last asked."""
        display = self.display
        before, now = self._seen, bytes(display.pixels())
        self._seen = now
        band = _BAND * 4 * display.width
        if len(before) != len(now):
            display.changed(0, 0, display.width, display.height)
        elif before != now:
            for row in range(0, display.height, _BAND):
                at = row * 4 * display.width
                if before[at : at + band] != now[at : at + band]:
                    display.changed(0, row, display.width, min(_BAND, display.height - row))

    def palette(self) -> bytes:
        """Four bytes each of 256 colours; without a palette, greys."""
        return bytes([part for grey in range(256) for part in (grey, grey, grey, 0)])

    def reset(self) -> None:
        super().reset()
        self.registers.reset()
        self.show()

    def save(self) -> dict[str, object]:
        return {**super().save(), "display": self.registers.save()}

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self.registers.load(self.name, state.get("display"))
        self.show()

    def describe(self) -> str:
        display = self.display
        return f"{display.width} by {display.height} pixels" if display.width else "nothing shown"


class BochsDisplay(Framebuffer):
    """A framebuffer and nothing else: it fits any machine with PCI."""

    kind = "bochs-display"
    firmware = "vgabios-bochs-display.bin"
