"""The virtio-pci transport, modern (virtio 1.2, section 4.1): all structures in one base-address register."""

from __future__ import annotations

import struct

from runtime.hw.device import Device, DeviceError, Doorbell
from runtime.hw.pci.function import VENDOR_CAPABILITY, Bar, PciFunction
from runtime.hw.pci.msix import MessageTable
from runtime.hw.registers import Field, Register, RegisterDevice
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.mmio import STATUS_FIELDS, high, low
from runtime.hw.virtio.queue import Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.virtio.buffers import Memory

__all__ = ["VirtioPci"]

VENDOR, FIRST_DEVICE = 0x1AF4, 0x1040

#: which structure a capability tells of (4.1.4)
COMMON, NOTIFY, ISR, DEVICE, WINDOW = 1, 2, 3, 4, 5
BAR, MESSAGES_BAR = 4, 1
#: where they are in the register's memory
COMMON_AT, ISR_AT, DEVICE_AT, NOTIFY_AT, BAR_SIZE, PART = 0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x1000
NOTIFY_STEP = 4

USED_BUFFER, CONFIGURATION = 1, 2
NO_VECTOR = 0xFFFF

#: class codes by device ID
CLASSES = {1: 0x020000, 2: 0x010000, 3: 0x078000, 4: 0x00FF00, 16: 0x038000, 18: 0x090000}


