"""The user-mode network against real sockets of the host, driven by a guest's stack in Python."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.hw.net.link import NetError
from runtime.hw.net.packets import ACK, FIN, SYN, TCP, tcp
from runtime.hw.net.user import Forward, UserNetwork, UserOptions
from tests.hw.net.guest import DNS, GATEWAY, GUEST, MAC, Connection, Guest, Loop

LOCAL = "127.0.0.1"


class World:
    """A network, its guest, and sockets of the host."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.name_server = self.udp_server()
        self.sockets: list[socket.socket] = [self.name_server]
        self.network = UserNetwork("net0", self.loop, self.loop, name_server=self.name_server.getsockname())
        self.guest = Guest(self.network, self.loop)

    def reopen(self, options: UserOptions) -> None:
        self.network.close()
        self.network = UserNetwork("net0", self.loop, self.loop, options, name_server=self.name_server.getsockname())
        self.guest = Guest(self.network, self.loop)

    def udp_server(self) -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((LOCAL, 0))
        server.settimeout(20)
        return server

    def tcp_server(self) -> socket.socket:
        server = socket.create_server((LOCAL, 0))
        self.sockets.append(server)
        return server

    def accept(self, server: socket.socket) -> socket.socket:
        server.settimeout(20)
        connection, _ = server.accept()
        connection.settimeout(20)
        self.sockets.append(connection)
        return connection


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.network.close()
    for each in made.sockets:
        each.close()
    assert not made.loop.callbacks


def test_arp_and_ping(world: World) -> None:
    """The router and the name server have an address; a ping of theirs is answered; others' are not ours."""
    world.guest.resolve()
    assert world.guest.router == b"\x52\x55" + GATEWAY
    for address in (GATEWAY, DNS):
        world.guest.ping(address, b"ping data" * 100)
        source, message = world.guest.icmp.pop()
        assert (source, message[0], message[8:]) == (address, 0, b"ping data" * 100)
    world.guest.ping(GATEWAY, b"odd")
    assert world.guest.icmp.pop()[1][8:] == b"odd"


