"""Networks between machines, and a tap of the host's."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable

import pytest

from runtime.hw.net.link import Link, NetError
from runtime.hw.net.stream import DatagramLink, StreamLink
from runtime.hw.net.tap import TapLink
from tests.hw.net.guest import Loop


def collect(link: Link) -> list[bytes]:
    frames: list[bytes] = []
    link.receive = lambda frame: frames.append(frame) is None
    return frames


def settle(loop: Loop, condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        loop.run(0.02)
    raise AssertionError("nothing happens any more")


def test_two_machines_over_a_connection() -> None:
    """Frames go both ways; the listener takes another peer when the first has hung up."""
    loop = Loop()
    listener = StreamLink("a", loop, listen="127.0.0.1:0")
    for round_trip in range(2):
        caller = StreamLink("b", loop, connect=f":{listener.port}")
        here, there = collect(listener), collect(caller)
        frames = [bytes([round_trip]) * size for size in (14, 60, 1514, 65000)]
        for frame in frames:
            caller.send(frame)
        caller.flush()
        settle(loop, lambda here=here: len(here) == 4)
        assert here == frames
        listener.send(frames[1])
        listener.flush()
        settle(loop, lambda there=there: there)
        assert there == [frames[1]]
        caller.close()
        settle(loop, lambda: not listener.describe()["connected"])
    listener.close()
    assert not loop.callbacks


def test_a_peer_that_talks_nonsense_or_does_not_read() -> None:
    """It is hung up on; what it does not take is lost beyond a bound."""
    loop = Loop()
    listener = StreamLink("a", loop, listen="127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", listener.port)) as peer:
        settle(loop, lambda: listener.describe()["connected"])
        for _ in range(200):
            listener.send(bytes(60000))
            listener.flush()
        assert listener.dropped
        peer.sendall(struct.pack(">I", 1 << 30))
        settle(loop, lambda: not listener.describe()["connected"])
    listener.close()


def test_datagrams() -> None:
    """A frame each; what is no frame is dropped."""
    loop = Loop()
    first = DatagramLink("a", loop, local=":0", remote=":9")
    second = DatagramLink("b", loop, local=":0", remote=f"127.0.0.1:{first.port}")
    frames = collect(first)
    second.send(bytes(10))
    second.send(bytes(60))
    settle(loop, lambda: frames)
    assert frames == [bytes(60)]
    first.close()
    second.close()


@pytest.mark.parametrize("given", [{"listen": "nonsense"}, {"connect": "127.0.0.1:1"}, {"listen": "256.0.0.1:x"}])
def test_what_cannot_be(given: dict[str, str]) -> None:
    """One clear error."""
    with pytest.raises(NetError, match=r"^a: "):
        StreamLink("a", Loop(), **given)


def test_a_tap() -> None:
    """A frame that the host's kernel sends on the interface arrives (needs the right to make one)."""
    loop = Loop()
    with pytest.raises(NetError, match="at most 15"):
        TapLink("tap", loop, "a-name-that-is-too-long")
    try:
        tap = TapLink("tap", loop)
    except NetError as error:
        pytest.skip(f"no tap without rights: {str(error).partition(':')[2].strip()[:40]}")
    frames = collect(tap)
    assert tap.interface.startswith("tap")
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    try:
        _up(tap.interface)
        packet.bind((tap.interface, 3))
        packet.send(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + b"to the guest".ljust(46))
        settle(loop, lambda: any(frame[12:14] == b"\x88\xb5" for frame in frames))
        packet.settimeout(10)
        tap.send(b"\xff" * 6 + b"\2" * 6 + b"\x88\xb6" + b"from the guest".ljust(46))
        while (frame := packet.recv(2000))[12:14] != b"\x88\xb6":
            pass
        assert frame[14:28] == b"from the guest"
    finally:
        packet.close()
        tap.close()
        tap.close()


@pytest.mark.parametrize(
    ("call", "mend"), [("os.open", "-netdev user needs neither"), ("fcntl.ioctl", "ip tuntap add tap7 ")]
)
def test_a_tap_without_the_right_to_it(monkeypatch: pytest.MonkeyPatch, call: str, mend: str) -> None:
    """One line that names the mend."""

    def refuse(*arguments: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    if call == "fcntl.ioctl":
        monkeypatch.setattr("runtime.hw.net.tap.os.open", lambda *arguments: socket.socket().detach())
    monkeypatch.setattr(f"runtime.hw.net.tap.{call}", refuse)
    with pytest.raises(NetError, match="Operation not permitted") as error:
        TapLink("tap", Loop(), "tap7")
    assert mend in str(error.value)
    assert "\n" not in str(error.value)


def _up(interface: str) -> None:
    """What `ip link set up` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", interface.encode(), 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS
