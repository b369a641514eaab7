"""Marks on guest pages and addresses: what Python is shown before it happens, and which pages changed since when.

A mark takes away the permission that native code tests inline and remembers it in another bit (runtime/core/env.py),
so that a program without marks pays nothing for them and one with marks only where they are.  Loads and stores are
marked by the page, code by the address: one bit for each, in `hooked`.
"""

from __future__ import annotations

from runtime.core.buffer import HostBuffer
from runtime.core.env import (
    PAGE_BITS,
    PAGE_CODE,
    PAGE_EXEC,
    PAGE_HOOKED,
    PAGE_READ,
    PAGE_READABLE,
    PAGE_WATCHED,
    PAGE_WRITABLE,
    PAGE_WRITE,
)
from runtime.core.memory import GuestMemory, page_down, page_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from mmap import mmap

    Ranges = list[tuple[int, int]]

_CHUNK = 1 << 20  # pages looked at in one piece


def _load_marked(byte: int) -> int:
    return byte & ~PAGE_READ | PAGE_READABLE if byte & PAGE_READ else byte


def _store_marked(byte: int) -> int:
    if not byte:
        return byte
    return byte & ~PAGE_WRITE | PAGE_WATCHED | (PAGE_WRITABLE if byte & PAGE_WRITE else 0)


def _store_plain(byte: int) -> int:
    byte &= ~PAGE_WATCHED
    return byte & ~PAGE_WRITABLE | PAGE_WRITE if byte & PAGE_WRITABLE and not byte & PAGE_CODE else byte


def _plain(byte: int) -> int:
    if byte & PAGE_READABLE:
        byte = byte & ~PAGE_READABLE | PAGE_READ
    return _store_plain(byte) & ~PAGE_HOOKED


def _table(change: Callable[[int], int]) -> bytes:
    return bytes(change(byte) for byte in range(256))


_LOAD_MARKED = _table(_load_marked)
_STORE_MARKED = _table(_store_marked)
_STORE_PLAIN = _table(_store_plain)
_CODE_MARKED = _table(lambda byte: byte | PAGE_HOOKED if byte else byte)
_PLAIN = _table(_plain)
_EXECUTABLE = _table(lambda byte: bool(byte & PAGE_EXEC))
_HOLDS_CODE = _table(lambda byte: bool(byte & PAGE_CODE))


