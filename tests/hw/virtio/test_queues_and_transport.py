"""Queues of every kind and virtio-mmio, driven as a driver would; and what a broken driver gets: a device that needs a
reset, nothing else."""

from __future__ import annotations

import struct

import pytest

from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.mmio import VirtioMmio
from runtime.hw.virtio.queue import Queue
from runtime.hw.virtio.rng import VirtioRng
from tests.hw.virtio.driver import EVENT_INDEX, INDIRECT, NEXT, PACKED, RAM, RAM_SIZE, WRITE, Driver, Ram, Wire

KINDS = {
    "split": 0,
    "split, event index": EVENT_INDEX,
    "split, indirect": INDIRECT,
    "packed": PACKED,
    "packed, indirect, event index": PACKED | INDIRECT | EVENT_INDEX,
}


class Reverse(VirtioDevice):
    """Answers each request with its bytes in reverse."""

    kind = "reverse"
    device_id = 99
    queue_sizes = (64,)

    def handle(self, queue: Queue) -> None:
        while (chain := self.pop(queue)) is not None:
            reader = self.reader(chain)
            self.push(queue, chain, self.writer(chain).write(reader.read(reader.remaining)[::-1]))
        self.interrupt(queue)


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(Reverse(packed=True), request.param)


def test_requests_go_round_the_ring_many_times(driver: Driver) -> None:
    """Every slot and both wrap counters are used; answers are each request's own."""
    ring = driver.rings[0]
    request, answer = driver.allocate(64), driver.allocate(64)
    for number in range(100):
        text = f"request {number}".encode()
        driver.ram.write(request, text)
        identity = ring.add((request, 3, False), (request + 3, len(text) - 3, False), (answer, 64, True))
        ring.kick()
        assert ring.take() == (identity, len(text))
        assert driver.ram.read(answer, len(text)) == text[::-1]
        assert driver.acknowledge() == 1
    assert ring.take() is None


def test_several_requests_make_one_interrupt(driver: Driver) -> None:
    """What was added before the notification is served by it, in order."""
    ring = driver.rings[0]
    answers = [driver.allocate(8) for _ in range(5)]
    identities = [ring.add((driver.put(bytes([n])), 1, False), (answers[n], 8, True)) for n in range(5)]
    ring.kick()
    assert [ring.take() for _ in range(5)] == [(identity, 1) for identity in identities]
    assert [driver.ram.read(answer, 1)[0] for answer in answers] == list(range(5))
    assert driver.wire.rises == 1


def test_interrupts_are_left_out_when_the_driver_says_so() -> None:
    """The flag in the available ring, and the event index, keep the line down."""
    driver = Driver(Reverse(), 0)
    driver.ram.write(driver.rings[0].available, struct.pack("<H", 1))
    driver.ask(driver.rings[0], b"x", 1)
    assert driver.wire.level == 0
    driver = Driver(Reverse(), EVENT_INDEX)
    ring = driver.rings[0]
    driver.ask(ring, b"x", 1)
    driver.acknowledge()
    driver.ram.write(ring.available + 4 + 2 * ring.size, struct.pack("<H", 3))  # not before the fourth
    for expected in (0, 0, 1):
        ring.add((driver.put(b"x"), 1, False), (driver.allocate(1), 1, True))
        ring.kick()
        assert driver.wire.level == expected


def test_the_device_tells_from_which_index_on_it_wants_to_hear() -> None:
    """2.7.10: with the event index, `avail_event` is where the device has got to."""
    driver = Driver(Reverse(), EVENT_INDEX)
    ring = driver.rings[0]
    for number in range(3):
        driver.ask(ring, b"x", 1)
        assert struct.unpack("<H", driver.ram.read(ring.used + 4 + 8 * ring.size, 2))[0] == number + 1


def _descriptor(driver: Driver, slot: int, address: int, length: int, flags: int, following: int = 0) -> None:
    driver.ram.write(driver.rings[0].descriptors + 16 * slot, struct.pack("<QIHH", address, length, flags, following))


def _offer(driver: Driver, head: int, count: int = 1) -> None:
    ring = driver.rings[0]
    driver.ram.write(ring.available + 4, struct.pack("<H", head))
    driver.ram.write(ring.available + 2, struct.pack("<H", count))
    ring.kick()


