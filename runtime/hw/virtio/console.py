"""virtio-console with one port (virtio 1.2, section 5.3)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

__all__ = ["VirtioConsole"]

SIZE, EMERGENCY_WRITE = 1 << 0, 1 << 2

RECEIVE, TRANSMIT = 0, 1

#: what is taken from a driver's buffer at a time
PIECE = 1 << 16

#: input that the guest does not read: what comes after is refused
MOST_WAITING = 1 << 16


class VirtioConsole(VirtioDevice):
    """`output` is given what the guest prints; `feed` is what somebody types."""

    kind = "virtio-console"
    device_id = 3
    queue_sizes = (64, 64)

    def __init__(self, output: Callable[[bytes], None], *, columns: int = 80, rows: int = 25, packed: bool = False):
        super().__init__(packed=packed)
        self.output = output
        self.columns, self.rows = columns, rows
        self._waiting = bytearray()

    def own_features(self) -> int:
        """A size, and output before there is a driver."""
        return SIZE | EMERGENCY_WRITE

    def config(self) -> bytes:
        """5.3.4: columns, rows, ports, the emergency register."""
        return struct.pack("<HHII", self.columns, self.rows, 1, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        """A character to the emergency register is printed at once."""
        if offset == 8:
            self.output(data[:1])

    def resize(self, columns: int, rows: int) -> None:
        """The user's terminal has another size."""
        if (columns, rows) != (self.columns, self.rows):
            self.columns, self.rows = columns, rows
            self.config_changed()

    def handle(self, queue: Queue) -> None:
        """Print, or give what was typed."""
        if queue.index == RECEIVE:
            self._deliver()
            return
        while (chain := self.pop(queue)) is not None:
            reader = self.reader(chain)
            while reader.remaining:
                self.output(reader.read(min(reader.remaining, PIECE)))
            self.push(queue, chain, 0)
        self.interrupt(queue)

    def feed(self, data: bytes) -> int:
        """Input from the user; how much of it was taken."""
        taken = data[: max(0, MOST_WAITING - len(self._waiting))]
        self._waiting += taken
        self.guarded(self._deliver)
        return len(taken)

    def _deliver(self) -> None:
        queue, done = self.queues[RECEIVE], False
        while self._waiting and (chain := self.pop(queue)) is not None:
            writer = self.writer(chain)
            written = writer.write(bytes(self._waiting[: writer.remaining]))
            del self._waiting[:written]
            self.push(queue, chain, written)
            done = True
        if done:
            self.interrupt(queue)

    def save_own(self) -> dict[str, Any]:
        """What was typed and not read."""
        return {"waiting": bytes(self._waiting), "size": (self.columns, self.rows)}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        self._waiting = bytearray(state["waiting"])
        self.columns, self.rows = state["size"]
