"""The VNC server: what viewers see is what the display shows, in every encoding; keys and the pointer reach devices."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.hw.device import DeviceError
from runtime.hw.display import Display
from runtime.hw.events import EventLoop
from runtime.hw.keys import KEYSYMS, NAMES, from_scan_code
from runtime.hw.seat import Seat
from runtime.hw.vnc.server import VncServer
from tests.hw.vnc_client import EXTENDED_KEYS, NEW_SIZE, RAW, ZLIB, ZRLE, VncClient

WIDTH, HEIGHT = 200, 130


class Devices:
    """A screen with a keyboard and a tablet, or a mouse, that note what they are told."""

    def __init__(self, end: int = 0x7FFF) -> None:
        self.display = Display("screen")
        self.end = end
        self.told: list[tuple[object, ...]] = []

    def key(self, code: int, pressed: bool) -> None:
        self.told.append(("key", code, pressed))

    def button(self, name: str, pressed: bool) -> None:
        self.told.append((name, pressed))

    def wheel(self, steps: int) -> None:
        self.told.append(("wheel", steps))

    def move(self, x: int, y: int) -> None:
        self.told.append(("move", x, y))

    def taken(self) -> list[tuple[object, ...]]:
        told, self.told = self.told, []
        return told


class Bench:
    """A server, its devices, a picture, and viewers in the same thread."""

    def __init__(self, folder: Path, end: int = 0x7FFF) -> None:
        self.events = EventLoop()
        self.devices = Devices(end)
        self.path = str(folder / "vnc")
        chance = random.Random(7)
        self.picture = bytearray(chance.randbytes(4 * WIDTH * HEIGHT))
        self.picture[: 4 * WIDTH * 64] = b"\x10\x20\x30\0" * (64 * WIDTH)  # so that some tiles have one colour
        self.server = VncServer(self.events, self.devices.display, Seat([self.devices]), self.path)
        self._sockets: list[socket.socket] = []

    def show(self) -> None:
        self.devices.display.show(WIDTH, HEIGHT, (2, 1, 0), lambda: self.picture)

    def viewer(self, version: bytes = b"003.008") -> VncClient:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.path)
        self._sockets.append(connection)
        return VncClient(connection, lambda: self.events.run_once(0.001), version)

    def close(self) -> None:
        self.server.close()
        for connection in self._sockets:
            connection.close()
        self.events.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def opaque(pixels: bytes | bytearray) -> bytes:
    """Without the byte that is no colour."""
    result = bytearray(pixels)
    result[3::4] = bytes(len(pixels) // 4)
    return bytes(result)


@pytest.mark.parametrize("version", [b"003.003", b"003.007", b"003.008"])
@pytest.mark.parametrize("encoding", [RAW, ZLIB, ZRLE])
def test_pictures(bench: Bench, version: bytes, encoding: int) -> None:
    """The whole, then only what has changed, and nothing as long as nothing does."""
    bench.show()
    viewer = bench.viewer(version)
    assert (viewer.width, viewer.height, viewer.name) == (WIDTH, HEIGHT, "screen")
    viewer.encodings(99, encoding, RAW)
    viewer.ask(incremental=False)
    viewer.update()
    assert opaque(viewer.pixels) == opaque(bench.picture)
    assert {rectangle[4] for rectangle in viewer.rectangles} == {encoding}
    viewer.ask()
    assert viewer.silent()
    for x, y in ((70, 3), (199, 129)):
        at = 4 * (y * WIDTH + x)
        bench.picture[at : at + 3] = b"\xff\x7f\x01"
        bench.devices.display.changed(x, y, 1, 1)
    viewer.update()
    assert opaque(viewer.pixels) == opaque(bench.picture)
    assert [rectangle[:4] for rectangle in viewer.rectangles] == [(64, 0, 64, 64), (192, 128, 8, 2)]
    bench.devices.display.changed(0, 0, 1, 1)
    assert viewer.silent()  # it has not asked again
    viewer.ask(area=(64, 0, 10, 10))
    assert viewer.silent()  # and looks elsewhere
    viewer.ask(area=(10, 10, 20, 20))
    viewer.update()
    assert [rectangle[:4] for rectangle in viewer.rectangles] == [(10, 10, 20, 20)]


@pytest.mark.parametrize(
    ("bits", "depth", "big", "most", "shifts"),
    [
        (32, 24, 1, (255, 255, 255), (24, 16, 8)),
        (32, 32, 0, (255, 255, 255), (0, 8, 16)),
        (32, 30, 0, (1023, 1023, 1023), (20, 10, 0)),
        (16, 16, 0, (31, 63, 31), (11, 5, 0)),
        (16, 15, 1, (31, 31, 31), (10, 5, 0)),
        (8, 8, 0, (7, 7, 3), (0, 3, 6)),
    ],
)
def test_pixel_formats(
    bench: Bench, bits: int, depth: int, big: int, most: tuple[int, ...], shifts: tuple[int, ...]
) -> None:
    """Every point is the sum of its colours, each in its place, however the pixel is laid out."""
    bench.show()
    viewer = bench.viewer()
    viewer.pixel_format(bits, depth, big, 1, most, shifts)
    viewer.encodings(ZLIB)
    viewer.ask(incremental=False)
    viewer.update()
    for at in (0, 64 * WIDTH, 64 * WIDTH + 77, WIDTH * HEIGHT - 1):
        blue, green, red = bench.picture[4 * at : 4 * at + 3]
        wanted = sum(
            round(colour * top / 255) << shift
            for colour, top, shift in zip((red, green, blue), most, shifts, strict=True)
        )
        size = bits // 8
        pixel = int.from_bytes(viewer.pixels[size * at : size * at + size], "big" if big else "little")
        assert pixel == wanted


def test_a_colour_map(bench: Bench) -> None:
    bench.show()
    viewer = bench.viewer()
    viewer.pixel_format(8, 8, 0, 0, (0, 0, 0), (0, 0, 0))
    viewer.ask(incremental=False)
    viewer.update()
    assert len(viewer.colours) == 6 * 256
    pixel = viewer.pixels[0]
    near = [viewer.colours[6 * pixel + 2 * colour] for colour in range(3)]
    assert all(abs(got - wanted) < 0x30 for got, wanted in zip(near, (0x30, 0x20, 0x10), strict=True))


def test_the_screen_changes_its_size(bench: Bench) -> None:
    """Viewers that can follow do; others see the part that they have room for, and black."""
    follower, other = bench.viewer(), bench.viewer()
    assert (follower.width, follower.height) == (640, 480)  # nothing is shown yet
    follower.encodings(RAW, NEW_SIZE)
    for viewer in (follower, other):
        viewer.ask(incremental=False)
        viewer.update()
        assert not any(opaque(viewer.pixels))
        viewer.ask()
    bench.show()
    follower.update()
    assert follower.rectangles == [(0, 0, WIDTH, HEIGHT, NEW_SIZE)]
    follower.ask()
    follower.update()
    assert opaque(follower.pixels) == opaque(bench.picture)
    other.update()
    rows = [opaque(other.pixels[4 * 640 * y : 4 * 640 * (y + 1)]) for y in range(480)]
    for y, row in enumerate(rows):
        shown = opaque(bench.picture[4 * WIDTH * y : 4 * WIDTH * (y + 1)]) if y < HEIGHT else b""
        assert row == shown.ljust(4 * 640, b"\0")


def test_keys(bench: Bench) -> None:
    """Keysyms and scan codes; a capital letter by itself takes shift; what is down at the end is let go."""
    viewer, devices = bench.viewer(), bench.devices
    viewer.key(ord("a"), True)
    viewer.key(ord("a"), False)
    assert devices.taken() == [("key", 30, True), ("key", 30, False)]
    viewer.key(ord("A"), True)
    viewer.key(ord("A"), False)
    assert devices.taken() == [("key", 42, True), ("key", 30, True), ("key", 30, False), ("key", 42, False)]
    for keysym, down in ((0xFFE1, True), (ord("!"), True), (ord("!"), False), (0xFFE1, False), (0x1234567, True)):
        viewer.key(keysym, down)
    assert devices.taken() == [("key", 42, True), ("key", 2, True), ("key", 2, False), ("key", 42, False)]
    viewer.encodings(RAW, EXTENDED_KEYS)
    viewer.ask()
    viewer.update()
    assert viewer.rectangles[0][4] == EXTENDED_KEYS
    viewer.extended_key(0x1D, True)
    viewer.extended_key(0xC8, True)  # the arrow upwards: e0 48
    assert devices.taken() == [("key", 29, True), ("key", 103, True)]
    viewer.socket.close()
    bench.events.run_once(1)
    assert devices.taken() == [("key", 29, False), ("key", 103, False)]
    assert not bench.server.viewers


def test_key_tables() -> None:
    """Every printable character can be typed, and names, keysyms and scan codes mean the same keys."""
    assert all(chr(code).isprintable() <= (code in KEYSYMS) for code in range(32, 127))
    for name, keysym, scan_code in (
        ("a", ord("a"), 0x1E),
        ("ret", 0xFF0D, 0x1C),
        ("f10", 0xFFC7, 0x44),
        ("f12", 0xFFC9, 0x58),
        ("delete", 0xFFFF, 0xD3),
        ("kp_enter", 0xFF8D, 0x9C),
        ("slash", ord("?"), 0x35),
        ("meta_l", 0xFFEB, 0xDB),
    ):
        assert NAMES[name] == KEYSYMS[keysym][0] == from_scan_code(scan_code)
    assert from_scan_code(0) is None
    assert from_scan_code(0xFF) is None


def test_a_tablet(bench: Bench) -> None:
    bench.show()
    viewer, devices = bench.viewer(), bench.devices
    viewer.point(0, 0)
    viewer.point(WIDTH - 1, HEIGHT - 1, 1)
    viewer.point(5000, 0, 1 | 4)
    viewer.point(5000, 0, 8)
    viewer.point(5000, 0, 16)
    assert devices.taken() == [
        ("move", 0x7FFF, 0x7FFF),
        ("left", True),
        ("move", 0x7FFF, 0),
        ("right", True),
        ("left", False),
        ("right", False),
        ("wheel", 1),
        ("wheel", -1),
    ]


def test_a_mouse(tmp_path: Path) -> None:
    bench = Bench(tmp_path, end=0)
    viewer = bench.viewer()
    viewer.point(10, 20)
    viewer.point(7, 25, 2)
    assert bench.devices.taken() == [("move", 10, 20), ("move", -3, 5), ("middle", True)]
    bench.close()


def test_one_that_wants_to_be_alone(bench: Bench) -> None:
    first = bench.viewer()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(bench.path)
    connection.sendall(b"RFB 003.008\n\x01\x00")
    for _ in range(20):
        bench.events.run_once(0.001)
    assert len(bench.server.viewers) == 1
    assert first.socket.recv(1) == b""
    connection.close()


def test_nonsense_is_hung_up_on(bench: Bench) -> None:
    """Never more than the end of that connection."""
    chance = random.Random(3)
    greetings = [b"RFB 003.008\n\x01\x01" + bytes((kind,)) + chance.randbytes(64) for kind in range(256)]
    bench.show()
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"RFB 003.008\n\x02", *greetings):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(bench.path)
            connection.sendall(data)
            for _ in range(6):
                bench.events.run_once(0)
        for _ in range(50):
            bench.events.run_once(0)
            if not bench.server.viewers:
                break
        assert not bench.server.viewers
    assert "viewers: 0" in bench.server.describe()


def test_one_that_asks_and_does_not_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is bounded; it goes on when it reads."""
    monkeypatch.setattr("runtime.hw.vnc.viewer._MOST_WAITING", 1 << 20)
    bench.show()
    bench.viewer()
    connection = bench._sockets[0]
    left = bytearray(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0) * 50_000)  # 77 MB of answers
    connection.setblocking(False)
    for _ in range(200):
        try:
            del left[: connection.send(left)]
        except BlockingIOError:
            bench.events.run_once(0)
    assert left, "it is not heard"
    (server_end,) = bench.server.viewers
    assert len(server_end._out) < 16 << 20
    read = 0
    while server_end._out or read < 1 << 20:
        try:
            read += len(connection.recv(1 << 16))
        except BlockingIOError:
            bench.events.run_once(0.01)
    assert bench.server.viewers == [server_end]


def test_a_place_that_is_taken(tmp_path: Path) -> None:
    """The next one, if there may be others; else one line."""
    events = EventLoop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match="cannot listen at port"):
            VncServer(events, Display("screen"), Seat([]), ("127.0.0.1", port, port))
        server = VncServer(events, Display("screen"), Seat([]), ("127.0.0.1", port, port + 50))
        assert server.where != f"127.0.0.1:{port}"
        server.close()
    events.close()
