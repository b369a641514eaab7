"""virtio-blk (virtio 1.2, section 5.2): a disk over a `BlockBackend`."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.hw.block.backend import BlockBackend, BlockError
from runtime.hw.device import DeviceError
from runtime.hw.registry import Option
from runtime.hw.virtio.buffers import Reader, RequestError, Writer
from runtime.hw.virtio.device import VirtioDevice
from runtime.hw.virtio.queue import Chain, Queue

if TYPE_CHECKING:
    from runtime.hw.device import Platform

__all__ = ["VirtioBlk"]

#: features (5.2.3)
SEGMENTS, READ_ONLY, BLOCK_SIZE, FLUSH, TOPOLOGY = 1 << 2, 1 << 5, 1 << 6, 1 << 9, 1 << 10
CONFIG_WCE, DISCARD, WRITE_ZEROES = 1 << 11, 1 << 13, 1 << 14

#: request types (5.2.6)
IN, OUT, FLUSH_REQUEST, GET_ID, DISCARD_REQUEST, WRITE_ZEROES_REQUEST = 0, 1, 4, 8, 11, 13

OK, IO_ERROR, UNSUPPORTED = 0, 1, 2

UNMAP = 1

SECTOR = 512
#: bytes moved at a time, so that a request needs no memory of its size
PIECE = 1 << 20
#: sectors in one discard or write-zeroes range, and how many ranges in a request
MOST_SECTORS, MOST_RANGES = 1 << 22, 64


class VirtioBlk(VirtioDevice):
    """A disk.  A request is done when `handle` returns: nothing is ever in flight, so a saved state is complete."""

    kind = "virtio-blk"
    device_id = 2
    OPTIONS = (
        Option("drive", "drive", help="the -drive whose image it is"),
        Option("serial", default="", help="serial number, up to 20 characters"),
        Option("packed", "bool", False, help="offer packed queues"),
    )
    queue_sizes = (256,)

    def __init__(self, backend: BlockBackend, *, serial: str = "", packed: bool = False) -> None:
        super().__init__(packed=packed)
        self.backend = backend
        self.serial = serial.encode("utf-8", "surrogateescape")[:20]
        self.writeback = True

    @classmethod
    def make(cls, platform: Platform, name: str, values: Mapping[str, Any]) -> VirtioBlk:
        """By `-device`; DeviceError."""
        if values["drive"] is None:
            raise DeviceError(f"-device {name}: it needs drive=ID of a -drive with if=none")
        return cls(values["drive"], serial=values["serial"], packed=values["packed"])

    def close(self) -> None:
        """Close the image."""
        self.backend.close()

    def own_features(self) -> int:
        """What the disk can."""
        features = SEGMENTS | BLOCK_SIZE | FLUSH | TOPOLOGY | CONFIG_WCE
        if self.backend.read_only:
            return features | READ_ONLY
        return features | DISCARD | WRITE_ZEROES

    def config(self) -> bytes:
        """5.2.4."""
        segments = self.queues[0].maximum - 2
        return struct.pack(
            "<QIIHBBIBBHIBxHIIIIIBxxx",
            self.backend.size // SECTOR,
            0,
            segments,
            0,  # geometry: cylinders, heads, sectors
            0,
            0,
            SECTOR,
            0,  # topology: physical block exponent, alignment offset, least and best transfer
            0,
            1,
            0,
            int(self.writeback),
            1,
            MOST_SECTORS,
            MOST_RANGES,
            max(1, self.backend.granularity // SECTOR),
            MOST_SECTORS,
            MOST_RANGES,
            1,
        )

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver chooses between write-back and write-through."""
        if offset == 32 and self.has(CONFIG_WCE):
            self.writeback = bool(data[0])

    def stopped(self) -> None:
        """A new driver finds the cache on."""
        self.writeback = True

    def save_own(self) -> dict[str, Any]:
        """How it caches, and what is not in the image."""
        return {"writeback": self.writeback, "size": self.backend.size, "disk": self.backend.save()}

    def load_own(self, state: Mapping[str, Any]) -> None:
        """What `save_own` gave; DeviceError if the disk is another."""
        if state["size"] != self.backend.size:
            raise DeviceError(f"{self.backend.name}: the saved machine's disk had {state['size']} bytes")
        self.writeback = state["writeback"]
        self.backend.load(state["disk"])

    def handle(self, queue: Queue) -> None:
        """Serve every request."""
        while (chain := self.pop(queue)) is not None:
            self.push(queue, chain, self._serve(chain))
        self.interrupt(queue)

    def _serve(self, chain: Chain) -> int:
        """One request; how many bytes were written into it."""
        reader, writer = self.reader(chain), self.writer(chain)
        kind, _, sector = struct.unpack("<IIQ", reader.exactly(16, "virtio-blk: a request's header"))
        room = writer.remaining - 1
        if room < 0:
            raise RequestError("virtio-blk: a request without room for its status")
        try:
            status = self._request(kind, sector, reader, writer, room)
        except BlockError:
            status = IO_ERROR
        writer.skip(writer.remaining - 1)
        writer.write(bytes([status]))
        return room + 1 if status == OK and kind in (IN, GET_ID) else 1

    def _request(self, kind: int, sector: int, reader: Reader, writer: Writer, room: int) -> int:
        backend = self.backend
        if kind == IN:
            if not self._in_range(sector, room):
                return IO_ERROR
            place = sector * SECTOR
            while room:
                size = min(room, PIECE)
                writer.write(backend.read(place, size))
                place, room = place + size, room - size
        elif kind == OUT:
            if backend.read_only or not self._in_range(sector, reader.remaining):
                return IO_ERROR
            place = sector * SECTOR
            while reader.remaining:
                data = reader.read(min(reader.remaining, PIECE))
                backend.write(place, data)
                place += len(data)
            if not self._caches():
                backend.flush()
        elif kind == FLUSH_REQUEST:
            backend.flush()
        elif kind == GET_ID:
            writer.write(self.serial.ljust(20, b"\0")[:room])
        elif kind in (DISCARD_REQUEST, WRITE_ZEROES_REQUEST):
            return UNSUPPORTED if backend.read_only else self._ranges(kind, reader)
        else:
            return UNSUPPORTED
        return OK

    def _caches(self) -> bool:
        """5.2.6.2: without FLUSH the device writes through; else as the driver has set it."""
        return self.has(FLUSH) and (self.writeback or not self.has(CONFIG_WCE))

    def _in_range(self, sector: int, size: int) -> bool:
        return size % SECTOR == 0 and sector * SECTOR + size <= self.backend.size

    def _ranges(self, kind: int, reader: Reader) -> int:
        """Discard or write zeroes (5.2.6)."""
        if reader.remaining == 0 or reader.remaining % 16 or reader.remaining > 16 * MOST_RANGES:
            return IO_ERROR
        while reader.remaining:
            sector, sectors, flags = struct.unpack("<QII", reader.read(16))
            if flags & ~UNMAP or (kind == DISCARD_REQUEST and flags):
                return UNSUPPORTED
            if sectors > MOST_SECTORS or not self._in_range(sector, sectors * SECTOR):
                return IO_ERROR
            if kind == DISCARD_REQUEST:
                self.backend.discard(sector * SECTOR, sectors * SECTOR)
            else:
                self.backend.write_zeroes(sector * SECTOR, sectors * SECTOR, unmap=bool(flags & UNMAP))
        if not self._caches():
            self.backend.flush()
        return OK
