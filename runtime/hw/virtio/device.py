"""What all virtio devices share: status, features, configuration space, queues (virtio 1.2, chapters 2 and 3).

A device knows neither its transport nor the machine: it is given a `Port`, which reaches guest memory and interrupts
the driver.  Whatever a driver does wrong ends here, as DEVICE_NEEDS_RESET.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from runtime.core.accelerator import BusError
from runtime.hw.device import DeviceError
from runtime.hw.dma import DmaError
from runtime.hw.virtio.buffers import Memory, Reader, RequestError, Writer
from runtime.hw.virtio.queue import Chain, Queue

__all__ = ["ACKNOWLEDGE", "DRIVER", "DRIVER_OK", "FAILED", "FEATURES_OK", "NEEDS_RESET", "Port", "VirtioDevice"]

#: status bits (2.1)
ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 0x40, 0x80

#: features that are none of a device's own (chapter 6)
RING_INDIRECT, RING_EVENT_INDEX, VERSION_1, RING_PACKED = 1 << 28, 1 << 29, 1 << 32, 1 << 34


class Port(Protocol):
    """A transport, as a device sees it."""

    @property
    def memory(self) -> Memory:
        """Guest memory."""

    def queue_interrupt(self, queue: Queue) -> None:
        """The driver should look at a queue."""

    def config_interrupt(self) -> None:
        """The driver should look at the configuration or the status."""


class VirtioDevice(ABC):
    """A device: `handle` is called when the driver has added to a queue."""

    #: section 5: which kind of device it is
    device_id: int
    #: the most entries that each queue can have
    queue_sizes: Sequence[int]
    #: what a user calls it
    kind: str

    def __init__(self, *, packed: bool = False) -> None:
        self.port: Port | None = None
        self.packed = packed
        self.status = 0
        self.driver_features = 0
        self.generation = 0
        self.queues = [Queue(index, size) for index, size in enumerate(self.queue_sizes)]
        self.complaint: str | None = None
        self.on_complaint: Callable[[str], None] | None = None

    # What a device says of itself

    def own_features(self) -> int:
        """Feature bits of its kind."""
        return 0

    def config(self) -> bytes:
        """The configuration space."""
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver stores into the configuration space; without effect unless a device says otherwise."""

    @abstractmethod
    def handle(self, queue: Queue) -> None:
        """Serve a queue."""

    def started(self) -> None:
        """The driver has set DRIVER_OK."""

    def stopped(self) -> None:
        """The device was reset: forget what the driver said."""

    def save_own(self) -> dict[str, Any]:
        """State of its kind."""
        return {}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""

    # For devices

    @property
    def memory(self) -> Memory:
        """Guest memory."""
        assert self.port is not None
        return self.port.memory

    @property
    def running(self) -> bool:
        """Whether a driver uses it."""
        return self.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK

    def has(self, feature: int) -> bool:
        """Whether a feature (its mask) was agreed on."""
        return bool(self.driver_features & feature)

    def pop(self, queue: Queue) -> Chain | None:
        """The next request of a queue."""
        return queue.pop(self.memory)

    def push(self, queue: Queue, chain: Chain, written: int) -> None:
        """Give a request back."""
        queue.push(self.memory, chain, written)

    def reader(self, chain: Chain) -> Reader:
        """What the driver wrote."""
        return Reader(self.memory, chain.readable)

    def writer(self, chain: Chain) -> Writer:
        """The room for the answer."""
        return Writer(self.memory, chain.writable)

    def interrupt(self, queue: Queue) -> None:
        """Interrupt the driver unless it has asked not to be."""
        assert self.port is not None
        if queue.should_interrupt(self.memory):
            self.port.queue_interrupt(queue)

    def config_changed(self) -> None:
        """Something in the configuration space is another than before."""
        self.generation = (self.generation + 1) & 0xFF
        if self.port is not None and self.status & DRIVER_OK:
            self.port.config_interrupt()

    def guarded(self, work: Callable[[], None]) -> None:
        """Do something with the driver's queues; if they are broken, so is the device until it is reset."""
        if not self.running:
            return
        try:
            work()
        except RequestError as error:
            self.break_down(str(error))
        except (BusError, DmaError) as error:
            self.break_down(f"an address outside memory: {error}")

    def break_down(self, complaint: str) -> None:
        """The driver broke the rules (2.1.2): serve nothing until it resets the device."""
        self.complaint = complaint
        if self.on_complaint is not None:
            self.on_complaint(complaint)
        self.status |= NEEDS_RESET
        if self.port is not None and self.status & DRIVER_OK:
            self.port.config_interrupt()

    # For transports

    @property
    def features(self) -> int:
        """All that is offered."""
        packed = RING_PACKED if self.packed else 0
        return self.own_features() | RING_INDIRECT | RING_EVENT_INDEX | VERSION_1 | packed

    def reset(self) -> None:
        """As after power-on."""
        self.status = 0
        self.driver_features = 0
        self.complaint = None
        for queue in self.queues:
            queue.reset()
        self.stopped()

    def set_driver_features(self, features: int) -> None:
        """What the driver accepts; fixed once it has said FEATURES_OK."""
        if not self.status & FEATURES_OK:
            self.driver_features = features

    def set_status(self, status: int) -> None:
        """The driver stores the status register."""
        if status == 0:
            self.reset()
            return
        if status & FEATURES_OK and not self.status & FEATURES_OK:
            unknown = self.driver_features & ~self.features
            if unknown or not self.driver_features & VERSION_1:
                status &= ~FEATURES_OK  # 3.1.1: the driver reads it back and gives up
        starts = status & DRIVER_OK and not self.status & DRIVER_OK
        if starts and not (self.status | status) & FEATURES_OK:
            self.break_down("DRIVER_OK before the features were agreed on")
            return
        self.status = status & 0xFF | self.status & NEEDS_RESET
        if starts and self.running:
            self.started()
            for queue in self.queues:
                self.notify(queue.index)

    def enable(self, queue: Queue) -> bool:
        """The driver has described a queue and wants it used."""
        size = queue.size
        packed = self.has(RING_PACKED)
        if not 0 < size <= queue.maximum or (not packed and size & size - 1):
            self.break_down(f"queue {queue.index}: {size} entries, where {queue.maximum} are possible")
            return False
        driver_alignment, device_alignment = (4, 4) if packed else (2, 4)
        if queue.descriptors % 16 or queue.driver_area % driver_alignment or queue.device_area % device_alignment:
            self.break_down(f"queue {queue.index}: a misaligned ring")
            return False
        queue.packed = packed
        queue.event_index = self.has(RING_EVENT_INDEX)
        queue.indirect = self.has(RING_INDIRECT)
        queue.ready = True
        return True

    def disable(self, queue: Queue) -> None:
        """Use a queue no more."""
        queue.reset()

    def notify(self, index: int) -> None:
        """The driver has added to a queue."""
        if not self.running or index >= len(self.queues):
            return
        queue = self.queues[index]
        if queue.ready:
            self.guarded(lambda: self.handle(queue))

    def read_config(self, offset: int, size: int) -> int:
        """Bytes of the configuration space; zero behind its end."""
        return int.from_bytes(self.config()[offset : offset + size], "little")

    def save(self) -> dict[str, Any]:
        """The whole state, of simple values."""
        return {
            "kind": self.kind,
            "status": self.status,
            "driver_features": self.driver_features,
            "generation": self.generation,
            "queues": [queue.save() for queue in self.queues],
            "own": self.save_own(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """What `save` gave; DeviceError if it is another device's."""
        queues = state.get("queues", ())
        if state.get("kind") != self.kind or len(queues) != len(self.queues):
            raise DeviceError(f"{self.kind}: the saved state is of a {state.get('kind')}")
        self.status = state["status"]
        self.driver_features = state["driver_features"]
        self.generation = state["generation"]
        for queue, saved in zip(self.queues, queues, strict=True):
            queue.load(saved)
        self.load_own(state["own"])

    def describe(self) -> str:
        """What a listing says of it."""
        driver = "no driver" if not self.status & DRIVER_OK else "broken" if self.status & NEEDS_RESET else "in use"
        return f"{self.kind}, {driver}"

    def close(self) -> None:
        """The machine ends: let go of what is the host's."""
