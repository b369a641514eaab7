"""virtio-pci behind a host bridge: enumerated, placed and driven as an operating system does; and at random."""

from __future__ import annotations

import random
import struct

import pytest

from runtime.core.accelerator import BusError
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.device import DeviceError
from runtime.hw.device_tree import Node, Place, flatten, read_tree
from runtime.hw.dma import Dma
from runtime.hw.irq import Line
from runtime.hw.pci.function import PciFunction
from runtime.hw.pci.host import ConfigPorts, PciHost, Window
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.pci import VirtioPci
from runtime.hw.virtio.rng import VirtioRng
from tests.hw.virtio.driver import EVENT_INDEX, INDIRECT, PACKED, RAM, RAM_SIZE, Driver
from tests.hw.virtio.test_queues_and_transport import Reverse

ECAM, LOW, HIGH = 0x3000_0000, Window(0x4000_0000, 0x4000_0000), Window(0x4_0000_0000, 0x4_0000_0000)
PLACE = 0x4_0010_0000


class Board:
    """A machine's memory with a host bridge in it."""

    def __init__(self, *, messages: bool = False) -> None:
        self.space = AddressSpace("memory")
        self.messages: list[tuple[int, int]] = []
        ram = Memory("ram", RAM_SIZE)
        self.space.add_ram(RAM, ram)
        self.lines = [Line(f"line{number}") for number in range(4)]
        listen = (lambda address, data: self.messages.append((address, data))) if messages else None
        io = Window(0x300_0000, 0x10000)
        self.host = PciHost("pcie", 16 << 20, self.lines, [LOW, HIGH], io, on_message=listen)
        self.space.add_device(ECAM, self.host)
        self.host.map_windows(self.space)
        self.memory = Dma(self.space)

    def config(self, slot: int, offset: int, size: int = 4) -> int:
        return self.space.read(ECAM + (slot << 15) + offset, size)

    def configure(self, slot: int, offset: int, value: int, size: int = 4) -> None:
        self.space.write(ECAM + (slot << 15) + offset, size, value)


#: registers of virtio-mmio -> those of the common configuration: offset, size
COMMON = {
    0x14: (0x00, 4),
    0x10: (0x04, 4),
    0x24: (0x08, 4),
    0x20: (0x0C, 4),
    0x70: (0x14, 1),
    0x30: (0x16, 2),
    0x34: (0x18, 2),
    0x38: (0x18, 2),
    0x44: (0x1C, 2),
    0xFC: (0x15, 1),
    0x80: (0x20, 4),
    0x84: (0x24, 4),
    0x90: (0x28, 4),
    0x94: (0x2C, 4),
    0xA0: (0x30, 4),
    0xA4: (0x34, 4),
}


class PciDriver(Driver):
    """The same driver, finding its registers by the function's capabilities."""

    def __init__(self, board: Board, device: VirtioDevice, features: int = 0) -> None:
        self.board = board
        self.function = VirtioPci("dev", board.memory, device, messages=board.host.on_message is not None)
        self.number, _ = board.host.plug(self.function)
        self.structures: dict[int, int] = {}
        self.step = 0
        self._find()
        super().__init__(device, features, start=False)
        device.port = self.function
        self.ram = board.memory
        self.wire = board.lines[self.number % 4]
        self.start()

    def _find(self) -> None:
        """6.2.5.1: size the base-address register, place it; then follow the list of capabilities."""
        slot, board = self.number, self.board
        assert board.config(slot, 0) == (0x1040 + self.function.device.device_id) << 16 | 0x1AF4
        assert board.config(slot, 0x10) == 0
        for place in (0x20, 0x24):
            board.configure(slot, place, 0xFFFF_FFFF)
        assert (board.config(slot, 0x20), board.config(slot, 0x24)) == (0xFFFF_C00C, 0xFFFF_FFFF)
        board.configure(slot, 0x20, PLACE & 0xFFFF_FFFF)
        board.configure(slot, 0x24, PLACE >> 32)
        with pytest.raises(BusError):
            board.space.read(PLACE, 4)
        board.configure(slot, 4, 6, 2)
        place = board.config(slot, 0x34, 1)
        while place:
            identity, following, _, kind, bar = struct.unpack("<5B", board.config(slot, place, 4).to_bytes(4, "little")
                                                              + bytes([board.config(slot, place + 4, 1)]))  # fmt: skip
            if identity == 0x11:
                self.messages = place
                place = following
                continue
            assert identity == 9
            self.structures[kind] = PLACE + board.config(slot, place + 8)
            if kind == 2:
                self.step = board.config(slot, place + 16)
            if kind == 5:
                self.window = place
            else:
                assert bar == 4
            place = following

    def load(self, offset: int) -> int:
        if offset in (0, 4):
            return {0: 0x74726976, 4: 2}[offset]
        if offset == 0x60:
            return self.board.space.read(self.structures[3], 1)
        if offset >= 0x100:
            return self.board.space.read(self.structures[4] + offset - 0x100, 4)
        place, size = COMMON[offset]
        return self.board.space.read(self.structures[1] + place, size)

    def store(self, offset: int, value: int) -> None:
        if offset == 0x64:
            return  # reading the causes was enough
        if offset == 0x50:
            self.board.space.write(self.structures[2] + value * self.step, 2, value)
            return
        place, size = COMMON[offset]
        self.board.space.write(self.structures[1] + place, size, value)


