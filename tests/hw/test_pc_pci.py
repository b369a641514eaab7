"""A PC's chip set: configuration by ports, shadows below 1 MiB, PCI's wires to ISA's interrupts, places for memory."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from runtime.hw.block.images import open_image
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.device import Device, DeviceError
from runtime.hw.dma import Dma
from runtime.hw.ide import SECTOR, IdeChannel
from runtime.hw.irq import Line
from runtime.hw.pci.function import Bar, PciFunction
from runtime.hw.pci.host import BUS_SIZE, ConfigPorts, PciHost, Window
from runtime.hw.pci.i440fx import DiskFunction, HostBridge, IsaBridge, slot_lines

ADDRESS, DATA = 0xCF8, 0xCFC
WINDOW = Window(0x80000000, 0x1000000)


class Byte(Device):
    """A device of a byte, which remembers."""

    def __init__(self) -> None:
        super().__init__("byte", 1)
        self.value = 0

    def read(self, offset: int, size: int) -> int:
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:
        self.value = value


class Chips:
    """The chip set on a bus of its own, and the levels of ISA's interrupts."""

    def __init__(self) -> None:
        self.memory = AddressSpace("memory")
        self.ports = AddressSpace("ports", 16, floating=(1 << 64) - 1)
        self.ram = Memory("ram", 2 << 20)
        self.memory.add_ram(0, self.ram)
        self.firmware = Memory("firmware", 0x20000, b"firmware".ljust(0x20000, b"\x11"))
        self.levels: dict[int, int] = {}
        self.bridge, self.isa = HostBridge("host"), IsaBridge("isa", self._line)
        self.host = PciHost("pci", BUS_SIZE, slot_lines(self.isa, Line), [WINDOW], bridge=self.bridge)
        self.host.map_windows(self.memory)
        self.host.plug(self.isa, 1, 0)
        self.channels = [IdeChannel(f"ide{number}", self._line(14 + number)) for number in range(2)]
        self.host.ports = self.ports
        self.disk = DiskFunction("disk", Dma(self.memory), self.channels)
        self.host.plug(self.disk, 1, 1)
        self.behind = Byte()
        self.ports.add_device(ADDRESS, ConfigPorts("ports", self.host, self.behind))

    def _line(self, number: int) -> Line:
        return Line(f"irq{number}", lambda level: self.levels.__setitem__(number, level))

    def read(self, slot: int, number: int, register: int, size: int = 4) -> int:
        self.ports.write(ADDRESS, 4, 1 << 31 | slot << 11 | number << 8 | register & 0xFC)
        return self.ports.read(DATA + register % 4, size)

    def write(self, slot: int, number: int, register: int, value: int, size: int = 4) -> None:
        self.ports.write(ADDRESS, 4, 1 << 31 | slot << 11 | number << 8 | register & 0xFC)
        self.ports.write(DATA + register % 4, size, value)


def test_what_firmware_finds() -> None:
    chips = Chips()
    found = {
        (slot, number): chips.read(slot, number, 0)
        for slot in range(32)
        for number in range(8)
        if chips.read(slot, number, 0) != 0xFFFFFFFF
    }
    assert found == {(0, 0): 0x12378086, (1, 0): 0x70008086, (1, 1): 0x70108086}
    assert chips.read(0, 0, 0x2C) == 0x11001AF4
    assert chips.read(1, 0, 0x0E, 1) == 0x80, "there are several functions in slot 1"
    assert chips.read(1, 1, 0x0A, 2) == 0x0101, "a disk controller"


def test_single_bytes_pass_the_address_port() -> None:
    """0xCF9 is another device's; the address register itself takes four bytes alone."""
    chips = Chips()
    chips.ports.write(ADDRESS, 4, 0x80000000)
    chips.ports.write(0xCF9, 1, 6)
    assert chips.behind.value == 6
    assert chips.ports.read(0xCF9, 1) == 6
    assert chips.ports.read(ADDRESS, 4) == 0x80000000


def test_shadows() -> None:
    """Each part shows the firmware, or nothing, or RAM that takes no stores, or RAM."""
    chips = Chips()
    nothing = Memory("nothing", 0x10000, b"\xff" * 0x10000)
    chips.bridge.watch(chips.memory, chips.ram, chips.firmware, nothing, priority=1)
    for at in (0xC0000, 0xE0000, 0xF0000):
        chips.ram.bytes[at : at + 3] = b"RAM"

    def seen(at: int) -> bytes:
        return chips.memory.read(at, 4).to_bytes(4, "little")[:3]

    assert (seen(0xC0000), seen(0xE0000), seen(0xF0000)) == (b"\xff\xff\xff", b"fir", b"\x11\x11\x11")
    chips.write(0, 0, 0x5A, 0x01, 1)
    assert (seen(0xC0000), seen(0xC4000)) == (b"RAM", b"\xff\xff\xff")
    chips.memory.write(0xC0000, 1, 0)
    assert seen(0xC0000) == b"RAM", "it may be read, not written"
    chips.write(0, 0, 0x5A, 0x33, 1)
    chips.memory.write(0xC0000, 1, ord("D"))
    assert seen(0xC0000) == b"DAM"
    chips.write(0, 0, 0x59, 0x33, 1)
    assert (seen(0xE0000), seen(0xF0000)) == (b"fir", b"RAM")
    assert chips.read(0, 0, 0x59, 1) == 0x30, "its lower half says nothing"
    state = chips.bridge.save()
    chips.bridge.reset()
    assert (seen(0xC0000), seen(0xF0000)) == (b"\xff\xff\xff", b"\x11\x11\x11")
    chips.bridge.load(state)
    assert (seen(0xC0000), seen(0xF0000)) == (b"DAM", b"RAM")
    chips.bridge.reset()
    chips.bridge.open_shadows()
    assert seen(0xE0000) == b"RAM"


