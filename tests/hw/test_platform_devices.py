"""The clock, the test finisher, fw_cfg and flash, each as its driver uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.core.accelerator import BusError
from runtime.hw.device import DeviceError
from runtime.hw.fw_cfg import FwCfgMmio, FwCfgPorts
from runtime.hw.goldfish_rtc import GoldfishRtc
from runtime.hw.irq import Line
from runtime.hw.pflash import Pflash
from runtime.hw.sifive_test import SifiveTest
from tests.hw.machine import DEVICE, RAM, Bench, fuzz

BASE = 1_700_000_000 * 10**9


class Rtc(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.line = Line("irq")
        self.rtc = GoldfishRtc("rtc", self.line, self.clock, BASE)
        self.put(self.rtc)

    def time(self) -> int:
        low = self.load(0)
        return self.load(4) << 32 | low


def test_clock_and_alarm() -> None:
    bench = Rtc()
    bench.clock.advance(5)
    assert bench.time() == BASE + 5
    alarm = BASE + 1000
    bench.store(0x10, 1)
    bench.store(0xC, alarm >> 32)
    bench.store(0x8, alarm)
    assert bench.load(0x18) == 1
    bench.clock.advance(994)
    assert bench.line.level == 0
    bench.clock.advance(1)
    assert (bench.line.level, bench.load(0x18)) == (1, 0)
    bench.store(0x1C, 1)
    assert bench.line.level == 0
    bench.store(0xC, 0)
    bench.store(0x8, 0)
    assert bench.line.level == 1, "an alarm in the past rings at once"
    bench.store(0x10, 0)
    assert bench.line.level == 0
    bench.store(0x4, 1)
    bench.store(0x0, 7)
    assert bench.time() == (1 << 32) + 7
    bench.store(0xC, 1)
    bench.store(0x8, 100)
    bench.store(0x14, 1)
    assert bench.load(0x18) == 0
    fuzz(bench, bench.rtc, 1)


def test_finisher() -> None:
    bench = Bench()
    bench.put(SifiveTest("test", bench.platform))
    for value in (0x5555, 0x7777, 0x00033333, 0x1234):
        bench.store(0, value)
    assert bench.happened == ["off 0", "reset", "off 3"]
    assert bench.load(0) == 0
    with pytest.raises(BusError):
        bench.load(0, 1)


def config() -> tuple[Bench, FwCfgMmio]:
    bench = Bench()
    device = FwCfgMmio("fw_cfg", bench.platform)
    device.add_file("etc/b", b"bravo")
    device.add_file("etc/a", b"alfa")
    bench.put(device)
    return bench, device


def test_fw_cfg_by_bytes() -> None:
    bench, _ = config()
    bench.store(8, 0, 2)
    assert bytes(bench.load(0, 1) for _ in range(6)) == b"QEMU\0\0"
    bench.store(8, int.from_bytes((0x19).to_bytes(2, "big"), "little"), 2)
    directory = b"".join(bench.load(0, 8).to_bytes(8, "little") for _ in range(17))
    assert directory[:4] == (2).to_bytes(4, "big")
    assert directory[4:12] == bytes.fromhex("00000004 0021 0000")
    assert directory[12:68].rstrip(b"\0") == b"etc/a"
    assert directory[68 + 8 : 132].rstrip(b"\0") == b"etc/b"
    assert bench.load(16, 8).to_bytes(8, "little") == b"QEMU CFG"


def test_fw_cfg_by_dma() -> None:
    bench, device = config()
    memory = bench.platform.memory
    written: list[bytes] = []
    store = bytearray(4)
    device.add_file("etc/w", store, lambda: written.append(bytes(store)))

    def transfer(control: int, length: int, address: int) -> int:
        memory.write(RAM, control.to_bytes(4, "big") + length.to_bytes(4, "big") + address.to_bytes(8, "big"))
        bench.store(16, int.from_bytes(RAM.to_bytes(8, "big"), "little"), 8)
        return int.from_bytes(memory.read(RAM, 4), "big")

    assert transfer(0x20 << 16 | 8 | 2, 8, RAM + 0x100) == 0
    assert memory.read(RAM + 0x100, 8) == b"bravo\0\0\0"
    assert transfer(0x21 << 16 | 8, 0, 0) == 0
    assert transfer(4, 2, 0) == 0
    assert transfer(2, 2, RAM + 0x200) == 0
    assert memory.read(RAM + 0x200, 2) == b"fa"
    assert transfer(0x20 << 16 | 8 | 2, 1 << 31, RAM) == 1, "more than there is RAM"
    assert transfer(2, 4, DEVICE) == 1
    assert transfer(0x22 << 16 | 8 | 16, 4, RAM + 0x100) == 0
    assert written == [b"brav"]
    assert transfer(0x20 << 16 | 8 | 16, 4, RAM) == 1, "not writable"
    bench.store(16, 0, 8)  # a structure outside of RAM: nothing happens


def test_fw_cfg_at_ports() -> None:
    bench = Bench()
    device = FwCfgPorts("fw_cfg", bench.platform)
    bench.put(device)
    bench.store(0, 0, 2)
    assert bytes(bench.load(1, 1) for _ in range(4)) == b"QEMU"
    assert bench.load(4, 4).to_bytes(4, "little") == b"QEMU"
    fuzz(bench, device, 2)
    bench, face = config()
    fuzz(bench, face, 3)
    with pytest.raises(DeviceError, match="two files"):
        face.add_file("etc/a", b"")


class Flash(Bench):
    """1 MB of flash at DEVICE, over a file."""

    def __init__(self, path: Path | None = None, read_only: bool = False) -> None:
        super().__init__()
        self.flash = Pflash("flash0", 1 << 20, 64 << 10, str(path) if path else None, read_only)
        self.flash.map(self.space, DEVICE)

    def command(self, command: int, offset: int = 0) -> None:
        self.store(offset, command << 16 | command)

    @property
    def direct(self) -> bool:
        return any(ram.address == DEVICE for ram in self.space.ram())


def test_flash_commands(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    path.write_bytes(b"firmware")
    bench = Flash(path)
    assert (bench.load(0, 8).to_bytes(8, "little"), bench.direct) == (b"firmware", True)
    bench.command(0x98)
    assert not bench.direct
    assert [bench.load(4 * word) for word in (0x10, 0x11, 0x12)] == [0x510051, 0x520052, 0x590059]
    assert bench.load(4 * 0x27, 1) == 19, "half a megabyte a chip"
    bench.command(0x90)
    assert bench.load(0) == 0x890089
    bench.command(0xFF)
    bench.command(0x20, 0x10000)
    bench.command(0xD0, 0x10000)
    assert bench.load(0x10000) == 0x800080
    bench.command(0x40)
    bench.store(0x10004, 0x12345678)
    assert bench.load(0) == 0x800080
    bench.command(0xFF)
    assert bench.load(0x10004) == 0x12345678
    bench.command(0x10)
    bench.store(0x10004, 0xFFFF0000)
    bench.command(0xFF)
    assert bench.load(0x10004) == 0x12340000, "programming clears bits and sets none"
    bench.command(0xE8, 0x10100)
    assert bench.load(0x10100) == 0x800080
    bench.store(0x10100, 0x10001)
    bench.store(0x10100, 0x11111111)
    bench.store(0x10104, 0x22222222)
    bench.command(0xD0, 0x10100)
    bench.command(0xFF)
    assert (bench.load(0x10100, 8), bench.direct) == (0x2222222211111111, True)
    assert path.read_bytes()[0x10100:0x10108] == b"\x11\x11\x11\x11\x22\x22\x22\x22"
    bench.command(0x20)
    bench.command(0xD0)
    bench.command(0x50)
    assert bench.load(0, 8) == (1 << 64) - 1
    other = Flash()
    other.flash.load(bench.flash.save())
    assert other.load(0x10104) == bench.load(0x10104)
    bench.flash.close()


def test_flash_that_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    path.write_bytes(b"firmware")
    bench = Flash(path, True)
    bench.command(0x40)
    bench.store(0, 0)
    assert bench.load(0) == 0x900090
    bench.command(0xFF)
    assert bench.load(0, 8).to_bytes(8, "little") == b"firmware"
    bench.flash.close()
    path.write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(DeviceError, match="do not fit"):
        Flash(path)
    with pytest.raises(DeviceError, match="No such file"):
        Flash(tmp_path / "none")


@pytest.mark.parametrize("seed", range(3))
def test_random_flash_accesses(seed: int) -> None:
    bench = Flash()
    fuzz(bench, bench.flash, seed, 1000)
