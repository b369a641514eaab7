"""A driver for virtio devices, in Python: finds a device by its registers and talks to it through rings in memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from runtime.hw.dma import DmaError
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.mmio import VirtioMmio

RAM, RAM_SIZE = 0x8000_0000, 1 << 22

INDIRECT, EVENT_INDEX, VERSION_1, PACKED = 1 << 28, 1 << 29, 1 << 32, 1 << 34
NEXT, WRITE, INDIRECT_FLAG = 1, 2, 4


class Ram:
    """Guest memory, which refuses every address outside it."""

    def __init__(self) -> None:
        self.bytes = bytearray(RAM_SIZE)

    def _at(self, address: int, size: int) -> int:
        if not (size >= 0 and address >= RAM and address + size <= RAM + RAM_SIZE):
            raise DmaError(address, size)
        return address - RAM

    def read(self, address: int, size: int) -> bytes:
        at = self._at(address, size)
        return bytes(self.bytes[at : at + size])

    def write(self, address: int, data: bytes) -> None:
        at = self._at(address, len(data))
        self.bytes[at : at + len(data)] = data


class Wire:
    """An interrupt line that counts how often it rose."""

    def __init__(self) -> None:
        self.level = self.rises = 0

    def set(self, level: int) -> None:
        self.rises += level > self.level
        self.level = level


class Ring:
    """The driver's side of a queue."""

    def __init__(self, driver: Driver, index: int, size: int) -> None:
        self.driver, self.ram, self.index, self.size = driver, driver.ram, index, size
        self.descriptors = driver.allocate(16 * size)
        self.available = driver.allocate(6 + 2 * size)
        self.used = driver.allocate(6 + 8 * size)
        for place, length in ((self.descriptors, 16 * size), (self.available, 6 + 2 * size), (self.used, 6 + 8 * size)):
            self.ram.write(place, bytes(length))
        self.next = self.seen = 0
        self.free = 0
        self.wrap = self.used_wrap = 1
        self.waiting: dict[int, tuple[int, int]] = {}  # id -> slots, first slot
        self.next_id = 0

    def add(self, *buffers: tuple[int, int, bool]) -> int:
        """Offer (address, size, whether the device writes); the id it will come back under."""
        if self.driver.features & INDIRECT and len(buffers) > 1:
            table = self.driver.allocate(16 * len(buffers))
            for number, (address, size, write) in enumerate(buffers):
                more = NEXT if number + 1 < len(buffers) and not self.driver.packed else 0
                self.ram.write(
                    table + 16 * number,
                    struct.pack("<QIHH", address, size, *self._order(number + 1, (WRITE if write else 0) | more)),
                )
            entries = [(table, 16 * len(buffers), INDIRECT_FLAG)]
        else:
            entries = [
                (address, size, (WRITE if write else 0) | (NEXT if number + 1 < len(buffers) else 0))
                for number, (address, size, write) in enumerate(buffers)
            ]
        return self._add_packed(entries) if self.driver.packed else self._add_split(entries)

    def _order(self, following: int, flags: int) -> tuple[int, int]:
        return (0, flags) if self.driver.packed else (flags, following)

    def _add_split(self, entries: Sequence[tuple[int, int, int]]) -> int:
        head = self.free % self.size
        for number, (address, size, flags) in enumerate(entries):
            slot = (head + number) % self.size
            self.ram.write(
                self.descriptors + 16 * slot, struct.pack("<QIHH", address, size, flags, (slot + 1) % self.size)
            )
        self.free += len(entries)
        self.ram.write(self.available + 4 + 2 * (self.next % self.size), struct.pack("<H", head))
        self.next = self.next + 1 & 0xFFFF
        self.ram.write(self.available + 2, struct.pack("<H", self.next))
        return head

    def _add_packed(self, entries: Sequence[tuple[int, int, int]]) -> int:
        identity = self.next_id = self.next_id + 1 & 0x7FFF
        self.waiting[identity] = (len(entries), self.next)
        stores = []
        for address, size, flags in entries:
            flags |= 0x80 if self.wrap else 0x8000
            stores.append((self.descriptors + 16 * self.next, struct.pack("<QIHH", address, size, identity, flags)))
            self.next += 1
            if self.next == self.size:
                self.next, self.wrap = 0, 1 - self.wrap
        for address, data in reversed(stores):  # the first descriptor last: it hands all of them over
            self.ram.write(address, data)
        return identity

    def kick(self) -> None:
        """Notify the device."""
        self.driver.store(0x50, self.index)

    def take(self) -> tuple[int, int] | None:
        """(id, bytes written) of what the device gave back next, if anything."""
        if self.driver.packed:
            _, length, identity, flags = struct.unpack("<QIHH", self.ram.read(self.descriptors + 16 * self.seen, 16))
            if bool(flags & 0x80) != bool(self.used_wrap) or bool(flags & 0x8000) != bool(self.used_wrap):
                return None
            self.seen += self.waiting.pop(identity)[0]
            if self.seen >= self.size:
                self.seen, self.used_wrap = self.seen - self.size, 1 - self.used_wrap
            return identity, length
        (index,) = struct.unpack("<H", self.ram.read(self.used + 2, 2))
        if index == self.seen:
            return None
        identity, length = struct.unpack("<II", self.ram.read(self.used + 4 + 8 * (self.seen % self.size), 8))
        self.seen = self.seen + 1 & 0xFFFF
        if self.driver.features & EVENT_INDEX:
            self.ram.write(self.available + 4 + 2 * self.size, struct.pack("<H", self.seen))
        return identity, length


