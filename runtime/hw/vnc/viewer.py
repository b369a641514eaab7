"""One viewer of a screen: what it says, and the pictures it is sent when it asks and something has changed."""

from __future__ import annotations

import struct

from runtime.hw.keys import KEYSYMS, SHIFT_CODES, from_scan_code
from runtime.hw.vnc.encodings import EXTENDED_KEYS, NEW_SIZE, RAW, ZLIB, ZRLE, Encoder, rectangle
from runtime.hw.vnc.pixels import BLUE_GREEN_RED, colour_map_entries, convert, read_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from runtime.hw.display import Display
    from runtime.hw.events import EventLoop
    from runtime.hw.seat import Seat
    from runtime.hw.vnc.connection import Connection

__all__ = ["Viewer"]

#: the parts that changes are noted in
_TILE = 64
#: what is shown while a machine shows nothing
_BLANK = (640, 480)
_MOST_TEXT = 1 << 20
_NO_SECURITY = 1
#: what viewers say (RFC 6143, section 7.5; 255 is QEMU's)
_SET_FORMAT, _SET_ENCODINGS, _UPDATE_REQUEST, _KEY, _POINTER, _TEXT, _EXTENDED = 0, 2, 3, 4, 5, 6, 255
#: bytes of one reading; bytes that wait for the viewer to read, more than a picture has
_PIECE, _MOST_WAITING = 1 << 16, 1 << 26


class _Refused(Exception):
    """A viewer that does not keep to the protocol."""


