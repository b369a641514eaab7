"""A viewer in a browser: the same protocol inside a WebSocket, and what is no proper one is refused."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.hw.device import DeviceError
from runtime.hw.seat import Seat
from runtime.hw.vnc.connection import WebSocket
from runtime.hw.vnc.server import VncServer
from tests.hw.test_vnc import HEIGHT, WIDTH, Bench
from tests.hw.vnc_client import RAW, ZRLE, VncClient

#: the key and its answer of RFC 6455, section 1.3
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Browser:
    """The browser's end: what it sends is masked, in frames of all sizes; `recv` gives their contents."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.got = b""
        self.kinds: list[int] = []
        self._count = 0

    def setblocking(self, flag: bool) -> None:
        self.connection.setblocking(flag)

    def sendall(self, data: bytes) -> None:
        while data:
            self._count += 1
            piece = data[: 1 + self._count % 7] if len(data) < 200 else data
            data = data[len(piece) :]
            self.frame(2, piece)

    def frame(self, kind: int, data: bytes, mask: bytes = b"\x11\x22\x33\x44") -> None:
        size = len(data)
        head = struct.pack(">BB", 0x80 | kind, 0x80 | size)
        if size > 125:
            head = struct.pack(">BBH", 0x80 | kind, 0x80 | 126, size)
        self.connection.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def recv(self, size: int) -> bytes:
        data = self.connection.recv(size)
        assert data, "the server has hung up"
        self.got += data
        found = b""
        while len(self.got) >= 2:
            kind, length, at = self.got[0] & 15, self.got[1], 2
            assert not length & 0x80, "a server does not mask"
            if length >= 126:
                width = 2 if length == 126 else 8
                length, at = int.from_bytes(self.got[2 : 2 + width], "big"), 2 + width
            if len(self.got) < at + length:
                break
            self.kinds.append(kind)
            found += self.got[at : at + length] if kind == 2 else b""
            self.got = self.got[at + length :]
        if not found:
            raise BlockingIOError
        return found


class Web(Bench):
    """A server that browsers reach, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server.close()
        web = ("127.0.0.1", 0)  # any port
        self.server = VncServer(self.events, self.devices.display, Seat([self.devices]), self.path, web)
        self.port = int(self.server.where.rpartition(":")[2])

    def until(self, come: Callable[[], bool]) -> None:
        """Wait for something; what comes by TCP may take its time."""
        for _ in range(6000):
            if come():
                return
            self.events.run_once(0.01)
        raise AssertionError("it did not come")

    def ask(self, *lines: str, first: str = "GET /websockify HTTP/1.1") -> tuple[socket.socket, bytes]:
        """A request and the head of the answer."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        self._sockets.append(connection)
        request = "\r\n".join([first, f"Host: 127.0.0.1:{self.port}", *lines, "", ""]).encode()
        connection.sendall(request[:20])
        self.events.run_once(0.01)
        connection.sendall(request[20:])
        connection.settimeout(60)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            self.events.run_once(0.01)
            connection.setblocking(False)
            try:
                data = connection.recv(1)
            except BlockingIOError:
                continue
            if not data:
                break
            answer += data
        return connection, answer


UPGRADE = ("Upgrade: websocket", "Connection: keep-alive, Upgrade", f"Sec-WebSocket-Key: {KEY}")
GOOD = (*UPGRADE, "Sec-WebSocket-Version: 13")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = Web(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("origin", ["http://localhost:6080", "http://[::1]", ""])
def test_a_browser_sees_the_screen(web: Web, origin: str) -> None:
    web.show()
    connection, answer = web.ask(*GOOD, "Sec-WebSocket-Protocol: binary", *([f"Origin: {origin}"] if origin else []))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: " + ACCEPT in answer
    assert b"Sec-WebSocket-Protocol: binary" in answer
    browser = Browser(connection)
    viewer = VncClient(browser, lambda: web.events.run_once(0.001))
    assert (viewer.width, viewer.height) == (WIDTH, HEIGHT)
    viewer.encodings(ZRLE, RAW)
    viewer.ask(incremental=False)
    viewer.update()
    for colour in range(3):
        assert viewer.pixels[colour::4] == web.picture[colour::4]
    viewer.key(ord("a"), True)
    web.until(lambda: bool(web.devices.told))
    browser.frame(9, b"are you there")
    web.until(lambda: viewer.silent() and 10 in browser.kinds)
    browser.frame(8, struct.pack(">H", 1000))
    web.until(lambda: not web.server.viewers)


@pytest.mark.parametrize(
    ("first", "lines", "answer"),
    [
        ("GET / HTTP/1.1", (), b"HTTP/1.1 400 "),
        ("POST / HTTP/1.1", GOOD, b"HTTP/1.1 400 "),
        ("GET / HTTP/1.1", (*UPGRADE, "Sec-WebSocket-Version: 8"), b"HTTP/1.1 400 "),
        ("GET / HTTP/1.1", (*GOOD, "Origin: https://elsewhere.example"), b"HTTP/1.1 403 "),
        ("GET / HTTP/1.1", (*GOOD, "Origin: http://rebound.example:1", "Host: rebound.example:1"), b"HTTP/1.1 403 "),
        ("GET / HTTP/1.1", (*GOOD, "Origin: http://192.0.2.1:1", "Host: 192.0.2.1:2"), b"HTTP/1.1 403 "),
    ],
)
def test_what_is_refused(web: Web, first: str, lines: tuple[str, ...], answer: bytes) -> None:
    """Whatever asks otherwise; above all another site's page, in the browser of whoever runs the machine."""
    _, got = web.ask(*lines, first=first)
    assert got.startswith(answer)
    assert web.server.viewers == []


@pytest.mark.parametrize("data", [b"\x82\x01x", b"\xf2\x80\0\0\0\0", b"\x82\xff" + b"\xff" * 8, b"\x89\xfe\1\0"])
def test_frames_that_break_the_rules_end_it(web: Web, data: bytes) -> None:
    """No mask, reserved bits, more than anybody says at once, a long ping."""
    connection, _ = web.ask(*GOOD)
    assert len(web.server.viewers) == 1
    connection.setblocking(True)
    connection.sendall(data)
    web.until(lambda: not web.server.viewers)


@pytest.mark.parametrize("place", ["192.0.2.1:5701", "[2001:db8::1]:5701"])
def test_a_page_of_the_same_address(web: Web, place: str) -> None:
    _, answer = web.ask(*GOOD, f"Origin: http://{place}", f"Host: {place}")
    assert answer.startswith(b"HTTP/1.1 101 ")


def test_pings_without_end(web: Web) -> None:
    """A browser that does not read its answers gets few of them."""
    browser, server = socket.socketpair()
    with browser, server:
        made = WebSocket(server)
        browser.sendall("\r\n".join(["GET / HTTP/1.1", *GOOD, "", ""]).encode())
        with pytest.raises(BlockingIOError):
            made.recv(1 << 16)
        for _ in range(200):
            browser.sendall(b"\x89\xfd\0\0\0\0" + b"x" * 125 + b"\x89\x80\0\0\0\0" * 4000)
            with pytest.raises(BlockingIOError):
                made.recv(1 << 16)
        assert len(made._out) < 1 << 17


def test_a_port_that_is_taken(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="websocket="):
        VncServer(web.events, web.devices.display, Seat([]), str(tmp_path / "other"), ("127.0.0.1", web.port))
