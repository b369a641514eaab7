"""The PC's devices, driven through their registers: each as its data sheet says, and its state saved and restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.hw.acpi_pm import TIMER_FREQUENCY, AcpiPm, ResetControl
from runtime.hw.block.images import open_image
from runtime.hw.clock import ManualClock
from runtime.hw.debug_console import DebugConsole, DebugExit
from runtime.hw.i8042 import I8042, FastGate
from runtime.hw.i8254 import FREQUENCY, I8254, PortB
from runtime.hw.i8259 import I8259, EdgeLevelControl, make_pair
from runtime.hw.ide import SECTOR, IdeChannel
from runtime.hw.irq import Line
from runtime.hw.mc146818 import Mc146818
from tests.hw.machine import Bench, fuzz

SECOND = 1_000_000_000


class Wire:
    """What a line did: its level, and how often it rose."""

    def __init__(self) -> None:
        self.level = self.rises = 0

    def set(self, level: int) -> None:
        self.rises += level and not self.level
        self.level = level

    def line(self) -> Line:
        return Line("wire", self.set)


# ------------------------------------------------------------ 8259


def make_pics() -> tuple[Wire, I8259, I8259]:
    """A pair as a PC's firmware sets it up: vectors from 0x08 and 0x70, nothing masked."""
    wire = Wire()
    master, slave = make_pair(wire.set)
    for chip, base, cascade in ((master, 0x08, 4), (slave, 0x70, 2)):
        for offset, value in ((0, 0x11), (1, base), (1, cascade), (1, 1), (1, 0)):
            chip.write(offset, 1, value)
    return wire, master, slave


def test_8259_delivers_by_priority() -> None:
    wire, master, _ = make_pics()
    three, one = master.line(3), master.line(1)
    three.set(1)
    one.set(1)
    assert wire.level
    assert master.acknowledge() == 0x09
    assert not wire.level, "3 is of lower priority than 1, which is being served"
    master.write(0, 1, 0x20)
    assert wire.level
    assert master.acknowledge() == 0x0B


def test_8259_edges_and_masks() -> None:
    wire, master, _ = make_pics()
    line = master.line(4)
    master.write(1, 1, 0x10)
    line.set(1)
    assert not wire.level
    assert master.read(0, 1) == 0x10
    master.write(1, 1, 0)
    assert master.acknowledge() == 0x0C
    master.write(0, 1, 0x20)
    assert not wire.level, "the level alone is no further edge"
    line.set(0)
    line.set(1)
    assert wire.level


def test_8259_cascade_and_specific_end() -> None:
    wire, master, slave = make_pics()
    slave.line(6).set(1)
    assert master.acknowledge() == 0x76
    assert not wire.level
    master.write(0, 1, 0x0B)
    slave.write(0, 1, 0x0B)
    assert (master.read(0, 1), slave.read(0, 1)) == (0x04, 0x40)
    slave.write(0, 1, 0x66)
    master.write(0, 1, 0x62)
    assert (master.read(0, 1), slave.read(0, 1)) == (0, 0)


def test_8259_level_triggered_and_spurious() -> None:
    wire, master, slave = make_pics()
    control = EdgeLevelControl("elcr", (master, slave))
    control.write(0, 1, 0xFF)
    assert control.read(0, 1) == 0xF8, "the timer, the keyboard and the cascade are edges"
    line = master.line(5)
    line.set(1)
    assert master.acknowledge() == 0x0D
    master.write(0, 1, 0x20)
    assert wire.level, "the level is still there"
    line.set(0)
    assert master.acknowledge() == 0x0F


def test_8259_rotation_poll_and_special_mask() -> None:
    wire, master, _ = make_pics()
    for number in (0, 1):
        master.line(number).set(1)
    assert master.acknowledge() == 0x08
    master.write(0, 1, 0xA0)  # its end, and it becomes the last
    master.set_input(0, 0)
    master.set_input(0, 1)
    assert master.acknowledge() == 0x09
    master.write(0, 1, 0x20)
    master.write(0, 1, 0x0C)  # poll
    assert master.read(0, 1) == 0x80
    assert master.read(0, 1) & 1 == 0
    state = master.save()
    again = I8259("again", wire.set, True)
    again.load(state)
    assert again.save() == state


# ------------------------------------------------------------ 8254


def make_timer() -> tuple[Wire, ManualClock, I8254]:
    wire, clock = Wire(), ManualClock()
    return wire, clock, I8254("pit", wire.line(), clock)


