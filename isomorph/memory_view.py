"""`emulator.mem`: the guest's memory from Python, whatever the guest's own permissions are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from isomorph.errors import MemoryAccessError, MemoryMapError
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import PAGE_SIZE, GuestMemory, Region, page_down, page_up

_LETTERS = {"r": PAGE_READ, "w": PAGE_WRITE, "x": PAGE_EXEC, "-": 0}


def permission_bits(permissions: str) -> int:
    """`"rw"`, `"r-x"` ... as bits; MemoryMapError for other letters."""
    if not isinstance(permissions, str):
        raise TypeError(f"permissions are letters, as in 'rw' or 'r-x', not {permissions!r}")
    bits = 0
    for letter in permissions:
        if letter not in _LETTERS:
            raise MemoryMapError(f"permissions {permissions!r}: use the letters r, w and x, as in 'rw' or 'r-x'")
        bits |= _LETTERS[letter]
    return bits


class Memory:
    """Guest memory: `map` pages, then `read`, `write`, or slices: `mem[0x1000:0x1010]`, `mem[0x1000:0x1003] = b"abc"`.

    An end left out is that of the mapped range (reading) or of the data (writing).  `mem[a]` is one byte as an int.
    """

    def __init__(self, memory: GuestMemory, big_endian: bool = False) -> None:
        self._memory = memory
        #: the guest's byte order
        self.order: Literal["big", "little"] = "big" if big_endian else "little"

    # ------------------------------------------------------------ the map

    def map(self, address: int, size: int, permissions: str = "rwx", *, name: str = "") -> None:
        """Map zeroed pages where nothing is mapped yet; address and size are whole pages of 4096 bytes."""
        self._check_pages("map", address, size)
        for region in self._memory.regions():
            if region.start < address + size and address < region.end:
                raise MemoryMapError(
                    f"cannot map {size:#x} bytes at {address:#x}: {region.start:#x}..{region.end:#x} is mapped; "
                    "unmap it first, or choose another address"
                )
        self._memory.map(address, size, permission_bits(permissions), name)

    def unmap(self, address: int, size: int) -> None:
        """Unmap whole pages, all of which must be mapped."""
        self._check_pages("unmap", address, size)
        self._check_mapped("unmap", address, size)
        self._memory.unmap(address, size)

    def protect(self, address: int, size: int, permissions: str) -> None:
        """Change what the guest may do with mapped pages; Python may always read and write them."""
        self._check_pages("protect", address, size)
        self._check_mapped("protect", address, size)
        self._memory.protect(address, size, permission_bits(permissions))

    def regions(self) -> Iterator[Region]:
        """What is mapped, by address: `start`, `end`, `permissions`, `name`."""
        return self._memory.regions()

    def is_mapped(self, address: int, size: int = 1) -> bool:
        """Whether every byte of a range is mapped."""
        return self._memory.is_mapped(address, size)

    def _check_pages(self, what: str, address: int, size: int) -> None:
        if address % PAGE_SIZE or size % PAGE_SIZE or size <= 0:
            start, end = page_down(address), page_up(address + max(size, 1))
            raise MemoryMapError(
                f"cannot {what} {size:#x} bytes at {address:#x}: memory is mapped in pages of {PAGE_SIZE:#x} bytes; "
                f"use {start:#x} and a size of {end - start:#x}"
            )
        if address < 0 or address + size > self._memory.size:
            raise MemoryMapError(
                f"cannot {what} {size:#x} bytes at {address:#x}: the guest's addresses end at {self._memory.size:#x}"
            )

    def _check_mapped(self, what: str, address: int, size: int) -> None:
        at = self._first_unmapped(address, size)
        if at is not None and not self._memory.is_mapped(address, size):
            raise MemoryMapError(f"cannot {what} {size:#x} bytes at {address:#x}: {at:#x} is not mapped")

    @property
    def size(self) -> int:
        """Where the guest's addresses end."""
        return self._memory.size

    # ------------------------------------------------------------ contents

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`; MemoryAccessError where nothing is mapped."""
        self._check(address, size, "read")
        return bytes(self._memory.view[address : address + size])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store bytes, all of them or none; code translated from them is dropped."""
        self._check(address, len(data), "write")
        for region in self._memory.regions():
            overlaps = region.start < address + len(data) and address < region.end
            if overlaps and region.backing is not None and not region.backing.most & PAGE_WRITE:
                raise MemoryAccessError(
                    f"cannot write at {address:#x}: {region.name} is mapped there and cannot be written", address
                )
        if data:
            self._memory.write(address, data, need=0)

    def read_int(self, address: int, size: int, *, signed: bool = False) -> int:
        """An integer of `size` bytes in the guest's byte order."""
        return int.from_bytes(self.read(address, size), self.order, signed=signed)

    def write_int(self, address: int, value: int, size: int) -> None:
        """Store the low `size` bytes of an integer in the guest's byte order."""
        data = (value & ((1 << 8 * size) - 1)).to_bytes(size, self.order)
        self.write(address, data)

    def read_string(self, address: int, limit: int = 1 << 20) -> bytes:
        """The bytes up to the first NUL, at most `limit`."""
        found = bytearray()
        while len(found) < limit:
            piece = self.read(address, min(PAGE_SIZE - address % PAGE_SIZE, limit - len(found)))
            end = piece.find(0)
            if end >= 0:
                return bytes(found + piece[:end])
            found += piece
            address += len(piece)
        return bytes(found)

    def __getitem__(self, where: int | slice) -> bytes | int:
        if isinstance(where, slice):
            start, end = self._ends(where)
            if end is None:
                region = self._memory.region_at(start)
                end = region.end if region is not None else start + 1
            return self.read(start, end - start)
        return self.read(where, 1)[0]

    def __setitem__(self, where: int | slice, data: bytes | bytearray | memoryview | int) -> None:
        if isinstance(where, slice):
            if isinstance(data, int):
                raise TypeError("a slice of memory takes bytes, not an int; see write_int")
            start, end = self._ends(where)
            if end is not None and end - start != len(data):
                raise MemoryAccessError(
                    f"mem[{start:#x}:{end:#x}] has {end - start} bytes, {len(data)} were given; "
                    f"leave the end out: mem[{start:#x}:] = data",
                    start,
                )
            self.write(start, data)
        else:
            self.write(where, bytes((data,)) if isinstance(data, int) else data)

    @staticmethod
    def _ends(where: slice) -> tuple[int, int | None]:
        if where.step not in (None, 1) or where.start is None:
            raise TypeError("slices of memory have a start and no step: mem[start:end]")
        return int(where.start), None if where.stop is None else int(where.stop)

    def _check(self, address: int, size: int, what: str) -> None:
        if size < 0:
            raise MemoryAccessError(f"cannot {what} {size} bytes at {address:#x}", address)
        at = self._first_unmapped(address, size)
        if at is not None:
            raise MemoryAccessError(
                f"cannot {what} {size:#x} bytes at {address:#x}: {at:#x} is not mapped; "
                f"map it first: mem.map({page_down(at):#x}, 0x1000)",
                at,
            )

    def _first_unmapped(self, address: int, size: int) -> int | None:
        """The first byte where nothing is mapped, or nothing that could be touched: a file's page behind its end."""
        at = address
        while at < address + size:
            region = self._memory.region_at(at) if 0 <= at < self._memory.size else None
            if region is None or at >= region.data_end:
                return at
            at = region.data_end
        return None

    def __repr__(self) -> str:
        lines = [
            f"{region.start:#x}..{region.end:#x} "
            + "".join(letter if region.permissions & _LETTERS[letter] else "-" for letter in "rwx")
            + (f" {region.name}" if region.name else "")
            for region in self._memory.regions()
        ]
        return "<memory: " + ("; ".join(lines) or "nothing mapped") + ">"
