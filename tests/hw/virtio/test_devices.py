"""Each virtio device, driven by its registers and rings as a driver would."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest

from runtime.hw.block.backend import BlockError
from runtime.hw.block.images import open_image
from runtime.hw.block.raw import RawImage
from runtime.hw.characters import Recorder
from runtime.hw.device import DeviceError
from runtime.hw.display import Display
from runtime.hw.net.link import Link
from runtime.hw.net.packets import checksum
from runtime.hw.virtio import blk, gpu
from runtime.hw.virtio.blk import VirtioBlk
from runtime.hw.virtio.console import VirtioConsole
from runtime.hw.virtio.gpu import VirtioGpu
from runtime.hw.virtio.input import VirtioInput, VirtioKeyboard, VirtioMouse, VirtioTablet
from runtime.hw.virtio.net import GUEST_CHECKSUM, GUEST_TSO4, MERGE, VirtioNet, parse_mac
from tests.hw.virtio.driver import EVENT_INDEX, INDIRECT, PACKED, Driver

SIZE = 1 << 20
RINGS = (0, INDIRECT | EVENT_INDEX, PACKED)


# ---------------------------------------------------------------- blk


def disk(tmp_path: Path, features: int = 0, *, read_only: bool = False) -> tuple[Driver, Path]:
    path = tmp_path / "disk"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    image = open_image(str(path), format="raw", read_only=read_only)
    device = VirtioBlk(image, serial="a serial number that is too long", packed=bool(features & PACKED))
    return Driver(device, features), path


def request(driver: Driver, kind: int, sector: int = 0, data: bytes = b"", room: int = 0) -> tuple[int, bytes]:
    """(status, what was read)."""
    answer = driver.ask(driver.rings[0], struct.pack("<IIQ", kind, 0, sector) + data, room + 1)
    return answer[-1], answer[:-1]


@pytest.mark.parametrize("features", RINGS)
def test_a_disk_reads_and_writes(features: int, tmp_path: Path) -> None:
    """Sectors go both ways; flush; the serial number, cut to 20 characters."""
    driver, path = disk(tmp_path, features)
    before = path.read_bytes()
    assert request(driver, blk.IN, 5, room=1024) == (0, before[2560:3584])
    assert request(driver, blk.OUT, 6, b"w" * 1536) == (0, b"")
    assert request(driver, blk.FLUSH_REQUEST) == (0, b"")
    assert path.read_bytes() == before[:3072] + b"w" * 1536 + before[4608:]
    assert request(driver, blk.GET_ID, room=20) == (0, b"a serial number that")
    assert request(driver, 99)[0] == blk.UNSUPPORTED


def test_a_disk_refuses_what_is_outside(tmp_path: Path) -> None:
    """Beyond the end, half sectors: an I/O error and nothing written."""
    driver, path = disk(tmp_path)
    before = path.read_bytes()
    last = SIZE // 512
    assert request(driver, blk.IN, last, room=512)[0] == blk.IO_ERROR
    assert request(driver, blk.IN, last - 1, room=1024)[0] == blk.IO_ERROR
    assert request(driver, blk.IN, 0, room=100)[0] == blk.IO_ERROR
    assert request(driver, blk.OUT, 2**63, b"x" * 512)[0] == blk.IO_ERROR
    assert request(driver, blk.OUT, last - 1, b"x" * 1024)[0] == blk.IO_ERROR
    assert path.read_bytes() == before
    assert request(driver, blk.IN, last - 1, room=512) == (0, before[-512:])


def test_a_disk_discards_and_writes_zeroes(tmp_path: Path) -> None:
    """Ranges of both; flags and sizes that are not allowed."""
    driver, path = disk(tmp_path)

    def ranges(*each: tuple[int, int, int]) -> bytes:
        return b"".join(struct.pack("<QII", *one) for one in each)

    assert request(driver, blk.WRITE_ZEROES_REQUEST, 0, ranges((0, 8, 0), (16, 8, 1)))[0] == 0
    data = path.read_bytes()
    assert data[:4096] == data[8192:12288] == bytes(4096) != data[4096:8192]
    assert request(driver, blk.DISCARD_REQUEST, 0, ranges((8, 8, 0)))[0] == 0
    assert len(path.read_bytes()) == SIZE
    for kind, data, status in (
        (blk.DISCARD_REQUEST, ranges((0, 8, 1)), blk.UNSUPPORTED),
        (blk.WRITE_ZEROES_REQUEST, ranges((0, 8, 2)), blk.UNSUPPORTED),
        (blk.WRITE_ZEROES_REQUEST, ranges((0, 2**31, 0)), blk.IO_ERROR),
        (blk.WRITE_ZEROES_REQUEST, ranges((SIZE // 512, 1, 0)), blk.IO_ERROR),
        (blk.DISCARD_REQUEST, b"", blk.IO_ERROR),
        (blk.DISCARD_REQUEST, bytes(17), blk.IO_ERROR),
    ):
        assert request(driver, kind, 0, data)[0] == status


def test_a_read_only_disk_and_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READ_ONLY is offered and kept; the host's errors become I/O errors."""
    driver, path = disk(tmp_path, blk.READ_ONLY, read_only=True)
    before = path.read_bytes()
    assert request(driver, blk.OUT, 0, b"x" * 512)[0] == blk.IO_ERROR
    assert request(driver, blk.DISCARD_REQUEST, 0, struct.pack("<QII", 0, 8, 0))[0] == blk.UNSUPPORTED
    assert path.read_bytes() == before

    def fail(self: RawImage, offset: int, size: int) -> bytes:
        raise BlockError("the medium is gone")

    monkeypatch.setattr(RawImage, "read", fail)
    assert request(driver, blk.IN, 0, room=512)[0] == blk.IO_ERROR


