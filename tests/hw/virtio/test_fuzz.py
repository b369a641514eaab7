"""Drivers that know nothing: random registers, random rings.  Never an exception, never a byte outside RAM."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.hw.block.images import open_image
from runtime.hw.characters import Recorder
from runtime.hw.display import Display
from runtime.hw.net.link import Link
from runtime.hw.virtio.blk import VirtioBlk
from runtime.hw.virtio.console import VirtioConsole
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.gpu import VirtioGpu
from runtime.hw.virtio.input import VirtioKeyboard, VirtioTablet
from runtime.hw.virtio.net import VirtioNet
from runtime.hw.virtio.rng import VirtioRng
from tests.hw.virtio.driver import EVENT_INDEX, INDIRECT, PACKED, RAM, RAM_SIZE, Driver


def make_disk(folder: Path) -> VirtioDevice:
    (folder / "disk").write_bytes(bytes(1 << 16))
    return VirtioBlk(open_image(str(folder / "disk"), format="raw"), packed=True)


def make_card(folder: Path) -> VirtioDevice:
    link = Link("nowhere")
    link.offloads = True
    return VirtioNet(link, b"\2abcde", packed=True)


MAKERS: dict[str, Callable[[Path], VirtioDevice]] = {
    "blk": make_disk,
    "net": make_card,
    "console": lambda folder: VirtioConsole(Recorder(), packed=True),
    "rng": lambda folder: VirtioRng(seed=1, packed=True),
    "keyboard": lambda folder: VirtioKeyboard(packed=True),
    "tablet": lambda folder: VirtioTablet(packed=True),
    "gpu": lambda folder: VirtioGpu(Display("screen"), packed=True),
}

#: what drivers write on purpose, so that chance gets further than the first check
STATUSES = (0, 1, 3, 11, 15, 0xFF)
COMMANDS = (0, 1, 4, 8, 11, 13, 0x100, 0x101, 0x103, 0x105, 0x106, 0x300)


def outside(device: VirtioDevice, chance: random.Random) -> None:
    """What happens on the device's other side."""
    if isinstance(device, VirtioNet):
        device.link.deliver(chance.randbytes(chance.choice((14, 60, 1514, 9000))))
    elif isinstance(device, VirtioConsole):
        device.feed(b"typed")
    elif isinstance(device, VirtioKeyboard):
        device.key(chance.randrange(256), True)
    elif isinstance(device, VirtioGpu):
        assert device.display.png()


@pytest.mark.parametrize("name", MAKERS)
def test_random_registers(name: str, tmp_path: Path) -> None:
    """Loads and stores of any size anywhere; every answer fits its size; state goes through save and load."""
    chance = random.Random(f"registers {name}")
    driver = Driver(MAKERS[name](tmp_path), start=False)
    for _ in range(6000):
        size = chance.choice((1, 2, 4, 4, 4, 8))
        offset = chance.randrange(0x200 // size) * size
        if chance.random() < 0.5:
            assert 0 <= driver.slot.read(offset, size) < 1 << 8 * size
            continue
        value = chance.choice((0, 1, chance.randrange(20), chance.randrange(RAM, RAM + RAM_SIZE) & ~15, -1))
        if chance.random() < 0.2:
            offset, size, value = 0x70, 4, chance.choice(STATUSES)
        driver.slot.write(offset, size, value & (1 << 8 * size) - 1)
        if chance.random() < 0.02:
            outside(driver.device, chance)
            driver.slot.load(driver.slot.save())


@pytest.mark.parametrize("features", [0, INDIRECT | EVENT_INDEX, PACKED, PACKED | INDIRECT | EVENT_INDEX])
@pytest.mark.parametrize("name", MAKERS)
def test_random_rings(name: str, features: int, tmp_path: Path) -> None:
    """Rings full of nonsense, next to sense: the device serves, or asks for a reset and is reset."""
    chance = random.Random(f"rings {name} {features}")
    driver = Driver(MAKERS[name](tmp_path), features)
    broken = served = 0
    for _ in range(2000):
        ring = chance.choice(driver.rings)
        for _ in range(chance.randrange(1, 4)):
            data = struct.pack("<II", chance.choice(COMMANDS), chance.randrange(3)) + chance.randbytes(40)
            driver.ram.write(RAM + chance.randrange(64) * 64, data)
        for _ in range(chance.randrange(6)):
            _scribble(driver, ring.descriptors, ring.size, chance)
        if features & PACKED:
            place = ring.descriptors + 16 * chance.randrange(ring.size) + 14
            driver.ram.write(place, struct.pack("<H", chance.choice((0x80, 0x8000, 0x81, 0x84, 0x8001, 0x82))))
        else:
            for _ in range(3):
                place = ring.available + 4 + 2 * chance.randrange(ring.size)
                driver.ram.write(place, struct.pack("<H", chance.choice((chance.randrange(ring.size), 0xFFFF))))
            (index,) = struct.unpack("<H", driver.ram.read(ring.available + 2, 2))
            index += chance.choice((0, 1, 1, 2, 3, 200))
            driver.ram.write(ring.available + 2, struct.pack("<H", index & 0xFFFF))
        ring.kick()
        outside(driver.device, chance)
        served += driver.wire.level
        if driver.load(0x70) & 0x40:
            broken += 1
            driver.start()
        elif driver.wire.level:
            driver.acknowledge()
    assert broken
    assert served


def _scribble(driver: Driver, table: int, size: int, chance: random.Random) -> None:
    """A descriptor that may be good."""
    address = chance.choice(
        (
            *(RAM + chance.randrange(64) * 64,) * 6,
            RAM + RAM_SIZE - chance.randrange(100),
            chance.getrandbits(64),
            table,
        )
    )
    length = chance.choice((1, 8, 16, 24, 24, 40, 48, 64, 512, 1513, 1 << 16, 0xFFFF_FFFF, 0))
    flags = chance.choice((0, 0, 1, 1, 2, 2, 3, 4, 5, 0x80, 0x82, 0x8080, chance.getrandbits(16)))
    following = chance.choice((chance.randrange(size), chance.randrange(size), 0xFFFF))
    words = (flags, following)
    if driver.packed:
        words = (following, flags | chance.choice((0x80, 0x8000)))
    driver.ram.write(table + 16 * chance.randrange(size), struct.pack("<QIHH", address, length, *words))
