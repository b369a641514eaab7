"""Waiting for gdb and talking to it: a socket, and the thread that serves it."""

from __future__ import annotations

import os
import select
import socket
import threading
from contextlib import suppress

from runtime.core.local_socket import local_server
from runtime.debug.packets import Again, Interrupt, Packet, PacketReader, frame
from runtime.debug.session import Session
from runtime.debug.stop import DebugError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.debug.target import Files, Target

_LOCAL = "127.0.0.1"
#: seconds after which a thread that does not stop is taken as it is
_PATIENCE = 1.0
_PIECE = 1 << 16


class Listener:
    """Where gdb is waited for: a port of this machine, [HOST:]PORT, or the path of a socket."""

    def __init__(self, place: str) -> None:
        self._path: str | None = None
        host, _, port = place.rpartition(":")
        try:
            if port.isdecimal() and "/" not in host:
                if int(port) > 65535:
                    raise DebugError(f"-g {place}: ports are numbers up to 65535")
                self._socket = socket.create_server((host.strip("[]") or _LOCAL, int(port)), backlog=1)
                name = self._socket.getsockname()
                self.where = f"{name[0]}:{name[1]}"
            elif "/" in place:
                self._socket = local_server(place)
                self._path = self.where = place
            else:
                raise DebugError(f"-g {place}: neither a port nor the path of a socket, which has a / in it")
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DebugError(f"-g {place}: cannot wait for gdb there: {reason}") from None

    def fileno(self) -> int:
        """The descriptor that is readable when gdb is there."""
        return self._socket.fileno()

    def accept(self, last: bool = True) -> socket.socket:
        """Wait for gdb; nobody else can come then, if it is the `last`."""
        connection, _ = self._socket.accept()
        if last:
            self.close()
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        """Do not wait any longer."""
        self._socket.close()
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)
            self._path = None


class Server:
    """Serves one gdb until it detaches, hangs up or the guest ends."""

    def __init__(self, connection: socket.socket, target: Target, files: Files | None = None) -> None:
        self._connection = connection
        self._target = target
        self._files = files
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._last = b""
        self._pid = os.getpid()
        self._session = Session(target, files, self._send)
        target.tell = self._tell
        target.say = self._say
        target.hang_up = self._close
        self._thread = threading.Thread(target=self._serve, name="gdb", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until everything is said."""
        self._thread.join(seconds)

    # ------------------------------------------------------------ inside

    def _tell(self) -> None:
        with suppress(OSError):
            os.write(self._writer, b"!")

    def _say(self, text: str) -> None:
        self._session.say(text)

    def _send(self, data: bytes) -> None:
        self._last = frame(data)
        self._connection.sendall(self._last)

    def _serve(self) -> None:
        session, talk = self._session, self._connection.fileno()
        try:
            packets = PacketReader()
            waiting = False
            while not session.over:
                ready, _, _ = select.select([talk, self._reader], [], [], _PATIENCE if waiting else None)
                if not ready:
                    waiting = False
                    self._target.give_up_waiting()
                    continue
                if self._reader in ready:
                    with suppress(BlockingIOError):
                        os.read(self._reader, _PIECE)
                    if session.running:
                        stop = self._target.take_stop()
                        waiting = stop is None
                        if stop is not None:
                            session.stopped(stop)
                if talk in ready:
                    data = self._connection.recv(_PIECE)
                    if not data:
                        break
                    for item in packets.feed(data):
                        if isinstance(item, Interrupt):
                            if session.running:
                                self._target.interrupt()
                                waiting = True
                        elif isinstance(item, Again):
                            self._connection.sendall(self._last)
                        else:
                            self._packet(item)
        except OSError:  # it hung up
            pass
        finally:
            self._target.detach()
            self._close()

    def _packet(self, packet: Packet) -> None:
        if self._session.acknowledge:
            self._connection.sendall(b"+" if packet.good else b"-")
        if packet.good:
            self._session.packet(packet)

    def _close(self) -> None:
        self._connection.close()
        if self._files is not None:
            self._files.close()
        if os.getpid() != self._pid:
            for end in (self._reader, self._writer):
                os.close(end)