def test_a_disks_configuration(tmp_path: Path) -> None:
    """5.2.4, field by field; the write-back switch makes each write durable."""
    driver, _ = disk(tmp_path, blk.CONFIG_WCE | blk.FLUSH)
    assert driver.load(0x100) == SIZE // 512
    assert driver.load(0x10C) == 254
    assert driver.load(0x114) == 512
    assert driver.slot.read(0x120, 1) == 1
    assert driver.load(0x124) == blk.MOST_SECTORS
    assert driver.load(0x134) == blk.MOST_RANGES
    assert driver.slot.read(0x138, 1) == 1
    flushed = []
    driver.device.backend.flush = lambda: flushed.append(1)
    request(driver, blk.OUT, 0, b"x" * 512)
    assert not flushed
    driver.slot.write(0x120, 1, 0)
    request(driver, blk.OUT, 0, b"x" * 512)
    assert flushed


def test_a_request_without_a_header_or_room_breaks_the_disk(tmp_path: Path) -> None:
    """Too short to be answered at all."""
    for buffers in ([(8, False), (1, True)], [(16, False)]):
        driver, _ = disk(tmp_path)
        driver.rings[0].add(*((driver.allocate(size), size, write) for size, write in buffers))
        driver.rings[0].kick()
        assert driver.load(0x70) == 0x4F
        driver.device.backend.close()


# ---------------------------------------------------------------- net


class Wire(Link):
    """Keeps what was sent."""

    offloads = True

    def __init__(self) -> None:
        super().__init__("wire")
        self.sent: list[bytes] = []
        self.flushes = 0

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def flush(self) -> None:
        self.flushes += 1


MAC = parse_mac("", "52:54:00:12:34:56")


@pytest.mark.parametrize("features", RINGS)
def test_a_card_sends_and_receives(features: int) -> None:
    """Frames behind their header, both ways; frames without a buffer wait for one."""
    wire = Wire()
    driver = Driver(VirtioNet(wire, MAC, packed=bool(features & PACKED)), features)
    receive, transmit = driver.rings[0], driver.rings[1]
    assert driver.slot.read(0x100, 2) == 0x5452
    assert driver.slot.read(0x106, 2) == 1
    for number in range(3):
        transmit.add((driver.put(bytes(12)), 12, False), (driver.put(b"frame %d" % number * 20), 140, False))
    transmit.kick()
    assert wire.sent == [b"frame %d" % number * 20 for number in range(3)]
    assert wire.flushes == 1
    for _ in range(3):
        assert transmit.take() is not None
    wire.deliver(b"one" * 20)
    wire.deliver(b"two" * 20)
    buffers = {}
    for _ in range(2):
        place = driver.allocate(1600)
        buffers[receive.add((place, 1526, True))] = place
    receive.kick()
    for text in (b"one", b"two"):
        done = receive.take()
        assert done is not None
        assert done[1] == 72
        assert driver.ram.read(buffers[done[0]], 72) == bytes(10) + b"\1\0" + text * 20
    assert receive.take() is None


