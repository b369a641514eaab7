"""A PCI Express host bridge with memory-mapped configuration (ECAM), one bus, and INTx wires: pci-host-ecam-generic."""

from __future__ import annotations

from runtime.core.record import record
from runtime.hw.bus import AddressSpace
from runtime.hw.device import Device, DeviceError
from runtime.hw.device_tree import Node, wide
from runtime.hw.irq import AnyOf
from runtime.hw.pci.function import COMMAND, IO_ENABLE, LINE, MEMORY_ENABLE, PIN, PciFunction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.hw.device_tree import Place
    from runtime.hw.irq import Line

__all__ = ["ConfigPorts", "PciHost", "Window"]

BUS_SIZE, SLOT_SIZE, FUNCTION_SIZE = 1 << 20, 1 << 15, 1 << 12
SLOTS, PINS = 32, 4
IO_SPACE, MEMORY_SPACE, MEMORY_SPACE_64 = 0x0100_0000, 0x0200_0000, 0x0300_0000


@record
class Window:
    """Addresses of the machine that lead to the bus's memory, unchanged."""

    address: int
    size: int


class PciHost(Device):
    """The bridge; `plug` adds functions.  A board maps `windows` of `space` into its own memory.

    lines    the interrupt wires; slot n's pin A is number n among them, counted round
    bridge   the function that the bridge itself is on its bus, slot 0
    on_message   takes functions' messages, (address, data), where the machine has who understands them
    """

    kind = "pci-host-ecam-generic"

    def __init__(
        self,
        name: str,
        size: int,
        lines: Sequence[Line],
        windows: Sequence[Window],
        io: Window | None = None,
        bridge: PciFunction | None = None,
        on_message: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(name, size)
        self.sizes = frozenset((1, 2, 4))
        self.space = AddressSpace(f"{name}.memory")
        self.windows = tuple(windows)
        self.io = io
        self.functions: dict[tuple[int, int], PciFunction] = {}
        self.on_message = on_message
        self.ports: AddressSpace | None = None  # of a machine with I/O ports, where functions show registers
        self._wires = [AnyOf(line.set) for line in lines]
        if bridge is None:
            bridge = PciFunction(f"{name}.bridge", vendor=0x1B36, device=0x0008, class_code=0x060000)
        self.plug(bridge, 0)

    def map_windows(self, memory: AddressSpace) -> None:
        """Show the bus's memory."""
        self.space.lock = memory.lock
        for number, window in enumerate(self.windows):
            memory.add_window(
                window.address, self.space, offset=window.address, size=window.size, name=f"{self.name}.{number}"
            )

    def plug(self, function: PciFunction, slot: int | None = None, number: int = 0) -> tuple[int, int]:
        """Put a function into a slot, the next free one unless told; DeviceError.  Where it is."""
        if slot is None:
            taken = {each for each, _ in self.functions}
            slot = next((each for each in range(SLOTS) if each not in taken), SLOTS)
        if not 0 <= slot < SLOTS or not 0 <= number < 8:
            raise DeviceError(f"{function.name}: there is no free PCI slot" if slot == SLOTS else "no such PCI slot")
        if (slot, number) in self.functions:
            raise DeviceError(f"{function.name}: {self.functions[slot, number].name} is in PCI slot {slot} already")
        self.functions[slot, number] = function
        function.join(self.space, self.ports, len(self.functions))
        function.on_message = self.on_message
        if self._wires:
            # the pins of the slots are wired in turn, so that not all functions share one
            line = self._wires[slot % len(self._wires)].line(function.name)
            function.on_interrupt = line.set
        return slot, number

    def place_all(self, interrupt: Callable[[int], int], port: int = 0) -> None:
        """What firmware does: give every base-address register a place in the first window, the largest first.

        Those of ports have theirs from `port` on.

        `interrupt(slot)` is what a driver is told of the slot's interrupt (the interrupt line register).
        """
        if not self.windows:
            return
        window = self.windows[0]
        at = window.address
        bars = [(bar.size, slot, function, bar.index)
                for (slot, _), function in self.functions.items() for bar in function.bars.values()
                if not bar.ports]  # fmt: skip
        for size, _, function, index in sorted(bars, key=lambda each: -each[0]):
            at = -(-at // size) * size
            if at + size > window.address + window.size:
                raise DeviceError(f"{function.name}: {size:#x} bytes are more than PCI's memory has left")
            function.set_base(index, at)
            at += size
        for (slot, _), function in self.functions.items():
            for bar in function.bars.values():
                if bar.ports:
                    port = -(-port // bar.size) * bar.size
                    function.set_base(bar.index, port)
                    function.write(COMMAND, 2, function.word(COMMAND, 2) | IO_ENABLE)
                    port += bar.size
            if function.config[PIN]:
                function.write(LINE, 1, interrupt(slot))
            if function.bars:
                function.write(COMMAND, 2, function.word(COMMAND, 2) | MEMORY_ENABLE)

    def _function(self, offset: int) -> PciFunction | None:
        if offset >= BUS_SIZE:
            return None
        return self.functions.get((offset // SLOT_SIZE, offset // FUNCTION_SIZE % 8))

    def read(self, offset: int, size: int) -> int:
        function = self._function(offset)
        within = offset % FUNCTION_SIZE
        if function is None or within + size > FUNCTION_SIZE:
            return (1 << 8 * size) - 1  # nobody answers
        return function.read(within, size)

    def write(self, offset: int, size: int, value: int) -> None:
        function = self._function(offset)
        within = offset % FUNCTION_SIZE
        if function is not None and within + size <= FUNCTION_SIZE:
            function.write(within, size, value)

    def device_tree_node(self, place: Place) -> Node:
        """The binding of pci-host-ecam-generic; interrupts go by slot and pin."""
        node = Node(f"pci@{place.address:x}").set("compatible", self.kind).set("device_type", "pci")
        node.set("#address-cells", 3).set("#size-cells", 2).set("#interrupt-cells", 1)
        node.set("reg", *wide(place.address), *wide(self.size)).set("bus-range", 0, self.size // BUS_SIZE - 1)
        node.set("linux,pci-domain", 0).set("dma-coherent")
        ranges: list[int] = []
        if self.io is not None:
            ranges += [IO_SPACE, *wide(0), *wide(self.io.address), *wide(self.io.size)]
        for window in self.windows:
            kind = MEMORY_SPACE if window.address < 1 << 32 else MEMORY_SPACE_64
            ranges += [kind, *wide(window.address), *wide(window.address), *wide(window.size)]
        node.set("ranges", *ranges)
        if place.parent is not None and place.interrupts:
            cells: list[int | Node] = []
            for slot in range(PINS):
                for pin in range(PINS):
                    line = place.interrupts[(slot + pin) % len(place.interrupts)]
                    cells += [slot << 11, 0, 0, pin + 1, place.parent, *line]
            node.set("interrupt-map", *cells).set("interrupt-map-mask", (PINS - 1) << 11, 0, 0, 7)
        return node


class ConfigPorts(Device):
    """The older way to the configuration space: an address at port 0xCF8, data at 0xCFC (3.2.2.3.2).

    behind   the address answers accesses of four bytes alone: who gets the single bytes at 0xCF9 (a PC's reset control)
    """

    kind = "pci-config-ports"
    STATE = ("address",)

    def __init__(self, name: str, host: PciHost, behind: Device | None = None) -> None:
        super().__init__(name, 8)
        self.host = host
        self.behind = behind
        self.address = 0

    def _offset(self, offset: int) -> int | None:
        """Where in the ECAM a data port leads now."""
        if not self.address >> 31:
            return None
        bus, function, register = self.address >> 16 & 0xFF, self.address >> 8 & 0xFF, self.address & 0xFC
        return bus * BUS_SIZE + function * FUNCTION_SIZE + register + (offset - 4)

    def read(self, offset: int, size: int) -> int:
        if offset == 1 and size == 1 and self.behind is not None:
            return self.behind.read(0, 1)
        if offset < 4:
            return self.address if offset == 0 and size == 4 else (1 << 8 * size) - 1
        target = self._offset(offset)
        return (1 << 8 * size) - 1 if target is None else self.host.read(target, size)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0 and size == 4:
            self.address = value & 0x80FF_FFFC
        elif offset == 1 and size == 1 and self.behind is not None:
            self.behind.write(0, 1, value)
        elif offset >= 4 and (target := self._offset(offset)) is not None:
            self.host.write(target, size, value)

    def reset(self) -> None:
        self.address = 0
