"""What devices are connected to on the host: disk images, networks and character streams, by the ids of the options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isomorph.machines.options import Settings, UsageError, settings
from isomorph.machines.recording import JournaledCharacters, JournaledLink
from runtime.hw.block.drive import parse_drive
from runtime.hw.characters import Channel, Characters, Mux
from runtime.hw.device import DeviceError
from runtime.hw.host_characters import open_characters
from runtime.hw.net.netdev import parse_netdev
from runtime.machine.machine import Machine

_NOUNS = {"drive": "-drive", "netdev": "-netdev", "chardev": "-chardev"}


class Backends:
    """Made as the options are read; `find` is how a device's option finds its own."""

    def __init__(self, machine: Machine, snapshot: bool, own_signals: bool) -> None:
        self.machine = machine
        self.snapshot = snapshot
        self._signals = own_signals
        self._made: dict[tuple[str, str], Any] = {}
        self._used: set[tuple[str, str]] = set()
        self._muxes: dict[str, Mux] = {}
        self._streams: dict[str, Characters] = {}
        self.closers: list[Callable[[], None]] = []

    # ------------------------------------------------------------ by id

    def add(self, kind: str, name: str, made: Any) -> None:
        """Remember one; until a device uses it, it is ours to close."""
        if (kind, name) in self._made:
            raise UsageError(f"{_NOUNS[kind]}: there are two with id={name}")
        self._made[kind, name] = made

    def find(self, kind: str, name: str) -> Any:
        """The one of that id, which nobody else uses; DeviceError."""
        if (kind, name) not in self._made:
            known = ", ".join(id for of, id in self._made if of == kind) or "none"
            raise DeviceError(
                f"{kind}={name}: there is no {_NOUNS.get(kind, kind)} with id={name} (there are: {known})"
            )
        if (kind, name) in self._used:
            raise DeviceError(f"{kind}={name}: another device uses it already")
        self._used.add((kind, name))
        return self._made[kind, name]

    def all(self, kind: str) -> dict[str, Any]:
        """Those of a kind."""
        return {name: made for (of, name), made in self._made.items() if of == kind}

    # ------------------------------------------------------------ disks and networks

    def drive(self, text: str) -> tuple[str, str]:
        """Open a -drive's image, unless it is for flash; its interface and its id."""
        drive = parse_drive(text, len(self.all("drive")))
        journal = self.machine.journal
        forgets = self.snapshot or (journal is not None and journal.replaying)
        if journal is not None and not (forgets or drive.snapshot or drive.read_only):
            raise UsageError(f"-drive {text}: rr=record needs -snapshot: a replay must find the disk as this run does")
        if drive.interface != "pflash":
            self.add("drive", drive.name, drive.open(snapshot=forgets))
        return drive.interface, drive.name

    def network(self, text: str, option: str) -> str:
        """Set a network up; its id."""
        number = len(self.all("netdev"))
        netdev = parse_netdev(text, option=option, number=number)
        journal, events = self.machine.journal, self.machine.events
        link = None
        if journal is None or not journal.replaying:
            link = netdev.open(events, self.machine.clock, number)
        if journal is not None:
            link = JournaledLink(netdev, link, number, journal, events)
        self.add("netdev", netdev.name, link)
        return netdev.name

    # ------------------------------------------------------------ character streams

    def character_device(self, given: Settings) -> None:
        """-chardev."""
        name = given.take("id")
        if not name:
            raise UsageError(f"-chardev {given.text}: it needs id=NAME")
        mux = given.take_switch("mux")
        text = given.kind
        if text == "socket":
            server = ",server" if given.take_switch("server") else ""
            wait = ",nowait" if server and not given.take_switch("wait", True) else ""
            path = given.take("path")
            where = f"unix:{path}" if path else f"tcp:{given.take('host')}:{given.take('port')}"
            text = where + server + wait
        elif text == "file":
            text = f"file:{given.take('path')}"
        given.take("signal")
        given.done("id", "path", "host", "port", "server", "wait", "mux")
        stream = self._open(text)
        if mux:
            self._muxes[f"chardev:{name}"] = Mux(stream, self._end)
            self.closers.append(stream.close)
        else:
            self.add("chardev", name, self.journaled(stream, f"chardev.{name}"))

    def characters(self, text: str, purpose: str) -> Characters:
        """What -serial, -monitor and -qmp name; `purpose` is what a shared stream's channel is called."""
        if text.startswith("mon:") or text in self._muxes:
            return self._channel(text, purpose)
        if text.startswith("chardev:"):
            found: Characters = self.find("chardev", text.partition(":")[2])
            return found
        return self._open(text)

    def journaled(self, stream: Characters, name: str) -> Characters:
        """A guest's stream, by way of the journal if there is one."""
        journal = self.machine.journal
        return stream if journal is None else JournaledCharacters(name, stream, journal, self.machine.events)

    def _channel(self, text: str, purpose: str) -> Channel:
        if text not in self._muxes:
            stream = self._open(text.removeprefix("mon:"))
            self._muxes[text] = Mux(stream, self._end)
            self.closers.append(stream.close)
        return self._muxes[text].channel(purpose)

    def _open(self, text: str) -> Characters:
        if text == "stdio":
            if "stdio" in self._streams:
                raise DeviceError("stdio is taken already: one terminal for several is mon:stdio")
            self._streams["stdio"] = open_characters(text, self.machine.events, self._signals)
            return self._streams["stdio"]
        return open_characters(text, self.machine.events)

    def mux_monitors(self) -> list[Channel]:
        """A channel for a monitor on each shared stream."""
        return [self._channel(text, "monitor") for text in self._muxes]

    def _end(self) -> None:
        self.machine.power_off(0, "host-ui")

    def close(self) -> None:
        """Let go of what is the host's."""
        for key, made in self._made.items():
            if key not in self._used:
                made.close()
        for closer in self.closers:
            closer()


def chardev_settings(text: str) -> Settings:
    """-chardev KIND,…"""
    return settings("-chardev", text, "backend")