def test_a_frame_in_several_buffers_and_one_that_is_too_large() -> None:
    """Mergeable buffers; without them, a frame that fits none is lost and the buffer comes back empty."""
    wire = Wire()
    driver = Driver(VirtioNet(wire, MAC), MERGE)
    receive = driver.rings[0]
    places = [driver.allocate(64) for _ in range(3)]
    for place in places[:2]:
        receive.add((place, 64, True))
    receive.kick()
    frame = bytes(range(150))
    wire.deliver(frame)
    assert receive.take() is None  # it needs a third, and the two are not given back half full
    receive.add((places[2], 64, True))
    receive.kick()
    sizes = [done[1] for done in iter(receive.take, None)]
    assert sizes == [64, 64, 34]
    assert driver.ram.read(places[0] + 10, 2) == b"\3\0"
    assert b"".join(driver.ram.read(place, 64) for place in places)[12:162] == frame
    driver = Driver(VirtioNet(wire, MAC), 0)
    driver.rings[0].add((driver.allocate(64), 64, True))
    driver.rings[0].kick()
    wire.deliver(frame)
    assert driver.rings[0].take() == (0, 0)


def test_segments_that_the_guest_cuts_up() -> None:
    """GUEST_TSO4 lets the link send large frames, and the header says how to cut them."""
    wire = Wire()
    driver = Driver(VirtioNet(wire, MAC), MERGE | GUEST_CHECKSUM | GUEST_TSO4)
    assert wire.largest_payload > 1460
    place = driver.allocate(70000)
    driver.rings[0].add((place, 70000, True))
    driver.rings[0].kick()
    wire.deliver(bytes(46) + b"\x80" + bytes(5000))  # a TCP header of 32 bytes
    assert struct.unpack("<BBHHHHH", driver.ram.read(place, 12)) == (1, 1, 66, 1460, 34, 16, 1)
    driver.store(0x70, 0)
    assert wire.largest_payload == 1460


def test_the_cards_commands_and_its_cable() -> None:
    """The driver may set the address; anything else is refused; a pulled cable loses frames and is told."""
    wire = Wire()
    driver = Driver(VirtioNet(wire, MAC), 1 << 17)
    control = driver.rings[2]
    assert driver.ask(control, b"\1\1" + b"\2abcde", 1) == b"\0"
    assert driver.slot.read(0x100, 1) == 2
    assert driver.ask(control, b"\0\0\1", 1) == b"\1"
    driver.acknowledge()
    driver.device.set_link(False)
    assert driver.acknowledge() == 2
    assert driver.slot.read(0x106, 2) == 0
    driver.ask(driver.rings[1], bytes(12) + b"lost" * 10, 0)
    wire.deliver(b"lost" * 10)
    assert wire.sent == []
    for wrong in ("52:54", "01:00:00:00:00:00", "x:y:z:1:2:3"):
        with pytest.raises(DeviceError, match="not the address of a card"):
            parse_mac("-device net", wrong)


# ---------------------------------------------------------------- console


