"""The host's ends of character streams: the terminal, a pseudo-terminal, sockets, and how options name them."""

from __future__ import annotations

import os
import socket
import sys
import termios
import tty
from contextlib import suppress

from runtime.core.local_socket import local_server
from runtime.hw.characters import Characters, FileOutput
from runtime.hw.device import DeviceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.events import EventLoop

#: bytes that wait for a reader who does not read; more than that is dropped
_MOST_WAITING = 1 << 20
_PIECE = 4096


class Terminal(Characters):
    """Standard input and output.  A terminal is set raw, so that every key goes to the guest, until `close`.

    What is written leaves in the main loop's next turn: guests send character by character."""

    def __init__(self, events: EventLoop, signals: bool = False) -> None:
        super().__init__()
        self._events = events
        self._saved: list[object] | None = None
        self._watching = self._ended = False
        self._closed = False
        self._waiting = bytearray()
        sys.stdout.flush()
        if os.isatty(0):
            self._saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
            mode = termios.tcgetattr(0)
            mode[1] |= termios.OPOST  # our own messages end in a newline alone
            if signals:
                mode[3] |= termios.ISIG
            termios.tcsetattr(0, termios.TCSANOW, mode)

    def write(self, data: bytes) -> None:
        if not self._waiting and not self._closed:
            self._events.call(self._flush)
        self._waiting += data
        if len(self._waiting) >= _PIECE or self._closed:
            self._flush()

    def _flush(self) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        with suppress(BrokenPipeError):
            while data:
                try:
                    data = data[os.write(1, data) :]
                except BlockingIOError:  # whoever shares the terminal made it so
                    import select

                    select.select((), (1,), ())

    def accept(self) -> None:
        if not self._watching and not self._ended and self.taken:
            self._watching = True
            self._events.on_readable(0, self._readable)

    def _readable(self) -> None:
        count = self._room()
        if count <= 0 or self._receive is None:
            self._watching = False
            self._events.on_readable(0, None)
            return
        try:
            data = os.read(0, count)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._receive(data)
        else:
            self._ended, self._watching = True, False
            self._events.on_readable(0, None)
            self.on_hang_up()

    def describe(self) -> str:
        return "stdio"

    def close(self) -> None:
        self._closed = True
        self._flush()
        self._events.forget(0)
        if self._saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]  # what tcgetattr gave
            self._saved = None


class _Stream(Characters):
    """A descriptor that may block: what cannot be written yet waits."""

    def __init__(self, events: EventLoop) -> None:
        super().__init__()
        self._events = events
        self._descriptor = -1
        self._waiting = bytearray()
        self._watching = False

    def _open(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._watching = False
        self._waiting.clear()
        self.accept()

    def _hung_up(self) -> None:
        """The other side is gone."""

    def write(self, data: bytes) -> None:
        if self._descriptor < 0 or len(self._waiting) > _MOST_WAITING:
            return
        self._waiting += data
        self._writable()

    def _writable(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting[:_PIECE])]
        except BlockingIOError:
            self._events.on_writable(self._descriptor, self._writable)
            return
        except OSError:
            self._waiting.clear()
        self._events.on_writable(self._descriptor, None)

    def accept(self) -> None:
        if not self._watching and self._descriptor >= 0 and self.taken:
            self._watching = True
            self._events.on_readable(self._descriptor, self._readable)

    def _readable(self) -> None:
        count = min(self._room(), _PIECE)
        if count <= 0 or self._receive is None:
            self._watching = False
            self._events.on_readable(self._descriptor, None)
            return
        try:
            data = os.read(self._descriptor, count)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._receive(data)
        else:
            self._hung_up()

    def _forget(self) -> int:
        descriptor, self._descriptor, self._watching = self._descriptor, -1, False
        if descriptor >= 0:
            self._events.forget(descriptor)
        return descriptor


class PseudoTerminal(_Stream):
    """A new terminal of the host's; `path` is where a program such as screen opens it."""

    def __init__(self, events: EventLoop) -> None:
        super().__init__(events)
        master, self._slave = os.openpty()
        tty.setraw(self._slave)  # held open here, so that users may come and go
        self.path = os.ttyname(self._slave)
        self._open(master)

    def describe(self) -> str:
        return f"pty:{self.path}"

    def close(self) -> None:
        descriptor = self._forget()
        if descriptor >= 0:
            os.close(descriptor)
            os.close(self._slave)


