"""The interrupt controllers in the kernel: 8259s, I/O APIC, local APICs, the 8254; their lines, routes and events."""

from __future__ import annotations

import ctypes
import os

from runtime.kvm import abi
from runtime.kvm.machine import Machine
from runtime.kvm.state import pack_sections, unpack_sections
from runtime.kvm.system import KvmError, control

_CHIPS = {"pic0": abi.IRQCHIP_PIC_MASTER, "pic1": abi.IRQCHIP_PIC_SLAVE, "ioapic": abi.IRQCHIP_IOAPIC}
#: a line of the 8259s is a pin of the I/O APIC, too; the timer's, line 0, is pin 2 there
_ISA_LINES, _TIMER_PIN = 16, 2
_PINS = 24
#: lines behind the pins that stand for messages; a guest that uses more has the oldest given to others
_MESSAGE_LINES = range(_PINS, _PINS + 64)


class Controllers:
    """What KVM_CREATE_IRQCHIP makes; to be made before any vCPU."""

    def __init__(self, machine: Machine, timer: bool = True) -> None:
        self.machine = machine
        self.has_timer = timer
        machine.system.require("IRQCHIP", "IRQ_ROUTING")
        control(machine.descriptor, abi.KVM_CREATE_IRQCHIP)
        if timer:
            machine.system.require("PIT2")
            # With port 0x61, where a PC has the third counter's gate and output.
            control(machine.descriptor, abi.KVM_CREATE_PIT2, abi.kvm_pit_config(abi.PIT_SPEAKER_DUMMY))
        self._routes: dict[int, list[tuple[int, ...]]] = {}
        #: (address, data) -> the line that is routed to this message, and the eventfd that is its wire
        self._messages: dict[tuple[int, int], tuple[int, int]] = {}
        self._by_event = bool(machine.system.capability("IRQFD"))
        for line in range(_PINS):
            pin = _TIMER_PIN if line == 0 else line
            routes: list[tuple[int, ...]] = [(abi.IRQ_ROUTING_IRQCHIP, abi.IRQCHIP_IOAPIC, pin)]
            if line < _ISA_LINES:
                routes.append((abi.IRQ_ROUTING_IRQCHIP, line >> 3, line & 7))
            if line != _TIMER_PIN:
                self._routes[line] = routes
        self._apply()

    def set_line(self, line: int, level: int) -> None:
        """An input wire, by its number (GSI)."""
        control(self.machine.descriptor, abi.KVM_IRQ_LINE, abi.kvm_irq_level(line, level))

    def route_message(self, line: int, address: int, data: int) -> None:
        """Let a line be a message (MSI) from now on."""
        self._routes[line] = [(abi.IRQ_ROUTING_MSI, address & 0xFFFFFFFF, address >> 32, data)]
        self._apply()

    def _apply(self) -> None:
        routes = [(line, route) for line, several in self._routes.items() for route in several]
        table = abi.with_entries(abi.kvm_irq_routing, "nr", abi.kvm_irq_routing_entry, len(routes))
        for entry, (line, (kind, *words)) in zip(table.entries, routes, strict=True):
            entry.gsi, entry.type = line, kind
            for index, word in enumerate(words):
                entry.u[index] = word
        control(self.machine.descriptor, abi.KVM_SET_GSI_ROUTING, table)

    def send_message(self, address: int, data: int) -> None:
        """A message-signalled interrupt: by an eventfd of its own, which takes half the time that an ioctl does."""
        known = self._messages.get((address, data))
        if known is None and self._by_event:
            try:
                known = self._messages[address, data] = self._connect_message(address, data)
            except KvmError:  # there are no eventfds, or no more lines: it works without
                self._by_event = False
        if known is None:
            self.signal_message(address, data)
        else:
            os.eventfd_write(known[1], 1)

    def _connect_message(self, address: int, data: int) -> tuple[int, int]:
        """A line for this message: a new one, or that of the message that was used first."""
        if len(self._messages) == len(_MESSAGE_LINES):
            line, event = self._messages.pop(next(iter(self._messages)))
            self.route_message(line, address, data)
            return line, event
        line = _MESSAGE_LINES[len(self._messages)]
        self.route_message(line, address, data)
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self.connect_event(event, line)
        except KvmError:
            os.close(event)
            raise
        return line, event

    def close(self) -> None:
        """Give the eventfds back."""
        for _, event in self._messages.values():
            os.close(event)
        self._messages.clear()
        self._by_event = False

    def signal_message(self, address: int, data: int) -> None:
        """The same by an ioctl, without a line."""
        message = abi.kvm_msi(address & 0xFFFFFFFF, address >> 32, data)
        control(self.machine.descriptor, abi.KVM_SIGNAL_MSI, message)

    def connect_event(self, descriptor: int, line: int, on: bool = True) -> None:
        """Let a write to an eventfd be an edge of a line, without us (irqfd)."""
        flags = 0 if on else abi.IRQFD_FLAG_DEASSIGN
        control(self.machine.descriptor, abi.KVM_IRQFD, abi.kvm_irqfd(descriptor, line, flags))

    # ------------------------------------------------------------ state

    def save(self) -> bytes:
        sections = {}
        for name, number in _CHIPS.items():
            chip = abi.kvm_irqchip(number)
            control(self.machine.descriptor, abi.KVM_GET_IRQCHIP, chip)
            sections[name] = bytes(chip)
        if self.has_timer:
            timer = abi.kvm_pit_state2()
            control(self.machine.descriptor, abi.KVM_GET_PIT2, timer)
            sections["pit"] = bytes(timer)
        clock = abi.kvm_clock_data()
        control(self.machine.descriptor, abi.KVM_GET_CLOCK, clock)
        sections["clock"] = bytes(clock)
        return pack_sections(sections)

    def load(self, state: bytes) -> None:
        sections = unpack_sections(state)
        for name in _CHIPS:
            control(self.machine.descriptor, abi.KVM_SET_IRQCHIP, abi.kvm_irqchip.from_buffer_copy(sections[name]))
        if self.has_timer:
            control(self.machine.descriptor, abi.KVM_SET_PIT2, abi.kvm_pit_state2.from_buffer_copy(sections["pit"]))
        clock = abi.kvm_clock_data.from_buffer_copy(sections["clock"])
        clock.flags = 0
        control(self.machine.descriptor, abi.KVM_SET_CLOCK, clock)


