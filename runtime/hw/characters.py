"""Character streams between a device (a UART, a monitor) and something on the host: what both ends agree on.

The host's side is one of these classes or those of host_characters.py.  What comes in waits at the host's side until
the device has room; what goes out is written at once.
"""

from __future__ import annotations

import os

from runtime.hw.device import DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LARGE = 4096


class Characters:
    """The host's end; this one is nobody (`null`): nothing comes in, and what goes out is gone."""

    def __init__(self) -> None:
        self._receive: Callable[[bytes], None] | None = None
        self._room: Callable[[], int] = lambda: 0
        self.on_break: Callable[[], None] = lambda: None
        self.on_hang_up: Callable[[], None] = lambda: None
        self.on_open: Callable[[], None] = lambda: None

    def connect(self, receive: Callable[[bytes], None], room: Callable[[], int] | None = None) -> None:
        """The device: what takes the characters, and how many it has room for just now."""
        self._receive = receive
        self._room = room or (lambda: _LARGE)
        self.accept()

    @property
    def taken(self) -> bool:
        """Whether a device is connected."""
        return self._receive is not None

    def write(self, data: bytes) -> None:
        """Characters from the device."""

    def accept(self) -> None:
        """The device has room again."""

    def describe(self) -> str:
        """For listings."""
        return "null"

    def close(self) -> None:
        """Give back what is the host's."""


class Recorder(Characters):
    """Keeps what the device writes, and gives it what somebody feeds: for tests, and for a guest nobody sits before."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def feed(self, data: bytes) -> None:
        """Characters for the device."""
        self._waiting += data
        self.accept()

    def accept(self) -> None:
        while self._waiting and self._receive is not None:
            count = min(self._room(), len(self._waiting))
            if count <= 0:
                return
            data = bytes(self._waiting[:count])
            del self._waiting[:count]
            self._receive(data)

    def describe(self) -> str:
        return "recorder"


class FileOutput(Characters):
    """What the device writes goes to a file; nothing comes in."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise DeviceError(f"{path}: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def describe(self) -> str:
        return f"file:{self._path}"

    def close(self) -> None:
        os.close(self._descriptor)


class Channel(Characters):
    """One of several that share a stream (`Mux`)."""

    def __init__(self, mux: Mux, name: str) -> None:
        super().__init__()
        self.name = name
        self._mux = mux

    def write(self, data: bytes) -> None:
        self._mux.stream.write(data)

    def accept(self) -> None:
        self._mux.accept()

    def room(self) -> int:
        return self._room()

    def give(self, data: bytes) -> None:
        if self._receive is not None:
            self._receive(data)

    def describe(self) -> str:
        return f"{self.name} of {self._mux.stream.describe()}"


class Mux:
    """Several channels on one stream, as QEMU's `mon:stdio`: Ctrl-A and a letter say to whom the keys go.

    Ctrl-A x ends the machine, Ctrl-A c goes to the next channel, Ctrl-A b is a break, Ctrl-A h tells of these, and
    Ctrl-A Ctrl-A is a Ctrl-A.
    """

    ESCAPE = 1
    HELP = (
        b"\r\nC-a h    print this help\r\nC-a x    end the emulator\r\nC-a b    send a break\r\n"
        b"C-a c    switch between console and monitor\r\nC-a C-a  send C-a\r\n"
    )

    def __init__(self, stream: Characters, end: Callable[[], None]) -> None:
        self.stream = stream
        self._end = end
        self._channels: list[Channel] = []
        self._current = 0
        self._escaped = False
        self._waiting = bytearray()
        stream.connect(self._take)

    def channel(self, name: str) -> Channel:
        """Another one; the first has the keys to begin with."""
        channel = Channel(self, name)
        self._channels.append(channel)
        return channel

    def _take(self, data: bytes) -> None:
        for byte in data:
            if self._escaped:
                self._escaped = False
                self._command(byte)
            elif byte == self.ESCAPE:
                self._escaped = True
            else:
                self._waiting.append(byte)
        self.accept()

    def _command(self, byte: int) -> None:
        if byte == self.ESCAPE:
            self._waiting.append(byte)
        elif byte == ord("x"):
            self.stream.write(b"\r\nisomorph: ended by Ctrl-A x\r\n")
            self._end()
        elif byte == ord("h"):
            self.stream.write(self.HELP)
        elif byte == ord("b") and self._channels:
            self._channels[self._current].on_break()
        elif byte == ord("c") and self._channels:
            self.accept()
            self._waiting.clear()
            self._current = (self._current + 1) % len(self._channels)
            self._channels[self._current].on_open()

    def accept(self) -> None:
        """Pass on what waits, as far as there is room."""
        while self._waiting and self._channels:
            channel = self._channels[self._current]
            count = min(channel.room(), len(self._waiting))
            if count <= 0:
                return
            data = bytes(self._waiting[:count])
            del self._waiting[:count]
            channel.give(data)
