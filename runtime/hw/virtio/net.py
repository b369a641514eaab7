"""virtio-net (virtio 1.2, section 5.1): a network card with one pair of queues, on a `Link`."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.hw.device import DeviceError
from runtime.hw.net.link import Link
from runtime.hw.registry import Option
from runtime.hw.virtio.buffers import RequestError
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Chain, Queue

if TYPE_CHECKING:
    from runtime.hw.device import Platform

__all__ = ["VirtioNet"]

#: features (5.1.3)
CHECKSUM, GUEST_CHECKSUM, MAC, GUEST_TSO4, HOST_TSO4 = 1 << 0, 1 << 1, 1 << 5, 1 << 7, 1 << 11
MERGE, STATUS, CONTROL_QUEUE, CONTROL_MAC = 1 << 15, 1 << 16, 1 << 17, 1 << 23

RECEIVE, TRANSMIT, CONTROL = 0, 1, 2

#: flags and kinds in the header in front of a frame (5.1.6)
NEEDS_CHECKSUM, DATA_VALID, GSO_NONE, GSO_TCPV4 = 1, 2, 0, 1
_HEADER = struct.Struct("<BBHHHHH")

#: an Ethernet frame, and the largest with segments that are yet to be cut
MOST_FRAME, MOST_SEGMENTS = 1514, 65536 + 18
TCP_START = 14 + 20  # of a frame of the user-mode network


class VirtioNet(VirtioDevice):
    """A card.  Checksums and cutting up segments are left out where the link needs neither."""

    kind = "virtio-net"
    device_id = 1
    OPTIONS = (
        Option("netdev", "netdev", help="the -netdev that it is plugged into"),
        Option("mac", default="", help="its address; default: 52:54:00:12:34:56 and up"),
        Option("packed", "bool", False, help="offer packed queues"),
    )
    queue_sizes = (256, 256, 64)

    def __init__(self, link: Link, mac: bytes, *, packed: bool = False) -> None:
        super().__init__(packed=packed)
        self.link = link
        self.first_mac = self.mac = mac
        self.up = True
        link.receive = self.receive

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioNet:
        """By `-device`; DeviceError."""
        link: Link = values["netdev"] or Link("none")
        if values["mac"]:
            mac = parse_mac(f"-device {name}", values["mac"])
        else:
            mac = (0x5254_0012_3456 + link.number).to_bytes(6, "big")
        return cls(link, mac, packed=values["packed"])

    def close(self) -> None:
        """Leave the network."""
        self.link.close()

    def own_features(self) -> int:
        """What the card and its link can."""
        features = MAC | STATUS | MERGE | CONTROL_QUEUE | CONTROL_MAC
        if self.link.offloads:
            features |= CHECKSUM | GUEST_CHECKSUM | GUEST_TSO4 | HOST_TSO4
        return features

    def config(self) -> bytes:
        """5.1.4: the address, and whether the cable is in."""
        return self.mac + struct.pack("<HHH", int(self.up), 1, 1500)

    def set_link(self, up: bool) -> None:
        """Pull the cable, or plug it in."""
        if up != self.up:
            self.up = up
            self.config_changed()

    def started(self) -> None:
        """The driver says how large a frame may be."""
        whole = self.has(GUEST_TSO4) and self.has(GUEST_CHECKSUM)
        self.link.largest_payload = 65000 if whole else 1460

    def stopped(self) -> None:
        """Nobody listens."""
        self.mac = self.first_mac
        self.link.largest_payload = 1460
        self.link.forget_waiting()

    def handle(self, queue: Queue) -> None:
        """Send, take the driver's commands, or go on receiving."""
        if queue.index == RECEIVE:
            self.link.resume()
        elif queue.index == TRANSMIT:
            self._transmit(queue)
        else:
            self._control(queue)

    def _transmit(self, queue: Queue) -> None:
        sent = False
        while (chain := self.pop(queue)) is not None:
            reader = self.reader(chain)
            reader.exactly(_HEADER.size, "virtio-net: a packet's header")
            if reader.remaining > MOST_SEGMENTS:
                raise RequestError(f"virtio-net: a packet of {reader.remaining} bytes")
            frame = reader.read(reader.remaining)
            self.push(queue, chain, 0)
            sent = True
            if self.up:
                self.link.send(frame)
        if sent:
            self.interrupt(queue)
            self.link.flush()

    def receive(self, frame: bytes) -> bool:
        """A frame for the guest; False if there is no room for it now."""
        if not self.running:
            return False
        taken = True

        def work() -> None:
            nonlocal taken
            taken = self._receive(frame)

        if self.up:
            self.guarded(work)
        return taken

    def _receive(self, frame: bytes) -> bool:
        queue = self.queues[RECEIVE]
        size = _HEADER.size + len(frame)
        chains: list[Chain] = []
        room = 0
        while room < size:
            chain = self.pop(queue)
            if chain is None:
                for taken in reversed(chains):
                    queue.unpop(taken)
                return False
            chains.append(chain)
            room += sum(length for _, length in chain.writable)
            if not self.has(MERGE) or len(chains) == queue.size:
                break
        if room < size:  # 5.1.6.3.1: the buffers are too small, so that it cannot be received at all
            self.push(queue, chains[0], 0)
            for chain in chains[1:]:
                self.push(queue, chain, 0)
            return True
        data = self._header(frame, len(chains)) + frame
        for chain in chains:
            written = self.writer(chain).write(data)
            data = data[written:]
            self.push(queue, chain, written)
        self.interrupt(queue)
        return True

    def _header(self, frame: bytes, buffers: int) -> bytes:
        if len(frame) > MOST_FRAME:
            headers = TCP_START + (frame[TCP_START + 12] >> 4) * 4
            return _HEADER.pack(NEEDS_CHECKSUM, GSO_TCPV4, headers, 1460, TCP_START, 16, buffers)
        valid = self.link.offloads and self.has(GUEST_CHECKSUM)
        return _HEADER.pack(DATA_VALID if valid else 0, GSO_NONE, 0, 0, 0, 0, buffers)

    def _control(self, queue: Queue) -> None:
        """Commands (5.1.6.5): the address can be set; everything else is not offered."""
        while (chain := self.pop(queue)) is not None:
            reader, writer = self.reader(chain), self.writer(chain)
            command = reader.exactly(2, "virtio-net: a command")
            done = command == b"\1\1" and reader.remaining >= 6
            if done:
                self.mac = reader.read(6)
            self.push(queue, chain, writer.write(b"\0" if done else b"\1"))
        self.interrupt(queue)

    def save_own(self) -> dict[str, Any]:
        """The address the driver gave."""
        return {"mac": self.mac, "up": self.up}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave."""
        self.mac, self.up = state["mac"], state["up"]
        self.link.restored()
        if self.running:
            self.started()


def parse_mac(what: str, text: str) -> bytes:
    """An address as one writes it; DeviceError."""
    parts = text.replace("-", ":").split(":")
    try:
        mac = bytes(int(part, 16) for part in parts)
    except ValueError:
        mac = b""
    if len(mac) != 6 or mac[0] & 1:
        raise DeviceError(f"{what}: mac={text}: not the address of a card, such as 52:54:00:12:34:56")
    return mac
