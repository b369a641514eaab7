"""A PC's VGA: text in its 32 KiB at 0xB8000, the planes at 0xA0000, its registers, and Bochs' framebuffer beside it.

Text memory is memory of its own, which the processor reaches directly while the card is in a text mode; the planes hold
fonts and graphics.  So what is left behind in one is not seen in the other, as it would be on a real card.
"""

from __future__ import annotations

from runtime.hw.bus import Memory
from runtime.hw.device import Device, DeviceError
from runtime.hw.vga.dispi import DispiPorts, Framebuffer
from runtime.hw.vga.memory import PLANE, Planes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.bus import AddressSpace, Region

__all__ = ["Vga"]

WINDOW, WINDOW_SIZE = 0xA0000, 0x20000
TEXT, TEXT_SIZE = 0xB8000, 0x8000
PORTS, PORTS_SIZE, DISPI_PORTS = 0x3B0, 0x30, 0x1CE
_FONT, _FONT_STEP = 2, 32
_RETRACE = 0x09
_CURSOR_OFF = 0x20
_GRAPHICS = 1


class VgaRegisters(Device):
    """Ports 0x3B0 to 0x3DF: the controllers, each an index and its data."""

    kind = "vga-ports"

    def __init__(self, name: str, card: Vga) -> None:
        super().__init__(name, PORTS_SIZE)
        self.sizes = frozenset((1, 2))
        self._card = card
        self.attribute, self.sequencer = bytearray(32), bytearray(8)
        self.graphics, self.crtc = bytearray(16), bytearray(32)
        self.dac = bytearray(768)  # six bits a colour: red, green, blue
        self.indices = bytearray(6)  # attribute, sequencer, graphics, CRTC, and the DAC's two in thirds
        self.misc = self.mask = self.status = 0
        self.attribute_data = False
        self.dac_read = self.dac_write = 0
        self.reset()

    PARTS = ("attribute", "sequencer", "graphics", "crtc", "dac", "indices")
    NUMBERS = ("misc", "mask", "status", "dac_read", "dac_write")

    def reset(self) -> None:
        for name in self.PARTS:
            part: bytearray = getattr(self, name)
            part[:] = bytes(len(part))
        self.misc, self.mask, self.status, self.attribute_data = 0, 0xFF, 0, False
        self.dac_read = self.dac_write = 0

    def read(self, offset: int, size: int) -> int:
        if size == 2:
            return self.read(offset, 1) | self.read(offset + 1, 1) << 8 if offset + 1 < self.size else 0xFFFF
        port = PORTS + offset
        if port in (0x3B5, 0x3D5):
            return self.crtc[self.indices[3] & 31]
        if port in (0x3BA, 0x3DA):
            self.attribute_data = False
            self.status ^= _RETRACE
            return self.status
        if port == 0x3C1:
            return self.attribute[self.indices[0] & 31]
        if port == 0x3C9:
            value = self.dac[self.dac_read % 768]
            self.dac_read = (self.dac_read + 1) % 768
            return value
        plain = {
            0x3B4: self.indices[3], 0x3D4: self.indices[3], 0x3C0: self.indices[0], 0x3C4: self.indices[1],
            0x3C5: self.sequencer[self.indices[1] & 7], 0x3C6: self.mask, 0x3C7: 0, 0x3C8: self.dac_write // 3,
            0x3CC: self.misc, 0x3CE: self.indices[2], 0x3CF: self.graphics[self.indices[2] & 15], 0x3C2: 0x10,
        }  # fmt: skip
        return plain.get(port, 0xFF)

    def write(self, offset: int, size: int, value: int) -> None:
        if size == 2:
            self.write(offset, 1, value & 0xFF)
            if offset + 1 < self.size:
                self.write(offset + 1, 1, value >> 8)
            return
        port = PORTS + offset
        if port == 0x3C0:
            if self.attribute_data:
                if self.indices[0] & 31 < 0x15:
                    self.attribute[self.indices[0] & 31] = value
            else:
                self.indices[0] = value & 0x3F
            self.attribute_data = not self.attribute_data
        elif port in (0x3B4, 0x3D4):
            self.indices[3] = value
        elif port in (0x3B5, 0x3D5):
            index = self.indices[3] & 31
            if index == 7 and self.crtc[0x11] & 0x80:  # protected but for line compare's upper bit
                value = self.crtc[7] & ~0x10 | value & 0x10
            if index > 7 or index == 7 or not self.crtc[0x11] & 0x80:
                self.crtc[index] = value
        elif port in (0x3C4, 0x3CE):
            self.indices[1 if port == 0x3C4 else 2] = value
        elif port == 0x3C5:
            self.sequencer[self.indices[1] & 7] = value
        elif port == 0x3CF:
            self.graphics[self.indices[2] & 15] = value
        elif port == 0x3C2:
            self.misc = value
        elif port == 0x3C6:
            self.mask = value
        elif port in (0x3C7, 0x3C8):
            if port == 0x3C7:
                self.dac_read = value * 3
            else:
                self.dac_write = value * 3
        elif port == 0x3C9:
            self.dac[self.dac_write % 768] = value & 0x3F
            self.dac_write = (self.dac_write + 1) % 768
        if port not in (0x3C4, 0x3CE, 0x3D4, 0x3C7, 0x3C8, 0x3C9):
            self._card.registers_changed()

    def save(self) -> dict[str, object]:
        state: dict[str, object] = {name: bytes(getattr(self, name)) for name in self.PARTS}
        return {**state, **{name: getattr(self, name) for name in self.NUMBERS}, "data": self.attribute_data}

    def load(self, state: dict[str, object]) -> None:
        for name in self.PARTS:
            part, value = getattr(self, name), state.get(name)
            if not isinstance(value, bytes) or len(value) != len(part):
                raise DeviceError(f"{self.name}: the saved state has no fitting {name}")
            part[:] = value
        for name in self.NUMBERS:
            number = state.get(name)
            if not isinstance(number, int) or number < 0:
                raise DeviceError(f"{self.name}: the saved state has no fitting {name}")
            setattr(self, name, number)
        self.attribute_data = state.get("data") is True


