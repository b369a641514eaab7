"""A viewer of our own for tests: it says what a test wants, and paints what it is sent into a picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

RAW, ZLIB, ZRLE, NEW_SIZE, EXTENDED_KEYS = 0, 6, 16, -223, -258


class Connection(Protocol):
    """What a client needs of a socket."""

    def setblocking(self, flag: bool, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...


class VncClient:
    """Connects to a socket; `wait` lets the other side do something, and is called until enough has come."""

    def __init__(self, connection: Connection, wait: Callable[[], None], version: bytes = b"003.008") -> None:
        self.socket = connection
        self.wait = wait
        self.socket.setblocking(False)
        self._data = b""
        self._inflate = {ZLIB: zlib.decompressobj(), ZRLE: zlib.decompressobj()}
        self.bytes_per_pixel, self.compact = 4, 3
        assert self.take(12) == b"RFB 003.008\n"
        self.say(b"RFB " + version + b"\n")
        if version >= b"003.007":
            count = self.take(1)[0]
            assert self.take(count) == b"\x01"
            self.say(b"\x01")
        else:
            assert self.take(4) == b"\0\0\0\x01"
        if version >= b"003.008":
            assert self.take(4) == bytes(4)
        self.say(b"\x01")
        self.width, self.height, self.format, length = struct.unpack(">HH16sI", self.take(24))
        self.name = self.take(length).decode()
        self.pixels = bytearray(self.width * self.height * 4)
        self.colours = b""
        self.rectangles: list[tuple[int, int, int, int, int]] = []

    def say(self, data: bytes) -> None:
        """Send, and have the other side look."""
        self.socket.sendall(data)
        self.wait()

    def take(self, count: int) -> bytes:
        """The next bytes."""
        for _ in range(1000):
            if len(self._data) >= count:
                break
            self.wait()
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                continue
            assert data, "the server has hung up"
            self._data += data
        piece, self._data = self._data[:count], self._data[count:]
        assert len(piece) == count, f"{count} bytes did not come"
        return piece

    def silent(self) -> bool:
        """Whether nothing has come that was not read."""
        for _ in range(5):
            self.wait()
        with suppress(BlockingIOError):
            self._data += self.socket.recv(1 << 20)
        return not self._data

    # ------------------------------------------------------------ what viewers say

    def encodings(self, *wanted: int) -> None:
        self.say(struct.pack(f">BxH{len(wanted)}i", 2, len(wanted), *wanted))

    def pixel_format(
        self, bits: int, depth: int, big: int, true: int, most: tuple[int, ...], shifts: tuple[int, ...]
    ) -> None:
        self.bytes_per_pixel = self.compact = bits // 8
        self.pixels = bytearray(self.width * self.height * self.bytes_per_pixel)
        self.say(struct.pack(">BxxxBBBBHHHBBBxxx", 0, bits, depth, big, true, *most, *shifts))

    def ask(self, incremental: bool = True, area: tuple[int, int, int, int] | None = None) -> None:
        self.say(struct.pack(">BBHHHH", 3, incremental, *(area or (0, 0, self.width, self.height))))

    def key(self, keysym: int, down: bool) -> None:
        self.say(struct.pack(">BBxxI", 4, down, keysym))

    def extended_key(self, scan_code: int, down: bool) -> None:
        self.say(struct.pack(">BBHII", 255, 0, down, 0, scan_code))

    def point(self, x: int, y: int, buttons: int = 0) -> None:
        self.say(struct.pack(">BBHH", 5, buttons, x, y))

    # ------------------------------------------------------------ what servers send

    def update(self) -> None:
        """Read one update."""
        kind = self.take(1)[0]
        if kind == 1:
            first, count = struct.unpack(">xHH", self.take(5))
            assert first == 0
            self.colours = self.take(6 * count)
            kind = self.take(1)[0]
        assert kind == 0
        (count,) = struct.unpack(">xH", self.take(3))
        self.rectangles = []
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.take(12))
            self.rectangles.append((x, y, width, height, encoding))
            size = self.bytes_per_pixel
            if encoding == RAW:
                self._paint(x, y, width, height, self.take(width * height * size))
            elif encoding in (ZLIB, ZRLE):
                (length,) = struct.unpack(">I", self.take(4))
                data = self._inflate[encoding].decompress(self.take(length))
                if encoding == ZLIB:
                    assert len(data) == width * height * size
                    self._paint(x, y, width, height, data)
                else:
                    self._tiles(x, y, width, height, data)
            elif encoding == NEW_SIZE:
                self.width, self.height = width, height
                self.pixels = bytearray(width * height * size)
            else:
                assert encoding == EXTENDED_KEYS

    def _tiles(self, x: int, y: int, width: int, height: int, data: bytes) -> None:
        for top in range(y, y + height, 64):
            for left in range(x, x + width, 64):
                across, down = min(64, x + width - left), min(64, y + height - top)
                kind, data = data[0], data[1:]
                assert kind in (0, 1)
                count = self.compact * (1 if kind else across * down)
                part, data = data[:count], data[count:]
                wide = b"".join(
                    part[at : at + self.compact].ljust(self.bytes_per_pixel, b"\0")
                    for at in range(0, count, self.compact)
                )
                self._paint(left, top, across, down, wide * (across * down if kind else 1))
        assert not data

    def _paint(self, x: int, y: int, width: int, height: int, data: bytes) -> None:
        size = self.bytes_per_pixel
        for row in range(height):
            start = ((y + row) * self.width + x) * size
            self.pixels[start : start + width * size] = data[row * width * size : (row + 1) * width * size]
