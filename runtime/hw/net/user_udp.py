"""UDP and ICMP echo between the guest and sockets of the host."""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from contextlib import suppress

from runtime.hw.net.packets import ICMP, checksum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.net.user import UserNetwork

__all__ = ["UdpFlows", "UdpForward"]

#: sockets for the guest's ports; the one used longest ago makes room
MOST_FLOWS = 256
#: datagrams taken from one socket before others get their turn
MOST_AT_ONCE = 32
MOST_PEERS = 1024

End = tuple[bytes, int]


class UdpFlows:
    """A host socket for each port that the guest sends from, and for each of its pings."""

    def __init__(self, network: UserNetwork) -> None:
        self.network = network
        self._sockets: OrderedDict[tuple[int, bytes, int], socket.socket] = OrderedDict()
        #: (protocol, guest's address, port, real host's end) -> the end that the guest sent to
        self._aliases: OrderedDict[tuple[int, bytes, int, tuple[str, int]], End] = OrderedDict()

    def send(self, guest: End, remote: End, data: bytes, host: tuple[str, int]) -> None:
        """A datagram of the guest's."""
        self._send(socket.IPPROTO_UDP, guest, remote, data, host)

    def ping(self, guest: bytes, remote: bytes, echo: bytes, host: str) -> None:
        """An echo request (its ICMP message) to somebody outside, if the host lets us."""
        identity = struct.unpack_from(">H", echo, 4)[0]
        self._send(socket.IPPROTO_ICMP, (guest, identity), (remote, 0), echo, (host, 0))

    def _send(self, protocol: int, guest: End, remote: End, data: bytes, host: tuple[str, int]) -> None:
        key = (protocol, *guest)
        host_socket = self._sockets.get(key)
        if host_socket is None:
            try:
                host_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
            except OSError:
                return  # no ping sockets for us, or no descriptors left: it is lost
            with suppress(OSError):
                host_socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 0)
            if len(self._sockets) >= MOST_FLOWS:
                self._drop(next(iter(self._sockets)))
            self._sockets[key] = host_socket
            taken = host_socket
            self.network.events.on_readable(taken.fileno(), lambda: self._readable(key, taken))
        self._sockets.move_to_end(key)
        self._aliases[(*key, host)] = remote
        self._aliases.move_to_end((*key, host))
        if len(self._aliases) > MOST_PEERS:
            self._aliases.popitem(last=False)
        with suppress(OSError):
            host_socket.sendto(data, host)

    def _readable(self, key: tuple[int, bytes, int], host_socket: socket.socket) -> None:
        protocol, address, port = key
        for _ in range(MOST_AT_ONCE):
            try:
                data, peer = host_socket.recvfrom(65535)
            except OSError:
                break
            alias = self._aliases.get((*key, (peer[0], peer[1])))
            if alias is None:
                alias = (self.network.seen_by_guest(peer[0]), peer[1])
            if protocol == socket.IPPROTO_UDP:
                self.network.send_udp(alias, (address, port), data)
            elif len(data) >= 8:
                reply = data[:2] + b"\0\0" + struct.pack(">H", port) + data[6:]
                reply = reply[:2] + struct.pack(">H", checksum(reply)) + reply[4:]
                self.network.send_ipv4(alias[0], address, ICMP, reply)

    def _drop(self, key: tuple[int, bytes, int]) -> None:
        host_socket = self._sockets.pop(key)
        self.network.events.forget(host_socket.fileno())
        host_socket.close()

    def close(self) -> None:
        """Close all."""
        for key in list(self._sockets):
            self._drop(key)
        self._aliases.clear()


class UdpForward:
    """A port of the host whose datagrams go to the guest (hostfwd=udp:...)."""

    def __init__(self, network: UserNetwork, host_socket: socket.socket, guest: End) -> None:
        self.network = network
        self.host = host_socket
        self.guest = guest
        self._peers: OrderedDict[End, tuple[str, int]] = OrderedDict()  # as the guest sees them -> really
        network.events.on_readable(host_socket.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                data, peer = self.host.recvfrom(65535)
            except OSError:
                break
            seen = (self.network.seen_by_guest(peer[0]), peer[1])
            self._peers[seen] = (peer[0], peer[1])
            if len(self._peers) > MOST_PEERS:
                self._peers.popitem(last=False)
            self.network.send_udp(seen, self.guest, data)

    def take(self, guest: End, remote: End, data: bytes) -> bool:
        """Send an answer of the guest's back to who asked; False if it is none."""
        peer = self._peers.get(remote) if guest == self.guest else None
        if peer is None:
            return False
        with suppress(OSError):
            self.host.sendto(data, peer)
        return True

    def close(self) -> None:
        """Listen no more."""
        self.network.events.forget(self.host.fileno())
        self.host.close()