class VgaWindow(Device):
    """0xA0000 to 0xBFFFF, where the planes are seen as the graphics controller says."""

    kind = "vga-window"
    #: by the memory map of graphics register 6: where the window begins, and its size
    MAPS = ((0, 0x20000), (0, 0x10000), (0x10000, 0x8000), (0x18000, 0x8000))

    def __init__(self, name: str, planes: Planes) -> None:
        super().__init__(name, WINDOW_SIZE)
        self._planes = planes

    def _within(self, offset: int) -> int | None:
        start, size = self.MAPS[self._planes.graphics[6] >> 2 & 3]
        return offset - start if start <= offset < start + size else None

    def read(self, offset: int, size: int) -> int:
        value = 0
        for at in range(size):
            place = self._within(offset + at)
            value |= (0xFF if place is None else self._planes.read(place)) << 8 * at
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        for at in range(size):
            place = self._within(offset + at)
            if place is not None:
                self._planes.write(place, value >> 8 * at & 0xFF)


class Vga(Framebuffer):
    """The card.  A board with I/O ports calls `connect`."""

    kind = "VGA"
    firmware = "vgabios-stdvga.bin"
    class_code = 0x030000

    def __init__(self, name: str, size: int) -> None:
        self.vga = VgaRegisters(f"{name}.ports", self)
        self.planes = Planes(self.vga.graphics, self.vga.sequencer)
        self.text = Memory(f"{name}.text", TEXT_SIZE)
        self._text_region: Region | None = None
        self._shape: tuple[int, ...] = ()
        super().__init__(name, size, self.vga)

    def connect(self, space: AddressSpace, ports: AddressSpace, priority: int) -> None:
        """The addresses and ports that every PC's card has."""
        space.add_device(WINDOW, VgaWindow(f"{self.name}.window", self.planes), priority=priority)
        self._text_region = space.add_ram(TEXT, self.text, priority=priority + 1)
        self._text_region.enable(False)
        ports.add_device(PORTS, self.vga)
        ports.add_device(DISPI_PORTS, DispiPorts(f"{self.name}.dispi", self.registers))

    def memories(self) -> tuple[Memory, ...]:
        return (*super().memories(), self.text)

    # ------------------------------------------------------------ what is shown

    @property
    def is_text(self) -> bool:
        """Whether characters are shown: no graphics bit, and odd and even addresses are characters and attributes."""
        return not self.vga.graphics[6] & _GRAPHICS

    def registers_changed(self) -> None:
        """Text memory is seen in text modes with their usual map; and the picture may have another size."""
        vga = self.vga
        if self._text_region is not None:
            odd_even = not vga.sequencer[4] & 0x0C
            self._text_region.enable(odd_even and self.is_text and vga.graphics[6] >> 2 & 3 == 3)
        shape = (*self._size(), vga.graphics[5], vga.graphics[6] & 1)
        if shape != self._shape:
            self._shape = shape
            self.show()

    def _size(self) -> tuple[int, int, int, int]:
        """Width, height, and those of a character; from the CRT controller (its registers 1, 7, 9, 0x12)."""
        crtc = self.vga.crtc
        lines = (crtc[0x12] | (crtc[7] & 2) << 7 | (crtc[7] & 0x40) << 3) + 1
        columns = crtc[1] + 1
        if self.is_text:
            width, height = 8 if self.vga.sequencer[1] & 1 else 9, (crtc[9] & 31) + 1
            return columns * width, lines // height * height, width, height
        lines //= (crtc[9] >> 7) + 1
        if self.vga.graphics[5] & 0x40:
            return columns * 4, lines // ((crtc[9] & 31) + 1), 0, 0
        return columns * 8, lines, 0, 0

    def show(self) -> None:
        if self.registers.shown:
            super().show()
            return
        width, height, _, _ = self._size()
        if self.vga.crtc[1] and self.vga.crtc[0x12] and height:
            self.display.show(width, height, (2, 1, 0), self._pixels)
        else:
            self.display.blank()

    def palette(self) -> bytes:
        dac = self.vga.dac
        result = bytearray(1024)
        for colour in range(3):
            result[2 - colour :: 4] = bytes([value << 2 | value >> 4 for value in dac[colour::3]])
        return bytes(result)

    def _sixteen(self) -> list[bytes]:
        """The colours that the attribute controller's palette chooses."""
        attribute, colours = self.vga.attribute, self.palette()
        found = []
        for index in range(16):
            number = attribute[index] & 0x3F | (attribute[0x14] & 0x0C) << 4
            if attribute[0x10] & 0x80:
                number = number & 0xCF | (attribute[0x14] & 3) << 4
            found.append(colours[4 * number : 4 * number + 4])
        return found

    def _start(self) -> int:
        return self.vga.crtc[0x0C] << 8 | self.vga.crtc[0x0D]

    def rows(self) -> list[bytes]:
        """Characters and attributes of each line of text."""
        width, height, character, line = self._size()
        columns, lines = width // character, height // line
        step = self.vga.crtc[0x13] * 4 or columns * 2
        start = self._start() * 2
        data = bytes(self.text.bytes)
        doubled = data + data
        return [doubled[at : at + 2 * columns] for at in
                ((start + row * step) % TEXT_SIZE for row in range(lines))]  # fmt: skip

    def screen_text(self) -> str | None:
        """What can be read on the screen, if it shows text."""
        if not self.is_text or self.registers.shown or not self.display.width:
            return None
        return "\n".join(row[::2].decode("cp437").replace("\0", " ").rstrip() for row in self.rows())

    def _pixels(self) -> bytes:
        if self.is_text:
            return self._text_pixels()
        if self.vga.graphics[5] & 0x40:
            return self._chained_pixels()
        return self._planar_pixels()

    def _text_pixels(self) -> bytes:
        width, _, character, line = self._size()
        colours, font = self._sixteen(), self.planes.plane(_FONT)
        blinking = self.vga.attribute[0x10] & 8
        cursor = (self.vga.crtc[0x0E] << 8 | self.vga.crtc[0x0F]) - self._start()
        first, last = self.vga.crtc[0x0A], self.vga.crtc[0x0B] & 31
        known: dict[tuple[int, int], list[bytes]] = {}
        result = []
        for row, cells in enumerate(self.rows()):
            glyphs = []
            for column in range(width // character):
                code, attribute = cells[2 * column], cells[2 * column + 1]
                glyph = known.get((code, attribute))
                if glyph is None:
                    ink, paper = colours[attribute & 15], colours[attribute >> 4 & (7 if blinking else 15)]
                    bits = font[code * _FONT_STEP : code * _FONT_STEP + line]
                    glyph = known[code, attribute] = [_glyph_row(byte, character, code, ink, paper) for byte in bits]
                if row * (width // character) + column == cursor and not first & _CURSOR_OFF and first <= last:
                    ink = colours[attribute & 15] * character
                    glyph = [ink if first & 31 <= at <= last else part for at, part in enumerate(glyph)]
                glyphs.append(glyph)
            result += [b"".join([glyph[at] for glyph in glyphs]) for at in range(line)]
        return b"".join(result)

    def _chained_pixels(self) -> bytes:
        """256 colours: a byte each, in the four planes in turn."""
        width, height, _, _ = self._size()
        colours, data = self.palette(), self.planes.data
        linear = bytearray(PLANE)
        for plane in range(4):
            linear[plane::4] = data[plane * PLANE : (plane + 1) * PLANE : 4]
        count, start = width * height, self._start() * 4
        shown = bytes(linear[start : start + count]).ljust(count, b"\0")
        result = bytearray(4 * count)
        for colour in range(3):
            result[colour::4] = shown.translate(colours[colour::4])
        return bytes(result)

    def _planar_pixels(self) -> bytes:
        """16 colours: a bit each in every plane."""
        width, height, _, _ = self._size()
        colours, step, start = self._sixteen(), self.vga.crtc[0x13] * 2 or width // 8, self._start()
        planes = [bytes(self.planes.plane(number)) * 2 for number in range(4)]
        result = []
        for row in range(height):
            at = (start + row * step) % PLANE
            for bits in zip(*(plane[at : at + width // 8] for plane in planes), strict=True):
                for shift in range(7, -1, -1):
                    result.append(colours[sum((byte >> shift & 1) << number for number, byte in enumerate(bits))])
        return b"".join(result)

    # ------------------------------------------------------------ state

    def reset(self) -> None:
        self.vga.reset()
        self.planes.data[:] = bytes(len(self.planes.data))
        self.text.discard()
        super().reset()
        self.registers_changed()

    def save(self) -> dict[str, object]:
        return {**super().save(), "vga": self.vga.save(), "planes": bytes(self.planes.data), "latch": self.planes.latch}

    def load(self, state: dict[str, object]) -> None:
        vga, planes, latch = state.get("vga"), state.get("planes"), state.get("latch")
        if not isinstance(vga, dict) or not isinstance(planes, bytes) or len(planes) != len(self.planes.data):
            raise DeviceError(f"{self.name}: the saved state is not a VGA card's")
        if not isinstance(latch, int) or not 0 <= latch < 1 << 32:
            raise DeviceError(f"{self.name}: the saved state is not a VGA card's")
        self.vga.load(vga)
        self.planes.data[:], self.planes.latch = planes, latch
        super().load(state)
        self.registers_changed()


def _glyph_row(bits: int, width: int, code: int, ink: bytes, paper: bytes) -> bytes:
    """One line of a character; the ninth column of line-drawing characters repeats the eighth."""
    row = b"".join([ink if bits >> shift & 1 else paper for shift in range(7, -1, -1)])
    if width == 8:
        return row
    return row + (ink if bits & 1 and 0xC0 <= code <= 0xDF else paper)
