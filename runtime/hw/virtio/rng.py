"""virtio-rng (virtio 1.2, section 5.4): random bytes from the host."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.hw.registry import Option
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Queue

if TYPE_CHECKING:
    from runtime.hw.device import Platform

__all__ = ["VirtioRng"]

#: at most so much for one request: 5.4.6.1 lets a device give less than there is room for
MOST = 1 << 16


class VirtioRng(VirtioDevice):
    """`seed` makes the bytes the same in every run (`-icount`, record and replay)."""

    kind = "virtio-rng"
    device_id = 4
    OPTIONS = (
        Option("seed", "int", help="make the bytes the same in every run"),
        Option("packed", "bool", False, help="offer packed queues"),
    )
    queue_sizes = (64,)

    def __init__(self, *, seed: int | None = None, packed: bool = False) -> None:
        super().__init__(packed=packed)
        self._generator = None if seed is None else random.Random(seed)

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioRng:
        """By `-device`."""
        return cls(seed=values["seed"], packed=values["packed"])

    def _bytes(self, size: int) -> bytes:
        return os.urandom(size) if self._generator is None else self._generator.randbytes(size)

    def handle(self, queue: Queue) -> None:
        """Fill each buffer."""
        while (chain := self.pop(queue)) is not None:
            writer = self.writer(chain)
            self.push(queue, chain, writer.write(self._bytes(min(writer.remaining, MOST))))
        self.interrupt(queue)

    def save_own(self) -> dict[str, Any]:
        """Where the generator stands."""
        if self._generator is None:
            return {}
        version, words, _ = self._generator.getstate()
        return {"version": version, "words": list(words)}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        if self._generator is not None and "words" in state:
            self._generator.setstate((state["version"], tuple(state["words"]), None))
