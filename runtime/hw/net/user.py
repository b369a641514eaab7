"""The user-mode network: a router, a DHCP server and a name server that need no rights on the host.

The guest's connections become the host's sockets: address translation without a network interface.  The guest is
10.0.2.15, the host 10.0.2.2, the name server 10.0.2.3, unless told otherwise.  There is no IPv6.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from runtime.core.record import record
from runtime.hw.net.dhcp import DhcpServer
from runtime.hw.net.link import Events, Link, NetError
from runtime.hw.net.packets import (
    ACK,
    ETHER_ARP,
    ETHER_IPV4,
    ICMP,
    RST,
    SYN,
    TCP,
    UDP,
    Ipv4,
    Tcp,
    checksum,
    ipv4,
    ipv4_fragments,
    parse_ipv4,
    parse_tcp,
    parse_udp,
    tcp,
    text,
    udp,
)
from runtime.hw.net.user_tcp import TcpConnection
from runtime.hw.net.user_udp import UdpFlows, UdpForward

__all__ = ["Forward", "UserNetwork", "UserOptions"]

BROADCAST_MAC, BROADCAST = b"\xff" * 6, b"\xff" * 4
TICK = 500_000_000  # ns
MOST_CONNECTIONS = 1024
#: packets that came in pieces and wait for the rest; packets that wait for an ARP answer
MOST_FRAGMENTED, MOST_UNADDRESSED = 16, 16
ADDRESS_IN_USE_MEND = "choose another port, or 0 for any"


class Timer(Protocol):
    """A timer on the machine's clock."""

    def set_after(self, nanoseconds: int) -> None:
        """That long from now."""


class Clock(Protocol):
    """The machine's clock."""

    def timer(self, name: str, callback: Callable[[], None]) -> Timer:
        """A timer."""


@record
class Forward:
    """A port of the host that leads to the guest."""

    protocol: str  # tcp, udp
    host: str
    host_port: int
    guest: str  # empty: the first DHCP address
    guest_port: int


@record
class UserOptions:
    """What `-netdev user` can say."""

    network: str = "10.0.2.0"
    prefix: int = 24
    gateway: str = ""  # empty: network + 2
    dns: str = ""  # network + 3
    first: str = ""  # network + 15
    restrict: bool = False
    host_name: str = ""
    domain: str = ""
    boot_file: str = ""
    forwards: tuple[Forward, ...] = ()