def dhcp(kind: int | None, options: bytes = b"", address: bytes = bytes(4)) -> bytes:
    message = struct.pack(">BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0) + address + bytes(12) + MAC + bytes(10 + 192)
    if kind is None:
        return message + bytes(64)
    return message + b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + options + b"\xff"


def test_dhcp(world: World) -> None:
    """Discover, offer, request, acknowledge; a wrong address is refused; BOOTP; another server's client is let be."""
    guest = world.guest

    def ask(message: bytes) -> bytes | None:
        guest.datagrams.clear()
        guest.send_udp(68, (b"\xff" * 4, 67), message)
        return guest.datagrams[0][3] if guest.datagrams else None

    offer = ask(dhcp(1))
    assert offer is not None
    assert offer[16:20] == GUEST
    assert bytes([53, 1, 2]) in offer
    assert bytes([3, 4]) + GATEWAY in offer
    assert bytes([6, 4]) + DNS in offer
    assert bytes([1, 4, 255, 255, 255, 0]) in offer
    answer = ask(dhcp(3, bytes([50, 4]) + GUEST + bytes([54, 4]) + GATEWAY))
    assert answer is not None
    assert bytes([53, 1, 5]) in answer
    refused = ask(dhcp(3, bytes([50, 4, 10, 0, 2, 99])))
    assert refused is not None
    assert bytes([53, 1, 6]) in refused
    assert ask(dhcp(3, bytes([54, 4, 10, 0, 2, 77]))) is None
    bootp = ask(dhcp(None))
    assert bootp is not None
    assert bootp[16:20] == GUEST


def test_a_second_card_gets_another_address(world: World) -> None:
    """Addresses are handed out by MAC, and end when the network does."""
    server = world.network.dhcp
    seen = set()
    for number in range(300):
        message = bytearray(dhcp(1))
        message[28:34] = number.to_bytes(6, "big")
        answer = server.answer(bytes(message))
        if answer is not None:
            seen.add(answer[1][16:20])
    assert len(seen) == 254 - 14
    assert GATEWAY not in seen


def test_udp_both_ways(world: World) -> None:
    """To a server on the host's loopback and back, from the address that was asked; large datagrams in pieces."""
    server = world.udp_server()
    world.sockets.append(server)
    port = server.getsockname()[1]
    for size in (0, 1, 1472, 1473, 9000):
        data = random.Random(size).randbytes(size)
        world.guest.send_udp(5000, (GATEWAY, port), data)
        got, peer = server.recvfrom(65535)
        assert got == data
        server.sendto(data[::-1], peer)
        world.guest.until(lambda: world.guest.datagrams)
        assert world.guest.datagrams.pop() == (GATEWAY, port, 5000, data[::-1])


def test_dns_is_forwarded(world: World) -> None:
    """What is sent to the name server goes to the host's, and its answer comes from the guest's name server."""
    world.guest.send_udp(4000, (DNS, 53), b"query")
    query, peer = world.name_server.recvfrom(1000)
    assert query == b"query"
    world.name_server.sendto(b"answer", peer)
    world.guest.until(lambda: world.guest.datagrams)
    assert world.guest.datagrams == [(DNS, 53, 4000, b"answer")]


def test_tcp_from_the_guest(world: World) -> None:
    """Connect, send both ways, the guest ends first, the host goes on sending, both are closed."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]))
    assert connection.state == "established"
    host = world.accept(server)
    connection.write(b"hello")
    assert host.recv(100) == b"hello"
    connection.finish()
    assert host.recv(100) == b""
    host.sendall(b"and more")  # half closed: this direction goes on
    world.guest.until(lambda: connection.received == b"and more")
    host.close()
    world.guest.until(lambda: connection.ended)
    world.guest.settle()
    assert not world.network.connections


def test_the_host_ends_first(world: World) -> None:
    """The other order: the guest sees the end, and can still send."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]))
    host = world.accept(server)
    host.shutdown(socket.SHUT_WR)
    world.guest.until(lambda: connection.ended)
    connection.write(b"late")
    assert host.recv(100) == b"late"
    connection.finish()
    assert host.recv(100) == b""
    assert not world.network.connections


def test_a_refused_connection_and_a_port_that_listens_not(world: World) -> None:
    """A reset for a closed port of the host; a reset for a segment of no connection."""
    server = world.tcp_server()
    port = server.getsockname()[1]
    server.close()
    assert world.guest.connect(6000, (GATEWAY, port)).state == "reset"
    stray = Connection(world.guest, 6001, (GATEWAY, port), 1000)
    stray.state = "established"
    stray.emit(ACK, b"data of no connection")
    assert stray.state == "reset"


def test_resets_go_through_both_ways(world: World) -> None:
    """A guest's reset is one for the host's side, and the other way round."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]))
    host = world.accept(server)
    connection.reset()
    with pytest.raises(ConnectionResetError):
        host.recv(10)
    connection = world.guest.connect(6001, (GATEWAY, server.getsockname()[1]))
    host = world.accept(server)
    host.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    host.close()
    world.guest.until(lambda: connection.state == "reset")
    assert not world.network.connections


@pytest.mark.parametrize("payload", [1460, 65000])
def test_much_data_both_ways(payload: int, world: World) -> None:
    """A megabyte each way at once, in segments of either size, arrives whole."""
    world.network.largest_payload = payload
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]))
    host = world.accept(server)
    host.setblocking(False)
    down, up = random.Random(1).randbytes(1 << 20), random.Random(2).randbytes(1 << 20)
    connection.write(up)
    got, sent = bytearray(), 0
    while len(got) < len(up) or len(connection.received) < len(down):
        with suppress(BlockingIOError):
            sent += host.send(down[sent : sent + 100000])
        with suppress(BlockingIOError):
            got += host.recv(100000)
        world.loop.run(0.001)
    assert got == up
    assert connection.received == down
    assert any(len(frame) > 1514 for frame in world.guest.frames) == (payload > 1460)


def test_a_slow_host_closes_the_guests_window(world: World) -> None:
    """Nobody reads on the host's side: the guest can send so much and no more; then it goes on."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]))
    host = world.accept(server)
    data = random.Random(1).randbytes(16 << 20)
    connection.write(data)
    world.guest.settle(20)
    assert connection.outgoing
    assert connection.their_window < 1460
    held = next(iter(world.network.connections.values()))
    assert len(held.to_host) <= 256 << 10
    got = bytearray()
    host.settimeout(0)
    while len(got) < len(data):
        try:
            got += host.recv(1 << 20)
        except BlockingIOError:
            world.loop.run(0.01)
    assert got == data


def test_a_slow_guest_holds_the_host_back(world: World) -> None:
    """The guest's window is never overrun; a shut one is probed; a card without room makes the socket wait."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]), window=5000)
    host = world.accept(server)
    connection.deaf = True
    host.setblocking(False)
    data = random.Random(1).randbytes(8 << 20)
    sent = 0
    for _ in range(50):
        with suppress(BlockingIOError):
            sent += host.send(data[sent:])
        world.loop.run(0.001)
    held = next(iter(world.network.connections.values()))
    assert len(held.to_guest) <= 256 << 10
    assert sent < len(data)
    first = len(world.guest.frames)
    connection.deaf = False
    connection.window = 0xFFFF
    world.loop.advance(3_000_000_000)  # it was all lost: sent again
    world.guest.until(lambda: len(connection.received) >= 100_000)
    assert len(world.guest.frames) > first
    world.guest.room = 0  # the card has no room
    world.guest.settle()
    assert not world.network.connections or world.network.congested
    world.guest.room = 1 << 30
    world.network.resume()
    while len(connection.received) < len(data):
        with suppress(BlockingIOError):
            sent += host.send(data[sent : sent + 500_000])
        world.loop.run(0.001)
    assert connection.received == data


def test_a_shut_window_is_probed(world: World) -> None:
    """The guest tells a window of zero, and that it is open again in a segment that is lost."""
    server = world.tcp_server()
    connection = world.guest.connect(6000, (GATEWAY, server.getsockname()[1]), window=0)
    host = world.accept(server)
    host.sendall(b"0123456789")
    world.guest.settle()
    assert connection.received == b""
    connection.window = 1000
    world.loop.advance(4_000_000_000)
    world.guest.until(lambda: connection.received == b"0123456789")


def test_a_forwarded_tcp_port(world: World) -> None:
    """hostfwd: a client on the host reaches a server in the guest; the guest sees the router."""
    opened = world.network.forward(Forward("tcp", "", 0, "", 8080))
    assert opened.host == LOCAL
    world.guest.ports.add(8080)
    client = socket.create_connection((LOCAL, opened.host_port), timeout=20)
    world.sockets.append(client)
    world.guest.until(lambda: world.guest.connections)
    connection = next(iter(world.guest.connections.values()))
    assert connection.remote[0] == GATEWAY
    client.sendall(b"request")
    world.guest.until(lambda: connection.received == b"request")
    connection.write(b"response")
    assert client.recv(100) == b"response"
    connection.finish()
    assert client.recv(100) == b""
    client.close()
    world.guest.until(lambda: connection.ended)


def test_a_forwarded_port_that_the_guest_does_not_serve(world: World) -> None:
    """The guest's reset is the client's; a guest that does not answer yet is asked again."""
    opened = world.network.forward(Forward("tcp", "", 0, "", 8080))
    client = socket.create_connection((LOCAL, opened.host_port), timeout=20)
    world.sockets.append(client)
    world.guest.until(lambda: world.guest.resets)
    with pytest.raises(ConnectionResetError):
        client.recv(10)
    world.guest.room = 0
    client = socket.create_connection((LOCAL, opened.host_port), timeout=20)
    world.sockets.append(client)
    world.guest.settle()
    world.network.forget_waiting()  # as a card that is being set up
    world.guest.room = 1 << 30
    world.guest.ports.add(8080)
    world.loop.advance(4_000_000_000)
    world.guest.until(lambda: any(c.state == "established" for c in world.guest.connections.values()))


def test_a_forwarded_udp_port(world: World) -> None:
    """Datagrams from the host reach the guest; its answers go to whom they are for."""
    opened = world.network.forward(Forward("udp", "", 0, "", 9999))
    clients = [world.udp_server() for _ in range(2)]
    world.sockets += clients
    world.guest.resolve()
    for number, client in enumerate(clients):
        client.sendto(b"to the guest %d" % number, (LOCAL, opened.host_port))
        world.guest.until(lambda: world.guest.datagrams)
        source, port, ours, data = world.guest.datagrams.pop()
        assert (source, ours, data) == (GATEWAY, 9999, b"to the guest %d" % number)
        world.guest.send_udp(9999, (source, port), b"back %d" % number)
        assert client.recv(100) == b"back %d" % number


def test_restrict(world: World) -> None:
    """Nothing gets out, but DHCP, the router's ping and forwarded ports work."""
    world.reopen(UserOptions(restrict=True, forwards=(Forward("tcp", "", 0, "", 80),)))
    guest = world.guest
    server = world.tcp_server()
    assert guest.connect(6000, (GATEWAY, server.getsockname()[1])).state == "reset"
    guest.send_udp(1000, (DNS, 53), b"query")
    assert [message[:2] for _, message in guest.icmp] == [b"\3\x0d"]
    guest.send_udp(68, (b"\xff" * 4, 67), dhcp(1))
    assert guest.datagrams
    guest.ping(GATEWAY, b"x")
    assert guest.icmp[-1][1][0] == 0
    guest.ports.add(80)
    client = socket.create_connection((LOCAL, world.network.forwards[0].host_port), timeout=20)
    world.sockets.append(client)
    guest.until(lambda: any(c.state == "established" for c in guest.connections.values()))


def test_another_network_and_wrong_ones(world: World) -> None:
    """Addresses as told; what cannot be is one clear error, and a taken port, too."""
    options = UserOptions(network="192.168.7.0", prefix=28, gateway="192.168.7.1", host_name="box", boot_file="uboot")
    world.reopen(options)
    answer = world.network.dhcp.answer(dhcp(1))
    assert answer is not None
    assert answer[1][16:20] == bytes([192, 168, 7, 4])
    assert b"\x0c\x03box" in answer[1]
    assert answer[1][108:113] == b"uboot"
    taken = world.tcp_server().getsockname()[1]
    for wrong, complaint in (
        (UserOptions(network="10.0.2"), "no IPv4 address"),
        (UserOptions(prefix=31), "8 to 29"),
        (UserOptions(gateway="10.0.3.2"), "not in the network"),
        (UserOptions(dns="10.0.2.2"), "need an address each"),
        (UserOptions(forwards=(Forward("tcp", "", taken, "", 80),)), f"hostfwd=tcp:{LOCAL}:{taken}"),
        (UserOptions(forwards=(Forward("udp", "nonsense", 1, "", 80),)), "hostfwd=udp:nonsense"),
    ):
        with pytest.raises(NetError, match=complaint):
            UserNetwork("net1", world.loop, world.loop, wrong)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=120), st.integers(0, 255)), max_size=8))
