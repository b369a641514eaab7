"""The framing of GDB's remote protocol: `$data#sum`, acknowledgements, escapes, and the interrupt byte 0x03."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: bytes of a packet's data that are taken, as qSupported says
PACKET_BYTES = 1 << 14
_ESCAPED = frozenset(b"}$#*")


class Packet:
    """A packet that came: its data, unescaped; `good` says whether its sum was right."""

    __slots__ = ("data", "good")

    def __init__(self, data: bytes, good: bool) -> None:
        self.data = data
        self.good = good


class Interrupt:
    """The byte 0x03 between packets: stop the guest."""


class Again:
    """A `-` between packets: the last one was not understood."""


Item = Packet | Interrupt | Again


class PacketReader:
    """Cuts what comes from the other side into packets.  Whatever is no packet is skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Item]:
        """Take bytes; yields what is complete by now."""
        buffer = self._buffer
        buffer += data
        while buffer:
            first = buffer[0]
            if first != ord("$"):
                del buffer[0]
                if first == 3:
                    yield Interrupt()
                elif first == ord("-"):
                    yield Again()
                continue
            end = buffer.find(b"#", 1)
            if end < 0 or len(buffer) < end + 3:
                if len(buffer) > 2 * PACKET_BYTES + 4:  # every byte may be escaped
                    buffer.clear()
                    yield Packet(b"", False)
                return
            body = bytes(buffer[1:end])
            try:
                good = sum(body) & 0xFF == int(bytes(buffer[end + 1 : end + 3]), 16)
            except ValueError:
                good = False
            del buffer[: end + 3]
            yield Packet(unescape(body), good)


def unescape(body: bytes) -> bytes:
    """`}` and a byte stand for that byte with bit 5 turned over."""
    if b"}" not in body:
        return body
    data = bytearray()
    rest = iter(body)
    for byte in rest:
        data.append(next(rest, 0x5D) ^ 0x20 if byte == ord("}") else byte)
    return bytes(data)


def escape(data: bytes) -> bytes:
    """The opposite: also `*`, which would mean a repetition."""
    if _ESCAPED.isdisjoint(data):
        return data
    return b"".join(b"}%c" % (byte ^ 0x20) if byte in _ESCAPED else b"%c" % byte for byte in data)


def frame(data: bytes) -> bytes:
    """A packet ready to be sent."""
    body = escape(data)
    return b"$%b#%02x" % (body, sum(body) & 0xFF)