@pytest.mark.parametrize("features", [0, INDIRECT | EVENT_INDEX, PACKED])
def test_a_device_behind_the_bridge(features: int) -> None:
    """Found, placed, negotiated with, served; its wire rises and falls; a broken ring is told."""
    driver = PciDriver(Board(), Reverse(packed=True), features)
    for _ in range(40):
        assert driver.ask(driver.rings[0], b"pci", 3) == b"icp"
        assert driver.wire.level == 1
        assert driver.board.config(driver.number, 6, 2) & 8
        assert driver.acknowledge() == 1
    assert not driver.board.config(driver.number, 6, 2) & 8
    driver.board.configure(driver.number, 4, 0x406, 2)  # interrupts disabled
    driver.ask(driver.rings[0], b"pci", 3)
    assert driver.wire.level == 0
    driver.board.configure(driver.number, 4, 6, 2)
    assert driver.wire.level == 1
    state = driver.function.save()
    driver.function.reset()
    assert driver.function.address_of(4) is None
    driver.function.load(state)
    assert driver.wire.level == 1
    driver.acknowledge()
    assert driver.ask(driver.rings[0], b"again", 5) == b"niaga"
    device = driver.device.save()
    device["queues"][0]["size"] = 0
    with pytest.raises(ValueError, match="0 entries, where"):
        driver.device.load(device)


def test_the_window_in_the_configuration_space() -> None:
    """4.1.4.9: any register can be reached through the capability, without the base-address register's memory."""
    driver = PciDriver(Board(), Reverse())
    board, slot, window = driver.board, driver.number, driver.window
    board.configure(slot, window + 4, 4, 1)
    for offset, size, expected in ((0x14, 1, 15), (0x18, 2, 16), (0x20, 4, driver.rings[0].descriptors)):
        board.configure(slot, window + 8, offset)
        board.configure(slot, window + 12, size)
        assert board.config(slot, window + 16, size) == expected
    board.configure(slot, window + 8, 0x14)
    board.configure(slot, window + 12, 1)
    board.configure(slot, window + 16, 0, 1)
    assert driver.load(0x70) == 0
    for offset, size in ((0x4000, 4), (2, 4), (0xFFFF_FFFF, 4), (0, 3)):
        board.configure(slot, window + 8, offset)
        board.configure(slot, window + 12, size)
        board.configure(slot, window + 16, 0xFF, 4)
        board.config(slot, window + 16, 4)


TABLE = 0x4000_0000
PENDING = TABLE + 0x800


def test_interrupts_by_message() -> None:
    """MSI-X as a driver sets it up: each queue's message and the configuration's; none while its mask is on."""
    board = Board(messages=True)
    driver = PciDriver(board, Reverse())
    slot, place, space = driver.number, driver.messages, board.space
    control = place + 2
    assert board.config(slot, control, 2) == 1, "two messages: one queue's, and the configuration's"
    assert (board.config(slot, place + 4), board.config(slot, place + 8)) == (1, 0x801)
    board.configure(slot, 0x14, TABLE)
    common = driver.structures[1]

    def vector(number: int) -> int:
        space.write(common + 0x1A, 2, number)
        return space.read(common + 0x1A, 2)

    space.write(common + 0x16, 2, 0)
    assert space.read(common + 0x1A, 2) == space.read(common + 0x10, 2) == 0xFFFF
    assert (vector(2), vector(1)) == (0xFFFF, 1), "a message that is not there is refused by reading none"
    space.write(common + 0x10, 2, 0)
    for number in range(2):
        assert space.read(TABLE + 16 * number + 12, 4) == 1, "all are masked at first"
        space.write(TABLE + 16 * number, 8, 0x1_FEE0_1003)
        space.write(TABLE + 16 * number + 8, 4, 0x40 + number)
    board.configure(slot, control, 0xC001, 2)
    assert board.config(slot, control, 2) == 0xC001

    assert driver.ask(driver.rings[0], b"abc", 3) == b"cba"
    assert (board.messages, driver.wire.level) == ([], 0)
    assert space.read(PENDING, 8) == 2
    space.write(TABLE + 16 + 12, 4, 0)
    assert board.messages == [], "the function's mask is on"
    board.configure(slot, control, 0x8001, 2)
    assert (board.messages, space.read(PENDING, 8)) == ([(0x1_FEE0_1000, 0x41)], 0)
    driver.ask(driver.rings[0], b"abc", 3)
    assert len(board.messages) == 2
    assert driver.acknowledge() == 0, "a message says by itself whose it is"

    state = driver.function.save()
    driver.device.config_changed()
    assert space.read(PENDING, 4) == 1
    assert driver.acknowledge() == 2
    driver.function.load(state)
    assert space.read(PENDING, 4) == 0
    space.write(TABLE + 12, 4, 0)
    board.configure(slot, 4, 2, 2)  # it may store no more
    driver.device.config_changed()
    assert len(board.messages) == 2
    board.configure(slot, 4, 6, 2)
    assert board.messages[2:] == [(0x1_FEE0_1000, 0x40)]
    board.configure(slot, control, 1, 2)
    driver.ask(driver.rings[0], b"abc", 3)
    assert (driver.wire.level, len(board.messages)) == (1, 3), "without messages it has its wire"
    board.configure(slot, control, 0x8001, 2)
    assert driver.wire.level == 0
    board.space.write(driver.structures[1] + 0x14, 1, 0)
    assert space.read(common + 0x10, 2) == 0xFFFF, "a reset of the device forgets them"


