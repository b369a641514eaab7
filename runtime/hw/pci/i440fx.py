"""A PC's chip set around PCI: Intel's 82441FX host bridge and 82371SB (PIIX3) ISA bridge and disk function.

Sections are those of their data sheets (290549, 290550).  What firmware looks for is here; what only hardware needs
(refresh, bus arbitration) is not.
"""

from __future__ import annotations

from runtime.core.record import record
from runtime.hw.device import DeviceError
from runtime.hw.ide_dma import BusMaster
from runtime.hw.pci.function import COMMAND, HEADER_TYPE, IO_ENABLE, MASTER_ENABLE, Bar, PciFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.hw.bus import AddressSpace, Memory, Region
    from runtime.hw.dma import Dma
    from runtime.hw.ide import IdeChannel
    from runtime.hw.irq import Line

__all__ = ["HostBridge", "IsaBridge", "Shadow", "slot_lines"]

INTEL = 0x8086
#: how emulated PCs' functions are told from real ones (SeaBIOS looks for it)
_SUBSYSTEM = (0x1AF4, 0x1100)
#: 3.2.18: the attribute registers' first, and the first 64 KiB's in its upper half
_ATTRIBUTES, _COUNT = 0x59, 7
_READABLE, _WRITABLE = 1, 2
_ROUTES, _ROUTE_OFF = 0x60, 0x80
_RESERVED_ROUTES = frozenset((0, 1, 2, 8, 13))
_MULTI_FUNCTION = 0x80


@record
class Shadow:
    """A part of the last 256 KiB below 1 MiB: which attribute register is its own, and which half of it."""

    start: int
    size: int
    register: int
    shift: int