BROKEN = {
    "a loop": lambda d: [_descriptor(d, n, RAM, 4, NEXT, (n + 1) % 2) for n in range(2)],
    "a loop on itself": lambda d: _descriptor(d, 0, RAM, 4, NEXT, 0),
    "below RAM": lambda d: _descriptor(d, 0, 0, 4, 0),
    "behind RAM": lambda d: _descriptor(d, 0, RAM + RAM_SIZE - 2, 4, 0),
    "the end of the address space": lambda d: _descriptor(d, 0, 2**64 - 2, 4, 0),
    "huge": lambda d: _descriptor(d, 0, RAM, 0xFFFF_FFFF, 0),
    "huge to write": lambda d: _descriptor(d, 0, RAM, 0x4000_0001, WRITE),
    "no such descriptor": lambda d: _descriptor(d, 0, RAM, 4, NEXT, 16),
    "to read behind to write": lambda d: [_descriptor(d, 0, RAM, 4, NEXT | WRITE, 1), _descriptor(d, 1, RAM, 4, 0)],
    "indirect, not agreed on": lambda d: _descriptor(d, 0, RAM, 16, 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_request_breaks_the_device_until_reset(name: str) -> None:
    """DEVICE_NEEDS_RESET and a configuration interrupt; after a reset everything works again."""
    driver = Driver(Reverse(), 0)
    BROKEN[name](driver)
    _offer(driver, 0)
    assert driver.load(0x70) == 0x4F
    assert driver.device.complaint
    assert driver.acknowledge() & 2
    before = bytes(driver.ram.bytes)
    driver.rings[0].kick()
    assert driver.ram.bytes == before
    driver.start()
    assert driver.ask(driver.rings[0], b"abc", 3) == b"cba"


INDIRECTLY = {
    "no entries": (RAM, 0, 4),
    "half an entry": (RAM, 24, 4),
    "too many": (RAM, 16 * 2000, 4),
    "outside RAM": (RAM + RAM_SIZE, 16, 4),
    "others follow": (RAM, 16, 4 | NEXT),
}


@pytest.mark.parametrize("name", INDIRECTLY)
@pytest.mark.parametrize("packed", [0, PACKED])
def test_a_broken_indirect_table(name: str, packed: int) -> None:
    """The same for tables."""
    driver = Driver(Reverse(packed=True), INDIRECT | packed)
    address, length, flags = INDIRECTLY[name]
    if packed:
        driver.ram.write(driver.rings[0].descriptors, struct.pack("<QIHH", address, length, 1, flags | 0x80))
        driver.rings[0].kick()
    else:
        _descriptor(driver, 0, address, length, flags)
        _offer(driver, 0)
    assert driver.load(0x70) == 0x4F


def test_a_table_within_a_table_and_too_many_requests() -> None:
    """2.7.5.3.1; an available index that is ahead by more than the ring holds; a head that is none."""
    driver = Driver(Reverse(), INDIRECT)
    _descriptor(driver, 0, driver.put(struct.pack("<QIHH", RAM, 16, 4, 0)), 16, 4)
    _offer(driver, 0)
    assert driver.load(0x70) == 0x4F
    driver.start()
    _offer(driver, 0, 17)
    assert driver.load(0x70) == 0x4F
    driver.start()
    _offer(driver, 16)
    assert driver.load(0x70) == 0x4F


def test_chained_descriptors_may_end_in_a_table() -> None:
    """2.7.5.3.2: zero or more normal descriptors followed by an indirect one."""
    driver = Driver(Reverse(), INDIRECT)
    answer = driver.allocate(8)
    table = driver.put(struct.pack("<QIHHQIHH", driver.put(b"cd"), 2, NEXT, 1, answer, 8, WRITE, 0))
    _descriptor(driver, 0, driver.put(b"ab"), 2, NEXT, 1)
    _descriptor(driver, 1, table, 32, 4)
    _offer(driver, 0)
    assert driver.rings[0].take() == (0, 4)
    assert driver.ram.read(answer, 4) == b"dcba"


@pytest.mark.parametrize(
    ("size", "offset", "address"), [(3, 0, 0), (0, 0, 0), (128, 0, 0), (16, 0x80, 8), (16, 0x90, 1), (16, 0xA0, 2)]
)
def test_a_queue_that_cannot_be(size: int, offset: int, address: int) -> None:
    """Sizes that are no power of two or too large, rings that are misaligned: never ready."""
    driver = Driver(Reverse(), 0)
    driver.store(0x70, 0)
    for half, bits in ((1, 1), (0, 0)):
        driver.store(0x24, half)
        driver.store(0x20, bits)
    driver.store(0x70, 11)
    driver.store(0x30, 0)
    driver.store(0x38, size)
    if offset:
        driver.store(offset, address)
    driver.store(0x44, 1)
    assert driver.load(0x44) == 0
    assert driver.load(0x70) & 0x40


def test_rings_outside_memory() -> None:
    """Addresses of rings are used only when there is something to do, and then break the device."""
    for offset in (0x84, 0x94, 0xA4):
        driver = Driver(Reverse(), 0)
        identity = driver.rings[0].add((driver.put(b"x"), 1, False), (driver.allocate(4), 4, True))
        driver.store(0x30, 0)
        driver.store(0x44, 0)
        driver.store(0x38, 16)
        ring = driver.rings[0]
        for place, address in ((0x80, ring.descriptors), (0x90, ring.available), (0xA0, ring.used)):
            driver.store(place, address)
        driver.store(offset, 0xFFFF_FFFF)
        driver.store(0x44, 1)
        driver.rings[0].kick()
        assert driver.load(0x70) == 0x4F, identity


def test_negotiation_refuses_what_was_not_offered() -> None:
    """FEATURES_OK does not stay set: unknown bits, or no VERSION_1."""
    for features in (1 << 5 | 1 << 32, 0):
        driver = Driver(Reverse(), start=False)
        driver.store(0x70, 3)
        for half in (0, 1):
            driver.store(0x24, half)
            driver.store(0x20, features >> 32 * half & 0xFFFF_FFFF)
        driver.store(0x70, 11)
        assert driver.load(0x70) == 3


def test_registers_of_an_empty_slot_and_of_no_queue() -> None:
    """Device ID 0 without a device; no shared memory; a queue that there is none of is left out."""
    slot = VirtioMmio("slot", Ram(), Wire())
    assert [slot.read(offset, 4) for offset in (0, 4, 8, 0x10, 0x34, 0x70, 0x100)] == [0x74726976, 2, 0, 0, 0, 0, 0]
    slot.write(0x70, 4, 1)
    driver = Driver(Reverse())
    assert driver.load(0x200 - 4) == 0
    assert driver.load(0xB0) == 0xFFFF_FFFF
    driver.store(0x30, 7)  # a queue that there is none of
    assert driver.load(0x34) == 0
    driver.store(0x44, 1)
    driver.store(0x50, 7)
    assert driver.load(0x70) == 15


def test_state_goes_on_in_another_device(driver: Driver) -> None:
    """Saved between two requests, loaded into a fresh device on a copy of the memory."""
    for _ in range(21):
        driver.ask(driver.rings[0], b"one", 3)
    other = Driver(Reverse(packed=True), driver.features, start=False)
    other.ram.bytes[:] = driver.ram.bytes
    other.slot.load(driver.slot.save())
    assert other.wire.level == driver.wire.level
    driver.slot, driver.ram = other.slot, other.ram
    driver.rings[0].ram = other.ram
    assert driver.ask(driver.rings[0], b"two", 3) == b"owt"


def test_random_bytes_and_the_same_ones_with_a_seed() -> None:
    """virtio-rng fills each buffer; a seed makes it repeat, through saved state too."""
    driver = Driver(VirtioRng())
    assert driver.ask(driver.rings[0], b"", 64) != driver.ask(driver.rings[0], b"", 64)
    first, second = Driver(VirtioRng(seed=5)), Driver(VirtioRng(seed=5))
    assert first.ask(first.rings[0], b"", 40) == second.ask(second.rings[0], b"", 40)
    second.slot.load(first.slot.save())
    assert first.ask(first.rings[0], b"", 40) == second.ask(second.rings[0], b"", 40)