def watch_writes(
    machine: Machine, descriptor: int, address: int, size: int, *, port: bool = False, value: int | None = None,
    on: bool = True,
) -> None:  # fmt: skip
    """Let a guest's write to an address or port signal an eventfd, without an exit (ioeventfd)."""
    flags = (abi.IOEVENTFD_FLAG_PIO if port else 0) | (abi.IOEVENTFD_FLAG_DATAMATCH if value is not None else 0)
    flags |= 0 if on else abi.IOEVENTFD_FLAG_DEASSIGN
    control(machine.descriptor, abi.KVM_IOEVENTFD, abi.kvm_ioeventfd(value or 0, address, size, descriptor, flags))


def coalesce(machine: Machine, address: int, size: int, *, port: bool = False, on: bool = True) -> None:
    """Have writes to a range collected and told with the next exit."""
    number = abi.KVM_REGISTER_COALESCED_MMIO if on else abi.KVM_UNREGISTER_COALESCED_MMIO
    control(machine.descriptor, number, abi.kvm_coalesced_mmio_zone(address, size, int(port)))


class CoalescedWrites:
    """The writes that were collected, in the page that a vCPU's area has for them."""

    _HEAD = ctypes.sizeof(abi.kvm_coalesced_mmio_ring)
    _ENTRY = ctypes.sizeof(abi.kvm_coalesced_mmio)

    def __init__(self, octets: memoryview, offset: int, page: int = 4096) -> None:
        self._octets = octets[offset : offset + page]
        self._words = self._octets[:8].cast("I")
        self._most = (page - self._HEAD) // self._ENTRY

    def take(self) -> list[tuple[bool, int, bytes]]:
        """(is a port, address, data) of each, in order."""
        found = []
        first, last = self._words[0], self._words[1]
        while first != last:
            at = self._HEAD + first * self._ENTRY
            entry = abi.kvm_coalesced_mmio.from_buffer_copy(self._octets[at : at + self._ENTRY])
            found.append((bool(entry.pio), int(entry.phys_addr), bytes(entry.data[: entry.len])))
            first = (first + 1) % self._most
        self._words[0] = first
        return found

    def close(self) -> None:
        self._words.release()
        self._octets.release()
