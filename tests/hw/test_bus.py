"""The address space: who answers where, what is host memory, what overlaps, and that DMA stays within RAM."""

from __future__ import annotations

import ctypes

import pytest

from runtime.core.accelerator import BusError
from runtime.hw.bus import AddressSpace, MapError, Memory
from runtime.hw.device import Device
from runtime.hw.dma import Dma, DmaError

PAGE = 4096


class Echo(Device):
    """Answers a load with its offset, and remembers stores."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, size)
        self.stores: list[tuple[int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        return -1 if offset == 0x80 else offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.stores.append((offset, size, value))


def test_ram_is_host_memory() -> None:
    space, memory = AddressSpace("memory"), Memory("ram", 3 * PAGE)
    space.add_ram(0x8000_0000, memory)
    (ram,) = space.ram()
    assert (ram.address, ram.size, ram.writable, ram.name) == (0x8000_0000, 3 * PAGE, True, "ram")
    ctypes.c_uint32.from_address(ram.host + 8).value = 0x12345678
    assert space.read(0x8000_0008, 4) == 0x12345678
    space.write(0x8000_000A, 2, 0xABCD)
    assert bytes(memory.bytes[8:12]) == bytes.fromhex("7856cdab")


def test_devices_answer_offsets() -> None:
    space, echo = AddressSpace("memory"), Echo("echo", 0x100)
    space.add_device(0x1000, echo)
    assert space.read(0x1010, 2) == 0x10
    assert space.read(0x1080, 2) == 0xFFFF, "an answer is cut to the access's size"
    space.write(0x10FC, 4, 0x1_0000_0001)
    assert echo.stores == [(0xFC, 4, 1)]
    for address, size in ((0xFFF, 1), (0x1100, 1), (0x10FD, 4), (0, 8)):
        with pytest.raises(BusError):
            space.read(address, size)
        with pytest.raises(BusError):
            space.write(address, size, 0)


def test_a_device_may_refuse_sizes() -> None:
    space, echo = AddressSpace("memory"), Echo("echo", 0x100)
    echo.sizes = frozenset((4,))
    space.add_device(0, echo)
    assert space.read(4, 4) == 4
    with pytest.raises(BusError, match="1 bytes at physical address 0x4"):
        space.read(4, 1)


def test_overlaps_need_priorities() -> None:
    space, memory = AddressSpace("memory"), Memory("ram", 4 * PAGE)
    space.add_ram(0, memory)
    with pytest.raises(MapError, match=r"echo at 0x1000\.\.0x10ff overlaps ram at 0x0\.\.0x3fff"):
        space.add_device(0x1000, Echo("echo", 0x100))
    space.add_device(0x1000, Echo("echo", 0x100), priority=1)
    assert space.read(0x1020, 1) == 0x20
    assert space.read(0x1100, 1) == 0
    assert [(ram.address, ram.size) for ram in space.ram()] == [(0, PAGE), (2 * PAGE, 2 * PAGE)], "whole pages only"
    with pytest.raises(MapError, match="outside of the address space"):
        AddressSpace("ports", 16).add_device(0xFFF8, Echo("echo", 0x10))
    with pytest.raises(MapError, match="not among them"):
        space.add_ram(0x10000, memory, offset=PAGE, size=4 * PAGE)


def test_rom_drops_stores() -> None:
    space = AddressSpace("memory")
    space.add_rom(0x1000, Memory("rom", PAGE, b"\x13\x05\x00\x00"))
    space.write(0x1000, 4, 0)
    assert space.read(0x1000, 4) == 0x513
    assert [ram.writable for ram in space.ram()] == [False]
    with pytest.raises(DmaError):
        Dma(space).write(0x1000, b"x")


def test_flash_is_memory_until_it_is_not() -> None:
    space, echo = AddressSpace("memory"), Echo("flash", PAGE)
    region = space.add_flash(0, Memory("flash", PAGE, b"abcd"), echo)
    heard: list[int] = []
    space.on_ram_change(lambda: heard.append(len(space.ram())))
    assert space.read(0, 1) == ord("a")
    space.write(0, 1, 0x98)
    assert echo.stores == [(0, 1, 0x98)]
    region.set_direct(False)
    assert space.read(3, 1) == 3
    region.set_direct(True)
    assert space.read(3, 1) == ord("d")
    assert heard == [0, 1]


def test_windows_follow_what_they_show() -> None:
    space, pci, memory = AddressSpace("memory"), AddressSpace("pci"), Memory("vram", 2 * PAGE)
    pci.add_ram(0x4000_0000, memory)
    bar = pci.add_device(0x4001_0000, Echo("bar", 0x100))
    space.add_window(0x4000_0000, pci, offset=0x4000_0000, size=0x10_0000, name="pci hole")
    space.add_window(0x9000_0000, pci, offset=0x4000_0000, size=PAGE)
    assert space.read(0x4001_0004, 4) == 4
    assert [(ram.address, ram.size) for ram in space.ram()] == [(0x4000_0000, 2 * PAGE), (0x9000_0000, PAGE)]
    bar.move(0x4002_0000)
    assert space.read(0x4002_0008, 4) == 8
    with pytest.raises(BusError):
        space.read(0x4001_0004, 4)
    bar.enable(False)
    with pytest.raises(BusError):
        space.read(0x4002_0008, 4)
    bar.enable(True)
    assert space.read(0x4002_0008, 4) == 8
    with pytest.raises(MapError, match="already"):
        pci.add_window(0, space)


def test_ports_float() -> None:
    ports = AddressSpace("ports", 16, floating=-1)
    assert ports.read(0x80, 1) == 0xFF
    ports.write(0x80, 1, 0)
    assert ports.read(0xFFFF, 2) == 0xFFFF


def test_dma_reaches_ram_only() -> None:
    space = AddressSpace("memory")
    space.add_ram(0x1000, Memory("low", PAGE))
    space.add_ram(0x2000, Memory("high", PAGE))
    space.add_device(0x3000, Echo("echo", 0x1000))
    dma = Dma(space)
    written: list[tuple[int, int]] = []
    dma.on_write(lambda address, size: written.append((address, size)))
    dma.write(0x1FFC, b"abcdefgh")
    assert dma.read(0x1FFC, 8) == b"abcdefgh", "over the seam of two memories"
    assert dma.read_int(0x2000, 2) == int.from_bytes(b"ef", "little")
    dma.write_int(0x2000, 2, -1)
    assert written == [(0x1FFC, 8), (0x2000, 2)]
    for address, size in ((0x2FFF, 2), (0x3000, 4), (0xFFF, 2), (0, 1), (-8, 4), (1 << 64, 1), (0x1000, 1 << 70)):
        with pytest.raises(DmaError):
            dma.read(address, size)
        with pytest.raises(DmaError):
            dma.view(address, size)
    before = dma.read(0x2FF0, 16)
    with pytest.raises(DmaError):
        dma.write(0x2FF8, bytes(range(16)))
    assert dma.read(0x2FF0, 16) == before, "all of a store, or nothing"
    assert dma.read(0x5000, 0) == b""
