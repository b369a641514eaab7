"""What the pc board's ACPI tables say: processors, interrupts, power management, PCI (ACPI 6.4, chapter 5)."""

from __future__ import annotations

import struct

from runtime.hw.acpi import aml
from runtime.hw.acpi.tables import HEADER, Tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.pci.host import Window

__all__ = ["PCI_INTERRUPTS", "pc_tables"]

#: which ISA interrupt firmware gives PIRQA to PIRQD
PCI_INTERRUPTS = (10, 10, 11, 11)
SCI = 9
PM_EVENT, PM_CONTROL, PM_TIMER = 0x600, 0x604, 0x608
RESET_PORT, RESET_VALUE = 0xCF9, 6
_LOCAL_APIC, _IO_APIC = 0xFEE00000, 0xFEC00000
_TIMER, _TIMER_PIN = 0, 2
_LEVEL_HIGH = 0x0D
_CENTURY = 0x32
_SLOTS = 32


def pc_tables(processors: int, has_apics: bool, window: Window) -> Tables:
    """All of them; APICs are described where the machine has them, else the 8259s are all there is."""
    tables = Tables()
    facs = tables.add_bytes(struct.pack("<4sI", b"FACS", 64).ljust(64, b"\0"), 64)
    dsdt = tables.add("DSDT", 2, _description(window), listed=False)
    tables.add("FACP", 3, _fixed(), {36: (4, facs), 40: (4, dsdt), 140: (8, dsdt)})
    if has_apics:
        tables.add("APIC", 2, _controllers(processors))
    tables.finish()
    return tables


def _address(place: int, size: int) -> bytes:
    """A generic address among the I/O ports, 0 if there is nothing (5.2.3.2)."""
    return struct.pack("<BBBBQ", 1, 8 * size, 0, 0, place) if place else bytes(12)


def _fixed() -> bytes:
    """The FADT of revision 3 (5.2.9), less its header."""
    always_on = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 10  # WBINVD, C1 on all, no sleep button, a reset register
    body = struct.pack("<IIBBHIBBBB", 0, 0, 0, 0, SCI, 0, 0, 0, 0, 0)
    body += struct.pack("<IIIIIIII", PM_EVENT, 0, PM_CONTROL, 0, 0, PM_TIMER, 0, 0)
    body += struct.pack("<BBBBBBBB", 4, 2, 0, 4, 0, 0, 0, 0)
    body += struct.pack("<HHHHBBBBBHBI", 0xFFFF, 0xFFFF, 0, 0, 0, 0, 0, 0, _CENTURY, 0x03, 0, always_on)
    body += _address(RESET_PORT, 1) + bytes((RESET_VALUE, 0, 0, 0))
    body += bytes(16)  # 64-bit addresses: of the FACS, which has the other, and of the DSDT
    for place, size in ((PM_EVENT, 4), (0, 0), (PM_CONTROL, 2), (0, 0), (0, 0), (PM_TIMER, 4), (0, 0), (0, 0)):
        body += _address(place, size)
    assert len(body) == 244 - HEADER
    return body


def _controllers(processors: int) -> bytes:
    """The MADT (5.2.12): local APICs, the I/O APIC, and where ISA interrupts are not what they are by default."""
    body = struct.pack("<II", _LOCAL_APIC, 1)
    for index in range(processors):
        body += struct.pack("<BBBBI", 0, 8, index, index, 1)
    body += struct.pack("<BBBBII", 1, 12, 0, 0, _IO_APIC, 0)
    body += struct.pack("<BBBBIH", 2, 10, 0, _TIMER, _TIMER_PIN, 0)
    for line in sorted({SCI, *PCI_INTERRUPTS}):
        body += struct.pack("<BBBBIH", 2, 10, 0, line, line, _LEVEL_HIGH)
    return body + struct.pack("<BBBHB", 4, 6, 0xFF, 0, 1)  # NMI at every processor's LINT1


def _description(window: Window) -> bytes:
    """The DSDT: the way to power off, the PCI bridge, what is at ISA's ports."""
    routes = [
        aml.package(
            [
                aml.integer(slot << 16 | 0xFFFF),
                aml.integer(pin),
                aml.integer(0),
                aml.integer(PCI_INTERRUPTS[(slot - 1 + pin) % 4]),
            ]
        )
        for slot in range(1, _SLOTS)
        for pin in range(4)
    ]
    decoded = aml.resources(
        aml.bus_range(0, 0),
        aml.port_range(0, 0x0CF7),
        aml.port_range(0x0D00, 0xFFFF),
        aml.ports(0x0CF8, 8),
        aml.memory_range(0xA0000, 0xBFFFF),
        aml.memory_range(window.address, window.address + window.size - 1),
    )
    isa = aml.device(
        "ISA",
        aml.name("_ADR", aml.integer(1 << 16)),
        _legacy("RTC", "PNP0B00", aml.ports(0x70, 2), aml.interrupt(8)),
        _legacy("KBD", "PNP0303", aml.ports(0x60, 1), aml.ports(0x64, 1), aml.interrupt(1)),
        _legacy("MOU", "PNP0F13", aml.interrupt(12)),
        _legacy("COM1", "PNP0501", aml.ports(0x3F8, 8), aml.interrupt(4)),
    )
    bridge = aml.device(
        "PCI0",
        aml.name("_HID", aml.eisa_id("PNP0A03")),
        aml.name("_UID", aml.integer(0)),
        aml.name("_CRS", decoded),
        aml.name("_PRT", aml.package(routes)),
        isa,
    )
    soft_off = aml.package([aml.integer(0)] * 4)
    return aml.scope("\\_SB", bridge) + aml.name("\\_S5", soft_off)


def _legacy(called: str, kind: str, *parts: bytes) -> bytes:
    return aml.device(
        called,
        aml.name("_HID", aml.eisa_id(kind)),
        aml.name("_STA", aml.integer(0x0F)),
        aml.name("_CRS", aml.resources(*parts)),
    )