def _shadows() -> tuple[Shadow, ...]:
    """3.2.18, table 2: 16 KiB each from 0xC0000, and 64 KiB at 0xF0000."""
    parts = [
        Shadow(0xC0000 + 0x4000 * index, 0x4000, _ATTRIBUTES + 1 + index // 2, 4 * (index % 2)) for index in range(12)
    ]
    return (*parts, Shadow(0xF0000, 0x10000, _ATTRIBUTES, 4))


class HostBridge(PciFunction):
    """The host bridge; `watch` gives it the memory whose shadow its attribute registers (PAM) switch."""

    kind = "i440FX"

    def __init__(self, name: str) -> None:
        super().__init__(name, vendor=INTEL, device=0x1237, class_code=0x060000, revision=2, subsystem=_SUBSYSTEM)
        for register in range(_ATTRIBUTES, _ATTRIBUTES + _COUNT):
            self.allow(register, 0x33 if register > _ATTRIBUTES else 0x30, 1)
        self._parts: list[tuple[Shadow, Region, Region]] = []

    def watch(self, space: AddressSpace, ram: Memory, firmware: Memory | None, nothing: Memory, priority: int) -> None:
        """Lay over `ram` what is seen where shadows are switched off.

        `firmware` is seen where it reaches below 1 MiB, `nothing` elsewhere: memory of ones, as large as any part.
        """
        for part in _shadows():
            offset = -1 if firmware is None else firmware.size - (1 << 20) + part.start
            if firmware is not None and offset >= 0:
                off = space.add_rom(part.start, firmware, offset=offset, size=part.size, priority=priority)
            else:
                off = space.add_rom(part.start, nothing, size=part.size, priority=priority, name="pci.hole")
            kept = space.add_rom(
                part.start, ram, offset=part.start, size=part.size, priority=priority + 1, name=f"{ram.name}.shadow"
            )
            self._parts.append((part, off, kept))
        self._show()

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if offset < _ATTRIBUTES + _COUNT and offset + size > _ATTRIBUTES:
            self._show()

    def open_shadows(self) -> None:
        """All of it RAM, as firmware leaves it where it is one itself."""
        for register in range(_ATTRIBUTES, _ATTRIBUTES + _COUNT):
            self.write(register, 1, 0x33)

    def _show(self) -> None:
        for part, off, kept in self._parts:
            attributes = self.config[part.register] >> part.shift & 3
            # RAM that only takes stores is shown as what answers loads: stores are lost there, which nobody relies on.
            off.enable(not attributes & _READABLE)
            kept.enable(attributes == _READABLE)

    def reset(self) -> None:
        super().reset()
        self._show()

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        self._show()


class IsaBridge(PciFunction):
    """PIIX3's first function: which ISA interrupt each of the four PCI wires goes to (PIRQRC, 2.2.10)."""

    kind = "PIIX3"

    def __init__(self, name: str, line: Callable[[int], Line]) -> None:
        super().__init__(name, vendor=INTEL, device=0x7000, class_code=0x060100, subsystem=_SUBSYSTEM)
        self.config[HEADER_TYPE] = _MULTI_FUNCTION
        for register in range(_ROUTES, _ROUTES + 4):
            self.allow(register, 0x8F, 1)
            self.config[register] = _ROUTE_OFF
        self._make_line = line
        self._lines: dict[int, Line] = {}
        self._levels = [0] * 4

    def set_wire(self, wire: int, level: int) -> None:
        """PIRQA to PIRQD."""
        self._levels[wire] = level
        self._drive()

    def write(self, offset: int, size: int, value: int) -> None:
        super().write(offset, size, value)
        if offset < _ROUTES + 4 and offset + size > _ROUTES:
            self._drive()

    def _drive(self) -> None:
        wanted: dict[int, int] = dict.fromkeys(self._lines, 0)
        for wire, level in enumerate(self._levels):
            route = self.config[_ROUTES + wire]
            number = route & 0x0F
            if not route & _ROUTE_OFF and number not in _RESERVED_ROUTES:
                wanted[number] = wanted.get(number, 0) | level
        for number, level in wanted.items():
            if number not in self._lines:
                self._lines[number] = self._make_line(number)
            self._lines[number].set(level)

    def reset(self) -> None:
        super().reset()
        for register in range(_ROUTES, _ROUTES + 4):
            self.config[register] = _ROUTE_OFF
        self._drive()

    def save(self) -> dict[str, object]:
        return {**super().save(), "levels": list(self._levels)}

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        levels = state.get("levels")
        if isinstance(levels, list) and len(levels) == 4 and all(level in (0, 1) for level in levels):
            self._levels = list(levels)
        self._drive()


class DiskFunction(PciFunction):
    """PIIX3's second function: the two channels at their old ports, with their bus master (2.3)."""

    kind = "PIIX3-ide"

    def __init__(self, name: str, memory: Dma, channels: Sequence[IdeChannel]) -> None:
        super().__init__(name, vendor=INTEL, device=0x7010, class_code=0x010180, subsystem=_SUBSYSTEM)
        self.allow(COMMAND, IO_ENABLE | MASTER_ENABLE, 2)
        self.allow(0x40, 0xFFFFFFFF, 4)  # 2.3.9: timings and whether the channels are decoded, which they always are
        self.master = BusMaster(f"{name}.master", memory, channels, self._may_master)
        self.add_bar(Bar(4, self.master, ports=True))

    def _may_master(self) -> bool:
        return bool(self.word(COMMAND, 2) & MASTER_ENABLE)

    def reset(self) -> None:
        super().reset()
        self.master.reset()

    def save(self) -> dict[str, object]:
        return {**super().save(), "master": self.master.save()}

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        master = state.get("master")
        if not isinstance(master, dict):
            raise DeviceError(f"{self.name}: the saved state has no bus master")
        self.master.load(master)


def slot_lines(bridge: IsaBridge, make: Callable[[str, Callable[[int], None]], Line]) -> Sequence[Line]:
    """The wires of slots 0 to 3, pin A: slot 1's is PIRQA, as PCs' boards are wired."""

    def wire(number: int) -> Line:
        return make(f"pirq{'abcd'[number]}", lambda level: bridge.set_wire(number, level))

    wires = [wire(number) for number in range(4)]
    return [wires[(slot - 1) % 4] for slot in range(4)]