class UserNetwork(Link):
    """The network.  `name_server` is the host's own, found in /etc/resolv.conf unless given."""

    kind = "user"
    offloads = True

    def __init__(
        self,
        name: str,
        events: Events,
        clock: Clock,
        options: UserOptions | None = None,
        *,
        name_server: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(name)
        self.events = events
        self.options = options or UserOptions()
        self._addresses()
        self.name_server = name_server or _name_server()
        self.neighbours: dict[bytes, bytes] = {}  # address -> MAC
        self._unaddressed: list[tuple[bytes, bytes]] = []  # (address, packet)
        self.connections: dict[tuple[bytes, int, bytes, int], TcpConnection] = {}
        self._touched: dict[TcpConnection, None] = {}
        self._fragments: OrderedDict[tuple[bytes, bytes, int, int], list[Ipv4]] = OrderedDict()
        self._identification = 0
        self._sequence = 0x1000_0000
        self.flows = UdpFlows(self)
        self._timer = clock.timer(f"network {name}", self._tick)
        self._ticking = False
        self._listeners: list[socket.socket] = []
        self._udp_forwards: list[UdpForward] = []
        self.forwards: list[Forward] = []
        try:
            for forward in self.options.forwards:
                self.forward(forward)
        except BaseException:
            self.close()
            raise

    def _addresses(self) -> None:
        options = self.options
        if not 8 <= options.prefix <= 29:
            raise NetError(f"{self.name}: a network of {options.prefix} bits; there must be 8 to 29")
        self.mask = (0xFFFF_FFFF << (32 - options.prefix) & 0xFFFF_FFFF).to_bytes(4, "big")
        network = int.from_bytes(self._parse(options.network), "big") & int.from_bytes(self.mask, "big")
        self.network = network.to_bytes(4, "big")

        def own(given: str, number: int) -> bytes:
            address = self._parse(given) if given else (network + number).to_bytes(4, "big")
            if not self._is_local(address):
                raise NetError(f"{self.name}: {text(address)} is not in the network {options.network}/{options.prefix}")
            return address

        self.gateway = own(options.gateway, 2)
        self.dns = own(options.dns, 3)
        self.first = own(options.first, 15 if options.prefix < 28 else 4)
        if len({self.gateway, self.dns, self.first}) < 3:
            raise NetError(f"{self.name}: host, name server and guest need an address each")
        self.mac = b"\x52\x55" + self.gateway
        self.dhcp = DhcpServer(
            network=self.network,
            mask=self.mask,
            gateway=self.gateway,
            dns=self.dns,
            first=self.first,
            host_name=options.host_name,
            domain=options.domain,
            boot_file=options.boot_file,
        )

    def _parse(self, address: str) -> bytes:
        try:
            return socket.inet_aton(address) if address.count(".") == 3 else _refuse(address)
        except OSError:
            raise NetError(f"{self.name}: {address!r} is no IPv4 address") from None

    def _is_local(self, address: bytes) -> bool:
        bits = int.from_bytes(self.mask, "big")
        return int.from_bytes(address, "big") & bits == int.from_bytes(self.network, "big")

    # Ports of the host that lead to the guest

    def forward(self, forward: Forward) -> Forward:
        """Open one; what was opened, with its port."""
        guest = (self._parse(forward.guest) if forward.guest else self.first, forward.guest_port)
        host = forward.host or "127.0.0.1"
        stream = forward.protocol == "tcp"
        listener = socket.socket(
            socket.AF_INET, (socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK
        )
        try:
            if stream:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, forward.host_port))
            if stream:
                listener.listen(16)
        except OSError as error:
            listener.close()
            raise NetError(
                f"{self.name}: hostfwd={forward.protocol}:{host}:{forward.host_port}: {error.strerror or error}; "
                f"{ADDRESS_IN_USE_MEND}"
            ) from error
        port = listener.getsockname()[1]
        if stream:
            self._listeners.append(listener)
            self.events.on_readable(listener.fileno(), lambda: self._accept(listener, guest))
        else:
            self._udp_forwards.append(UdpForward(self, listener, guest))
        opened = Forward(forward.protocol, host, port, text(guest[0]), guest[1])
        self.forwards.append(opened)
        return opened

    def _accept(self, listener: socket.socket, guest: tuple[bytes, int]) -> None:
        try:
            host, peer = listener.accept()
        except OSError:
            return
        if len(self.connections) >= MOST_CONNECTIONS:
            host.close()
            return
        host.setblocking(False)
        with suppress(OSError):
            host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        remote = (self.seen_by_guest(peer[0]), peer[1])
        while (*guest, *remote) in self.connections:  # somebody with the same port at another loopback address
            remote = (remote[0], remote[1] % 0xFFFF + 1)
        connection = TcpConnection(self, guest, remote, host)
        self.connections[(*guest, *remote)] = connection
        connection.accept()

    def seen_by_guest(self, host: str) -> bytes:
        """The address by which a guest knows a host: ourselves, or somebody outside."""
        address = socket.inet_aton(host)
        return self.gateway if address[0] == 127 or address == bytes(4) else address

    def _real(self, address: bytes, port: int) -> tuple[str, int] | None:
        """Where the guest's packets to an address go; None: nowhere."""
        if self.options.restrict:
            return None
        if address == self.dns and port == 53:
            return self.name_server
        if address in (self.gateway, self.dns):
            return ("127.0.0.1", port)
        if self._is_local(address) or address[0] in (0, 127) or address[0] >= 224:
            return None
        return (text(address), port)

    # Frames from the guest

    def send(self, frame: bytes) -> None:
        """The guest sends a frame."""
        if len(frame) < 14:
            return
        kind = frame[12] << 8 | frame[13]
        if kind == ETHER_ARP:
            self._arp(frame)
        elif kind == ETHER_IPV4 and (frame[0] & 1 or frame[:6] == self.mac):
            packet = parse_ipv4(frame[14:])
            if packet is not None:
                source = packet.source
                if source != bytes(4) and self._is_local(source):
                    self._learn(source, frame[6:12])
                self._route(packet, frame[6:12])

    def _learn(self, address: bytes, mac: bytes) -> None:
        if self.neighbours.get(address) != mac and not mac[0] & 1 and address not in (self.gateway, self.dns):
            self.neighbours[address] = mac
            if len(self.neighbours) > 256:
                self.neighbours.pop(next(iter(self.neighbours)))
            waiting, self._unaddressed = self._unaddressed, []
            for destination, packet in waiting:
                self._send_packet(destination, packet)

    def _arp(self, frame: bytes) -> None:
        """Tell who has the addresses that are ours (RFC 826)."""
        if len(frame) < 42 or frame[14:20] != b"\0\1\x08\0\x06\x04":
            return
        operation, mac, sender, target = frame[20:22], frame[22:28], frame[28:32], frame[38:42]
        if self._is_local(sender):
            self._learn(sender, mac)
        if operation == b"\0\1" and target in (self.gateway, self.dns) and sender != target:
            self._send_arp(2, target, mac, sender)

    def _send_arp(self, operation: int, sender: bytes, mac: bytes, target: bytes) -> None:
        head = (mac if operation == 2 else BROADCAST_MAC) + self.mac + struct.pack(">H", ETHER_ARP)
        body = b"\0\1\x08\0\x06\x04" + struct.pack(">H", operation) + self.mac + sender
        self.deliver(head + body + (mac if operation == 2 else bytes(6)) + target)

    def _route(self, packet: Ipv4, mac: bytes) -> None:
        whole = self._whole(packet)
        if whole is None:
            return
        if whole.protocol == TCP:
            segment = parse_tcp(whole.payload)
            if segment is not None:
                self._take_tcp(whole, segment)
        elif whole.protocol == UDP:
            self._take_udp(whole, mac)
        elif whole.protocol == ICMP:
            self._take_icmp(whole)

    def _whole(self, packet: Ipv4) -> Ipv4 | None:
        """The packet itself, or what its fragments make once the last one has come (RFC 791)."""
        if not packet.more and not packet.offset:
            return packet
        key = (packet.source, packet.destination, packet.protocol, packet.identification)
        pieces = self._fragments.setdefault(key, [])
        if packet.offset + len(packet.payload) > 65535 or len(pieces) > 64:
            del self._fragments[key]
            return None
        pieces.append(packet)
        pieces.sort(key=lambda piece: piece.offset)
        if len(self._fragments) > MOST_FRAGMENTED:
            self._fragments.popitem(last=False)
        payload = b""
        for piece in pieces:
            if piece.offset != len(payload):
                return None
            payload += piece.payload
        last = pieces[-1]
        if last.more:
            return None
        self._fragments.pop(key, None)
        return Ipv4(last.source, last.destination, last.protocol, 0, False, 0, payload, pieces[0].header)

    def _take_icmp(self, packet: Ipv4) -> None:
        message = packet.payload
        if len(message) < 8 or message[0] != 8 or message[1] != 0:
            return  # not an echo request
        if packet.destination in (self.gateway, self.dns):
            reply = b"\0\0\0\0" + message[4:]
            reply = reply[:2] + struct.pack(">H", checksum(reply)) + reply[4:]
            self.send_ipv4(packet.destination, packet.source, ICMP, reply)
            return
        host = self._real(packet.destination, 0)
        if host is not None:
            self.flows.ping(packet.source, packet.destination, message, host[0])

    def _take_udp(self, packet: Ipv4, mac: bytes) -> None:
        datagram = parse_udp(packet.payload)
        if datagram is None:
            return
        source, destination, data = datagram
        if destination == 67 and packet.destination in (BROADCAST, self.gateway, self._broadcast()):
            answer = self.dhcp.answer(data)
            if answer is not None:
                address, message = answer
                body = ipv4(self.gateway, address, UDP, udp((self.gateway, 67), (address, 68), message))
                self._send_frame(BROADCAST_MAC if address == BROADCAST else mac, body)
            return
        guest, remote = (packet.source, source), (packet.destination, destination)
        if any(forward.take(guest, remote, data) for forward in self._udp_forwards):
            return
        host = self._real(*remote)
        if host is not None and self._is_local(packet.source):
            self.flows.send(guest, remote, data, host)
        elif packet.destination != BROADCAST and not packet.destination[0] >= 224:
            self._unreachable(packet, 13 if self.options.restrict else 1)

    def _broadcast(self) -> bytes:
        bits = ~int.from_bytes(self.mask, "big") & 0xFFFF_FFFF
        return (int.from_bytes(self.network, "big") | bits).to_bytes(4, "big")

    def _unreachable(self, packet: Ipv4, code: int) -> None:
        """Tell the guest that its packet goes nowhere (RFC 792)."""
        message = struct.pack(">BBHI", 3, code, 0, 0) + packet.header + packet.payload[:8]
        message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        self.send_ipv4(self.gateway, packet.source, ICMP, message)

    def _take_tcp(self, packet: Ipv4, segment: Tcp) -> None:
        guest, remote = (packet.source, segment.source), (packet.destination, segment.destination)
        connection = self.connections.get((*guest, *remote))
        if connection is not None:
            connection.take(segment)
            return
        if segment.flags & RST or not self._is_local(packet.source):
            return
        host = None
        if segment.flags & (SYN | ACK) == SYN and len(self.connections) < MOST_CONNECTIONS:
            host = self._real(*remote)
        if host is None:
            self._refuse_tcp(guest, remote, segment)
            return
        try:
            host_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self._refuse_tcp(guest, remote, segment)
            return
        with suppress(OSError):
            host_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = self.connections[(*guest, *remote)] = TcpConnection(self, guest, remote, host_socket)
        connection.connect(segment, host)

    def _refuse_tcp(self, guest: tuple[bytes, int], remote: tuple[bytes, int], segment: Tcp) -> None:
        """3.10.7.1 of RFC 9293: a segment for a connection that there is not."""
        if segment.flags & ACK:
            answer = tcp(remote, guest, segment.acknowledged, 0, RST, 0)
        else:
            taken = segment.sequence + len(segment.payload) + bool(segment.flags & SYN) + (segment.flags & 1)
            answer = tcp(remote, guest, 0, taken, RST | ACK, 0)
        self.send_tcp(guest[0], remote[0], answer)

    # Packets to the guest

    def send_tcp(self, guest: bytes, remote: bytes, segment: bytes) -> None:
        """A segment."""
        self._send_packet(guest, ipv4(remote, guest, TCP, segment))

    def send_udp(self, source: tuple[bytes, int], guest: tuple[bytes, int], data: bytes) -> None:
        """A datagram."""
        if len(data) <= 65507:
            self.send_ipv4(source[0], guest[0], UDP, udp(source, guest, data))

    def send_ipv4(self, source: bytes, guest: bytes, protocol: int, payload: bytes) -> None:
        """A packet, in pieces if need be."""
        self._identification = (self._identification + 1) & 0xFFFF
        for packet in ipv4_fragments(source, guest, protocol, payload, self._identification):
            self._send_packet(guest, packet)

    def _send_packet(self, guest: bytes, packet: bytes) -> None:
        mac = self.neighbours.get(guest)
        if mac is not None:
            self._send_frame(mac, packet)
        elif self._is_local(guest):
            self._unaddressed.append((guest, packet))
            del self._unaddressed[:-MOST_UNADDRESSED]
            self._send_arp(1, self.gateway, bytes(6), guest)

    def _send_frame(self, mac: bytes, packet: bytes) -> None:
        self.deliver(mac + self.mac + struct.pack(">H", ETHER_IPV4) + packet)

    # Connections

    def first_sequence(self) -> int:
        """Where a new connection starts to count."""
        self._sequence = (self._sequence + 0x1_0000) & 0xFFFF_FFFF
        return self._sequence

    def touched(self, connection: TcpConnection) -> None:
        """Something happened to a connection; `flush` lets it go on."""
        self._touched[connection] = None

    def flush(self) -> None:
        """Let the connections go on that something happened to."""
        while self._touched:
            touched, self._touched = self._touched, {}
            for connection in touched:
                connection.work()

    def resume(self) -> None:
        """The card has room again, and so have the connections."""
        before = self.congested
        super().resume()
        if before and not self.congested:
            for connection in list(self.connections.values()):
                connection.read_host()
                self.touched(connection)
            self.flush()

    def forget(self, connection: TcpConnection) -> None:
        """A connection is closed."""
        self.connections.pop((*connection.guest, *connection.remote), None)
        self._touched.pop(connection, None)

    def expect_answer(self) -> None:
        """Look in a while whether the guest has answered."""
        if not self._ticking:
            self._ticking = True
            self._timer.set_after(TICK)

    def _tick(self) -> None:
        self._ticking = False
        for connection in list(self.connections.values()):
            if connection.is_waiting():
                connection.silence += 1
                if connection.silence > 1 << connection.tries + 1:
                    connection.silence = 0
                    connection.try_again()
                if connection.is_waiting():
                    self.expect_answer()
        self.flush()

    def restored(self) -> None:
        """Another guest knows nothing of the connections, and is told so when it uses its own."""
        self.drop_connections()

    def drop_connections(self) -> None:
        """Break all off."""
        for connection in list(self.connections.values()):
            connection.close()
        self.flows.close()
        self._fragments.clear()
        self._unaddressed.clear()
        self.forget_waiting()

    def close(self) -> None:
        """Let go of the host's sockets."""
        self.drop_connections()
        for listener in self._listeners:
            self.events.forget(listener.fileno())
            listener.close()
        for forward in self._udp_forwards:
            forward.close()
        self._listeners.clear()
        self._udp_forwards.clear()

    def describe(self) -> Mapping[str, object]:
        """For a monitor."""
        return {
            **super().describe(),
            "network": f"{text(self.network)}/{self.options.prefix}",
            "restrict": self.options.restrict,
            "forwards": [
                f"{each.protocol}:{each.host}:{each.host_port}-{each.guest}:{each.guest_port}" for each in self.forwards
            ],
            "connections": [
                f"{text(guest)}:{guest_port} {text(remote)}:{remote_port} {connection.state}"
                for (guest, guest_port, remote, remote_port), connection in self.connections.items()
            ],
        }


def _refuse(address: str) -> bytes:
    raise OSError(address)


def _name_server() -> tuple[str, int] | None:
    """The host's name server."""
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            lines: Sequence[str] = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and words[1].count(".") == 3:
            return (words[1], 53)
    return None
