"""Graphics cards: VGA's text and graphics modes as programs set them, and Bochs' framebuffer; what the screen shows."""

from __future__ import annotations

import random

import pytest

from runtime.core.accelerator import BusError
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.device import DeviceError
from runtime.hw.vga.dispi import BochsDisplay
from runtime.hw.vga.vga import DISPI_PORTS, TEXT, WINDOW, Vga
from tests.hw.machine import Bench

#: what a VGA BIOS's mode table gives the controllers in mode 3 (80 by 25 characters of 9 by 16)
TEXT_CRTC = "5f4f50825581bf1f004f0d0e00000000 9c8e8f281f96b9a3ff".replace(" ", "")
BLACK, GREY, BLUE = b"\0\0\0\0", b"\xaa\xaa\xaa\0", b"\xaa\0\0\0"


class Card:
    """A card among a PC's ports, with shorthands for its controllers."""

    def __init__(self) -> None:
        self.space = AddressSpace("memory")
        self.ports = AddressSpace("ports", 16, floating=(1 << 64) - 1)
        self.card = Vga("vga", 1 << 20)
        self.card.connect(self.space, self.ports, priority=1)

    def set(self, port: int, index: int, value: int) -> None:
        """An indexed register, as one word, which is index and data."""
        self.ports.write(port, 2, index | value << 8)

    def attribute(self, index: int, value: int) -> None:
        self.ports.read(0x3DA, 1)
        self.ports.write(0x3C0, 1, index)
        self.ports.write(0x3C0, 1, value)

    def crtc(self, values: str) -> None:
        self.set(0x3D4, 0x11, 0)
        for index, value in enumerate(bytes.fromhex(values)):
            self.set(0x3D4, index, value)

    def text_mode(self) -> None:
        """Mode 3: characters at 0xB8000, light grey and blue among the colours."""
        self.crtc(TEXT_CRTC)
        for index, value in ((1, 0), (2, 3), (4, 2)):
            self.set(0x3C4, index, value)
        for index, value in ((5, 0x10), (6, 0x0E), (8, 0xFF)):
            self.set(0x3CE, index, value)
        for index in range(16):
            self.attribute(index, index)
        self.attribute(0x10, 0x0C)
        self.ports.write(0x3C0, 1, 0x20)
        self.colour(1, 0, 0, 42)
        self.colour(7, 42, 42, 42)

    def colour(self, number: int, red: int, green: int, blue: int) -> None:
        self.ports.write(0x3C8, 1, number)
        for part in (red, green, blue):
            self.ports.write(0x3C9, 1, part)

    def font(self, code: int, rows: bytes) -> None:
        """A character, put into the third plane as a BIOS does."""
        for port, index, value in ((0x3C4, 2, 4), (0x3C4, 4, 7), (0x3CE, 5, 0), (0x3CE, 6, 4)):
            self.set(port, index, value)
        for row, bits in enumerate(rows):
            self.space.write(WINDOW + 32 * code + row, 1, bits)
        for port, index, value in ((0x3C4, 2, 3), (0x3C4, 4, 2), (0x3CE, 5, 0x10), (0x3CE, 6, 0x0E)):
            self.set(port, index, value)

    def write(self, place: int, text: bytes, attribute: int = 7) -> None:
        for index, code in enumerate(text):
            self.space.write(TEXT + place + 2 * index, 2, code | attribute << 8)


def pixel(data: bytes, width: int, x: int, y: int) -> bytes:
    at = 4 * (y * width + x)
    return data[at : at + 4]


def test_text() -> None:
    card = Card()
    assert card.card.screen_text() is None, "nothing has been programmed"
    card.text_mode()
    display = card.card.display
    assert (display.width, display.height) == (720, 400)
    card.font(ord("A"), bytes([0x80] * 16))
    card.font(0xC4, b"\x01" * 16)
    assert TEXT in [ram.address for ram in card.space.ram()], "text is memory that a processor reaches directly"
    card.write(0, b"A\xc4", 0x17)
    card.write(160, b"second line")
    text = card.card.screen_text()
    assert text is not None
    assert text.splitlines()[:3] == ["A\u2500", "second line", ""]
    assert len(text.split("\n")) == 25
    picture = card.card._pixels()
    assert len(picture) == 720 * 400 * 4
    assert [pixel(picture, 720, x, 0) for x in (0, 1, 8)] == [GREY, BLUE, BLUE]
    assert [pixel(picture, 720, 9 + x, 0) for x in (0, 7, 8)] == [BLUE, GREY, GREY], "lines join their neighbours"
    assert pixel(picture, 720, 100, 0) == BLACK
    assert display.png()[:4] == b"\x89PNG"


