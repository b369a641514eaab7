"""virtio-console with one port (virtio 1.2, section 5.3)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.hw.characters import Characters
from runtime.hw.registry import Option
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

if TYPE_CHECKING:
    from runtime.hw.device import Platform

__all__ = ["VirtioConsole"]

SIZE, EMERGENCY_WRITE = 1 << 0, 1 << 2

RECEIVE, TRANSMIT = 0, 1

#: what is taken from a driver's buffer at a time
PIECE = 1 << 16

#: input that the guest has not read yet; more waits at the other end
MOST_WAITING = 4096


class VirtioConsole(VirtioDevice):
    """`characters` is the terminal."""

    kind = "virtio-console"
    device_id = 3
    queue_sizes = (64, 64)
    OPTIONS = (
        Option("chardev", "chardev", help="the -chardev that is its terminal"),
        Option("cols", "int", 80, help="columns of the terminal"),
        Option("rows", "int", 25, help="rows"),
        Option("packed", "bool", False, help="offer packed queues"),
    )

    def __init__(self, characters: Characters, *, columns: int = 80, rows: int = 25, packed: bool = False) -> None:
        super().__init__(packed=packed)
        self.characters = characters
        self.columns, self.rows = columns, rows
        self._waiting = bytearray()
        characters.connect(self.feed, lambda: max(0, MOST_WAITING - len(self._waiting)))

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioConsole:
        """By `-device`."""
        characters = values["chardev"] or Characters()
        return cls(characters, columns=values["cols"] & 0xFFFF, rows=values["rows"] & 0xFFFF, packed=values["packed"])

    def close(self) -> None:
        """Give the terminal back."""
        self.characters.close()

    def own_features(self) -> int:
        """A size, and output before there is a driver."""
        return SIZE | EMERGENCY_WRITE

    def config(self) -> bytes:
        """5.3.4: columns, rows, ports, the emergency register."""
        return struct.pack("<HHII", self.columns, self.rows, 1, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        """A character to the emergency register is printed at once."""
        if offset == 8:
            self.characters.write(data[:1])

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
                self.characters.write(reader.read(min(reader.remaining, PIECE)))
            self.push(queue, chain, 0)
        self.interrupt(queue)

    def feed(self, data: bytes) -> None:
        """Input from the terminal."""
        self._waiting += data
        self.guarded(self._deliver)

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
            self.characters.accept()

    def save_own(self) -> dict[str, Any]:
        """What was typed and not read."""
        return {"waiting": bytes(self._waiting), "size": [self.columns, self.rows]}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        self._waiting = bytearray(state["waiting"])
        self.columns, self.rows = state["size"]