class SocketServer(_Stream):
    """A socket that others connect to, one at a time: `host` and `port`, or a `path` in the file system."""

    def __init__(self, events: EventLoop, place: tuple[str, int] | str, wait: bool = False) -> None:
        super().__init__(events)
        self._connection: socket.socket | None = None
        self._path = place if isinstance(place, str) else ""
        try:
            if isinstance(place, str):
                self._listener = local_server(place)
            else:
                self._listener = socket.create_server(place, backlog=1)
        except (OSError, OverflowError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            raise DeviceError(f"cannot listen at {_shown(place)}: {reason}") from error
        self.place = self._path or f"{place[0]}:{self._listener.getsockname()[1]}"
        if wait:
            print(f"isomorph: waiting for a connection to {self.place}", file=sys.stderr)
            self._connected()
        else:
            events.on_readable(self._listener.fileno(), self._connected)

    def _connected(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if self._connection is not None:
            connection.close()  # one at a time
            return
        self._connection = connection
        self._open(connection.fileno())
        self.on_open()

    def _hung_up(self) -> None:
        self._forget()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._events.on_readable(self._listener.fileno(), self._connected)
        self.on_hang_up()

    def describe(self) -> str:
        return f"socket:{self.place}"

    def close(self) -> None:
        self._forget()
        if self._connection is not None:
            self._connection.close()
        self._events.forget(self._listener.fileno())
        self._listener.close()
        if self._path:
            with suppress(OSError):
                os.unlink(self._path)


class SocketClient(_Stream):
    """A connection to somebody who listens."""

    def __init__(self, events: EventLoop, place: tuple[str, int] | str) -> None:
        super().__init__(events)
        self._connection = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
        try:
            self._connection.connect(place)
        except (OSError, OverflowError) as error:
            self._connection.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DeviceError(f"cannot connect to {_shown(place)}: {reason}") from error
        self._shown = _shown(place)
        self._open(self._connection.fileno())

    def _hung_up(self) -> None:
        self._forget()
        self.on_hang_up()

    def describe(self) -> str:
        return f"socket:{self._shown}"

    def close(self) -> None:
        self._forget()
        self._connection.close()


def _shown(place: tuple[str, int] | str) -> str:
    return place if isinstance(place, str) else f"{place[0]}:{place[1]}"


def open_characters(text: str, events: EventLoop, signals: bool = False) -> Characters:
    """What `-serial`, `-monitor` and `-qmp` name; DeviceError.

    null, none, stdio, pty, file:PATH, unix:PATH[,server[,nowait]], tcp:HOST:PORT[,server[,nowait]]
    """
    kind, _, rest = text.partition(":")
    if text in ("null", "none"):
        return Characters()
    if text == "stdio":
        return Terminal(events, signals)
    if text == "pty":
        made = PseudoTerminal(events)
        print(f"isomorph: a character device is at {made.path}", file=sys.stderr)
        return made
    if kind == "file" and rest:
        return FileOutput(rest)
    if kind in ("unix", "tcp", "telnet") and rest:
        where, *words = rest.split(",")
        options = {word.removesuffix("=on") for word in words}
        if unknown := options - {"server", "nowait", "wait=off", "wait"}:
            raise DeviceError(f"{text}: there is no option {sorted(unknown)[0]}; there are server, nowait, wait=off")
        place = where if kind == "unix" else _address(text, where)
        if "server" not in options:
            return SocketClient(events, place)
        return SocketServer(events, place, not options & {"nowait", "wait=off"})
    raise DeviceError(
        f"{text}: no character device; it is null, stdio, pty, file:PATH, unix:PATH[,server,nowait] or "
        "tcp:HOST:PORT[,server,nowait]"
    )


def _address(text: str, where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise DeviceError(f"{text}: {where} is not HOST:PORT")
    return host or "127.0.0.1", int(port)