class Driver:
    """What any driver does: find, negotiate, set up queues, exchange buffers."""

    def __init__(self, device: VirtioDevice, features: int = 0, *, size: int = 16, start: bool = True) -> None:
        self.ram, self.wire = Ram(), Wire()
        self.slot = VirtioMmio("slot", self.ram, self.wire, device)
        self.device = device
        self.features = features | VERSION_1
        self.packed = bool(features & PACKED)
        self.size = size
        self.rings: list[Ring] = []
        if start:
            self.start()

    def load(self, offset: int) -> int:
        return self.slot.read(offset, 4)

    def store(self, offset: int, value: int) -> None:
        self.slot.write(offset, 4, value)

    def allocate(self, size: int, align: int = 16) -> int:
        """Memory that nothing else is in, until `restart`."""
        place = -(-self._free // align) * align
        self._free = place + size
        assert self._free <= RAM + RAM_SIZE, "the test needs more memory"
        return place

    def put(self, data: bytes) -> int:
        """Data in memory."""
        place = self.allocate(len(data))
        self.ram.write(place, data)
        return place

    def start(self) -> None:
        """3.1.1: the driver's initialization."""
        self._free = RAM + 0x1000
        assert (self.load(0), self.load(4)) == (0x74726976, 2)
        self.store(0x70, 0)
        self.store(0x70, 1)
        self.store(0x70, 3)
        offered = 0
        for half in (0, 1):
            self.store(0x14, half)
            offered |= self.load(0x10) << 32 * half
        assert self.features & ~offered == 0, f"not offered: {self.features & ~offered:#x}"
        for half in (0, 1):
            self.store(0x24, half)
            self.store(0x20, self.features >> 32 * half & 0xFFFF_FFFF)
        self.store(0x70, 11)
        assert self.load(0x70) & 8
        self.rings = []
        for index in range(len(self.device.queues)):
            self.store(0x30, index)
            assert self.load(0x44) == 0
            size = min(self.size, self.load(0x34))
            ring = Ring(self, index, size)
            self.store(0x38, size)
            for offset, address in ((0x80, ring.descriptors), (0x90, ring.available), (0xA0, ring.used)):
                self.store(offset, address & 0xFFFF_FFFF)
                self.store(offset + 4, address >> 32)
            self.store(0x44, 1)
            assert self.load(0x44) == 1
            self.rings.append(ring)
        self.store(0x70, 15)
        assert self.load(0x70) == 15

    def acknowledge(self) -> int:
        """What an interrupt handler does; the causes."""
        causes = self.load(0x60)
        self.store(0x64, causes)
        assert self.wire.level == 0
        return causes

    def ask(self, ring: Ring, request: bytes, room: int) -> bytes:
        """Send one request and return the answer that the device wrote."""
        answer = self.allocate(room) if room else 0
        buffers: list[tuple[int, int, bool]] = [(self.put(request), len(request), False)] if request else []
        if room:
            buffers.append((answer, room, True))
        identity = ring.add(*buffers)
        ring.kick()
        done = ring.take()
        assert done is not None, "not served"
        assert done[0] == identity
        return self.ram.read(answer, room) if room else b""