def test_8254_rate_generator() -> None:
    wire, clock, timer = make_timer()
    for offset, value in ((3, 0x34), (0, 0xA9), (0, 0x04)):  # 1193: about 1 kHz
        timer.write(offset, 1, value)
    clock.advance(10 * 1193 * SECOND // FREQUENCY + 1000)
    assert wire.rises == 10


def test_8254_one_shot_latch_and_status() -> None:
    wire, clock, timer = make_timer()
    for offset, value in ((3, 0x30), (0, 0x00), (0, 0x80)):
        timer.write(offset, 1, value)
    clock.advance(0x4000 * SECOND // FREQUENCY + 1)
    timer.write(3, 1, 0x00)  # latch
    clock.advance(1000 * 1000)
    assert abs((timer.read(0, 1) | timer.read(0, 1) << 8) - 0x4000) <= 1
    timer.write(3, 1, 0xE2)  # read-back: the status of counter 0
    assert timer.read(0, 1) == 0x30
    assert not wire.level
    clock.advance(SECOND)
    assert wire.level
    timer.write(3, 1, 0xE2)
    assert timer.read(0, 1) & 0x80


def test_8254_third_counter_and_its_port() -> None:
    _, clock, timer = make_timer()
    port = PortB("portb", timer)
    port.write(0, 1, 1)
    for offset, value in ((3, 0xB0), (2, 0xFF), (2, 0xFF)):
        timer.write(offset, 1, value)
    assert not port.read(0, 1) & 0x20
    assert (port.read(0, 1) ^ port.read(0, 1)) & 0x10, "memory is refreshed"
    clock.advance(SECOND // 10)
    assert port.read(0, 1) & 0x21 == 0x21


def test_8254_keeps_its_state() -> None:
    _, clock, timer = make_timer()
    for offset, value in ((3, 0x34), (0, 0x10), (0, 0x27)):
        timer.write(offset, 1, value)
    clock.advance(1000)
    other = make_timer()[2]
    other.load(timer.save())
    assert other.save() == timer.save()


# ------------------------------------------------------------ MC146818


def make_clock(cmos: dict[int, int] | None = None) -> tuple[Wire, ManualClock, Mc146818]:
    wire, clock = Wire(), ManualClock()
    base = 951_868_799 * SECOND  # 2000-02-29 23:59:59, a Tuesday
    return wire, clock, Mc146818("rtc", wire.line(), clock, base, cmos)


def cmos(device: Mc146818, index: int, value: int | None = None) -> int:
    device.write(0, 1, index)
    if value is not None:
        device.write(1, 1, value)
    return device.read(1, 1)


def test_mc146818_time() -> None:
    _, clock, device = make_clock()
    fields = [cmos(device, index) for index in (0x32, 9, 8, 7, 6, 4, 2, 0)]
    assert fields == [0x20, 0x00, 0x02, 0x29, 3, 0x23, 0x59, 0x59]
    clock.advance(SECOND)
    fields = [cmos(device, index) for index in (8, 7, 6, 4, 2, 0)]
    assert fields == [0x03, 0x01, 4, 0x00, 0x00, 0x00]
    cmos(device, 0x0B, 0x04)  # binary numbers, twelve hours
    assert cmos(device, 4) == 12
    cmos(device, 4, 0x80 | 3)
    cmos(device, 0x0B, 0x06)
    assert cmos(device, 4) == 15
    cmos(device, 7, 32)
    assert cmos(device, 7) == 1, "there is no such day"


def test_mc146818_interrupts() -> None:
    wire, clock, device = make_clock()
    cmos(device, 0x0A, 0x2D)  # 8 a second
    cmos(device, 0x0B, 0x42)
    clock.advance(SECOND // 8)
    assert wire.level
    assert cmos(device, 0x0C) == 0xC0
    assert not wire.level
    cmos(device, 0x0B, 0x22)
    for alarm, value in ((1, 0x01), (3, 0xC0), (5, 0xC0)):
        cmos(device, alarm, value)
    clock.advance(3 * SECOND)
    assert wire.level
    assert cmos(device, 0x0C) & 0xA0 == 0xA0


def test_mc146818_memory_survives_a_reset() -> None:
    _, _, device = make_clock({0x34: 0x12})
    assert cmos(device, 0x34) == 0x12
    cmos(device, 0x40, 0x77)
    device.reset()
    assert cmos(device, 0x40) == 0x77


# ------------------------------------------------------------ 8042


def make_keyboard() -> tuple[Wire, Wire, list[str], I8042]:
    keys, mouse, resets = Wire(), Wire(), list[str]()
    return keys, mouse, resets, I8042("i8042", (keys.line(), mouse.line()), lambda: resets.append("reset"))


def drain(device: I8042) -> bytes:
    found = bytearray()
    while device.read(4, 1) & 1:
        found.append(device.read(0, 1))
    return bytes(found)


def test_8042_self_test_and_keyboard() -> None:
    keys, _, _, device = make_keyboard()
    device.write(4, 1, 0xAA)
    assert drain(device) == b"\x55"
    device.write(0, 1, 0xFF)
    assert keys.level
    assert drain(device) == b"\xfa\xaa"
    assert not keys.level
    device.write(0, 1, 0xF2)
    assert drain(device) == b"\xfa\xab\x83"
    device.write(0, 1, 0xED)
    device.write(0, 1, 2)
    assert drain(device) == b"\xfa\xfa"
    device.press(b"\x1e\x9e")
    assert keys.rises == 9, "an interrupt for every byte"
    assert drain(device) == b"\x1e\x9e"


def test_8042_mouse() -> None:
    keys, mouse, _, device = make_keyboard()
    device.write(4, 1, 0x60)
    device.write(0, 1, 0x47)
    device.report(1, 5, -5)
    assert drain(device) == b"", "it reports when it is told to"
    for value in (0xD4, 0xD4):
        device.write(4, 1, value)
        device.write(0, 1, 0xF4)
    assert mouse.level
    assert not keys.rises
    assert device.read(4, 1) & 0x20
    drain(device)
    device.report(1, 5, -5)
    assert drain(device) == bytes((0x29, 5, 251))


def test_8042_as_the_seat_of_a_user() -> None:
    """Keys by Linux's codes become scan codes; a movement down is one of fewer lines up."""
    _, _, _, device = make_keyboard()
    for code in (30, 105, 250):  # a, left, none
        device.key(code, True)
        device.key(code, False)
    assert drain(device) == b"\x1e\x9e\xe0\x4b\xe0\xcb"
    device.write(4, 1, 0x60)
    device.write(0, 1, 0x47)
    device.write(4, 1, 0xD4)
    device.write(0, 1, 0xF4)
    drain(device)
    device.button("right", True)
    device.move(3, 4)
    device.button("right", False)
    device.wheel(1)
    assert drain(device) == bytes((0x0A, 0, 0, 0x2A, 3, 252, 0x08, 0, 0))


def test_8042_resets_and_the_a20_gate() -> None:
    _, _, resets, device = make_keyboard()
    gate: list[int] = []
    device.a20 = gate.append
    device.write(4, 1, 0xD1)
    device.write(0, 1, 0x01)
    device.write(4, 1, 0xDF)
    assert gate == [0, 1]
    device.write(4, 1, 0xFE)
    assert resets == ["reset"]
    fast = FastGate("port92", lambda: resets.append("fast"))
    fast.write(0, 1, 3)
    assert (fast.read(0, 1), resets) == (2, ["reset", "fast"])


# ------------------------------------------------------------ debugging, ACPI


def test_debug_ports() -> None:
    written = bytearray()
    console = DebugConsole("debugcon", written.extend)
    console.write(0, 1, 0x41)
    assert (console.read(0, 1), written) == (0xE9, b"A")
    bench = Bench()
    DebugExit("exit", bench.platform).write(0, 1, 21)
    assert bench.happened == ["off 43"]


def test_acpi_power_off_button_and_timer() -> None:
    bench, wire = Bench(), Wire()
    device = AcpiPm("acpi", wire.line(), bench.platform)
    device.write(2, 2, 0x100)
    device.press_power_button()
    assert wire.level
    device.write(0, 2, 0x100)
    assert not wire.level
    bench.clock.advance(SECOND)
    assert device.read(8, 4) == TIMER_FREQUENCY & 0xFFFFFF
    device.write(4, 2, 0x2000 | 5 << 10)
    assert not bench.happened, "another sleep than S5"
    device.write(4, 2, 0x2000)
    assert bench.happened == ["off 0"]


def test_reset_control() -> None:
    bench = Bench()
    device = ResetControl("reset", bench.platform)
    device.write(0, 1, 2)
    assert not bench.happened
    device.write(0, 1, 6)
    assert bench.happened == ["reset"]


# ------------------------------------------------------------ IDE


@pytest.fixture
def channel(tmp_path: Path) -> tuple[Wire, IdeChannel, Path]:
    path = tmp_path / "disk"
    path.write_bytes(b"".join(bytes((number & 0xFF,)) * SECTOR for number in range(64)))
    wire = Wire()
    made = IdeChannel("ide0", wire.line())
    made.plug(0, open_image(str(path), format="raw"))
    return wire, made, path


def read_sectors(device: IdeChannel, count: int) -> bytes:
    words = (device.read(0, 2).to_bytes(2, "little") for _ in range(count * SECTOR // 2))
    return b"".join(words)


def command(device: IdeChannel, code: int, sector: int, count: int) -> None:
    for offset, value in ((6, 0xE0), (2, count), (3, sector & 0xFF), (4, sector >> 8), (5, 0), (7, code)):
        device.write(offset, 1, value)


def test_ide_identify(channel: tuple[Wire, IdeChannel, Path]) -> None:
    wire, device, _ = channel
    device.write(6, 1, 0xA0)
    device.write(7, 1, 0xEC)
    assert wire.level
    assert device.read(7, 1) == 0x58
    assert not wire.level
    data = read_sectors(device, 1)
    assert int.from_bytes(data[120:124], "little") == 64
    assert data[54:68] == b"SIMOROHPD SI K"
    assert device.read(7, 1) == 0x50


def test_ide_reads(channel: tuple[Wire, IdeChannel, Path]) -> None:
    wire, device, _ = channel
    command(device, 0x20, 5, 2)
    assert read_sectors(device, 2) == b"\x05" * SECTOR + b"\x06" * SECTOR
    assert wire.rises == 1, "nobody read the status between the sectors"
    command(device, 0xC6, 0, 4)
    rises = wire.rises
    command(device, 0xC4, 8, 4)
    assert device.read(7, 1) & 8
    assert read_sectors(device, 4)[3 * SECTOR] == 11
    assert wire.rises == rises + 1
    for offset, value in ((2, 0), (2, 1), (3, 0), (3, 63), (4, 0), (4, 0), (5, 0), (5, 0), (7, 0x24)):
        device.write(offset, 1, value)
    assert read_sectors(device, 1) == b"\x3f" * SECTOR


def test_ide_writes(channel: tuple[Wire, IdeChannel, Path]) -> None:
    _, device, path = channel
    command(device, 0x30, 3, 2)
    for word in range(SECTOR):
        device.write(0, 2, word)
    assert device.read(7, 1) == 0x50
    command(device, 0xE7, 0, 0)
    data = path.read_bytes()
    assert data[3 * SECTOR : 5 * SECTOR] == b"".join(word.to_bytes(2, "little") for word in range(SECTOR))
    assert data[5 * SECTOR] == 5


def test_ide_errors(channel: tuple[Wire, IdeChannel, Path]) -> None:
    _, device, _ = channel
    command(device, 0x20, 63, 2)
    assert (device.read(7, 1), device.read(1, 1)) == (0x51, 0x10)
    command(device, 0xA1, 0, 0)
    assert (device.read(7, 1), device.read(1, 1)) == (0x51, 0x04)
    device.write(6, 1, 0xF0)
    assert device.read(7, 1) == 0, "there is no second disk"


def test_ide_control(channel: tuple[Wire, IdeChannel, Path]) -> None:
    wire, device, _ = channel
    device.control.write(0, 1, 2)
    command(device, 0xE5, 0, 0)
    assert not wire.level
    device.control.write(0, 1, 0)
    assert wire.level
    assert device.control.read(0, 1) == 0x50
    assert wire.level, "the alternate status leaves the interrupt alone"
    device.control.write(0, 1, 4)
    assert device.read(7, 1) == 0x80
    device.control.write(0, 1, 0)
    assert (device.read(2, 1), device.read(3, 1), device.read(4, 1)) == (1, 1, 0)
    state = device.save()
    device.load(state)
    assert device.save() == state


# ------------------------------------------------------------ whatever a guest does


def test_senseless_accesses(tmp_path: Path) -> None:
    """No access makes a device fail; what they saved on the way they take back."""
    image = tmp_path / "disk"
    image.write_bytes(bytes(64 * SECTOR))
    wire = Wire()
    backend = open_image(str(image), format="raw")
    for seed in range(3):
        bench = Bench()
        master, slave = make_pair(wire.set)
        timer = I8254("pit", wire.line(), bench.clock)
        disks = IdeChannel("ide", wire.line())
        disks.plug(0, backend)
        devices = (
            master,
            EdgeLevelControl("elcr", (master, slave)),
            timer,
            PortB("portb", timer),
            Mc146818("rtc", wire.line(), bench.clock, SECOND),
            I8042("i8042", (wire.line(), wire.line()), lambda: None),
            AcpiPm("acpi", wire.line(), bench.platform),
            disks,
        )
        for device in devices:
            one = Bench()
            one.put(device)
            fuzz(one, device, seed)