def test_cursor_and_start() -> None:
    card = Card()
    card.text_mode()
    for index, value in ((0x0A, 14), (0x0B, 15), (0x0E, 0), (0x0F, 81)):
        card.set(0x3D4, index, value)
    card.write(0, b"\0" * 82)
    picture = card.card._pixels()
    assert [pixel(picture, 720, 9, y) for y in (29, 30, 31, 32)] == [BLACK, GREY, GREY, BLACK]
    card.set(0x3D4, 0x0A, 0x2E)
    assert pixel(card.card._pixels(), 720, 9, 30) == BLACK, "switched off"
    card.write(160, b"scrolled")
    card.set(0x3D4, 0x0D, 80)
    text = card.card.screen_text()
    assert text is not None
    assert text.startswith("scrolled\n")


def test_256_colours() -> None:
    """Mode 13h: the planes chained, a byte a pixel at 0xA0000."""
    card = Card()
    card.crtc("5f4f50825480bf1f0041000000000000 9c0e8f284096b9a3ff".replace(" ", ""))
    for port, index, value in ((0x3C4, 2, 15), (0x3C4, 4, 14), (0x3CE, 5, 0x40), (0x3CE, 6, 5), (0x3CE, 8, 0xFF)):
        card.set(port, index, value)
    card.colour(200, 63, 0, 21)
    card.space.write(WINDOW + 320 + 5, 1, 200)
    card.space.write(WINDOW + 640, 4, 0x01C80000)
    display = card.card.display
    assert (display.width, display.height) == (320, 200)
    picture = card.card._pixels()
    assert pixel(picture, 320, 5, 1) == pixel(picture, 320, 2, 2) == bytes((85, 0, 255, 0))
    assert pixel(picture, 320, 4, 1) == BLACK
    assert card.space.read(WINDOW + 325, 1) == 200


def test_16_colours_and_write_modes() -> None:
    """Mode 12h: four planes, the latches, and each write mode."""
    card = Card()
    card.crtc("5f4f50825480 0b3e00400000000000 00ea8cdf28 00e704e3ff".replace(" ", ""))
    for port, index, value in ((0x3C4, 2, 15), (0x3C4, 4, 6), (0x3CE, 5, 0), (0x3CE, 6, 5), (0x3CE, 8, 0xFF)):
        card.set(port, index, value)
    for index in range(16):
        card.attribute(index, index)
    card.colour(7, 42, 42, 42)
    card.colour(1, 0, 0, 42)
    display = card.card.display
    assert (display.width, display.height) == (640, 480)
    card.set(0x3C4, 2, 1)
    card.space.write(WINDOW, 1, 0xF0)  # plane 0 alone
    card.set(0x3C4, 2, 15)
    card.set(0x3CE, 5, 2)
    card.set(0x3CE, 8, 0x0C)
    card.space.read(WINDOW, 1)  # the latches
    card.space.write(WINDOW, 1, 7)  # a colour, where the mask has ones
    picture = card.card._pixels()
    assert [pixel(picture, 640, x, 0) for x in range(8)] == [BLUE] * 4 + [GREY] * 2 + [BLACK] * 2
    card.set(0x3CE, 5, 1)
    card.space.read(WINDOW, 1)
    card.space.write(WINDOW + 80, 1, 0)  # the latches, whatever is written
    assert [pixel(card.card._pixels(), 640, x, 1) for x in (0, 4, 7)] == [BLUE, GREY, BLACK]
    card.set(0x3CE, 5, 8)
    card.set(0x3CE, 2, 7)
    card.set(0x3CE, 7, 15)
    assert card.space.read(WINDOW, 1) == 0x0C, "read mode 1 finds the pixels of a colour"
    card.set(0x3CE, 5, 3)
    card.set(0x3CE, 8, 0xFF)
    card.set(0x3CE, 0, 1)
    card.space.read(WINDOW + 200, 1)
    card.space.write(WINDOW + 200, 1, 0x81)  # set and reset's colour, where the value has ones
    assert bytes(card.card.planes.plane(number)[200] for number in range(4)) == b"\x81\0\0\0"
    card.set(0x3CE, 5, 0)
    card.set(0x3CE, 3, 0x18)  # exclusive or
    card.space.read(WINDOW + 200, 1)
    card.space.write(WINDOW + 200, 1, 0x80)
    assert bytes(card.card.planes.plane(number)[200] for number in range(4)) == b"\x01\x80\x80\x80"