def test_empty_slots_and_full_ones() -> None:
    """Where nothing is, all ones are read; a second function cannot take a slot; there are 32."""
    board = Board()
    assert board.config(0, 0) == 0x00081B36
    assert board.config(5, 0) == 0xFFFF_FFFF
    assert board.space.read(ECAM + (3 << 20), 2) == 0xFFFF
    board.configure(5, 4, 0xFF)
    for _ in range(31):
        slot, _ = board.host.plug(PciFunction("f", vendor=1, device=2, class_code=3))
    assert slot == 31
    with pytest.raises(DeviceError, match="no free PCI slot"):
        board.host.plug(PciFunction("f", vendor=1, device=2, class_code=3))
    with pytest.raises(DeviceError, match="is in PCI slot 5 already"):
        board.host.plug(PciFunction("f", vendor=1, device=2, class_code=3), 5)


def test_the_older_ports() -> None:
    """An address, then data of each size."""
    board = Board()
    ports = ConfigPorts("ports", board.host)
    assert ports.read(4, 4) == 0xFFFF_FFFF
    ports.write(0, 4, 0x8000_0000)
    assert (ports.read(4, 4), ports.read(6, 2), ports.read(0, 4)) == (0x00081B36, 0x0008, 0x8000_0000)
    ports.write(0, 4, 0x8000_083C)
    ports.write(4, 1, 7)
    assert board.config(1, 0x3C) == 0xFFFF_FFFF


def test_the_bridge_in_the_device_tree() -> None:
    """Ranges and the map of interrupts: four pins in turn for four slots."""
    board = Board()
    root, plic = Node(""), Node("plic@c000000").set("#interrupt-cells", 1).set("#address-cells", 0)
    root.add(plic)
    place = Place(ECAM, board.host.size, plic, tuple((line,) for line in (32, 33, 34, 35)))
    root.add(board.host.device_tree_node(place))
    node = read_tree(flatten(root)).get("pci@30000000")
    assert node is not None
    table = b"".join(value for value in node.properties["interrupt-map"] if isinstance(value, bytes))
    rows = [struct.unpack_from(">6I", table, 24 * row) for row in range(16)]
    assert [row[5] for row in rows] == [32, 33, 34, 35, 33, 34, 35, 32, 34, 35, 32, 33, 35, 32, 33, 34]
    assert [row[0] >> 11 for row in rows[::4]] == [0, 1, 2, 3]


def test_random_configuration() -> None:
    """Random stores to two functions' configuration and to wherever they show themselves: nothing is raised."""
    chance = random.Random(11)
    board = Board(messages=True)
    functions = [VirtioPci(f"f{number}", board.memory, VirtioRng(seed=1), messages=bool(number)) for number in range(2)]
    for function in functions:
        board.host.plug(function)
    for _ in range(8000):
        size = chance.choice((1, 2, 4))
        slot = chance.randrange(4)
        offset = chance.choice((4, 6, 0x20, 0x24, 0x3C, chance.randrange(64) * 4, chance.randrange(4096))) & -size
        value = chance.choice((0, 6, 0xFFFF_FFFF, 0x4000_0000, 0x4000_4000, RAM, chance.getrandbits(32)))
        if chance.random() < 0.6:
            board.configure(slot, offset, value & (1 << 8 * size) - 1, size)
        else:
            board.config(slot, offset, size)
        function = chance.choice(functions)
        address = function.address_of(4)
        table = function.address_of(1) if function.messages is not None else None
        if table is not None:
            board.space.write(table + chance.choice((0, 4, 8, 12, 28, 0x800)), 4, value)
        if address is not None:
            place = address + chance.choice((0, 0x1000, 0x2000, 0x3000)) + chance.randrange(0x40) // size * size
            try:
                if chance.random() < 0.5:
                    board.space.write(place, size, value & (1 << 8 * size) - 1)
                else:
                    board.space.read(place, size)
            except BusError:
                assert not any(window.address <= place < window.address + window.size for window in (LOW, HIGH))
        if chance.random() < 0.01:
            function.load(function.save())