def test_wires_reach_the_interrupts_they_are_routed_to() -> None:
    chips = Chips()
    functions = []
    for slot in (3, 4, 7):  # 3 and 7 share a wire: PIRQC
        function = PciFunction(f"slot{slot}", vendor=1, device=slot, class_code=0)
        chips.host.plug(function, slot)
        functions.append(function)
    functions[0].set_interrupt(1)
    assert not any(chips.levels.values()), "nothing is routed yet"
    chips.write(1, 0, 0x62, 10, 1)
    assert chips.levels == {10: 1}
    functions[2].set_interrupt(1)
    functions[0].set_interrupt(0)
    assert chips.levels[10] == 1, "the wire's other function still drives it"
    chips.write(1, 0, 0x63, 10, 1)
    functions[1].set_interrupt(1)
    functions[2].set_interrupt(0)
    assert chips.levels[10] == 1, "and so does another wire routed there"
    chips.write(1, 0, 0x60, 0x0D020100)
    assert chips.levels == {10: 0}, "interrupts that are a PC's own"
    chips.write(1, 0, 0x60, 0x0B0B0B0B)
    assert chips.levels == {10: 0, 11: 1}
    state = chips.isa.save()
    chips.isa.reset()
    assert chips.levels == {10: 0, 11: 0}
    chips.isa.load(state)
    assert chips.levels == {10: 0, 11: 1}


def test_places_for_all_memory() -> None:
    """As firmware does: the largest first, none over another, and drivers told of their interrupts."""
    chips = Chips()
    functions = []
    for number, sizes in enumerate(((0x1000, 0x100000), (0x20000,), ())):
        function = PciFunction(f"function{number}", vendor=1, device=number, class_code=0)
        for index, size in enumerate(sizes):
            function.add_bar(Bar(2 * index, Memory(f"bar{number}.{index}", size), wide=bool(index), prefetch=False))
        if sizes:
            function.uses_interrupt()
        chips.host.plug(function)
        functions.append(function)
    chips.host.place_all(lambda slot: 5 + slot)
    assert [function.address_of(0) for function in functions[:2]] == [0x80120000, 0x80100000]
    assert functions[0].address_of(2) == 0x80000000
    assert [function.config[0x3C] for function in functions] == [7, 8, 0]
    kinds = {piece.region.name: piece.kind for piece in chips.memory.pieces}
    assert kinds["bar0.0"] == kinds["bar1.0"] == "ram"
    for number in range(2):
        big = PciFunction(f"big{number}", vendor=1, device=1, class_code=0)
        big.add_bar(Bar(0, Memory(f"big{number}", WINDOW.size), wide=False, prefetch=False))
        chips.host.plug(big)
    with pytest.raises(DeviceError, match=r"^big.: 0x1000000 bytes are more than PCI's memory has left$"):
        chips.host.place_all(lambda slot: 0)


# ------------------------------------------------------------ the disk function's bus master

MASTER = 0xC040
TABLE, BUFFER = 0x1000, 0x8000


class Disks:
    """A disk on the first channel, and a driver that has found the bus master."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "disk"
        self.path.write_bytes(b"".join(bytes([sector]) * SECTOR for sector in range(64)))
        self.chips = Chips()
        self.channel = self.chips.channels[0]
        self.channel.plug(0, open_image(str(self.path), format="raw"))
        self.chips.write(1, 1, 0x20, 0xFFFFFFFF)
        assert self.chips.read(1, 1, 0x20) == 0xFFFFFFF1, "sixteen ports"
        self.chips.write(1, 1, 0x20, MASTER)
        assert self.port(2) == 0xFF, "not yet among the ports"
        self.chips.write(1, 1, 4, 5, 2)

    def port(self, offset: int, size: int = 1) -> int:
        return self.chips.ports.read(MASTER + offset, size)

    def table(self, *parts: tuple[int, int]) -> None:
        """Regions of memory; the last is marked."""
        for index, (address, size) in enumerate(parts):
            last = 0x80000000 if index == len(parts) - 1 else 0
            at = TABLE + 8 * index
            self.chips.ram.bytes[at : at + 8] = address.to_bytes(4, "little") + (size | last).to_bytes(4, "little")
        self.chips.ports.write(MASTER + 4, 4, TABLE)

    def begin(self, code: int, sector: int, count: int, read: bool) -> None:
        """Direction, the disk's command, and go; as drivers do."""
        self.chips.ports.write(MASTER, 1, 8 if read else 0)
        self.chips.ports.write(MASTER + 2, 1, self.port(2) | 6)
        for offset, value in ((6, 0xE0), (2, count), (3, sector), (4, 0), (5, 0), (7, code)):
            self.channel.write(offset, 1, value)
        assert self.channel.control.read(0, 1) in (0x80, 0x51), "busy, or refused"
        self.chips.ports.write(MASTER, 1, 9 if read else 1)

    def end(self) -> tuple[int, int]:
        """The bus master's status, and the disk's."""
        found = self.port(2), self.channel.read(7, 1)
        self.chips.ports.write(MASTER, 1, 0)
        return found


