"""The virtio-mmio transport, version 2 (virtio 1.2, section 4.2)."""

from __future__ import annotations

from runtime.hw.device import DeviceError
from runtime.hw.device_tree import Node
from runtime.hw.registers import Field, Register, RegisterDevice
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from runtime.hw.device_tree import Place
    from runtime.hw.virtio.buffers import Memory

    class Wire(Protocol):
        """A line to an interrupt controller."""

        def set(self, level: int) -> None:
            """Raise or lower it."""


__all__ = ["STATUS_FIELDS", "VirtioMmio", "high", "low"]

#: 4.2.2 wants 0x100 bytes and the configuration space behind them
SIZE, CONFIG = 0x200, 0x100
MAGIC = int.from_bytes(b"virt", "little")
VENDOR = int.from_bytes(b"ISOM", "little")

#: interrupt causes (4.2.2)
USED_BUFFER, CONFIGURATION = 1, 2

STATUS_FIELDS = (
    Field("ACKNOWLEDGE", 0),
    Field("DRIVER", 1),
    Field("DRIVER_OK", 2),
    Field("FEATURES_OK", 3),
    Field("NEEDS_RESET", 6),
    Field("FAILED", 7),
)
_CAUSES = (Field("USED_BUFFER", 0), Field("CONFIGURATION", 1))


