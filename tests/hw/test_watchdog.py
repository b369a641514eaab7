"""The 6300ESB watchdog, driven as a driver does: enabled, fed, and left to run out."""

from __future__ import annotations

import pytest

from runtime.hw.device import DeviceError
from runtime.hw.pci.i6300esb import Watchdog
from tests.hw.machine import Bench, fuzz

MILLISECOND = 1_000_000
#: half a second in coarse units of about a millisecond
HALF = 512


class Driver:
    """A driver, and what came of its watchdog."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.device = Watchdog("dog", self.bench.clock, self.bench.platform.watchdog)
        self.device.join(self.bench.space, None, 1)
        self.device.set_base(0, 0x1000_0000)
        self.device.write(4, 2, 2)

    def unlocked(self, offset: int, value: int, size: int = 4) -> None:
        """Two keys, and what they are for."""
        for key in (0x80, 0x86):
            self.bench.store(0xC, key, 2)
        self.bench.store(offset, value, size)

    def start(self, count: int = HALF, lock: int = 2) -> None:
        self.unlocked(0, count)
        self.unlocked(4, count)
        self.device.write(0x68, 1, lock)

    def feed(self) -> None:
        self.unlocked(0xC, 0x100, 2)

    def wait(self, milliseconds: int) -> list[str]:
        """Let time pass: what happened."""
        self.bench.clock.advance(milliseconds * MILLISECOND)
        happened, self.bench.happened[:] = list(self.bench.happened), []
        return happened


def test_it_bites_when_nobody_feeds_it() -> None:
    """Two timers, one after the other; the reset's cause is known behind it."""
    driver = Driver()
    assert (driver.device.word(0), driver.wait(10_000)) == (0x25AB8086, [])
    driver.start()
    for _ in range(5):
        assert driver.wait(900) == []
        driver.feed()
    assert driver.wait(600) == []
    assert driver.bench.load(8) == 1, "the first has run out"
    assert driver.wait(500) == ["watchdog"]
    assert driver.wait(5000) == [], "once"
    driver.device.reset()
    assert driver.wait(5000) == [], "a reset stops it"
    driver.device.set_base(0, 0x1000_0000)
    driver.device.write(4, 2, 2)
    assert driver.bench.load(0xC, 2) == 0x200
    driver.unlocked(0xC, 0x200, 2)
    assert driver.bench.load(0xC, 2) == 0


def test_keys_locks_and_units() -> None:
    driver = Driver()
    driver.bench.store(0, 1)
    assert driver.bench.load(0) == 0xFFFFF, "nothing is stored without the keys"
    for key in (0x80, 0x80, 0x86, 1):
        driver.bench.store(0xC, key, 2)
    driver.bench.store(0, 1)
    assert driver.bench.load(0) == 0xFFFFF, "nor behind what they were spent on"
    driver.device.write(0x60, 2, 4)  # fine units: a thousandth
    driver.start(lock=3)
    driver.device.write(0x68, 1, 0)
    assert driver.device.word(0x68, 1) == 3, "it is locked"
    assert driver.wait(2) == ["watchdog"]


def test_it_can_be_told_not_to_bite_and_to_run_freely() -> None:
    driver = Driver()
    driver.device.write(0x60, 2, 0x20)
    driver.start()
    assert driver.wait(5000) == []
    assert driver.bench.load(0xC, 2) == 0x200
    driver = Driver()
    driver.start(lock=6)
    assert driver.wait(1300) == ["watchdog"] * 2


def test_timers_of_nothing() -> None:
    """Where time is made of instructions it does not pass while timers are called: they must end all the same."""
    driver = Driver()
    driver.device.write(0x60, 2, 4)
    driver.start(count=0, lock=6)
    assert set(driver.wait(1)) == {"watchdog"}


def test_its_state() -> None:
    driver = Driver()
    driver.start()
    driver.wait(700)
    state = driver.device.save()
    driver.device.reset()
    driver.device.load(state)
    assert driver.device.save() == state
    with pytest.raises(DeviceError, match="not a watchdog's"):
        driver.device.load({})


def test_whatever_a_guest_does() -> None:
    for seed in range(2):
        driver = Driver()
        bench = Bench()
        bench.put(driver.device)
        fuzz(bench, driver.device, seed, 1500)
        bench = Bench()
        bench.put(driver.device.registers)
        fuzz(bench, driver.device.registers, seed, 1500)
