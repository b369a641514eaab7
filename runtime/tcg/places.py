"""Where a machine's RAM lies for the engine: physical runs of it, and one numbering of all its pages.

Blocks are entered under the *place* of their code, not under its physical address, so that RAM which is seen at two
physical addresses is one.  A place stays what it is while the memory map changes: what is added gets new places.
"""

from __future__ import annotations

import struct
from ctypes import string_at

from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_BITS, PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.tcg.tb import RAM_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.core.accelerator import Ram

#: bytes of RAM that can have places: tables for them are reserved, not filled
PLACES = 1 << 38
MOST_RUNS = 256
_RUN = struct.Struct("<5Q")
_PLAIN = bytes([PAGE_READ | PAGE_WRITE | PAGE_EXEC])


class RamPlaces:
    """What the engine knows of RAM; as far as the code cache is concerned, its guest memory.

    size, base, guard   what CodeCache asks of memory
    permissions, table  a byte for each page: whether blocks were made from it; its host address, and itself
    """

    base = 0
    guard = None

    def __init__(self) -> None:
        self.size = PLACES
        self._bytes = HostBuffer(PLACES >> PAGE_BITS, sparse=True)
        self.permissions = self._bytes.address
        self.table = self._bytes.memory
        # Two, for vCPUs read one while the other is written.  Behind the last run are zeros, which no address is in.
        self._tables = [HostBuffer(MOST_RUNS * RAM_RECORD["bytes"]) for _ in range(2)]
        self._blocks: list[tuple[int, int, int]] = []  # host memory that has places: (start, end, place)
        self._next = 0
        self._runs: list[tuple[int, int, int, int, bool]] = []  # (physical, end, host, place, writable)

    def close(self) -> None:
        self._bytes.close()
        for table in self._tables:
            table.close()

    def set_runs(self, runs: Sequence[Ram]) -> None:
        """What is RAM from now on; TLBs are to be flushed."""
        if len(runs) > MOST_RUNS:
            raise ValueError(f"{len(runs)} runs of RAM, more than {MOST_RUNS}")
        for start, end in _merged(runs):
            self._place(start, end)
        self._tables.reverse()
        memory = self._tables[0].memory
        memory[: len(memory)] = bytes(len(memory))
        found = []
        for number, run in enumerate(runs):
            place, end = self._find(run.host), run.address + run.size
            found.append((run.address, end, run.host, place, run.writable))
            _RUN.pack_into(memory, number * _RUN.size, run.address, end, run.host, place, run.writable)
        self._runs = found

    @property
    def records(self) -> tuple[int, int]:
        """Host address of the RAM_RECORDs, and how many there are."""
        return self._tables[0].address, len(self._runs)

    def places(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """(start, end) of the places that physical addresses [address, address + size) have."""
        for start, end, _, place, _ in self._runs:
            low, high = max(start, address), min(end, address + size)
            if low < high:
                yield place + low - start, place + high - start

    def host(self, address: int, size: int, *, store: bool = False) -> int:
        """Host address of RAM at a physical address; 0 if it is not all there, or no store is meant for it."""
        for start, end, host, _, writable in self._runs:
            if start <= address and address + size <= end:
                return host + address - start if writable or not store else 0
        return 0

    def check(self, place: int, size: int, need: int = 0) -> int | None:
        """None if all of the places are one page's: whether they may be executed, only a translation tells."""
        last = place + size - 1
        if place >> PAGE_BITS == last >> PAGE_BITS:
            for begin, end, start in self._blocks:
                if start <= place < start + end - begin:
                    return None
        return last

    def read(self, place: int, size: int, need: int = 0) -> bytes:
        """What the RAM at a place, all of one page, holds."""
        for begin, end, start in self._blocks:
            if start <= place and place + size <= start + end - begin:
                return string_at(begin + place - start, size)
        raise KeyError(place)

    def _find(self, host: int) -> int:
        for start, end, place in self._blocks:
            if start <= host < end:
                return place + host - start
        raise KeyError(host)

    def _place(self, start: int, end: int) -> None:
        """Give host memory a place, unless it has one; memory that has grown gets another."""
        if any(known <= start and end <= stop for known, stop, _ in self._blocks):
            return
        size = end - start
        if self._next + size > PLACES:
            raise ValueError(f"more than {PLACES} bytes of RAM")
        self._blocks.insert(0, (start, end, self._next))
        first = self._next >> PAGE_BITS
        self._bytes.memory[first : first + (size >> PAGE_BITS)] = _PLAIN * (size >> PAGE_BITS)
        self._next += size


def _merged(runs: Sequence[Ram]) -> list[tuple[int, int]]:
    """The host memory of the runs, overlaps and neighbours joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((run.host, run.host + run.size) for run in runs):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