def test_a_disk_reads_and_writes_memory_itself(tmp_path: Path) -> None:
    disks = Disks(tmp_path)
    ram = disks.chips.ram.bytes
    disks.channel.write(7, 1, 0xEC)
    words = [disks.channel.read(0, 2) for _ in range(256)]
    assert words[49] & 0x100
    assert words[88] & 0x3F
    disks.table((BUFFER, 700), (BUFFER + 0x1000, 3 * SECTOR - 700))  # regions end within a sector
    disks.begin(0xC8, 9, 3, read=True)
    assert disks.chips.levels[14] == 1
    assert disks.end() == (4, 0x50)
    assert bytes(ram[BUFFER : BUFFER + 700]) == b"\x09" * 512 + b"\x0a" * 188
    assert bytes(ram[BUFFER + 0x1000 : BUFFER + 0x1000 + 836]) == b"\x0a" * 324 + b"\x0b" * 512
    ram[BUFFER : BUFFER + 1024] = bytes(range(256)) * 4
    disks.table((BUFFER, 1024))
    disks.begin(0xCA, 20, 2, read=False)
    assert disks.end() == (4, 0x50)
    disks.channel.close()
    assert disks.path.read_bytes()[20 * SECTOR : 22 * SECTOR] == bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("parts", "enabled", "read", "status"),
    [
        (((0x80000000, 512),), True, True, (6, 0x51)),  # no memory
        (((BUFFER, 256),), True, True, (6, 0x51)),  # too little of it
        (((BUFFER, 512),), False, True, (6, 0x51)),  # the function may not
        (((BUFFER, 512),), True, False, (6, 0x51)),  # the other way
        (((BUFFER, 1024),), True, True, (5, 0x50)),  # more than the disk has: still active
    ],
)
def test_transfers_that_fail(
    tmp_path: Path, parts: tuple[tuple[int, int], ...], enabled: bool, read: bool, status: tuple[int, int]
) -> None:
    """Nothing is moved, and the driver is told; saving in the middle keeps what waits."""
    disks = Disks(tmp_path)
    disks.chips.write(1, 1, 4, 5 if enabled else 1, 2)
    disks.table(*parts)
    disks.begin(0xC8, 1, 1, read)
    assert disks.end() == status
    if status[1] == 0x51:
        assert not any(disks.chips.ram.bytes[BUFFER : BUFFER + 512])
    disks.begin(0xC8, 64, 1, read=True)
    assert disks.end()[1] == 0x51, "no such sector"
    state = disks.chips.disk.save()
    disks.chips.disk.reset()
    assert disks.port(2) == 0xFF
    disks.chips.disk.load(state)
    assert disks.chips.disk.save() == state


def test_a_table_ends_with_its_64_kilobytes(tmp_path: Path) -> None:
    """Else a guest could have gigabytes of it read, in pieces of two bytes."""
    disks = Disks(tmp_path)
    disks.table(*[(BUFFER, 2)] * (0xF000 // 8), (BUFFER, 0))
    disks.begin(0xC8, 0, 64, read=True)
    assert disks.end() == (6, 0x51)
    disks.chips.ram.bytes[0x10000:0x10008] = bytes(8)  # so that it would be long enough
    disks.chips.ram.bytes[TABLE:0x10000] = (BUFFER.to_bytes(4, "little") + b"\2\0\0\0") * (0xF000 // 8)
    disks.begin(0xC8, 0, 64, read=True)
    assert disks.end() == (6, 0x51)


def test_senseless_accesses_to_the_bus_master(tmp_path: Path) -> None:
    disks = Disks(tmp_path)
    chance = Random(5)
    for _ in range(3000):
        size = chance.choice((1, 2, 4))
        value = chance.choice((1, 8, 9, TABLE, 0x7FFFFFFC, chance.getrandbits(32)))
        disks.chips.ports.write(MASTER + chance.randrange(0, 16, size), size, value)
        disks.chips.ram.bytes[TABLE : TABLE + 64] = chance.randbytes(64)
        disks.channel.write(chance.randrange(1, 7), 1, chance.choice((0, 1, 0xE0, chance.randrange(256))))
        disks.channel.write(7, 1, chance.choice((0xC8, 0xCA, 0x25, 0x35, 0x20, 0xE7)))
        disks.channel.read(chance.randrange(8), 1)