@pytest.mark.parametrize("features", RINGS)
def test_a_console(features: int) -> None:
    """Output, input in pieces of the guest's buffers, the size, the emergency register."""
    terminal = Recorder()
    driver = Driver(VirtioConsole(terminal, packed=bool(features & PACKED)), features)
    driver.ask(driver.rings[1], b"hello", 0)
    driver.slot.write(0x108, 4, ord("!"))
    assert terminal.written == b"hello!"
    assert driver.load(0x100) == 25 << 16 | 80
    terminal.feed(b"x" * 10000)  # more than is taken at once
    got = b""
    while True:
        place = driver.allocate(1000)
        driver.rings[0].add((place, 1000, True))
        driver.rings[0].kick()
        done = driver.rings[0].take()
        if done is None:
            break
        got += driver.ram.read(place, done[1])
    assert got == b"x" * 10000
    while driver.wire.level:
        driver.acknowledge()
    driver.device.resize(100, 40)
    assert driver.acknowledge() == 2
    assert driver.load(0x100) == 40 << 16 | 100


# ---------------------------------------------------------------- input


def events(driver: Driver, count: int) -> list[tuple[int, int, int]]:
    """What comes in `count` buffers."""
    places = {}
    for _ in range(count):
        place = driver.allocate(8)
        places[driver.rings[0].add((place, 8, True))] = place
    driver.rings[0].kick()
    found = []
    while (done := driver.rings[0].take()) is not None:
        assert done[1] == 8
        found.append(struct.unpack("<HHi", driver.ram.read(places[done[0]], 8)))
    return found


def answer(driver: Driver, select: int, subselect: int) -> bytes:
    driver.slot.write(0x100, 1, select)
    driver.slot.write(0x101, 1, subselect)
    size = driver.slot.read(0x102, 1)
    return bytes(driver.slot.read(0x108 + place, 1) for place in range(size))


