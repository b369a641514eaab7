"""A PCI function: its configuration space, base-address registers, capabilities (PCI Local Bus 3.0, chapter 6)."""

from __future__ import annotations

from runtime.hw.device import Device, DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.hw.bus import AddressSpace, Memory, Region
    from runtime.hw.pci.msix import MessageTable

__all__ = ["Bar", "PciFunction"]

#: places in the header
VENDOR, COMMAND, STATUS, REVISION, CLASS, HEADER_TYPE = 0x00, 0x04, 0x06, 0x08, 0x09, 0x0E
BARS, SUBSYSTEM, CAPABILITIES, LINE, PIN = 0x10, 0x2C, 0x34, 0x3C, 0x3D

#: the command register
IO_ENABLE, MEMORY_ENABLE, MASTER_ENABLE, INTERRUPT_DISABLE = 1, 2, 4, 0x400
INTERRUPT_STATUS, CAPABILITIES_LIST = 8, 0x10

VENDOR_CAPABILITY = 9
CONFIG_SIZE = 4096


class Bar:
    """What a function answers with, wherever the guest puts it: registers of a device, or memory of its own."""

    def __init__(
        self, index: int, answer: Device | Memory, *, wide: bool = False, prefetch: bool = False, ports: bool = False
    ) -> None:
        if answer.size & (answer.size - 1) or answer.size < 16:
            raise ValueError("a base-address register's size is a power of two")
        self.index = index
        self.answer = answer
        self.size = answer.size
        self.wide = wide
        self.ports = ports  # among the I/O ports, not in memory
        self.kind = 1 if ports else (4 if wide else 0) | (8 if prefetch else 0)
        self.region: Region | None = None

    @property
    def place(self) -> int:
        """Where the register is in the configuration space."""
        return BARS + 4 * self.index

    def show(self, space: AddressSpace, address: int, priority: int) -> Region:
        """Put it into the memory of a bus."""
        if isinstance(self.answer, Device):
            return space.add_device(address, self.answer, priority=priority)
        return space.add_ram(address, self.answer, priority=priority)


