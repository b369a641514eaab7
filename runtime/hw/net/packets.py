"""Ethernet, ARP, IPv4, UDP, TCP and ICMP headers, taken apart and put together."""

from __future__ import annotations

import struct

from runtime.core.record import record

__all__ = [
    "ACK", "ETHER_ARP", "ETHER_IPV4", "FIN", "ICMP", "PSH", "RST", "SYN", "TCP", "UDP",
    "Ipv4", "Tcp", "checksum", "ipv4", "ipv4_fragments", "parse_ipv4", "parse_tcp", "parse_udp",
    "pseudo_sum", "tcp", "text", "udp",
]  # fmt: skip

ETHER_IPV4, ETHER_ARP = 0x0800, 0x0806
ICMP, TCP, UDP = 1, 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

#: what a frame can carry
MTU = 1500


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum (RFC 1071): the sum of 16-bit words modulo 65535, complemented; `start` is added."""
    if len(data) & 1:
        data += b"\0"
    # 2^16 is 1 modulo 65535, so that the number the bytes make has the words' sum as its remainder
    rest = (int.from_bytes(data, "big") + start) % 0xFFFF
    return 0xFFFF - rest


def pseudo_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """What a transport's checksum covers besides its own bytes."""
    return int.from_bytes(source + destination, "big") % 0xFFFF + protocol + length


def text(address: bytes) -> str:
    """An IPv4 address as one writes it."""
    return ".".join(map(str, address))


@record
class Ipv4:
    """A packet."""

    source: bytes
    destination: bytes
    protocol: int
    identification: int
    more: bool  # fragments follow
    offset: int  # bytes of the whole packet in front of this fragment's payload
    payload: bytes
    header: bytes


@record
class Tcp:
    """A segment."""

    source: int
    destination: int
    sequence: int
    acknowledged: int
    flags: int
    window: int
    options: bytes
    payload: bytes

    def option(self, kind: int) -> bytes | None:
        """The value of an option (RFC 9293, 3.1), or None."""
        options, place = self.options, 0
        while place < len(options) and options[place] != 0:
            if options[place] == 1:
                place += 1
                continue
            if place + 1 >= len(options) or options[place + 1] < 2:
                return None
            end = place + options[place + 1]
            if options[place] == kind:
                return options[place + 2 : end]
            place = end
        return None


def parse_ipv4(packet: bytes) -> Ipv4 | None:
    """A packet, or None if it is none."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    header = (packet[0] & 15) * 4
    total, identification, fragment = struct.unpack_from(">HHH", packet, 2)
    if header < 20 or not header <= total <= len(packet):
        return None
    return Ipv4(
        packet[12:16],
        packet[16:20],
        packet[9],
        identification,
        bool(fragment & 0x2000),
        (fragment & 0x1FFF) * 8,
        packet[header:total],
        packet[:header],
    )


def parse_tcp(payload: bytes) -> Tcp | None:
    """A segment, or None if it is none."""
    if len(payload) < 20:
        return None
    source, destination, sequence, acknowledged, offset, flags, window = struct.unpack_from(">HHIIBBH", payload)
    header = (offset >> 4) * 4
    if not 20 <= header <= len(payload):
        return None
    return Tcp(source, destination, sequence, acknowledged, flags, window, payload[20:header], payload[header:])


def parse_udp(payload: bytes) -> tuple[int, int, bytes] | None:
    """(source port, destination port, data) of a datagram, or None if it is none."""
    if len(payload) < 8:
        return None
    source, destination, length = struct.unpack_from(">HHH", payload)
    if not 8 <= length <= len(payload):
        return None
    return source, destination, payload[8:length]


def ipv4(
    source: bytes, destination: bytes, protocol: int, payload: bytes, identification: int = 0, word: int = 0x4000
) -> bytes:
    """A packet.  `word` is what the header says of fragments: not to be fragmented."""
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identification, word, 64, protocol, 0, source, destination
    )
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv4_fragments(
    source: bytes, destination: bytes, protocol: int, payload: bytes, identification: int
) -> list[bytes]:
    """The packets that carry a payload."""
    if len(payload) <= MTU - 20:
        return [ipv4(source, destination, protocol, payload, identification)]
    packets, step = [], (MTU - 20) // 8 * 8
    for offset in range(0, len(payload), step):
        more = 0x2000 if offset + step < len(payload) else 0
        piece = payload[offset : offset + step]
        packets.append(ipv4(source, destination, protocol, piece, identification, more | offset // 8))
    return packets


def udp(source: tuple[bytes, int], destination: tuple[bytes, int], data: bytes) -> bytes:
    """A datagram, without its IP header."""
    length = 8 + len(data)
    head = struct.pack(">HHHH", source[1], destination[1], length, 0)
    value = checksum(head + data, pseudo_sum(source[0], destination[0], UDP, length))
    return head[:6] + struct.pack(">H", value or 0xFFFF) + data


def tcp(
    source: tuple[bytes, int],
    destination: tuple[bytes, int],
    sequence: int,
    acknowledged: int,
    flags: int,
    window: int,
    payload: bytes = b"",
    options: bytes = b"",
    *,
    partial: bool = False,
) -> bytes:
    """A segment, without its IP header.  `partial`: the card's driver finishes the checksum of each piece it cuts."""
    head = struct.pack(
        ">HHIIBBHHH",
        *(source[1], destination[1], sequence & 0xFFFF_FFFF, acknowledged & 0xFFFF_FFFF),
        *((20 + len(options)) // 4 << 4, flags, window, 0, 0),
    )
    start = pseudo_sum(source[0], destination[0], TCP, len(head) + len(options) + len(payload))
    if partial:
        value = 0xFFFF - checksum(b"", start)
    else:
        value = checksum(head + options + payload, start)
    return head[:16] + struct.pack(">H", value) + head[18:] + options + payload
