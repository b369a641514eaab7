"""`-icount …,rr=record|replay,rrfile=F`: everything from outside goes through the machine's journal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from isomorph.machines.options import UsageError
from runtime.hw.characters import Characters
from runtime.hw.events import EventLoop
from runtime.hw.net.link import Link
from runtime.hw.net.netdev import Netdev
from runtime.hw.net.user import UserNetwork
from runtime.machine.journal import Journal
from runtime.machine.machine import Machine

RECORD, REPLAY = "record", "replay"


def check_mode(text: str, mode: str, path: str) -> None:
    """UsageError unless the two make sense together."""
    if mode not in ("", RECORD, REPLAY) or bool(mode) != bool(path):
        raise UsageError(f"-icount {text}: it is rr=record,rrfile=FILE or rr=replay,rrfile=FILE")


def attach_journal(machine: Machine, journal: Journal) -> None:
    """Have the machine's run be written down, or be the one that was."""
    machine.journal = journal

    def changed(event: str, data: dict[str, object]) -> None:
        if event == "RESET" and not data["guest"]:
            journal.note("machine", b"reset")

    machine.on_change.append(changed)
    journal.taker("machine", lambda data: machine.reset("host-replay"))
    journal.on_end = lambda: machine.power_off(0, "host-replay-end")


class JournaledCharacters(Characters):
    """A stream whose input is written down.  A recorded one goes out only."""

    def __init__(self, name: str, inner: Characters, journal: Journal, events: EventLoop) -> None:
        super().__init__()
        self.name = name
        self.inner = inner
        self._journal = journal
        self._events = events
        self._arrived: deque[bytes] = deque()
        journal.taker(name, self._give)
        journal.taker(f"{name}.break", lambda data: self.on_break())

    def connect(self, receive: Callable[[bytes], None], room: Callable[[], int] | None = None) -> None:
        """The device."""
        super().connect(receive, room)
        if not self._journal.replaying:
            self.inner.on_break = self._broke
            self.inner.on_open, self.inner.on_hang_up = self.on_open, self.on_hang_up
            self.inner.connect(self._came, lambda: max(0, self._room() - sum(map(len, self._arrived))))

    def _came(self, data: bytes) -> None:
        """Never in the middle of an instruction: the main loop passes it on, between two slices."""
        self._arrived.append(data)
        self._events.call(self._pass)

    def _pass(self) -> None:
        while self._arrived:
            data = self._arrived.popleft()
            self._journal.note(self.name, data)
            self._give(data)

    def _give(self, data: bytes) -> None:
        if self._receive is not None:
            self._receive(data)

    def _broke(self) -> None:
        def pass_on() -> None:
            self._journal.note(f"{self.name}.break", b"")
            self.on_break()

        self._events.call(pass_on)

    def write(self, data: bytes) -> None:
        """Goes out, in a replay too."""
        self.inner.write(data)

    def accept(self) -> None:
        """The device has room."""
        if not self._journal.replaying:
            self.inner.accept()

    def describe(self) -> str:
        return self.inner.describe()

    def close(self) -> None:
        self.inner.close()


class JournaledLink(Link):
    """A network whose frames to the card are written down; in a replay there is none behind it."""

    def __init__(self, netdev: Netdev, inner: Link | None, number: int, journal: Journal, events: EventLoop) -> None:
        self.inner = inner
        super().__init__(netdev.name)
        self.number = number
        self.kind = netdev.kind
        self.offloads = UserNetwork.offloads if netdev.kind == "user" else False
        self._journal = journal
        self._events = events
        self._arrived: deque[bytes] = deque()
        self._source = f"net.{netdev.name}"
        journal.taker(self._source, self.deliver)
        if inner is not None:
            inner.receive = self._came

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "largest_payload" and self.inner is not None:
            self.inner.largest_payload = value

    def send(self, frame: bytes) -> None:
        if self.inner is not None:
            self.inner.send(frame)

    def flush(self) -> None:
        if self.inner is not None:
            self.inner.flush()

    def _came(self, frame: bytes) -> bool:
        self._arrived.append(frame)
        self._events.call(self._pass)
        return True

    def _pass(self) -> None:
        while self._arrived:
            frame = self._arrived.popleft()
            self._journal.note(self._source, frame)
            self.deliver(frame)

    def close(self) -> None:
        if self.inner is not None:
            self.inner.close()

    def describe(self) -> Mapping[str, object]:
        return super().describe() if self.inner is None else self.inner.describe()


class JournaledHands:
    """A keyboard or pointer that notes what the user does with it."""

    def __init__(self, name: str, device: Any, journal: Journal) -> None:
        self._name = name
        self._device = device
        self._journal = journal
        for attribute in ("end", "display"):
            if hasattr(device, attribute):
                setattr(self, attribute, getattr(device, attribute))
        for method in ("key", "button", "wheel", "move"):
            if hasattr(device, method):
                setattr(self, method, self._noting(method))
        journal.taker(name, self._take)

    def _noting(self, method: str) -> Callable[..., None]:
        def act(*arguments: object) -> None:
            if not self._journal.replaying:
                self._journal.note(self._name, json.dumps([method, *arguments]).encode())
                getattr(self._device, method)(*arguments)

        return act

    def _take(self, data: bytes) -> None:
        method, *arguments = json.loads(data)
        if method in ("key", "button", "wheel", "move"):
            getattr(self._device, method)(*arguments)
