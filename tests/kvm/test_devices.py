"""Devices driven by a processor on KVM: the same registers read, the same happened, as without any processor.

The guest makes one access after the other, as it is told through its memory; what drives it is the code that drives the
device directly, too, and both have seen and done the same in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.core.accelerator import Idle
from runtime.hw.block.images import open_image
from runtime.hw.bus import AddressSpace, Memory
from runtime.hw.characters import Recorder
from runtime.hw.clock import ManualClock
from runtime.hw.device import Device
from runtime.hw.dma import Dma
from runtime.hw.ide import IdeChannel
from runtime.hw.irq import Line
from runtime.hw.net.link import Link
from runtime.hw.ns16550 import Ns16550
from runtime.hw.virtio.mmio import VirtioMmio
from runtime.hw.virtio.net import VirtioNet
from tests.hw.virtio.driver import RAM, RAM_SIZE, Driver, Wire
from tests.kvm.guests import TO_FLAT, Guest
from tests.kvm.kvm import require_kvm

ORDER = 0x6000  # what to do, where, the value
MMIO = 0xC800_0000
MAC = bytes.fromhex("525400123456")

_OBEYS = f"""{TO_FLAT}
again:  hlt
        mov {ORDER:#x}, %ecx
        mov {ORDER + 4:#x}, %edx
        mov {ORDER + 8:#x}, %eax
        jmp *places(,%ecx,4)
done:   mov %eax, {ORDER + 8:#x}
        jmp again
inb:    in %dx, %al
        jmp done
inw:    in %dx, %ax
        jmp done
inl:    in %dx, %eax
        jmp done
outb:   out %al, %dx
        jmp done
outw:   out %ax, %dx
        jmp done
outl:   out %eax, %dx
        jmp done
loadb:  mov (%edx), %al
        jmp done
loadw:  mov (%edx), %ax
        jmp done
loadl:  mov (%edx), %eax
        jmp done
storeb: mov %al, (%edx)
        jmp done
storew: mov %ax, (%edx)
        jmp done
storel: mov %eax, (%edx)
        jmp done
        .balign 4
places: .long inb, inw, inl, outb, outw, outl, loadb, loadw, loadl, storeb, storew, storel
"""
_SIZES = {1: 0, 2: 1, 4: 2}


class Hands:
    """A guest that makes the accesses it is told to; `seen` is what it read."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.seen: list[int] = []
        assert guest.run() == Idle(None)

    def _do(self, order: int, address: int, value: int = 0) -> int:
        ram = self.guest.ram.bytes
        ram[ORDER : ORDER + 12] = b"".join(word.to_bytes(4, "little") for word in (order, address, value))
        assert self.guest.run() == Idle(None)
        return int.from_bytes(ram[ORDER + 8 : ORDER + 12], "little")

    def read(self, address: int, size: int, *, port: bool = False) -> int:
        value = self._do((0 if port else 6) + _SIZES[size], address) & ((1 << 8 * size) - 1)
        self.seen.append(value)
        return value

    def write(self, address: int, size: int, value: int, *, port: bool = False) -> None:
        self._do((3 if port else 9) + _SIZES[size], address, value)


class Direct:
    """The same accesses without a processor."""

    def __init__(self, memory: AddressSpace, ports: AddressSpace) -> None:
        self.memory, self.ports = memory, ports
        self.seen: list[int] = []

    def read(self, address: int, size: int, *, port: bool = False) -> int:
        value = (self.ports if port else self.memory).read(address, size)
        self.seen.append(value)
        return value

    def write(self, address: int, size: int, value: int, *, port: bool = False) -> None:
        (self.ports if port else self.memory).write(address, size, value)


Hand = Hands | Direct


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    require_kvm(f"a {request.node.name.removeprefix('test_')} driven by a processor on KVM")
    made = Guest(_OBEYS, "obeys")
    yield made
    made.close()


def both(guest: Guest, drive: Callable[[Hand, AddressSpace, AddressSpace], object]) -> tuple[object, object]:
    """What came of driving a device each way; what was read must be the same."""
    memory, ports = AddressSpace("memory"), AddressSpace("ports", 16, floating=(1 << 64) - 1)
    hands, direct = Hands(guest), Direct(memory, ports)
    results = drive(hands, guest.bus, guest.ports), drive(direct, memory, ports)
    assert hands.seen == direct.seen
    assert hands.seen, "something was read"
    return results


def test_uart(guest: Guest) -> None:
    def drive(hand: Hand, memory: AddressSpace, ports: AddressSpace) -> object:
        host, line, clock = Recorder(), Line("irq"), ManualClock()
        uart: Device = Ns16550("serial0", host, line, clock, 8)
        ports.add_device(0x3F8, uart)
        levels = []
        line.connect(levels.append)

        def get(register: int) -> int:
            return hand.read(0x3F8 + register, 1, port=True)

        def put(register: int, value: int) -> None:
            hand.write(0x3F8 + register, 1, value, port=True)

        put(3, 0x83)
        put(0, 12)
        put(3, 3)
        put(2, 7)
        put(1, 3)
        get(2)
        for byte in b"by a processor":
            while not get(5) & 0x20:
                pass
            put(0, byte)
        host.feed(b"answer")
        clock.advance(10**9)
        get(2)
        answer = bytes(get(0) for _ in range(7) if get(5) & 1)
        put(4, 0x10)  # loops back
        put(0, ord("l"))
        get(0)
        get(6)
        return host.written, answer, levels

    through, plain = both(guest, drive)
    assert through == plain
    assert isinstance(through, tuple)
    assert through[:2] == (b"by a processor", b"answer")


def test_disk(guest: Guest, tmp_path: Path) -> None:
    count = 0

    def drive(hand: Hand, memory: AddressSpace, ports: AddressSpace) -> object:
        nonlocal count
        count += 1
        path = tmp_path / f"disk{count}"
        path.write_bytes(b"".join(bytes([sector]) * 512 for sector in range(64)))
        channel = IdeChannel("ide0", Line("irq"))
        channel.plug(0, open_image(str(path), format="raw"))
        ports.add_device(0x1F0, channel)

        def command(code: int, sector: int) -> None:
            for register, value in ((6, 0xE0), (2, 1), (3, sector), (4, 0), (5, 0), (7, code)):
                hand.write(0x1F0 + register, 1, value, port=True)
            assert hand.read(0x1F7, 1, port=True) & 0x89 == 0x08

        command(0xEC, 0)
        identity = [hand.read(0x1F0, 2, port=True) for _ in range(256)]
        command(0x20, 33)
        read = [hand.read(0x1F0, 4, port=True) for _ in range(128)]
        command(0x30, 7)
        for word in range(256):
            hand.write(0x1F0, 2, word, port=True)
        hand.read(0x1F7, 1, port=True)
        hand.write(0x1F7, 1, 0xE7, port=True)
        hand.read(0x1F7, 1, port=True)
        channel.close()
        return identity, read, path.read_bytes()

    through, plain = both(guest, drive)
    assert through == plain
    assert isinstance(through, tuple)
    assert through[1] == [0x21212121] * 128
    assert through[2][7 * 512 : 8 * 512] == b"".join(word.to_bytes(2, "little") for word in range(256))


class NetDriver(Driver):
    """The driver of the unit tests; registers are reached by a hand, and rings are in the machine's memory."""

    def __init__(self, hand: Hand, memory: AddressSpace, device: VirtioNet) -> None:
        super().__init__(device, start=False)
        self.hand = hand
        memory.add_ram(RAM, Memory("more", RAM_SIZE))
        dma = Dma(memory)
        self.ram, self.wire = dma, Wire()
        self.slot = VirtioMmio("slot", dma, self.wire, device)
        memory.add_device(MMIO, self.slot)
        self.start()

    def load(self, offset: int) -> int:
        return self.hand.read(MMIO + offset, 4)

    def store(self, offset: int, value: int) -> None:
        self.hand.write(MMIO + offset, 4, value)


class Sink(Link):
    """A network that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__("sink")
        self.sent: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(bytes(frame))


def test_network_card(guest: Guest) -> None:
    def drive(hand: Hand, memory: AddressSpace, ports: AddressSpace) -> object:
        link = Sink()
        driver = NetDriver(hand, memory, VirtioNet(link, MAC))
        receive, transmit = driver.rings[:2]
        room = driver.allocate(2048)
        receive.add((room, 2048, True))
        receive.kick()
        frame = bytes(range(100))
        transmit.add((driver.put(bytes(12) + frame), 112, False))
        transmit.kick()
        done = transmit.take()
        link.deliver(frame[::-1])
        causes = driver.acknowledge()
        came = receive.take()
        words = [hand.read(room + 12 + at, 4) for at in range(0, 100, 4)]  # the frame, by the processor's own loads
        return link.sent, done, came, causes, words, driver.wire.rises

    through, plain = both(guest, drive)
    assert through == plain
    assert isinstance(through, tuple)
    assert through[0] == [bytes(range(100))]
    assert b"".join(word.to_bytes(4, "little") for word in through[4]) == bytes(range(100))[::-1]