class Structures(RegisterDevice):
    """The memory of the base-address register; the common configuration is its first part (4.1.4.3)."""

    kind = "virtio-pci-structures"
    REGISTERS = (
        Register("device_feature_select", 0x00),
        Register("device_feature", 0x04, access="ro"),
        Register("driver_feature_select", 0x08),
        Register("driver_feature", 0x0C),
        Register("config_msix_vector", 0x10, width=2, reset=NO_VECTOR),
        Register("num_queues", 0x12, width=2, access="ro"),
        Register("device_status", 0x14, width=1, fields=STATUS_FIELDS),
        Register("config_generation", 0x15, width=1, access="ro"),
        Register("queue_select", 0x16, width=2),
        Register("queue_size", 0x18, width=2),
        Register("queue_msix_vector", 0x1A, width=2),
        Register("queue_enable", 0x1C, width=2, fields=(Field("ENABLE", 0),)),
        Register("queue_notify_off", 0x1E, width=2, access="ro"),
        Register("queue_desc_low", 0x20),
        Register("queue_desc_high", 0x24),
        Register("queue_driver_low", 0x28),
        Register("queue_driver_high", 0x2C),
        Register("queue_device_low", 0x30),
        Register("queue_device_high", 0x34),
    )

    def __init__(self, function: VirtioPci) -> None:
        super().__init__(f"{function.name}.bar{BAR}", BAR_SIZE)
        self.function = function
        self.device = function.device
        self.accepted = [0, 0]
        self.vectors = [NO_VECTOR] * len(self.device.queues)
        # 4.1.5.2: a store of 16 bits, for what it says is where it goes to
        self.doorbells = tuple(Doorbell(NOTIFY_AT + NOTIFY_STEP * index, 2) for index in range(len(self.vectors)))

    def reset(self) -> None:
        super().reset()
        self.accepted = [0, 0]
        self.vectors = [NO_VECTOR] * len(self.device.queues)

    def read(self, offset: int, size: int) -> int:
        part, within = offset // PART * PART, offset % PART
        if part == DEVICE_AT:
            return self.device.read_config(within, size)
        if part == ISR_AT:
            return self.function.take_interrupts() if within == 0 else 0
        return super().read(offset, size) if part == COMMON_AT and within < 0x38 else 0

    def write(self, offset: int, size: int, value: int) -> None:
        part, within = offset // PART * PART, offset % PART
        if part == NOTIFY_AT:
            self.device.notify(within // NOTIFY_STEP)
        elif part == DEVICE_AT:
            self.device.write_config(within, value.to_bytes(size, "little"))
        elif part == COMMON_AT and within < 0x38:
            super().write(offset, size, value)

    # The common configuration

    def read_device_feature(self) -> int:
        half = self.value["device_feature_select"]
        return self.device.features >> 32 * half & 0xFFFF_FFFF if half < 2 else 0

    def read_driver_feature(self) -> int:
        half = self.value["driver_feature_select"]
        return self.accepted[half] if half < 2 else 0

    def write_driver_feature(self, value: int) -> None:
        half = self.value["driver_feature_select"]
        if half < 2:
            self.accepted[half] = value
            self.device.set_driver_features(self.accepted[0] | self.accepted[1] << 32)
        elif value:
            self.device.break_down(f"feature bits above 63: {value:#x}")

    def read_num_queues(self) -> int:
        return len(self.device.queues)

    def read_device_status(self) -> int:
        return self.device.status

    def write_device_status(self, value: int) -> None:
        if value == 0:
            self.function.reset_device()
        else:
            self.device.set_status(value)

    def read_config_generation(self) -> int:
        return self.device.generation

    def queue(self) -> Queue | None:
        """The selected queue, if there is such a one."""
        index = self.value["queue_select"]
        return self.device.queues[index] if index < len(self.device.queues) else None

    def _idle_queue(self) -> Queue | None:
        queue = self.queue()
        return None if queue is None or queue.ready else queue

    def read_queue_size(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.size

    def write_queue_size(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.size = value

    def message(self, wanted: int) -> int:
        """4.1.5.1.2: a message that there is, or none, which tells the driver so."""
        messages = self.function.messages
        return wanted if messages is not None and wanted < len(messages.pending) else NO_VECTOR

    def write_config_msix_vector(self, value: int) -> None:
        self.value["config_msix_vector"] = self.message(value)

    def read_queue_msix_vector(self) -> int:
        index = self.value["queue_select"]
        return self.vectors[index] if index < len(self.vectors) else NO_VECTOR

    def write_queue_msix_vector(self, value: int) -> None:
        index = self.value["queue_select"]
        if index < len(self.vectors):
            self.vectors[index] = self.message(value)

    def read_queue_enable(self) -> int:
        queue = self.queue()
        return 0 if queue is None else int(queue.ready)

    def write_queue_enable(self, value: int) -> None:
        queue = self._idle_queue()
        if queue is not None and value == 1:  # 4.1.4.3.2: never 0
            self.device.enable(queue)

    def read_queue_notify_off(self) -> int:
        return self.value["queue_select"] if self.queue() is not None else 0

    def read_queue_desc_low(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.descriptors & 0xFFFF_FFFF

    def read_queue_desc_high(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.descriptors >> 32

    def read_queue_driver_low(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.driver_area & 0xFFFF_FFFF

    def read_queue_driver_high(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.driver_area >> 32

    def read_queue_device_low(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.device_area & 0xFFFF_FFFF

    def read_queue_device_high(self) -> int:
        queue = self.queue()
        return 0 if queue is None else queue.device_area >> 32

    def write_queue_desc_low(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.descriptors = low(queue.descriptors, value)

    def write_queue_desc_high(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.descriptors = high(queue.descriptors, value)

    def write_queue_driver_low(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.driver_area = low(queue.driver_area, value)

    def write_queue_driver_high(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.driver_area = high(queue.driver_area, value)

    def write_queue_device_low(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.device_area = low(queue.device_area, value)

    def write_queue_device_high(self, value: int) -> None:
        if (queue := self._idle_queue()) is not None:
            queue.device_area = high(queue.device_area, value)


class VirtioPci(PciFunction):
    """A virtio device as a PCI function; with `messages`, it has one for each queue and one for the configuration."""

    kind = "virtio-pci"

    def __init__(self, name: str, memory: Memory, device: VirtioDevice, *, messages: bool = False) -> None:
        super().__init__(
            name,
            vendor=VENDOR,
            device=FIRST_DEVICE + device.device_id,
            class_code=CLASSES.get(device.device_id, 0x00FF00),
            revision=1,
            subsystem=(VENDOR, 0x1100),
        )
        self.memory = memory
        self.device = device
        self.interrupts = 0
        device.port = self
        device.on_complaint = self.complain
        self.structures = Structures(self)
        self.uses_interrupt()
        self.add_bar(Bar(BAR, self.structures, wide=True, prefetch=True))
        for kind, place, size in (
            (COMMON, COMMON_AT, 0x38),
            (ISR, ISR_AT, 1),
            (DEVICE, DEVICE_AT, PART),
            (NOTIFY, NOTIFY_AT, NOTIFY_STEP * len(device.queues)),
        ):
            more = struct.pack("<I", NOTIFY_STEP) if kind == NOTIFY else b""
            self._describe(kind, place, size, more)
        if messages:
            MessageTable(self, len(device.queues) + 1, MESSAGES_BAR)
        self._window = self._describe(WINDOW, 0, 0, bytes(4))
        for place, bits in ((4, 0xFF), (8, 0xFFFF_FFFF), (12, 0xFFFF_FFFF)):
            self.allow(self._window + place, bits, 1 if place == 4 else 4)

    def _describe(self, kind: int, place: int, size: int, more: bytes) -> int:
        """4.1.4: a capability that says where a structure is."""
        body = struct.pack("<BBBBHII", 16 + len(more), kind, BAR, 0, 0, place, size) + more
        return self.add_capability(VENDOR_CAPABILITY, body)

    # The way into the structures through the configuration space (4.1.4.9)

    def _through(self, offset: int, size: int) -> tuple[Device, int] | None:
        """What a load or store of the window's data is for."""
        if offset != self._window + 16:
            return None
        bar = self.bars.get(self.config[self._window + 4])
        place, length = self.word(self._window + 8), self.word(self._window + 12)
        if bar is None or length != size or size not in (1, 2, 4) or place % size or place + size > bar.size:
            return None
        return (bar.answer, place) if isinstance(bar.answer, Device) else None

    def read(self, offset: int, size: int) -> int:
        target = self._through(offset, size)
        return target[0].read(target[1], size) if target is not None else super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        target = self._through(offset, size)
        if target is not None:
            target[0].write(target[1], size, value)
        else:
            super().write(offset, size, value)

    # Port

    def queue_interrupt(self, queue: Queue) -> None:
        """The driver should look at a queue (4.1.5.3): by the queue's message, or the wire and the cause."""
        if self.messages is not None and self.messages.enabled:
            self._send(self.messages, self.structures.vectors[queue.index])
            return
        self.interrupts |= USED_BUFFER
        self.set_interrupt(1)

    def config_interrupt(self) -> None:
        """The driver should look at the configuration (4.1.5.4): the cause is set in either way."""
        self.interrupts |= CONFIGURATION
        if self.messages is not None and self.messages.enabled:
            self._send(self.messages, self.structures.value["config_msix_vector"])
            return
        self.set_interrupt(1)

    @staticmethod
    def _send(messages: MessageTable, vector: int) -> None:
        if vector != NO_VECTOR:
            messages.signal(vector)

    def take_interrupts(self) -> int:
        """4.1.4.5: reading the causes clears them."""
        causes, self.interrupts = self.interrupts, 0
        self.set_interrupt(0)
        return causes

    # State

    def reset_device(self) -> None:
        """The driver resets the device; the configuration space stays."""
        self.structures.reset()
        self.device.reset()
        self.interrupts = 0
        self.set_interrupt(0)

    def reset(self) -> None:
        super().reset()
        self.reset_device()

    def describe(self) -> str:
        return self.device.describe()

    def close(self) -> None:
        self.device.close()

    def save(self) -> dict[str, object]:
        return {
            **super().save(),
            "interrupts": self.interrupts,
            "accepted": list(self.structures.accepted),
            "vectors": list(self.structures.vectors),
            "structures": self.structures.save(),
            "device": self.device.save(),
        }

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        interrupts, accepted, vectors = state.get("interrupts"), state.get("accepted"), state.get("vectors")
        structures, device = state.get("structures"), state.get("device")
        if not isinstance(interrupts, int) or not isinstance(accepted, list):
            raise DeviceError(f"{self.name}: the saved state is not a virtio-pci function's")
        if not isinstance(structures, dict) or not isinstance(device, dict):
            raise DeviceError(f"{self.name}: the saved state is not a virtio-pci function's")
        self.interrupts = interrupts
        self.structures.load(structures)
        self.structures.accepted = list(accepted)
        if not isinstance(vectors, list) or len(vectors) != len(self.structures.vectors):
            raise DeviceError(f"{self.name}: the saved state is of other queues")
        self.structures.vectors = [self.structures.message(vector) for vector in vectors]
        self.device.load(device)
        self.set_interrupt(int(interrupts != 0))
