"""What a viewer's bytes come and go by: a socket as it is, or a WebSocket (RFC 6455), which is what browsers have."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from contextlib import suppress
from typing import Protocol

__all__ = ["Connection", "Plain", "WebSocket"]

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_MOST_REQUEST, _MOST_FRAME, _PIECE = 8192, 2 << 20, 1 << 16
_MORE, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
#: whose pages may connect: any page that a user looks at could try (section 10.2)
_NEAR = frozenset(("localhost", "127.0.0.1", "[::1]"))


class Connection(Protocol):
    """A stream of bytes that does not wait: BlockingIOError where a socket would; b"" received is its end."""

    def recv(self, size: int) -> bytes: ...
    def send(self, data: bytes | bytearray) -> int: ...
    def flush(self) -> None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Plain:
    """A socket."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.recv, self.send = connection.recv, connection.send
        self.fileno, self.close = connection.fileno, connection.close

    def flush(self) -> None:
        """Nothing is kept back."""


class WebSocket:
    """The server's side.  What is sent before the browser has asked properly is kept until then."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._in, self._out, self._early = bytearray(), bytearray(), bytearray()
        self._open = self._ended = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Say so, if that can still be heard."""
        if self._open and not self._ended:
            self._frame(_CLOSE, struct.pack(">H", 1000))
            with suppress(OSError):
                self.flush()
        self._socket.close()

    def send(self, data: bytes | bytearray) -> int:
        piece = bytes(data[:_PIECE])
        if not self._open:
            self._early += piece
            return len(piece)
        self.flush()
        self._frame(_BINARY, piece)
        return len(piece)

    def flush(self) -> None:
        """Send what is kept back; BlockingIOError if not all of it can be sent now."""
        while self._out:
            del self._out[: self._socket.send(self._out)]

    def recv(self, size: int) -> bytes:
        """The bytes of the messages that have come."""
        data = self._socket.recv(size)
        if not data:
            return b""
        self._in += data
        if not self._open and not self._shake():
            return b""
        found = b""
        while not self._ended and (piece := self._take()) is not None:
            found += piece
        with suppress(BlockingIOError):
            self.flush()
        if not found and not self._ended:
            raise BlockingIOError
        return found

    # ------------------------------------------------------------ the beginning (section 4.2)

    def _shake(self) -> bool:
        """Answer the request; False if it is none of the kind.  BlockingIOError while it is not whole."""
        head, end, rest = bytes(self._in).partition(b"\r\n\r\n")
        if not end:
            if len(self._in) > _MOST_REQUEST:
                return False
            raise BlockingIOError
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        key = fields.get("sec-websocket-key", "")
        good = lines[0].startswith("GET ") and fields.get("upgrade", "").lower() == "websocket" and key
        if not good or fields.get("sec-websocket-version") != "13" or not _is_near(fields):
            refusal = "400 Bad Request" if _is_near(fields) else "403 Forbidden"
            self._out += f"HTTP/1.1 {refusal}\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n".encode()
            with suppress(OSError):
                self.flush()
            return False
        accept = base64.b64encode(hashlib.sha1(f"{key}{_MAGIC}".encode(), usedforsecurity=False).digest()).decode()
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        answer.append(f"Sec-WebSocket-Accept: {accept}")
        if "binary" in [word.strip() for word in fields.get("sec-websocket-protocol", "").split(",")]:
            answer.append("Sec-WebSocket-Protocol: binary")
        self._out += "\r\n".join([*answer, "", ""]).encode()
        self._open = True
        self._in[:] = rest
        early, self._early = self._early, bytearray()
        if early:
            self._frame(_BINARY, bytes(early))
        return True

    # ------------------------------------------------------------ frames (section 5.2)

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        head = struct.pack(">BB", 0x80 | kind, size) if size < 126 else struct.pack(">BBH", 0x80 | kind, 126, size)
        if size > 0xFFFF:
            head = struct.pack(">BBQ", 0x80 | kind, 127, size)
        self._out += head + data

    def _take(self) -> bytes | None:
        """The contents of the next frame; None if it is not whole.  What breaks the rules ends the connection."""
        got = self._in
        if len(got) < 2:
            return None
        kind, size, at = got[0] & 15, got[1] & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(got) < 2 + width:
                return None
            size, at = int.from_bytes(got[2 : 2 + width], "big"), 2 + width
        if got[0] & 0x70 or not got[1] & 0x80 or size > _MOST_FRAME or (kind >= _CLOSE and size > 125):
            self._ended = True
            return None
        if len(got) < at + 4 + size:
            return None
        mask = int.from_bytes(bytes(got[at : at + 4]) * (-(-size // 4)), "little")
        masked = int.from_bytes(bytes(got[at + 4 : at + 4 + size]), "little")
        mask &= (1 << 8 * size) - 1
        data = (masked ^ mask).to_bytes(size, "little")
        del got[: at + 4 + size]
        if kind == _PING:
            if len(self._out) < _PIECE:  # a browser that pings and does not read gets no more
                self._frame(_PONG, data)
        elif kind in (_MORE, _BINARY):
            return data
        elif kind != _PONG:
            self._ended = True
            self._frame(_CLOSE, data[:2])
        return b""


def _is_near(fields: dict[str, str]) -> bool:
    """Whether a page of this host's asks, or no page at all; or one from where the server itself was asked.

    That must be an address: a name is what a page's owner makes it lead to (DNS rebinding).
    """
    origin = fields.get("origin")
    if origin is None:
        return True
    place = origin.partition("://")[2]
    host = place if place.endswith("]") else place.rpartition(":")[0] or place
    return host in _NEAR or (place == fields.get("host", "") and _is_address(host))


def _is_address(host: str) -> bool:
    """Whether this part of a URL is no name."""
    wide = host.startswith("[")
    try:
        socket.inet_pton(socket.AF_INET6 if wide else socket.AF_INET, host.strip("[]"))
    except (OSError, UnicodeError):
        return False
    return True
