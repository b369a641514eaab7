"""A whole board under drivers that know nothing: random accesses to every device, with virtio and PCI devices in it.

Never an exception but a bus error, never an answer that does not fit, and RAM changes only where a device was told to.
"""

from __future__ import annotations

import random

import pytest

from runtime.core.accelerator import BusError
from runtime.hw.characters import Recorder
from runtime.hw.clock import ManualClock
from runtime.hw.display import Display
from runtime.hw.net.link import Link
from runtime.hw.virtio.console import VirtioConsole
from runtime.hw.virtio.gpu import VirtioGpu
from runtime.hw.virtio.input import VirtioKeyboard, VirtioTablet
from runtime.hw.virtio.net import VirtioNet
from runtime.hw.virtio.rng import VirtioRng
from runtime.machine.state import load, save
from runtime.machine.virt import DRAM, ECAM, PCI_LOW
from tests.machine.boards import Board, board

MEMORY = 1 << 20
#: values that drivers write
VALUES = (0, 1, 2, 3, 4, 7, 0xB, 0xF, 0x74726976, 0xFFFF_FFFF, DRAM, DRAM + MEMORY - 8, DRAM + 0x1000)


def furnish(made: Board) -> None:
    """A device of each kind, in virtio's slots and on the PCI bus."""
    for device in (VirtioConsole(Recorder()), VirtioRng(seed=1), VirtioKeyboard(), VirtioNet(Link("a"), b"\2abcde")):
        made.virt.plug_virtio("", device)
    for number, device in enumerate((VirtioGpu(Display("screen")), VirtioTablet(), VirtioNet(Link("b"), b"\2abcdf"))):
        made.virt.plug_pci(f"card{number}", device)


def places(made: Board, chance: random.Random) -> int:
    """An address of some device's, mostly of its first registers."""
    spots = [(placed.address, placed.device.size) for placed in made.machine.devices.values() if placed.address]
    spots += [(ECAM + (slot << 15), 0x100) for slot in range(5)] + [(PCI_LOW, 1 << 16)]
    address, size = chance.choice(spots)
    return address + chance.randrange(min(size, chance.choice((0x100, 0x1000, size))))


def fuzz(seed: int, accesses: int) -> int:
    """How many accesses were answered."""
    chance, clock, answered = random.Random(seed), ManualClock(), 0
    with board(clock=clock, memory=MEMORY) as made:
        furnish(made)
        machine = made.machine
        machine.start(paused=True)
        machine.settle()
        for _ in range(accesses):
            size = chance.choice((1, 2, 4, 4, 4, 8))
            address = places(made, chance) & (-size if chance.random() < 0.9 else -1)
            try:
                if chance.random() < 0.5:
                    assert 0 <= machine.space.read(address, size) < 1 << 8 * size
                else:
                    value = chance.choice(VALUES) if chance.random() < 0.8 else chance.getrandbits(64)
                    machine.space.write(address, size, value & (1 << 8 * size) - 1)
                answered += 1
            except BusError:
                pass
            if chance.random() < 0.01:
                clock.advance(chance.randrange(10**7))
                machine.events.run_once(0)
            if chance.random() < 0.0005:
                load(machine, save(machine))
        machine.settle()
    return answered


@pytest.mark.parametrize("seed", range(2))
def test_random_accesses(seed: int) -> None:
    assert fuzz(seed, 1500) > 700


@pytest.mark.slow
def test_many_random_accesses() -> None:
    for seed in range(100, 110):
        assert fuzz(seed, 5000) > 2000