class Watch:
    """The marks on one guest's memory.

    loads, stores, code   ranges [start, end) that Python wants to see; `set_ranges` changes them
    dirty                 pages written to since `start_tracking`, while `tracking`
    dirty_ranges          ranges mapped or protected anew since then: all of their pages count as written to
    """

    def __init__(self, memory: GuestMemory, drop_blocks: Callable[[int, int], None], set_hooked: Callable[[int], None]):
        """`drop_blocks(start, end)` frees what was translated there; `set_hooked` says where the bits lie."""
        self.memory = memory
        self.loads: Ranges = []
        self.stores: Ranges = []
        self.code: Ranges = []
        self.tracking = False
        self.dirty: set[int] = set()
        self.dirty_ranges: Ranges = []
        self._drop_blocks = drop_blocks
        self._set_hooked = set_hooked
        self._stops: set[int] = set()
        self._hooked: HostBuffer | None = None
        memory.on_change = self._changing
        memory.on_protected = self._protected

    def close(self) -> None:
        """Forget everything; the memory is about to be closed, or used without marks."""
        self.memory.on_change = self.memory.on_protected = None
        if self._hooked is not None:
            self._set_hooked(0)
            self._hooked.close()
            self._hooked = None

    # ------------------------------------------------------------ ranges

    def set_ranges(self, loads: Ranges, stores: Ranges, code: Ranges) -> None:
        """Show these to Python from now on, and nothing else."""
        touched = [*self.code, *code] if code != self.code else []
        self.loads, self.stores, self.code = loads, stores, code
        for start, end in touched:
            self._drop(start, end)
        if touched and self._hooked is not None:
            self._hooked.discard(0, self._hooked.size)
        for region in self.memory.regions():
            self._translate(region.start, region.end, _PLAIN)
        for region in self.memory.regions():
            self._mark(region.start, region.end)
        if self.tracking:
            for region in self.memory.regions():
                self._translate(region.start, region.end, _STORE_MARKED)
            for page in self.dirty:
                self._unwatch(page)

    def add_stop(self, address: int) -> None:
        """Show one address more, for a while."""
        if 0 <= address < self.memory.size:
            self._stops.add(address)
            self._mark_stop(address)
            self._drop_blocks(address, address + 1)

    def remove_stop(self, address: int) -> None:
        """The opposite of add_stop."""
        if address not in self._stops:
            return
        self._stops.remove(address)
        if self._hooked is not None and not any(start <= address < end for start, end in self.code):
            self._hooked.memory[address >> 3] &= ~(1 << (address & 7)) & 0xFF

    def shows(self, pc: int) -> bool:
        """Whether native code would leave at `pc`."""
        if self._hooked is None or not 0 <= pc < self.memory.size:
            return False
        return bool(self.memory.table[pc >> PAGE_BITS] & PAGE_HOOKED and self._hooked.memory[pc >> 3] >> (pc & 7) & 1)

    # ------------------------------------------------------------ pages written to

    def start_tracking(self) -> None:
        """From now on remember which pages change."""
        self.tracking = True
        self.dirty.clear()
        self.dirty_ranges.clear()
        for region in self.memory.regions():
            self._translate(region.start, region.end, _STORE_MARKED)

    def written(self, address: int, size: int) -> bool:
        """Bytes are about to change: note their pages.  False if a hook wants to see that store all the same."""
        first, last = address >> PAGE_BITS, (address + max(size, 1) - 1) >> PAGE_BITS
        if self.tracking:
            for page in range(first, last + 1):
                if page not in self.dirty:
                    self.dirty.add(page)
                    self._unwatch(page)
        return not any(self.memory.table[page] & PAGE_WATCHED for page in range(first, last + 1))

    def _unwatch(self, page: int) -> None:
        start = page << PAGE_BITS
        if not any(low < start + (1 << PAGE_BITS) and start < high for low, high in self.stores):
            self.memory.table[page] = _STORE_PLAIN[self.memory.table[page]]
            if self.memory.guard is not None:
                self.memory.guard.follow(page, page + 1)

    def _changing(self, start: int, end: int) -> None:
        """GuestMemory is about to change pages of which some are watched."""
        if not self.tracking:
            return
        if end - start > 1 << 24:
            self.dirty_ranges.append((start, end))
        else:
            self.written(start, end - start)

    def _protected(self, start: int, end: int) -> None:
        """The permissions of these pages are new: put the marks back."""
        if self.tracking:
            self.dirty_ranges.append((start, end))
        self._mark(start, end)

    # ------------------------------------------------------------ inside

    def _mark(self, start: int, end: int) -> None:
        for low, high in _clipped(self.loads, start, end):
            self._translate(page_down(low), page_up(high), _LOAD_MARKED)
        for low, high in _clipped(self.stores, start, end):
            self._translate(page_down(low), page_up(high), _STORE_MARKED)
        for low, high in _clipped(self.code, start, end):
            for first, last in self._runs(low, high, _EXECUTABLE):
                self._fill(max(low, first), min(high, last))
                self._translate(first, last, _CODE_MARKED)
        for address in self._stops:
            if start <= address < end:
                self._mark_stop(address)

    def _mark_stop(self, address: int) -> None:
        self._bits()[address >> 3] |= 1 << (address & 7)
        page = page_down(address)
        self._translate(page, page + 1, _CODE_MARKED)

    def _bits(self) -> mmap:
        """`hooked`, made when first needed."""
        if self._hooked is None:
            self._hooked = HostBuffer(self.memory.size >> 3, sparse=True)
            self._set_hooked(self._hooked.address)
        return self._hooked.memory

    def _fill(self, start: int, end: int) -> None:
        """Set the bits of addresses [start, end)."""
        bits = self._bits()
        first, last = -(-start // 8), end // 8
        if first > last:
            bits[start >> 3] |= (1 << (end & 7)) - (1 << (start & 7))
            return
        if start & 7:
            bits[start >> 3] |= 0xFF & -(1 << (start & 7))
        if end & 7:
            bits[last] |= (1 << (end & 7)) - 1
        for at in range(first, last, _CHUNK):
            stop = min(at + _CHUNK, last)
            bits[at:stop] = b"\xff" * (stop - at)

    def _translate(self, start: int, end: int, table: bytes) -> None:
        """Put the permission bytes of the pages of [start, end) through a table."""
        memory = self.memory
        first, last = start >> PAGE_BITS, page_up(min(end, memory.size)) >> PAGE_BITS
        for chunk in range(first, last, _CHUNK):
            stop = min(chunk + _CHUNK, last)
            memory.table[chunk:stop] = memory.table[chunk:stop].translate(table)
        if memory.guard is not None:
            memory.guard.follow(first, last)

    def _runs(self, start: int, end: int, test: bytes) -> Iterator[tuple[int, int]]:
        """Runs of pages overlapping [start, end) whose permission bytes pass a test, as addresses."""
        table = self.memory.table
        first, last = start >> PAGE_BITS, page_up(min(end, self.memory.size)) >> PAGE_BITS
        for chunk in range(first, last, _CHUNK):
            passed = table[chunk : min(chunk + _CHUNK, last)].translate(test)
            at = passed.find(1)
            while at >= 0:
                stop = passed.find(0, at)
                stop = len(passed) if stop < 0 else stop
                yield (chunk + at) << PAGE_BITS, (chunk + stop) << PAGE_BITS
                at = passed.find(1, stop)

    def _drop(self, start: int, end: int) -> None:
        """Free the blocks in pages of [start, end)."""
        for region in self.memory.regions():
            for low, high in _clipped([(start, end)], region.start, region.end):
                for first, last in self._runs(low, high, _HOLDS_CODE):
                    self._drop_blocks(first, last)


def _clipped(ranges: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        low, high = max(low, start), min(high, end)
        if low < high:
            yield low, high
