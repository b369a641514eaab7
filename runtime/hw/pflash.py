"""Parallel NOR flash with Intel's command set (CFI, JEDEC JESD68; Intel's CFI primary command set 0x0001).

Two 16-bit chips side by side on a 32-bit bus: a command goes to both, and each answers in its half.
"""

from __future__ import annotations

import os

from runtime.hw.bus import Memory, Region
from runtime.hw.device import Device, DeviceError
from runtime.hw.device_tree import Node, wide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.hw.bus import AddressSpace
    from runtime.hw.device_tree import Place

_READY, _ERASE_ERROR, _PROGRAM_ERROR = 0x80, 0x20, 0x10
_READ_ARRAY, _READ_STATUS, _READ_ID, _QUERY = 0xFF, 0x70, 0x90, 0x98
_PROGRAM, _PROGRAM_OLD, _ERASE, _CLEAR, _LOCK, _BUFFER, _CONFIRM = 0x40, 0x10, 0x20, 0x50, 0x60, 0xE8, 0xD0
_MAKER, _CHIP = 0x89, 0x18
_BUFFER_BYTES = 2048


class Pflash(Device):
    """`memory` is what it holds; the file, if any, is kept up to date.  `sector`: an erase block of both chips."""

    kind = "cfi.pflash01"
    STATE = ("command", "status", "count", "start", "buffer", "contents")

    def __init__(
        self, name: str, size: int, sector: int = 256 << 10, path: str | None = None, read_only: bool = False
    ) -> None:
        super().__init__(name, size)
        self.sector = sector
        self.read_only = read_only
        self.memory = Memory(name, size)
        self.memory.erase()
        self.command = _READ_ARRAY
        self.status = _READY
        self.count = 0
        self.start = 0
        self.buffer: dict[str, int] = {}
        self._file = -1
        self._region: Region | None = None
        self._query = _query_table(size, sector)
        if path is not None:
            self._open(path)

    def _open(self, path: str) -> None:
        try:
            self._file = os.open(path, (os.O_RDONLY if self.read_only else os.O_RDWR) | os.O_CLOEXEC)
            length = os.fstat(self._file).st_size
            if length > self.size:
                raise DeviceError(
                    f"{path}: {length:#x} bytes do not fit the flash {self.name}, which has {self.size:#x}"
                )
            at = 0
            while piece := os.pread(self._file, 1 << 20, at):
                self.memory.bytes[at : at + len(piece)] = piece
                at += len(piece)
        except OSError as error:
            raise DeviceError(f"{path}: {error.strerror}") from error

    def map(self, space: AddressSpace, address: int) -> None:
        """Put it at an address: loads come from its memory until a command says otherwise."""
        self._region = space.add_flash(address, self.memory, self)

    @property
    def contents(self) -> bytes:
        """What it holds, for a snapshot; erased sectors take no room."""
        whole = self.memory.bytes
        erased = b"\xff" * self.sector
        sectors = range(0, self.size, self.sector)
        # As bytes: a memoryview compares item by item.
        return b"".join(
            at.to_bytes(8, "little") + piece
            for at in sectors
            if (piece := bytes(whole[at : at + self.sector])) != erased
        )

    @contents.setter
    def contents(self, data: bytes) -> None:
        step = 8 + self.sector
        if len(data) % step:
            raise DeviceError(f"{self.name}: the saved contents are of another flash")
        self.memory.erase()
        for at in range(0, len(data), step):
            place = int.from_bytes(data[at : at + 8], "little")
            if place % self.sector or place >= self.size:
                raise DeviceError(f"{self.name}: the saved contents are of another flash")
            self.memory.bytes[place : place + self.sector] = data[at + 8 : at + step]

    def _enter(self, command: int) -> None:
        self.command = command
        if self._region is not None:
            self._region.set_direct(command == _READ_ARRAY)

    # ------------------------------------------------------------ loads

    def read(self, offset: int, size: int) -> int:
        if self.command == _READ_ARRAY:
            return int.from_bytes(self.memory.bytes[offset : offset + size], "little")
        if self.command in (_READ_ID, _QUERY):
            whole = bytearray()
            for at in range(offset // 4, (offset + size - 1) // 4 + 1):
                whole += self._both(self._answer(at)).to_bytes(4, "little")
            return int.from_bytes(whole[offset % 4 : offset % 4 + size], "little")
        return int.from_bytes((self._both(self.status).to_bytes(4, "little") * 3)[offset % 4 :][:size], "little")

    def _answer(self, word: int) -> int:
        if self.command == _QUERY:
            return self._query.get(word & 0xFF, 0)
        return {0: _MAKER, 1: _CHIP}.get(word & 0xFF, 0)

    @staticmethod
    def _both(value: int) -> int:
        """What two chips answer alike."""
        return value | value << 16

    # ------------------------------------------------------------ stores

    def write(self, offset: int, size: int, value: int) -> None:
        byte = value & 0xFF
        if self.command in (_PROGRAM, _PROGRAM_OLD):
            self._program(offset, value.to_bytes(size, "little"))
            self._enter(_READ_STATUS)
        elif self.command == _ERASE:
            if byte == _CONFIRM:
                self._erase(offset)
            elif byte != _READ_ARRAY:
                self.status |= _ERASE_ERROR | _PROGRAM_ERROR
            self._enter(_READ_ARRAY if byte == _READ_ARRAY else _READ_STATUS)
        elif self.command == _LOCK:
            self._enter(_READ_ARRAY if byte == _READ_ARRAY else _READ_STATUS)  # locks are not kept
        elif self.command == _BUFFER:
            self._buffer(offset, size, value)
        else:
            self._begin(byte)

    def _begin(self, command: int) -> None:
        if command == _CLEAR:
            self.status = _READY
            self._enter(_READ_ARRAY)
        elif command in (_READ_STATUS, _READ_ID, _QUERY, _PROGRAM, _PROGRAM_OLD, _ERASE, _LOCK):
            self._enter(command)
        elif command == _BUFFER:
            self.count, self.start, self.buffer = -1, 0, {}
            self.status |= _READY
            self._enter(command)
        elif command in (_READ_ARRAY, 0x00, 0xF0):
            self._enter(_READ_ARRAY)
        else:
            self.complain(f"unknown command {command:#x}")
            self._enter(_READ_ARRAY)

    def _buffer(self, offset: int, size: int, value: int) -> None:
        """Write to buffer: a count less one of 16-bit words a chip, the data, and a confirmation."""
        if self.count == -1:
            words = (value & 0xFFFF) + 1
            if words * 4 > _BUFFER_BYTES:
                self.status |= _PROGRAM_ERROR
                self._enter(_READ_STATUS)
                return
            self.count, self.start = words * 4, offset
        elif self.count > 0:
            for index, byte in enumerate(value.to_bytes(size, "little")):
                self.buffer[str(offset + index)] = byte
            self.count = max(0, self.count - size)
        else:
            if value & 0xFF == _CONFIRM:
                for at, byte in self.buffer.items():
                    self._program(int(at), bytes((byte,)))
            else:
                self.status |= _PROGRAM_ERROR
            self.buffer = {}
            self._enter(_READ_STATUS)

    def _program(self, offset: int, data: bytes) -> None:
        """Programming only clears bits."""
        if self.read_only or offset + len(data) > self.size:
            self.status |= _PROGRAM_ERROR
            return
        old = self.memory.bytes[offset : offset + len(data)]
        new = bytes(a & b for a, b in zip(old, data, strict=True))
        self.memory.bytes[offset : offset + len(data)] = new
        self._store(offset, new)

    def _erase(self, offset: int) -> None:
        if self.read_only:
            self.status |= _ERASE_ERROR
            return
        start = offset // self.sector * self.sector
        self.memory.bytes[start : start + self.sector] = b"\xff" * self.sector
        self._store(start, b"\xff" * self.sector)

    def _store(self, offset: int, data: bytes) -> None:
        if self._file >= 0:
            try:
                os.pwrite(self._file, data, offset)
            except OSError as error:
                self.complain(f"cannot write its file: {error.strerror}")
                self.status |= _PROGRAM_ERROR

    # ------------------------------------------------------------ the rest

    def reset(self) -> None:
        self.status = _READY
        self.count, self.start, self.buffer = 0, 0, {}
        self._enter(_READ_ARRAY)

    def load(self, state: dict[str, object]) -> None:
        super().load(state)
        if not all(at.isdecimal() and 0 <= byte < 256 for at, byte in self.buffer.items()):
            raise DeviceError(f"{self.name}: the saved buffer is wrong")
        self._enter(self.command)

    def device_tree_node(self, place: Place) -> Node:
        return place.node("flash", "cfi-flash").set("bank-width", 4)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def pair_node(first: Pflash, second: Pflash, address: int) -> Node:
    """One node for two banks that adjoin."""
    node = Node(f"flash@{address:x}").set("compatible", "cfi-flash").set("bank-width", 4)
    return node.set("reg", *wide(address), *wide(first.size), *wide(address + first.size), *wide(second.size))


def _query_table(size: int, sector: int) -> dict[int, int]:
    """What each chip answers to a query (JESD68, section 4): word address -> byte."""
    chip, block = size // 2, sector // 2
    blocks = chip // block - 1
    table = {0x10: ord("Q"), 0x11: ord("R"), 0x12: ord("Y")}
    table |= {0x13: 0x01, 0x15: 0x31}  # primary command set 1, its table at 0x31
    table |= {0x1B: 0x45, 0x1C: 0x55, 0x1F: 7, 0x20: 7, 0x21: 10, 0x23: 4, 0x24: 4, 0x25: 4}  # volts, times
    table |= {0x27: chip.bit_length() - 1, 0x28: 0x02, 0x29: 0x00}
    table |= {0x2A: (_BUFFER_BYTES // 2).bit_length() - 1, 0x2B: 0, 0x2C: 1}
    table |= {0x2D: blocks & 0xFF, 0x2E: blocks >> 8, 0x2F: block >> 8 & 0xFF, 0x30: block >> 16 & 0xFF}
    table |= {0x31: ord("P"), 0x32: ord("R"), 0x33: ord("I"), 0x34: ord("1"), 0x35: ord("0")}
    table[0x3F] = 0x01  # protection registers
    return table