def test_a_keyboard() -> None:
    """It says what keys it has; keys come with a mark behind each; lights are switched."""
    driver = Driver(VirtioKeyboard(serial="k1"))
    assert answer(driver, 1, 0) == b"Isomorph Virtio Keyboard"
    assert answer(driver, 2, 0) == b"k1"
    assert answer(driver, 0x11, 1)[30 // 8] & 1 << 30 % 8
    assert answer(driver, 0x11, 3) == answer(driver, 0x12, 0) == answer(driver, 1, 1) == b""
    assert isinstance(driver.device, VirtioKeyboard)
    driver.device.key(30, True)
    driver.device.key(30, False)
    assert events(driver, 8) == [(1, 30, 1), (0, 0, 0), (1, 30, 0), (0, 0, 0)]
    driver.ask(driver.rings[1], struct.pack("<HHI", 0x11, 1, 1), 0)
    assert driver.device.lights == 2


def test_a_tablet_and_a_mouse() -> None:
    """Places are bounded, movements signed; what has no buffer waits, up to a bound."""
    driver = Driver(VirtioTablet())
    assert struct.unpack("<5I", answer(driver, 0x12, 0)) == (0, 0x7FFF, 0, 0, 0)
    assert isinstance(driver.device, VirtioTablet)
    driver.device.move(100, 1 << 20)
    driver.device.button("left", True)
    driver.device.wheel(-1)
    assert events(driver, 9) == [
        *((3, 0, 100), (3, 1, 0x7FFF), (0, 0, 0)),
        *((1, 0x110, 1), (0, 0, 0), (2, 8, -1), (0, 0, 0)),
    ]
    driver = Driver(VirtioMouse())
    assert isinstance(driver.device, VirtioMouse)
    for _ in range(1000):
        driver.device.move(-3, 4)
    assert events(driver, 3) == [(2, 0, -3), (2, 1, 4), (0, 0, 0)]
    assert len(driver.device.save()["own"]["waiting"]) < 1024
    other = VirtioMouse()
    other.load(driver.device.save())
    assert other.save() == driver.device.save()
    with pytest.raises(DeviceError, match="is of a virtio-mouse"):
        VirtioInput().load(driver.device.save())


# ---------------------------------------------------------------- gpu


def command(driver: Driver, kind: int, body: bytes = b"", room: int = 24, fence: int = 0) -> tuple[int, bytes]:
    """(type of the answer, what is behind its header)."""
    header = struct.pack("<IIQII", kind, 1 if fence else 0, fence, 0, 0)
    got = driver.ask(driver.rings[0], header + body, room)
    answered, flags, fenced = struct.unpack_from("<IIQ", got)
    assert (flags, fenced) == ((1, fence) if fence else (0, 0))
    return answered, got[24:]


def picture(driver: Driver, width: int, height: int, form: int = 2) -> int:
    """Resource 1 with backing; the address of its pixels."""
    assert command(driver, gpu.CREATE, struct.pack("<IIII", 1, form, width, height))[0] == gpu.OK
    place = driver.allocate(4 * width * height)
    half = 4 * width * height // 2
    entries = struct.pack("<QIIQII", place, half, 0, place + half, half, 0)
    assert command(driver, gpu.ATTACH, struct.pack("<II", 1, 2) + entries)[0] == gpu.OK
    return place


def rectangle(x: int, y: int, width: int, height: int) -> bytes:
    return struct.pack("<IIII", x, y, width, height)


def unpng(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of one of our PNG files."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(data):
        (size,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack_from(">I", data, place + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + size
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = zlib.decompress(chunks[b"IDAT"])
    return width, height, b"".join(rows[y * (3 * width + 1) + 1 :][: 3 * width] for y in range(height))


@pytest.mark.parametrize(("form", "pixel"), [(1, b"BGRx"), (4, b"xRGB"), (67, b"RGBx"), (68, b"xBGR")])
def test_a_picture_on_the_screen(form: int, pixel: bytes) -> None:
    """Create, attach, transfer, show, flush: the screendump has the colours in their places."""
    display = Display("screen")
    changes: list[tuple[int, int, int, int]] = []
    display.on_change.append(lambda *area: changes.append(area))
    driver = Driver(VirtioGpu(display, 640, 480))
    answered, body = command(driver, gpu.GET_DISPLAY_INFO, room=408, fence=77)
    assert (answered, struct.unpack_from("<6I", body)) == (gpu.OK_DISPLAY_INFO, (0, 0, 640, 480, 1, 0))
    place = picture(driver, 8, 4, form)
    driver.ram.write(place, pixel * 32)
    assert command(driver, gpu.TRANSFER, rectangle(0, 0, 8, 4) + struct.pack("<QII", 0, 1, 0))[0] == gpu.OK
    assert command(driver, gpu.SET_SCANOUT, rectangle(0, 0, 8, 4) + struct.pack("<II", 0, 1), fence=5)[0] == gpu.OK
    assert command(driver, gpu.FLUSH, rectangle(2, 1, 4, 2) + struct.pack("<II", 1, 0))[0] == gpu.OK
    assert changes[-1] == (2, 1, 4, 2)
    assert unpng(display.png()) == (8, 4, b"RGB" * 32)
    driver.ram.write(place, b"\0" * 128)
    body = rectangle(2, 1, 3, 2) + struct.pack("<QII", 4 * (8 + 2), 1, 0)
    assert command(driver, gpu.TRANSFER, body)[0] == gpu.OK
    black = {(x, y) for y in (1, 2) for x in (2, 3, 4)}
    expected = b"".join(bytes(3) if (x, y) in black else b"RGB" for y in range(4) for x in range(8))
    assert display.rgb() == expected
    assert display.rgb(1, 1, 2, 1) == b"RGB\0\0\0"
    other = VirtioGpu(Display("other"))
    other.load(driver.device.save())
    assert other.display.rgb() == expected
    assert command(driver, gpu.UNREF, struct.pack("<II", 1, 0))[0] == gpu.OK
    assert unpng(display.png()) == (1, 1, bytes(3))


def test_a_part_of_a_picture_is_shown() -> None:
    """The screen is an area of it; changes outside are none."""
    display = Display("screen")
    driver = Driver(VirtioGpu(display))
    place = picture(driver, 8, 8, 67)
    driver.ram.write(place, b"".join(bytes([n, n, n, 0]) for n in range(64)))
    command(driver, gpu.TRANSFER, rectangle(0, 0, 8, 8) + struct.pack("<QII", 0, 1, 0))
    command(driver, gpu.SET_SCANOUT, rectangle(2, 3, 4, 2) + struct.pack("<II", 0, 1))
    assert display.rgb()[::3] == bytes([26, 27, 28, 29, 34, 35, 36, 37])
    changes: list[tuple[int, int, int, int]] = []
    display.on_change.append(lambda *area: changes.append(area))
    command(driver, gpu.FLUSH, rectangle(0, 0, 8, 8) + struct.pack("<II", 1, 0))
    command(driver, gpu.FLUSH, rectangle(0, 0, 8, 1) + struct.pack("<II", 1, 0))
    assert changes == [(0, 0, 4, 2)]


def test_commands_that_the_screen_refuses() -> None:
    """Each with its own answer, and the device goes on."""
    driver = Driver(VirtioGpu(Display("screen")))
    picture(driver, 8, 8)
    transfer = struct.pack("<QII", 0, 1, 0)
    for kind, body, expected in (
        (gpu.CREATE, struct.pack("<IIII", 1, 2, 8, 8), gpu.INVALID_RESOURCE),
        (gpu.CREATE, struct.pack("<IIII", 0, 2, 8, 8), gpu.INVALID_RESOURCE),
        (gpu.CREATE, struct.pack("<IIII", 2, 5, 8, 8), gpu.INVALID_PARAMETER),
        (gpu.CREATE, struct.pack("<IIII", 2, 2, 0, 8), gpu.INVALID_PARAMETER),
        (gpu.CREATE, struct.pack("<IIII", 2, 2, 16384, 16384), gpu.OUT_OF_MEMORY),
        (gpu.CREATE, b"short", gpu.INVALID_PARAMETER),
        (gpu.SET_SCANOUT, rectangle(0, 0, 8, 8) + struct.pack("<II", 1, 1), gpu.INVALID_SCANOUT),
        (gpu.SET_SCANOUT, rectangle(1, 0, 8, 8) + struct.pack("<II", 0, 1), gpu.INVALID_PARAMETER),
        (gpu.SET_SCANOUT, rectangle(0, 0, 8, 8) + struct.pack("<II", 0, 9), gpu.INVALID_RESOURCE),
        (gpu.FLUSH, rectangle(0, 0, 9, 8) + struct.pack("<II", 1, 0), gpu.INVALID_PARAMETER),
        (gpu.TRANSFER, rectangle(0, 0, 8, 9) + transfer, gpu.INVALID_PARAMETER),
        (gpu.TRANSFER, rectangle(0, 0, 8, 8) + struct.pack("<QII", 4, 1, 0), gpu.INVALID_PARAMETER),
        (gpu.TRANSFER, rectangle(0, 0, 8, 8) + struct.pack("<QII", 2**64 - 4, 1, 0), gpu.INVALID_PARAMETER),
        (gpu.ATTACH, struct.pack("<II", 1, 1) + bytes(16), gpu.UNSPECIFIED),
        (gpu.DETACH, struct.pack("<II", 1, 0), gpu.OK),
        (gpu.ATTACH, struct.pack("<II", 1, 2) + bytes(16), gpu.INVALID_PARAMETER),
        (gpu.ATTACH, struct.pack("<II", 1, 1 << 20), gpu.INVALID_PARAMETER),
        (gpu.ATTACH, struct.pack("<IIQII", 1, 1, 0, 1 << 20, 0), gpu.OK),  # outside memory: found when it is used
        (gpu.TRANSFER, rectangle(0, 0, 8, 8) + transfer, gpu.UNSPECIFIED),
        (0x109, b"", gpu.UNSPECIFIED),
        (gpu.UNREF, struct.pack("<II", 7, 0), gpu.INVALID_RESOURCE),
    ):
        assert command(driver, kind, body)[0] == expected, hex(kind)
    assert driver.ask(driver.rings[1], struct.pack("<IIQII5I", gpu.UPDATE_CURSOR, 0, 0, 0, 0, 0, 4, 5, 0, 1), 24)
    assert driver.device.save()["own"]["cursor"] == [4, 5, 1]
    driver.device.resize(800, 600)
    assert driver.load(0x100) == 1
    driver.store(0x104, 1)
    assert driver.load(0x100) == 0


def test_our_own_checksum() -> None:
    """The remainder modulo 65535 is the sum with end-around carry (RFC 1071's example)."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