def test_random_frames(frames: list[tuple[int, bytes, int]]) -> None:
    """Whatever a guest sends: nothing is raised, nothing grows without bound."""
    loop = Loop()
    network = UserNetwork("net0", loop, loop, UserOptions(restrict=True))
    guest = Guest(network, loop)
    network.receive = lambda frame: True
    guest.router = network.mac
    for kind, data, number in frames:
        if kind == 0:
            network.send(data)
        elif kind == 1:
            network.send(network.mac + MAC + b"\x08\0" + data)
        elif kind == 2:
            network.send(network.mac + MAC + b"\x08\0" + bytes([0x45, 0, 0, 20 + len(data)]) + bytes(16) + data)
        elif kind == 3:
            guest.send(number, GATEWAY, data)
        elif kind == 4:
            guest.send_udp(68, (GATEWAY, 67), dhcp(number, data))
        else:
            guest.send(17, GATEWAY, data, number, number << 8 | number)
        network.flush()
    network.close()


def test_random_segments(world: World) -> None:
    """A connection is sent segments with random numbers, flags and data: it survives, or is reset."""
    server = world.tcp_server()
    chance = random.Random(5)
    for port in range(7000, 7030):
        connection = world.guest.connect(port, (GATEWAY, server.getsockname()[1]))
        host = world.accept(server)
        host.setblocking(False)
        for _ in range(40):
            sequence = connection.next + chance.choice((0, 0, 0, 1, -1, -1000, 1000, 1 << 31, chance.getrandbits(32)))
            acknowledged = connection.expected + chance.choice((0, 0, 1, -1, 1 << 31, 100000))
            flags = chance.choice((ACK, ACK, ACK | FIN, ACK | SYN, SYN, 0, chance.getrandbits(8) & ~4))
            payload = chance.randbytes(chance.choice((0, 1, 1000, 30000)))
            options = chance.choice((b"", bytes(4), b"\3\0\0\0", b"\2\xff\0\0", chance.randbytes(8)))
            ends = ((GUEST, port), connection.remote)
            segment = tcp(*ends, sequence, acknowledged, flags, chance.getrandbits(16), payload, options)
            connection.deaf = True
            world.guest.send(TCP, GATEWAY, segment)
            world.network.flush()
            world.loop.run(0)
    world.loop.advance(10_000_000_000)
    assert len(world.network.connections) <= 30
