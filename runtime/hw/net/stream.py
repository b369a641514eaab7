"""Networks between machines: frames over a TCP connection or in UDP datagrams, as QEMU's `socket` sends them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress

from runtime.hw.net.link import Events, Link, NetError

__all__ = ["DatagramLink", "StreamLink", "address"]

MOST_FRAME = 65550
#: bytes for the other side that it does not take; what comes after is lost, as on a wire
MOST_WAITING = 4 << 20


def address(name: str, text: str, default_host: str) -> tuple[str, int]:
    """HOST:PORT; NetError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise NetError(f"{name}: {text!r} is not HOST:PORT")
    return host or default_host, int(port)


class StreamLink(Link):
    """Each frame behind its length, four bytes, the most significant first.  One peer at a time."""

    kind = "socket"

    def __init__(self, name: str, events: Events, *, listen: str = "", connect: str = "") -> None:
        super().__init__(name)
        self.events = events
        self.where = f"listen={listen}" if listen else f"connect={connect}"
        self._listener: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._incoming = bytearray()
        self._outgoing = bytearray()
        try:
            if listen:
                self._listener = socket.create_server(address(name, listen, "127.0.0.1"))
                self._listener.setblocking(False)
                events.on_readable(self._listener.fileno(), self._accept)
            else:
                self._use(socket.create_connection(address(name, connect, "127.0.0.1"), timeout=10))
        except OSError as error:
            raise NetError(f"{name}: socket,{self.where}: {error.strerror or error}") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            peer, _ = self._listener.accept()
            if self._peer is not None:
                peer.close()
            else:
                self._use(peer)

    def _use(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        with suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = peer
        self._incoming.clear()
        self._outgoing.clear()
        self.events.on_readable(peer.fileno(), self._readable)

    def _hang_up(self) -> None:
        if self._peer is not None:
            self.events.forget(self._peer.fileno())
            self._peer.close()
            self._peer = None

    def send(self, frame: bytes) -> None:
        """The guest sends a frame."""
        if self._peer is None:
            return
        if len(self._outgoing) > MOST_WAITING:
            self.dropped += 1
            return
        self._outgoing += len(frame).to_bytes(4, "big") + frame

    def flush(self) -> None:
        """Pass on what was sent."""
        if self._peer is None:
            return
        try:
            while self._outgoing:
                del self._outgoing[: self._peer.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()
            return
        self.events.on_writable(self._peer.fileno(), self.flush if self._outgoing else None)

    def _readable(self) -> None:
        if self._peer is None:
            return
        try:
            data = self._peer.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        self._incoming += data
        while len(self._incoming) >= 4:
            size = int.from_bytes(self._incoming[:4], "big")
            if size > MOST_FRAME:
                self._hang_up()  # that is no network
                return
            if len(self._incoming) < 4 + size:
                break
            frame = bytes(self._incoming[4 : 4 + size])
            del self._incoming[: 4 + size]
            if size >= 14:
                self.deliver(frame)

    def close(self) -> None:
        """Hang up."""
        self._hang_up()
        if self._listener is not None:
            self.events.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {**super().describe(), "address": self.where, "connected": self._peer is not None}


class DatagramLink(Link):
    """A frame in each datagram."""

    kind = "socket"

    def __init__(self, name: str, events: Events, *, local: str, remote: str) -> None:
        super().__init__(name)
        self.events = events
        self._remote = address(name, remote, "127.0.0.1")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(address(name, local, "127.0.0.1"))
        except (OSError, NetError) as error:
            self._socket.close()
            why = getattr(error, "strerror", None) or error
            raise NetError(f"{name}: socket,localaddr={local}: {why}") from error
        events.on_readable(self._socket.fileno(), self._readable)

    @property
    def port(self) -> int:
        """Where it receives."""
        port: int = self._socket.getsockname()[1]
        return port

    def send(self, frame: bytes) -> None:
        """The guest sends a frame."""
        with suppress(OSError):
            self._socket.sendto(frame, self._remote)

    def _readable(self) -> None:
        for _ in range(32):
            try:
                frame = self._socket.recv(MOST_FRAME)
            except OSError:
                return
            if len(frame) >= 14:
                self.deliver(frame)

    def close(self) -> None:
        """Let go of it."""
        if self._socket.fileno() >= 0:
            self.events.forget(self._socket.fileno())
            self._socket.close()
