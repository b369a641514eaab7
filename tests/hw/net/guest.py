"""A guest's network stack over a `Link`: ARP, IPv4, UDP, ICMP and TCP, as far as the tests need them."""

from __future__ import annotations

import selectors
import struct
import time
from collections import deque
from collections.abc import Callable

from runtime.hw.net.link import Link
from runtime.hw.net.packets import (
    ACK,
    ETHER_IPV4,
    FIN,
    ICMP,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    Ipv4,
    Tcp,
    checksum,
    ipv4,
    parse_ipv4,
    parse_tcp,
    parse_udp,
    pseudo_sum,
    tcp,
    udp,
)

MAC = bytes.fromhex("525400123456")
GUEST, GATEWAY, DNS = bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2]), bytes([10, 0, 2, 3])


class Loop:
    """An event loop and a clock."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.callbacks: dict[int, list[Callable[[], None] | None]] = {}
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.time = 0
        self.after: Callable[[], None] = lambda: None

    def on_readable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        self._set(descriptor, 0, callback)

    def on_writable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        self._set(descriptor, 1, callback)

    def _set(self, descriptor: int, which: int, callback: Callable[[], None] | None) -> None:
        both = self.callbacks.setdefault(descriptor, [None, None])
        before, both[which] = any(both), callback
        events = (1 if both[0] else 0) | (2 if both[1] else 0)
        if not events:
            self.callbacks.pop(descriptor)
            if before:
                self.selector.unregister(descriptor)
        elif before:
            self.selector.modify(descriptor, events)
        else:
            self.selector.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        if any(self.callbacks.pop(descriptor, ())):
            self.selector.unregister(descriptor)

    def timer(self, name: str, callback: Callable[[], None]) -> LoopTimer:
        return LoopTimer(self, callback)

    def run(self, timeout: float) -> None:
        for key, mask in self.selector.select(timeout):
            for which in (0, 1):
                callback = self.callbacks.get(key.fd, [None, None])[which]
                if mask & 1 << which and callback is not None:
                    callback()
        self.after()

    def advance(self, nanoseconds: int) -> None:
        """Let the clock's time pass."""
        end = self.time + nanoseconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.time = first[0]
            first[1]()
            self.after()
        self.time = end


class LoopTimer:
    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        self.loop, self.callback = loop, callback

    def set_after(self, nanoseconds: int) -> None:
        self.loop.timers.append((self.loop.time + nanoseconds, self.callback))


