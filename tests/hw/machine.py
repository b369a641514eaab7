"""A machine with nothing in it but RAM: what the tests of devices plug them into."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from runtime.core.accelerator import BusError
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.clock import ManualClock
from runtime.hw.device import Device, Platform
from runtime.hw.dma import Dma
from runtime.hw.events import EventLoop

RAM = 0x8000_0000
DEVICE = 0x1000_0000


@dataclass
class Bench:
    """RAM of 1 MB at RAM, and what a device asks of its platform; `happened` is what it did to the machine."""

    space: AddressSpace = field(default_factory=lambda: AddressSpace("memory"))
    clock: ManualClock = field(default_factory=ManualClock)
    ram: Memory = field(default_factory=lambda: Memory("ram", 1 << 20))
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.space.add_ram(RAM, self.ram)
        self.platform = Platform(
            memory=Dma(self.space),
            clock=self.clock,
            events=EventLoop(self.space.lock),
            lock=self.space.lock,
            power_off=lambda status: self.happened.append(f"off {status}"),
            reset=lambda: self.happened.append("reset"),
            watchdog=lambda: self.happened.append("watchdog"),
            log=lambda item, text: self.happened.append(f"{item}: {text}"),
        )

    def put(self, device: Device) -> None:
        """Have a device answer at DEVICE."""
        self.space.add_device(DEVICE, device)

    def load(self, offset: int, size: int = 4) -> int:
        return self.space.read(DEVICE + offset, size)

    def store(self, offset: int, value: int, size: int = 4) -> None:
        self.space.write(DEVICE + offset, size, value)

    def settle(self) -> None:
        """Do what is due in the event loop now."""
        self.platform.events.run_once(0)


def fuzz(bench: Bench, device: Device, seed: int, accesses: int = 3000) -> None:
    """Random accesses by somebody who knows nothing of the device: it answers with numbers of the size, or refuses
    the size; nothing else comes of it.  State saved on the way fits a device of the kind."""
    dice = random.Random(seed)
    for _ in range(accesses):
        size = dice.choice((1, 2, 4, 8))
        offset = dice.randrange(device.size)
        if dice.random() < 0.8:
            offset &= -size
        if dice.random() < 0.3:
            offset &= 0x3F
        try:
            if dice.random() < 0.5:
                assert 0 <= bench.load(offset, size) < 1 << 8 * size
            else:
                bench.store(offset, dice.choice((0, 1, 0xFF, 0xFFFFFFFF, dice.getrandbits(64))), size)
        except BusError:
            assert size not in device.sizes or offset + size > device.size
        if dice.random() < 0.02:
            bench.clock.advance(dice.randrange(10**7))
            bench.settle()
        if dice.random() < 0.01:
            device.load(device.save())
        if dice.random() < 0.005:
            device.reset()
