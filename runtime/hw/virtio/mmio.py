"""The virtio-mmio transport, version 2 (virtio 1.2, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from runtime.hw.virtio.buffers import Memory
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

__all__ = ["REGISTERS", "SIZE", "VirtioMmio"]

#: bytes of address space; 4.2.2 wants 0x100 and the configuration space
SIZE = 0x200
CONFIG = 0x100
MAGIC = int.from_bytes(b"virt", "little")
VENDOR = int.from_bytes(b"ISOM", "little")

#: every register by its offset (4.2.2)
REGISTERS = {
    0x000: "MagicValue",
    0x004: "Version",
    0x008: "DeviceID",
    0x00C: "VendorID",
    0x010: "DeviceFeatures",
    0x014: "DeviceFeaturesSel",
    0x020: "DriverFeatures",
    0x024: "DriverFeaturesSel",
    0x030: "QueueSel",
    0x034: "QueueNumMax",
    0x038: "QueueNum",
    0x044: "QueueReady",
    0x050: "QueueNotify",
    0x060: "InterruptStatus",
    0x064: "InterruptACK",
    0x070: "Status",
    0x080: "QueueDescLow",
    0x084: "QueueDescHigh",
    0x090: "QueueDriverLow",
    0x094: "QueueDriverHigh",
    0x0A0: "QueueDeviceLow",
    0x0A4: "QueueDeviceHigh",
    0x0AC: "SHMSel",
    0x0B0: "SHMLenLow",
    0x0B4: "SHMLenHigh",
    0x0B8: "SHMBaseLow",
    0x0BC: "SHMBaseHigh",
    0x0FC: "ConfigGeneration",
}

#: interrupt causes (4.2.2)
USED_BUFFER, CONFIGURATION = 1, 2


class Line(Protocol):
    """A wire to an interrupt controller."""

    def set(self, level: int) -> None:
        """Raise or lower it."""


class VirtioMmio:
    """A slot for one device; without one, the driver reads device ID 0 and passes on."""

    def __init__(self, memory: Memory, line: Line, device: VirtioDevice | None = None) -> None:
        self.memory = memory
        self.line = line
        self.device: VirtioDevice | None = None
        self._clear()
        if device is not None:
            self.plug(device)

    def plug(self, device: VirtioDevice) -> None:
        """Put a device into the slot."""
        self.device = device
        device.port = self

    def _clear(self) -> None:
        self.device_select = self.driver_select = self.queue_select = self.interrupts = 0
        self.accepted = [0, 0]

    def reset(self) -> None:
        """As after power-on."""
        self._clear()
        self.line.set(0)
        if self.device is not None:
            self.device.reset()

    # Port

    def queue_interrupt(self, queue: Queue) -> None:
        """The driver should look at a queue."""
        self._raise(USED_BUFFER)

    def config_interrupt(self) -> None:
        """The driver should look at the configuration."""
        self._raise(CONFIGURATION)

    def _raise(self, cause: int) -> None:
        self.interrupts |= cause
        self.line.set(1)

    # The registers

    def read(self, offset: int, size: int) -> int:
        """A load of the driver's."""
        device = self.device
        if offset >= CONFIG:
            return device.read_config(offset - CONFIG, size) if device is not None else 0
        if size != 4 or offset & 3:
            return 0  # 4.2.2.2: only 32-bit wide and aligned reads
        match REGISTERS.get(offset):
            case "MagicValue":
                return MAGIC
            case "Version":
                return 2
            case "VendorID":
                return VENDOR
        if device is None:
            return 0
        match REGISTERS.get(offset):
            case "DeviceID":
                return device.device_id
            case "DeviceFeatures":
                return device.features >> 32 * self.device_select & 0xFFFF_FFFF if self.device_select < 2 else 0
            case "InterruptStatus":
                return self.interrupts
            case "Status":
                return device.status
            case "SHMLenLow" | "SHMLenHigh" | "SHMBaseLow" | "SHMBaseHigh":
                return 0xFFFF_FFFF  # 4.2.2: there is no such region
            case "ConfigGeneration":
                return device.generation
        queue = self._queue(device)
        if queue is None:
            return 0
        match REGISTERS.get(offset):
            case "QueueNumMax":
                return queue.maximum
            case "QueueReady":
                return int(queue.ready)
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """A store of the driver's."""
        device = self.device
        if device is None:
            return
        if offset >= CONFIG:
            device.write_config(offset - CONFIG, value.to_bytes(size, "little"))
            return
        if size != 4 or offset & 3:
            return
        match REGISTERS.get(offset):
            case "DeviceFeaturesSel":
                self.device_select = value
            case "DriverFeaturesSel":
                self.driver_select = value
            case "DriverFeatures":
                if self.driver_select < 2:
                    self.accepted[self.driver_select] = value
                    device.set_driver_features(self.accepted[0] | self.accepted[1] << 32)
                elif value:
                    device.break_down(f"feature bits above 63: {value:#x}")
            case "QueueSel":
                self.queue_select = value
            case "QueueNotify":
                device.notify(value & 0xFFFF)
            case "InterruptACK":
                self.interrupts &= ~value
                if not self.interrupts:
                    self.line.set(0)
            case "Status":
                if value == 0:
                    self.reset()
                else:
                    device.set_status(value)
            case name:
                queue = self._queue(device)
                if queue is not None and name is not None:
                    self._write_queue(device, queue, name, value)

    def _queue(self, device: VirtioDevice) -> Queue | None:
        return device.queues[self.queue_select] if self.queue_select < len(device.queues) else None

    def _write_queue(self, device: VirtioDevice, queue: Queue, name: str, value: int) -> None:
        """A register of the selected queue.  4.2.2.2: nothing of a queue in use may change but QueueReady."""
        if name == "QueueReady":
            if value & 1 and not queue.ready:
                device.enable(queue)
            elif not value & 1:
                device.disable(queue)
            return
        if queue.ready:
            return
        match name:
            case "QueueNum":
                queue.size = value
            case "QueueDescLow":
                queue.descriptors = low(queue.descriptors, value)
            case "QueueDescHigh":
                queue.descriptors = high(queue.descriptors, value)
            case "QueueDriverLow":
                queue.driver_area = low(queue.driver_area, value)
            case "QueueDriverHigh":
                queue.driver_area = high(queue.driver_area, value)
            case "QueueDeviceLow":
                queue.device_area = low(queue.device_area, value)
            case "QueueDeviceHigh":
                queue.device_area = high(queue.device_area, value)

    def save(self) -> dict[str, Any]:
        """The state of slot and device."""
        return {
            "device_select": self.device_select,
            "driver_select": self.driver_select,
            "queue_select": self.queue_select,
            "interrupts": self.interrupts,
            "accepted": list(self.accepted),
            "device": None if self.device is None else self.device.save(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave."""
        self.device_select = state["device_select"]
        self.driver_select = state["driver_select"]
        self.queue_select = state["queue_select"]
        self.interrupts = state["interrupts"]
        self.accepted = list(state["accepted"])
        if self.device is not None and state["device"] is not None:
            self.device.load(state["device"])
        self.line.set(int(self.interrupts != 0))


def low(address: int, value: int) -> int:
    """An address with other lower 32 bits."""
    return address & ~0xFFFF_FFFF | value & 0xFFFF_FFFF


def high(address: int, value: int) -> int:
    """An address with other upper 32 bits."""
    return address & 0xFFFF_FFFF | (value & 0xFFFF_FFFF) << 32