class Guest:
    """The machine at the other end of a link."""

    def __init__(self, link: Link, loop: Loop) -> None:
        self.link, self.loop = link, loop
        link.receive = self.receive
        loop.after = self.process
        self._inbox: deque[bytes] = deque()
        self._busy = False
        self.room = 1 << 30  # frames that are taken
        self.frames: list[bytes] = []
        self.router: bytes | None = None
        self.datagrams: list[tuple[bytes, int, int, bytes]] = []  # source, port, our port, data
        self.icmp: list[tuple[bytes, bytes]] = []
        self.connections: dict[tuple[int, bytes, int], Connection] = {}
        self.ports: set[int] = set()  # that listen
        self.resets = 0
        self._pieces: dict[int, list[Ipv4]] = {}

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Run until it holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "nothing happens any more"
            self.loop.run(0.02)

    def settle(self, rounds: int = 5) -> None:
        """Let happen what is under way."""
        for _ in range(rounds):
            self.loop.run(0.01)

    # Frames

    def receive(self, frame: bytes) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.frames.append(frame)
        self._inbox.append(frame)
        return True

    def transmit(self, frame: bytes) -> None:
        """Send a frame, and see what came back."""
        self.link.send(frame)
        self.link.flush()
        self.process()

    def process(self) -> None:
        """Look at what came: later, as a guest does, not while it comes."""
        if self._busy:
            return
        self._busy = True
        while self._inbox:
            self._look(self._inbox.popleft())
        self._busy = False

    def _look(self, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06":
            self._arp(frame)
        elif frame[:6] in (MAC, b"\xff" * 6):
            packet = parse_ipv4(frame[14:])
            assert packet is not None
            assert checksum(packet.header) in (0, 0xFFFF), "a wrong checksum in an IP header"
            self._packet(packet)

    def _arp(self, frame: bytes) -> None:
        if frame[28:32] == GATEWAY:
            self.router = frame[22:28]
        if frame[20:22] == b"\0\1" and frame[38:42] == GUEST:
            body = b"\0\1\x08\0\x06\x04\0\2" + MAC + GUEST + frame[22:32]
            self.transmit(frame[6:12] + MAC + b"\x08\x06" + body)

    def resolve(self) -> None:
        """Find the router."""
        body = b"\0\1\x08\0\x06\x04\0\1" + MAC + GUEST + bytes(6) + GATEWAY
        self.transmit(b"\xff" * 6 + MAC + b"\x08\x06" + body)
        assert self.router is not None

    def send(self, protocol: int, destination: bytes, payload: bytes, identification: int = 0, word: int = 0) -> None:
        if self.router is None:
            self.resolve()
        assert self.router is not None
        packet = ipv4(GUEST, destination, protocol, payload, identification, word)
        self.transmit(self.router + MAC + struct.pack(">H", ETHER_IPV4) + packet)

    def _packet(self, packet: Ipv4) -> None:
        if packet.more or packet.offset:
            pieces = self._pieces.setdefault(packet.identification, [])
            pieces.append(packet)
            pieces.sort(key=lambda piece: piece.offset)
            whole = b"".join(piece.payload for piece in pieces)
            if pieces[-1].more or pieces[-1].offset + len(pieces[-1].payload) != len(whole):
                return
            packet = Ipv4(packet.source, packet.destination, packet.protocol, 0, False, 0, whole, packet.header)
        self._verify(packet)
        if packet.protocol == UDP:
            datagram = parse_udp(packet.payload)
            assert datagram is not None
            self.datagrams.append((packet.source, datagram[0], datagram[1], datagram[2]))
        elif packet.protocol == ICMP:
            self.icmp.append((packet.source, packet.payload))
        elif packet.protocol == TCP:
            segment = parse_tcp(packet.payload)
            assert segment is not None
            self._tcp(packet.source, segment)

    def _verify(self, packet: Ipv4) -> None:
        payload = packet.payload
        if packet.protocol == ICMP:
            assert checksum(payload) in (0, 0xFFFF), "a wrong checksum"
        elif packet.protocol == UDP or len(payload) <= 1480:
            start = pseudo_sum(packet.source, packet.destination, packet.protocol, len(payload))
            assert checksum(payload, start) in (0, 0xFFFF), "a wrong checksum"

    # UDP and ICMP

    def send_udp(self, port: int, destination: tuple[bytes, int], data: bytes) -> None:
        payload = udp((GUEST, port), destination, data)
        if len(payload) <= 1480:
            self.send(UDP, destination[0], payload)
            return
        for offset in range(0, len(payload), 1480):
            more = 0x2000 if offset + 1480 < len(payload) else 0
            self.send(UDP, destination[0], payload[offset : offset + 1480], 77, more | offset // 8)

    def ping(self, destination: bytes, data: bytes) -> None:
        message = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + data
        self.send(ICMP, destination, message[:2] + struct.pack(">H", checksum(message)) + message[4:])

    # TCP

    def connect(self, port: int, remote: tuple[bytes, int], *, window: int = 0xFFFF, wait: bool = True) -> Connection:
        connection = Connection(self, port, remote, window)
        connection.emit(SYN, options=b"\2\4\x05\xb4\1\3\3\0")
        connection.next = 1001
        if wait:
            self.until(lambda: connection.state != "syn-sent")
        return connection

    def _tcp(self, source: bytes, segment: Tcp) -> None:
        connection = self.connections.get((segment.destination, source, segment.source))
        if connection is None and segment.flags & SYN and segment.destination in self.ports:
            connection = Connection(self, segment.destination, (source, segment.source), 0xFFFF)
            connection.expected = segment.sequence + 1 & 0xFFFF_FFFF
            connection.state = "syn-received"
            connection.emit(SYN | ACK, options=b"\2\4\x05\xb4")
            connection.next = 1001
            return
        if connection is not None:
            connection.take(segment)
        elif not segment.flags & RST:
            self.resets += 1
            flags = RST if segment.flags & ACK else RST | ACK
            sequence = segment.acknowledged if segment.flags & ACK else 0
            end = ((source, segment.source), (GUEST, segment.destination))
            self.send(TCP, source, tcp(end[1], end[0], sequence, segment.sequence + 1, flags, 0))


class Connection:
    """A TCP connection of the guest's."""

    def __init__(self, guest: Guest, port: int, remote: tuple[bytes, int], window: int) -> None:
        self.guest, self.port, self.remote, self.window = guest, port, remote, window
        self.state = "syn-sent"
        self.next = self.acknowledged = 1000
        self.expected = 0
        self.their_window = self.scale = 0
        self.received = bytearray()
        self.ended = False
        self.outgoing = bytearray()
        self.deaf = False  # drops what comes
        guest.connections[port, *remote] = self

    def emit(self, flags: int, payload: bytes = b"", options: bytes = b"", sequence: int | None = None) -> None:
        sequence = self.next if sequence is None else sequence
        ends = ((GUEST, self.port), self.remote)
        segment = tcp(*ends, sequence, self.expected if flags & ACK else 0, flags, self.window, payload, options)
        self.guest.send(TCP, self.remote[0], segment)

    def take(self, segment: Tcp) -> None:
        if self.deaf:
            return
        if segment.flags & RST:
            self.state = "reset"
            return
        if self.state == "syn-sent":
            assert segment.flags & (SYN | ACK) == SYN | ACK
            assert segment.acknowledged == self.next
            self.expected = segment.sequence + 1 & 0xFFFF_FFFF
            scale = segment.option(3)
            self.scale = scale[0] if scale else 0
            self.state = "established"
            self.acknowledged, self.their_window = segment.acknowledged, segment.window
            self.emit(ACK)
            return
        self.state = "established"
        self.acknowledged = segment.acknowledged
        self.their_window = segment.window << self.scale
        if segment.payload and segment.sequence == self.expected:
            assert len(segment.payload) <= self.window, "more than the window allows"
            self.received += segment.payload
            self.expected = self.expected + len(segment.payload) & 0xFFFF_FFFF
        elif segment.payload and segment.sequence != self.expected:
            self.emit(ACK)
            return
        if segment.flags & FIN and not self.ended:
            self.ended = True
            self.expected = self.expected + 1 & 0xFFFF_FFFF
        if segment.payload or segment.flags & FIN:
            self.emit(ACK)
        self.push()

    def push(self) -> None:
        """Send what their window allows."""
        while self.outgoing:
            room = self.their_window - (self.next - self.acknowledged)
            piece = bytes(self.outgoing[: min(room, 1460)]) if room > 0 else b""
            if not piece:
                return
            del self.outgoing[: len(piece)]
            sequence, self.next = self.next, self.next + len(piece)
            self.emit(ACK | PSH, piece, sequence=sequence)

    def write(self, data: bytes) -> None:
        self.outgoing += data
        self.push()

    def finish(self) -> None:
        """Send no more."""
        self.emit(FIN | ACK)
        self.next += 1

    def reset(self) -> None:
        self.emit(RST | ACK)