class PciFunction(Device):
    """A function.  Loads and stores are those of its configuration space.

    on_interrupt   its INTx wire, which a host bridge connects
    on_message     where its messages are stored, (address, data), if the host bridge has a way for them
    messages       its MSI-X table (msix.py), if it has one
    """

    kind = "pci-function"

    def __init__(
        self,
        name: str,
        *,
        vendor: int,
        device: int,
        class_code: int,
        revision: int = 0,
        subsystem: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(name, CONFIG_SIZE)
        self.config = bytearray(CONFIG_SIZE)
        self.writable = bytearray(CONFIG_SIZE)  # the bits that a store changes
        self.bars: dict[int, Bar] = {}
        self.space: AddressSpace | None = None
        self.ports: AddressSpace | None = None
        self.priority = 0
        self.level = 0
        self.on_interrupt: Callable[[int], None] = lambda level: None
        self.on_message: Callable[[int, int], None] | None = None
        self.messages: MessageTable | None = None
        self._next_capability = 0x40
        self._last_capability = CAPABILITIES
        self._put(VENDOR, vendor, 2)
        self._put(VENDOR + 2, device, 2)
        self._put(REVISION, revision, 1)
        self._put(CLASS, class_code, 3)
        self._put(SUBSYSTEM, subsystem[0], 2)
        self._put(SUBSYSTEM + 2, subsystem[1], 2)
        self.allow(COMMAND, MEMORY_ENABLE | MASTER_ENABLE | INTERRUPT_DISABLE, 2)
        self.allow(0x0C, 0xFF, 1)  # cache line size
        self.allow(LINE, 0xFF, 1)

    # Putting it together

    def _put(self, place: int, value: int, size: int) -> None:
        self.config[place : place + size] = value.to_bytes(size, "little")

    def allow(self, place: int, bits: int, size: int) -> None:
        """Let a store change these bits."""
        self.writable[place : place + size] = bits.to_bytes(size, "little")

    def word(self, place: int, size: int = 4) -> int:
        """A number in the configuration space."""
        return int.from_bytes(self.config[place : place + size], "little")

    def uses_interrupt(self) -> None:
        """It has an INTx wire: pin A."""
        self.config[PIN] = 1

    def add_bar(self, bar: Bar) -> None:
        """Another base-address register."""
        self.bars[bar.index] = bar
        bits = ~(bar.size - 1) & (1 << (64 if bar.wide else 32)) - 1
        if bar.ports:
            self.allow(COMMAND, self.writable[COMMAND] | IO_ENABLE, 1)
        self._put(bar.place, bar.kind, 4)
        self.allow(bar.place, bits, 8 if bar.wide else 4)

    def memories(self) -> tuple[Memory, ...]:
        """Memory of its own, whose contents are part of a machine's state."""
        return tuple(bar.answer for bar in self.bars.values() if not isinstance(bar.answer, Device))

    def add_capability(self, identity: int, body: bytes) -> int:
        """Another capability; where it is."""
        place = self._next_capability
        self._next_capability = place + -(-(2 + len(body)) // 4) * 4
        if self._next_capability > 256:
            raise ValueError("no room for another capability")
        self.config[self._last_capability + (0 if self._last_capability == CAPABILITIES else 1)] = place
        self.config[place] = identity
        self.config[place + 2 : place + 2 + len(body)] = body
        self.config[STATUS] |= CAPABILITIES_LIST
        self._last_capability = place
        return place

    def join(self, space: AddressSpace, ports: AddressSpace | None, priority: int) -> None:
        """The memory and ports of the bus; a function's own priority there, so that a guest may let them overlap."""
        self.space, self.ports, self.priority = space, ports, priority

    # The configuration space

    def read(self, offset: int, size: int) -> int:
        value = self.word(offset, size)
        if self.log is not None:
            self.log("io", f"{self.name}: configuration {offset:#x} is {value:#x}")
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        if self.log is not None:
            self.log("io", f"{self.name}: configuration {offset:#x} := {value:#x}")
        for place, byte in enumerate(value.to_bytes(size, "little"), offset):
            mask = self.writable[place]
            self.config[place] = self.config[place] & ~mask | byte & mask
        if self.messages is not None:  # their control may be among what was written
            self._signal()
            self.messages.send_pending()
        if offset < COMMAND + 2 and offset + size > COMMAND:
            self._place_bars()
            self._signal()
        elif offset < BARS + 24 and offset + size > BARS:
            self._place_bars()

    def _place_bars(self) -> None:
        """Show each where its register says, or nowhere."""
        for bar in self.bars.values():
            space = self.ports if bar.ports else self.space
            if space is None:
                continue
            size = bar.size
            enabled = bool(self.word(COMMAND, 2) & (IO_ENABLE if bar.ports else MEMORY_ENABLE))
            address = self.word(bar.place, 8 if bar.wide else 4) & -16
            shown = enabled and 0 < address <= space.size - size
            if bar.region is None:
                if shown:
                    bar.region = bar.show(space, address, self.priority * 8 + bar.index)
                continue
            if not shown:
                bar.region.enable(False)
            elif bar.region.enabled:
                bar.region.move(address)
            else:
                bar.region.address = address
                bar.region.enable(True)

    def set_base(self, index: int, address: int) -> None:
        """What firmware does: a base-address register's value."""
        bar = self.bars[index]
        self.write(bar.place, 4, address & 0xFFFF_FFFF)
        if bar.wide:
            self.write(bar.place + 4, 4, address >> 32)

    def address_of(self, index: int) -> int | None:
        """Where a base-address register's memory is shown, or None."""
        region = self.bars[index].region
        return region.address if region is not None and region.enabled else None

    # Interrupts

    def set_interrupt(self, level: int) -> None:
        """Drive INTx."""
        self.level = level
        self._signal()

    def _signal(self) -> None:
        self.config[STATUS] = self.config[STATUS] & ~INTERRUPT_STATUS | (INTERRUPT_STATUS if self.level else 0)
        allowed = not self.word(COMMAND, 2) & INTERRUPT_DISABLE
        if self.messages is not None and self.messages.enabled:  # 6.8.2.3: it is not to use its wire
            allowed = False
        self.on_interrupt(int(bool(self.level) and allowed))

    # State

    def reset(self) -> None:
        for place, mask in enumerate(self.writable):
            self.config[place] &= ~mask & 0xFF
        self.level = 0
        if self.messages is not None:
            self.messages.reset()
        self._place_bars()
        self._signal()

    def save(self) -> dict[str, object]:
        messages = {} if self.messages is None else {"messages": self.messages.save()}
        return {"config": bytes(self.config), "level": self.level, **messages}

    def load(self, state: dict[str, object]) -> None:
        config, level = state.get("config"), state.get("level")
        if not isinstance(config, bytes) or len(config) != CONFIG_SIZE or not isinstance(level, int):
            raise DeviceError(f"{self.name}: the saved state is not a PCI function's")
        if config[:4] != self.config[:4]:
            raise DeviceError(f"{self.name}: the saved state is of another function")
        if self.messages is not None:
            messages = state.get("messages")
            if not isinstance(messages, dict):
                raise DeviceError(f"{self.name}: the saved state has no messages (MSI-X)")
            self.messages.load(messages)
        self.config[:] = config
        self.level = level
        self._place_bars()
        self._signal()
