"""Between a network card and what it is plugged into: frames in both directions, and who may send when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

__all__ = ["Events", "Link", "NetError"]

#: frames that wait for a card that has no room; what has no way of holding back (a tap) loses the rest
MOST_WAITING = 1024


class NetError(Exception):
    """A network that cannot be set up; the message is for the user."""


class Events(Protocol):
    """The machine's event loop."""

    def on_readable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        """Call back whenever something can be read; None: no more."""

    def on_writable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        """Call back whenever something can be written; None: no more."""

    def forget(self, descriptor: int) -> None:
        """Before a descriptor is closed."""


class Link:
    """A network.  The card calls `send` and `flush`; it is given frames by `receive`, which it sets.

    offloads          the network needs no checksums of frames it is sent, and takes segments of up to 64 KiB
    largest_payload   TCP payload in a frame to the card: more than a segment once the driver has agreed to cut it up
    """

    kind = "none"
    offloads = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0  # among the machine's networks
        self.largest_payload = 1460
        self.receive: Callable[[bytes], bool] | None = None
        self._waiting: deque[bytes] = deque()
        self.dropped = 0

    def send(self, frame: bytes) -> None:
        """The guest sends a frame; this link is a card's that is plugged into nothing."""

    def flush(self) -> None:
        """That was the last of several frames."""

    def deliver(self, frame: bytes) -> None:
        """A frame for the guest: at once, or when the card has room."""
        if not self._waiting and self.receive is not None and self.receive(frame):
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(frame)
        else:
            self.dropped += 1

    def resume(self) -> None:
        """The card has room again."""
        while self._waiting and self.receive is not None and self.receive(self._waiting[0]):
            self._waiting.popleft()

    def forget_waiting(self) -> None:
        """The card was reset."""
        self._waiting.clear()

    def restored(self) -> None:
        """The guest is another than before, or the same at an earlier moment."""
        self.forget_waiting()

    @property
    def congested(self) -> bool:
        """Whether frames wait for the card."""
        return len(self._waiting) > 16

    def close(self) -> None:
        """Let go of the host's sockets."""

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {"id": self.name, "type": self.kind}