class VirtioMmio(RegisterDevice):
    """A slot for one device; without one, the driver reads device ID 0 and passes on."""

    kind = "virtio-mmio"
    REGISTERS = (
        Register("MagicValue", 0x000, access="ro", reset=MAGIC),
        Register("Version", 0x004, access="ro", reset=2),
        Register("DeviceID", 0x008, access="ro"),
        Register("VendorID", 0x00C, access="ro", reset=VENDOR),
        Register("DeviceFeatures", 0x010, access="ro"),
        Register("DeviceFeaturesSel", 0x014, access="wo"),
        Register("DriverFeatures", 0x020, access="wo"),
        Register("DriverFeaturesSel", 0x024, access="wo"),
        Register("QueueSel", 0x030, access="wo"),
        Register("QueueNumMax", 0x034, access="ro"),
        Register("QueueNum", 0x038, access="wo"),
        Register("QueueReady", 0x044, fields=(Field("READY", 0),), writable=1),
        Register("QueueNotify", 0x050, access="wo"),
        Register("InterruptStatus", 0x060, access="ro", fields=_CAUSES),
        Register("InterruptACK", 0x064, access="wo", fields=_CAUSES),
        Register("Status", 0x070, fields=STATUS_FIELDS),
        Register("QueueDescLow", 0x080, access="wo"),
        Register("QueueDescHigh", 0x084, access="wo"),
        Register("QueueDriverLow", 0x090, access="wo"),
        Register("QueueDriverHigh", 0x094, access="wo"),
        Register("QueueDeviceLow", 0x0A0, access="wo"),
        Register("QueueDeviceHigh", 0x0A4, access="wo"),
        Register("SHMSel", 0x0AC, access="wo"),
        Register("SHMLen", 0x0B0, access="ro", reset=0xFFFF_FFFF, count=2),
        Register("SHMBase", 0x0B8, access="ro", reset=0xFFFF_FFFF, count=2),
        Register("ConfigGeneration", 0x0FC, access="ro"),
    )

    def __init__(self, name: str, memory: Memory, line: Wire, device: VirtioDevice | None = None) -> None:
        super().__init__(name, SIZE)
        self.memory = memory
        self.line = line
        self.interrupts = 0
        self.accepted = [0, 0]
        self.device: VirtioDevice | None = None
        if device is not None:
            self.plug(device)

    def plug(self, device: VirtioDevice) -> None:
        """Put a device into the slot."""
        self.device = device
        device.port = self
        device.on_complaint = self.complain

    def reset(self) -> None:
        super().reset()
        self.interrupts = 0
        self.accepted = [0, 0]
        self.line.set(0)
        if self.device is not None:
            self.device.reset()

    def device_tree_node(self, place: Place) -> Node:
        return place.node("virtio_mmio", "virtio,mmio")

    def describe(self) -> str:
        return "empty" if self.device is None else self.device.describe()

    def close(self) -> None:
        if self.device is not None:
            self.device.close()

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
        if offset >= CONFIG:
            return self.device.read_config(offset - CONFIG, size) if self.device is not None else 0
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset < CONFIG:
            super().write(offset, size, value)
        elif self.device is not None:
            self.device.write_config(offset - CONFIG, value.to_bytes(size, "little"))

    def read_deviceid(self) -> int:
        return 0 if self.device is None else self.device.device_id

    def read_devicefeatures(self) -> int:
        half = self.value["DeviceFeaturesSel"]
        return 0 if self.device is None or half > 1 else self.device.features >> 32 * half & 0xFFFF_FFFF

    def write_driverfeatures(self, value: int) -> None:
        half = self.value["DriverFeaturesSel"]
        if self.device is None:
            return
        if half > 1:
            if value:
                self.device.break_down(f"feature bits above 63: {value:#x}")
            return
        self.accepted[half] = value
        self.device.set_driver_features(self.accepted[0] | self.accepted[1] << 32)

    def queue(self) -> Queue | None:
        """The selected queue, if there is such a one."""
        index = self.value["QueueSel"]
        return self.device.queues[index] if self.device is not None and index < len(self.device.queues) else None

    def _idle_queue(self) -> Queue | None:
        """4.2.2.2: nothing of a queue in use may change but QueueReady."""
        queue = self.queue()
        return None if queue is None or queue.ready else queue

    def read_queuenummax(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.maximum

    def write_queuenum(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.size = value

    def read_queueready(self) -> int:
        queue = self.queue()
        return 0 if queue is None else int(queue.ready)

    def write_queueready(self, value: int) -> None:
        queue = self.queue()
        if queue is None or self.device is None:
            return
        if not value:
            self.device.disable(queue)
        elif not queue.ready:
            self.device.enable(queue)

    def write_queuenotify(self, value: int) -> None:
        if self.device is not None:
            self.device.notify(value & 0xFFFF)

    def read_interruptstatus(self) -> int:
        return self.interrupts

    def write_interruptack(self, value: int) -> None:
        self.interrupts &= ~value
        if not self.interrupts:
            self.line.set(0)

    def read_status(self) -> int:
        return 0 if self.device is None else self.device.status

    def write_status(self, value: int) -> None:
        if value == 0:
            self.reset()
        elif self.device is not None:
            self.device.set_status(value)

    def write_queuedesclow(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.descriptors = low(queue.descriptors, value)

    def write_queuedeschigh(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.descriptors = high(queue.descriptors, value)

    def write_queuedriverlow(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.driver_area = low(queue.driver_area, value)

    def write_queuedriverhigh(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.driver_area = high(queue.driver_area, value)

    def write_queuedevicelow(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.device_area = low(queue.device_area, value)

    def write_queuedevicehigh(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.device_area = high(queue.device_area, value)

    def read_configgeneration(self) -> int:
        return 0 if self.device is None else self.device.generation

    # State

    def save(self) -> dict[str, object]:
        """The state of slot and device."""
        return {
            **super().save(),
            "interrupts": self.interrupts,
            "accepted": list(self.accepted),
            "device": {} if self.device is None else self.device.save(),
        }

    def load(self, state: dict[str, object]) -> None:
        """What `save` gave; DeviceError if it is of another device."""
        super().load(state)
        interrupts, accepted, device = state.get("interrupts"), state.get("accepted"), state.get("device")
        if not isinstance(interrupts, int) or not isinstance(accepted, list) or not isinstance(device, dict):
            raise DeviceError(f"{self.name}: the saved state is not a virtio slot's")
        if bool(device) != (self.device is not None):
            raise DeviceError(f"{self.name}: the saved state has {'a' if device else 'no'} device in this slot")
        self.interrupts, self.accepted = interrupts, list(accepted)
        if self.device is not None:
            self.device.load(device)
        self.line.set(int(self.interrupts != 0))


def low(address: int, value: int) -> int:
    """An address with other lower 32 bits."""
    return address & ~0xFFFF_FFFF | value & 0xFFFF_FFFF


def high(address: int, value: int) -> int:
    """An address with other upper 32 bits."""
    return address & 0xFFFF_FFFF | (value & 0xFFFF_FFFF) << 32