class Viewer:
    """A connection.  `asks_alone` is called by one that wants the screen for itself; `on_end` at its end."""

    def __init__(
        self,
        connection: Connection,
        events: EventLoop,
        display: Display,
        seat: Seat,
        asks_alone: Callable[[Viewer], None],
        on_end: Callable[[Viewer], None],
    ) -> None:
        self._socket = connection
        self._events = events
        self._display = display
        self._seat = seat
        self._asks_alone = asks_alone
        self._on_end = on_end
        self._wire: Generator[int, bytes, None] = self._talk()
        self._in, self._out = bytearray(), bytearray()
        self._needed = 0
        self._encoder = Encoder()
        self._format = BLUE_GREEN_RED
        self._encoding = RAW
        self._takes_size = False
        self._size = (display.width, display.height) if display.width else _BLANK
        self._changed: set[tuple[int, int]] = set()
        self._wanted: tuple[int, int, int, int] | None = None
        self._extras: list[bytes] = []
        self._shifting = 0  # the key that shift was pressed for, because the viewer had not
        self.closed = False
        self._needed = next(self._wire)
        self._flush()
        if not self.closed:
            events.on_readable(connection.fileno(), self._readable)

    # ------------------------------------------------------------ the wire

    def _readable(self) -> None:
        if len(self._out) > _MOST_WAITING:  # who asks for more than it reads is heard when it has read
            self._events.on_readable(self._socket.fileno(), None)
            return
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._in += data
        try:
            while len(self._in) >= self._needed and not self.closed:
                piece = bytes(self._in[: self._needed])
                del self._in[: self._needed]
                self._needed = self._wire.send(piece)
        except (_Refused, StopIteration):
            self.close()
            return
        self.refresh()

    def _send(self, data: bytes) -> None:
        self._out += data

    def _flush(self) -> bool:
        """Whether all is sent; else it goes on when that is possible."""
        if self.closed:
            return False
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
            self._socket.flush()
        except BlockingIOError:
            self._events.on_writable(self._socket.fileno(), self._writable)
            return False
        except OSError:
            self.close()
            return False
        return True

    def _writable(self) -> None:
        if self._flush():
            self._events.on_writable(self._socket.fileno(), None)
            self._events.on_readable(self._socket.fileno(), self._readable)
            self.refresh()

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self.closed = True
            self._seat.let_go()
            self._events.forget(self._socket.fileno())
            self._socket.close()
            self._on_end(self)

    # ------------------------------------------------------------ the protocol

    def _talk(self) -> Generator[int, bytes, None]:
        """Yields how many bytes come next."""
        self._send(b"RFB 003.008\n")
        version = yield 12
        if version[:8] != b"RFB 003." or not version[8:11].isdigit():
            raise _Refused
        minor = int(version[8:11])
        if minor < 7:  # the server decides (7.1.2)
            self._send(struct.pack(">I", _NO_SECURITY))
        else:
            self._send(bytes((1, _NO_SECURITY)))
            self._flush()
            if (yield 1)[0] != _NO_SECURITY:
                raise _Refused
            if minor > 7:
                self._send(struct.pack(">I", 0))  # SecurityResult: ok
        self._flush()
        if not (yield 1)[0]:
            self._asks_alone(self)
        name = self._display.name.encode()
        width, height = self._size
        self._send(struct.pack(">HH", width, height) + BLUE_GREEN_RED.packed() + struct.pack(">I", len(name)) + name)
        self._everything()
        while True:
            self._flush()
            kind = (yield 1)[0]
            if kind == _SET_FORMAT:
                self._set_format((yield 19)[3:])
            elif kind == _SET_ENCODINGS:
                (count,) = struct.unpack(">xH", (yield 3))
                self._set_encodings(struct.unpack(f">{count}i", (yield 4 * count)))
            elif kind == _UPDATE_REQUEST:
                self._request(*struct.unpack(">BHHHH", (yield 9)))
            elif kind == _KEY:
                down, keysym = struct.unpack(">BxxI", (yield 7))
                self._key(keysym, bool(down))
            elif kind == _POINTER:
                buttons, x, y = struct.unpack(">BHH", (yield 5))
                self._seat.point(x, y, buttons, *self._size)
            elif kind == _TEXT:
                (length,) = struct.unpack(">xxxI", (yield 7))
                if length > _MOST_TEXT:
                    raise _Refused
                yield length  # machines have no clipboard
            elif kind == _EXTENDED:
                what, down, _, scan_code = struct.unpack(">BHII", (yield 11))
                code = from_scan_code(scan_code)
                if what != 0:
                    raise _Refused
                if code is not None:
                    self._seat.key(code, bool(down))
            else:
                raise _Refused

    def _set_format(self, data: bytes) -> None:
        try:
            self._format, mapped = read_format(data)
        except ValueError:
            raise _Refused from None
        if mapped:
            self._send(struct.pack(">BxHH", 1, 0, 256) + colour_map_entries())

    def _set_encodings(self, encodings: tuple[int, ...]) -> None:
        self._encoding = next((one for one in encodings if one in (RAW, ZLIB, ZRLE)), RAW)
        self._takes_size = NEW_SIZE in encodings
        if EXTENDED_KEYS in encodings and not self._extras:
            self._extras.append(rectangle(0, 0, 0, 0, EXTENDED_KEYS))

    def _request(self, incremental: int, x: int, y: int, width: int, height: int) -> None:
        self._wanted = x, y, width, height
        if not incremental:
            self._note(x, y, width, height)

    def _key(self, keysym: int, down: bool) -> None:
        found = KEYSYMS.get(keysym)
        if found is None:
            return
        code, shift = found
        if down and shift and not self._seat.shifted:  # a viewer that names the letter, and not the keys for it
            self._shifting = code
            self._seat.key(SHIFT_CODES[0], True)
        self._seat.key(code, down)
        if not down and code == self._shifting:
            self._shifting = 0
            self._seat.key(SHIFT_CODES[0], False)

    # ------------------------------------------------------------ pictures

    def note(self, x: int, y: int, width: int, height: int) -> None:
        """The picture has changed there; a size of zero: it is another one."""
        if not width or not height:
            self._everything()
        else:
            self._note(x, y, width, height)

    def _note(self, x: int, y: int, width: int, height: int) -> None:
        right, bottom = min(x + width, self._size[0]), min(y + height, self._size[1])
        for row in range(y // _TILE, -(-bottom // _TILE)):
            self._changed.update([(row, column) for column in range(x // _TILE, -(-right // _TILE))])

    def _everything(self) -> None:
        self._note(0, 0, *self._size)

    def refresh(self) -> None:
        """Send what was asked for, if there is anything new and what was sent before has left."""
        if self.closed or self._wanted is None or self._out:
            return
        display = self._display
        size = (display.width, display.height) if display.width else _BLANK
        parts = self._extras
        if self._takes_size and size != self._size:
            self._size = size
            self._changed.clear()
            self._everything()
            parts.append(rectangle(0, 0, *size, NEW_SIZE))
        else:
            parts += [self._rectangle(*place) for place in self._due()]
        if parts:
            self._extras, self._wanted = [], None
            self._send(struct.pack(">BxH", 0, len(parts)))
            for part in parts:
                self._send(part)
            self._flush()

    def _due(self) -> list[tuple[int, int, int, int]]:
        """Rectangles of what has changed where the viewer wants to see it: runs of tiles, and equal runs together."""
        assert self._wanted is not None
        x, y, width, height = self._wanted
        right, bottom = min(x + width, self._size[0]), min(y + height, self._size[1])
        found: list[tuple[int, int, int, int]] = []
        above: dict[tuple[int, int], int] = {}
        columns = range(x // _TILE, -(-right // _TILE))
        for row in range(y // _TILE, -(-bottom // _TILE)):
            top, end = max(row * _TILE, y), min((row + 1) * _TILE, bottom)
            here: dict[tuple[int, int], int] = {}
            at = columns.start
            while at < columns.stop:
                first = at
                while at < columns.stop and (row, at) in self._changed:
                    self._changed.discard((row, at))
                    at += 1
                if first == at:
                    at += 1
                    continue
                left, edge = max(first * _TILE, x), min(at * _TILE, right)
                index = above.get((left, edge))
                if index is None:
                    index = len(found)
                    found.append((left, top, edge - left, end - top))
                else:
                    found[index] = (*found[index][:3], end - found[index][1])
                here[left, edge] = index
            above = here
        return found

    def _rectangle(self, x: int, y: int, width: int, height: int) -> bytes:
        rgb = self._picture(x, y, width, height)
        head = rectangle(x, y, width, height, self._encoding)
        if self._encoding == RAW:
            return head + convert(rgb, self._format)
        return head + self._encoder.encode(self._encoding, rgb, width, self._format)

    def _picture(self, x: int, y: int, width: int, height: int) -> bytes:
        """Part of the screen; black where there is none."""
        display = self._display
        there, rows = max(min(width, display.width - x), 0), max(min(height, display.height - y), 0)
        if (there, rows) == (width, height):
            return display.rgb(x, y, width, height)
        if not there or not rows:
            return bytes(3 * width * height)
        shown = display.rgb(x, y, there, rows)
        lines = [shown[row : row + 3 * there].ljust(3 * width, b"\0") for row in range(0, len(shown), 3 * there)]
        return b"".join(lines).ljust(3 * width * height, b"\0")