@pytest.mark.parametrize(
    ("depth", "stored", "shown"),
    [
        (32, b"\x01\x02\x03\x00", b"\x01\x02\x03\x00"),
        (24, b"\x01\x02\x03", b"\x01\x02\x03\x00"),
        (16, b"\x1f\xf8", b"\xff\x00\xff\x00"),
        (15, b"\xe0\x03", b"\x00\xff\x00\x00"),
        (8, b"\x09", b"\xff\x55\x00\x00"),
    ],
)
def test_framebuffer(depth: int, stored: bytes, shown: bytes) -> None:
    card = Card()
    card.colour(9, 0, 21, 63)

    def put(index: int, value: int) -> None:
        card.ports.write(DISPI_PORTS, 2, index)
        card.ports.write(DISPI_PORTS + 1, 2, value)

    card.ports.write(DISPI_PORTS, 2, 0)
    assert card.ports.read(DISPI_PORTS + 1, 2) == 0xB0C5
    for index, value in ((4, 0), (1, 64), (2, 48), (3, depth), (4, 0x41), (6, 100), (8, 3), (9, 2)):
        put(index, value)
    display = card.card.display
    assert (display.width, display.height) == (64, 48)
    at = (2 * 100 + 3) * len(stored)
    card.card.memory.bytes[at : at + len(stored)] = stored
    assert display.rgb(0, 0, 1, 1) == bytes((shown[2], shown[1], shown[0]))
    assert display.rgb(1, 0, 1, 1) == b"\0\0\0"
    put(4, 0)
    assert not display.width


def test_framebuffer_by_its_window() -> None:
    """Base-address register 2 has the registers, and 0 the memory, which stays within its bounds."""
    device = BochsDisplay("screen", 1 << 20)
    window = device.bars[2].answer
    assert not isinstance(window, Memory)
    for index, value in ((1, 1024), (2, 4000), (3, 32), (4, 1)):
        window.write(0x500 + 2 * index, 2, value)
    assert (device.display.width, device.display.height) == (1024, 256), "as many rows as there is memory for"
    assert len(device.display.rgb()) == 1024 * 256 * 3
    state = device.save()
    device.reset()
    assert not device.display.width
    device.load(state)
    assert device.display.width == 1024
    with pytest.raises(DeviceError, match="vgamem is a power of two"):
        BochsDisplay("screen", 3 << 20)


def test_who_watches_hears_of_changed_rows() -> None:
    card = Card()
    card.text_mode()
    card.font(ord("x"), b"\xff" * 16)
    display = card.card.display
    heard: list[tuple[int, int, int, int]] = []
    assert display.poll is not None
    display.poll()
    display.on_change.append(lambda *place: heard.append(place))
    display.poll()
    assert heard == []
    card.write(160 * 3, b"x")
    display.poll()
    display.poll()
    assert heard == [(0, 48, 720, 16)]


def test_state() -> None:
    card, again = Card(), Card()
    card.text_mode()
    card.font(ord("A"), b"\x80" * 16)
    card.write(0, b"A")
    again.card.load(card.card.save())
    again.card.text.bytes[:] = card.card.text.bytes[:]  # memory is saved with the machine
    assert again.card._pixels() == card.card._pixels()
    assert TEXT in [ram.address for ram in again.space.ram()]
    again.card.reset()
    assert again.card.screen_text() is None


def test_any_accesses() -> None:
    """Whatever a guest writes, what is shown can be shown, and its state fits."""
    for seed in range(4):
        dice, card, bench = random.Random(seed), Card(), Bench()
        if seed % 2:
            card.text_mode()
        for step in range(3000):
            size = dice.choice((1, 2, 4))
            port = dice.choice((dice.randrange(0x3B0, 0x3E0), dice.choice((0x1CE, 0x1CF, 0x1D0))))
            value = dice.choice((dice.randrange(16), dice.getrandbits(8 * size)))
            place = WINDOW + dice.randrange(0x20000 - 4)
            try:
                if dice.random() < 0.5:
                    card.ports.write(port, size, value)
                elif dice.random() < 0.5:
                    assert 0 <= card.ports.read(port, size) < 1 << 8 * size
                else:
                    card.space.write(place, size, value)
                    card.space.read(place, size)
            except BusError:
                assert size == 4 or place >= TEXT - 4
            if step % 500 == 0:
                display = card.card.display
                assert len(display.rgb()) == 3 * display.width * display.height
                card.card.load(card.card.save())
        assert not bench.happened
