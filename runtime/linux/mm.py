"""A process's address space as Linux keeps it: brk, mmap, mremap and where they find room, over GuestMemory."""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.core.env import PAGE_BITS, PAGE_CODE, PAGE_EXEC, PAGE_READ, PAGE_READABLE, PAGE_WRITABLE, PAGE_WRITE
from runtime.core.light import nullcontext
from runtime.core.memory import PAGE_MASK, PAGE_SIZE, Backing, GuestMemory, Region, page_down, page_up
from runtime.linux.errors import fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

#: Linux's sysctl vm.mmap_min_addr and vm.max_map_count
LOWEST = 65536
MAX_REGIONS = 65530
#: pages left free below the stack, so that running off it faults (stack_guard_gap)
STACK_GAP = 256 * PAGE_SIZE
_COUNT_EVERY = 256
#: what maps says of anonymous memory that fork shares
_SHARED_NAME = "/dev/zero (deleted)"
_PIECE = 1 << 16  # pages looked at at a time


def _losing(kept: int) -> bytes:
    """A table from permission byte to 1 when a page has more than `kept`, or code: then blocks may come from it."""
    table = bytearray(256)
    for byte in range(256):
        granted = byte & PAGE_READ or (byte & PAGE_READABLE and PAGE_READ)
        granted |= PAGE_WRITE if byte & (PAGE_WRITE | PAGE_WRITABLE) else 0
        table[byte] = bool(granted & ~kept or byte & PAGE_EXEC)
    return bytes(table)


_tables: dict[int, bytes] = {}


class AddressSpace:
    """Where things lie in a guest's memory.

    heap_start, heap_end   brk's area; heap_end is the break itself, in bytes
    mmap_top               addresses are given out downwards from here
    """

    def __init__(self, memory: GuestMemory, top: int) -> None:
        self.memory = memory
        self.top = min(top, memory.size)
        self.mmap_top = self.top
        self.heap_start = self.heap_end = 0
        self.heap_limit: int | None = None  # RLIMIT_DATA
        self.has_files = False  # whether a file was ever mapped
        self.on_file: Callable[[], None] | None = None  # called before the first one is
        self._changes = 0
        self._full = False
        #: `with stopped():` no thread is in native code, where it may be about to touch what it was allowed to
        self.stopped: Callable[[], AbstractContextManager[object]] = nullcontext

    # ------------------------------------------------------------ brk

    def set_heap(self, address: int) -> None:
        """Let the heap begin at `address`, empty."""
        self.heap_start = self.heap_end = address

    def set_break(self, address: int) -> int:
        """brk: the new break, or the old one when `address` cannot be had (brk never fails with an errno)."""
        if not self.heap_start <= address <= self.mmap_top:
            return self.heap_end
        if self.heap_limit is not None and address - self.heap_start > self.heap_limit:
            return self.heap_end
        old, new = page_up(self.heap_end), page_up(address)
        if new > old:
            if not self.memory.is_free(old, new - old):
                return self.heap_end
            self.memory.map(old, new - old, PAGE_READ | PAGE_WRITE, "[heap]")
        elif new < old:
            self.unmap(new, old - new)
        self.heap_end = address
        return address

    # ------------------------------------------------------------ mmap

    def find(self, size: int, hint: int = 0) -> int:
        """Room for `size` bytes: at `hint` if it is free, else below mmap_top; ENOMEM when there is none."""
        hint = page_down(hint)
        wanted = hint if hint >= LOWEST else None
        found = self.memory.find_free(size, wanted, LOWEST, self.top)
        if found is None or (found != wanted and found + size > self.mmap_top):
            found = self.memory.find_free(size, None, LOWEST, self.mmap_top)
        if found is None:
            raise fail(errno.ENOMEM)
        return found

    def check(self, address: int, size: int) -> int:
        """`size` rounded up to pages, when [address, address + size) is a range mmap would take."""
        if address & PAGE_MASK or size <= 0:
            raise fail(errno.EINVAL)
        size = page_up(size)
        if address + size > self.top:
            raise fail(errno.ENOMEM)
        return size

    def map(self, address: int, size: int, protection: int, shared: bool = False) -> None:
        """Map zeroed pages over whatever is at a checked range; `shared` ones stay shared after a fork."""
        self.check_regions()
        permissions = page_permissions(protection)
        with self._taking(address, size):
            if shared:
                backing = Backing(None, PAGE_READ | PAGE_WRITE | PAGE_EXEC, size)
                self.has_files = True  # as good as one
                self.memory.map_backed(Region(address, address + size, permissions, _SHARED_NAME, 0, True, backing), -1)
            else:
                self.memory.map(address, size, permissions)

    def _taking(self, address: int, size: int, kept: int = 0) -> AbstractContextManager[object]:
        """For a change of these pages: with the world stopped, unless all that their permissions allow is `kept`."""
        first, last = address >> PAGE_BITS, (address + size) >> PAGE_BITS
        table, losing = self.memory.table, _tables.get(kept)
        if losing is None:
            losing = _tables[kept] = _losing(kept)
        for piece in range(first, last, _PIECE):
            if 1 in table[piece : min(piece + _PIECE, last)].translate(losing):
                return self.stopped()
        return nullcontext()

    def map_file(self, address: int, size: int, protection: int, descriptor: int, offset: int, shared: bool) -> None:
        """Map an open file of the host's at a checked range."""
        self.check_regions()
        status = os.fstat(descriptor)
        most = PAGE_READ | PAGE_WRITE | PAGE_EXEC
        if shared and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            most &= ~PAGE_WRITE
        backing = Backing((status.st_dev, status.st_ino), most, status.st_size)
        name = file_name(descriptor)
        region = Region(address, address + size, page_permissions(protection), name, offset, shared, backing)
        self.has_files = True
        if self.on_file is not None:
            self.on_file()
            self.on_file = None
        with self._taking(address, size):
            self.memory.map_backed(region, descriptor)

    def protect(self, address: int, size: int, protection: int) -> None:
        """mprotect of a range in the address space; ENOMEM, EACCES."""
        self.check_regions()
        permissions = page_permissions(protection)
        if self.has_files and permissions & PAGE_WRITE:
            for region in self.memory.regions():
                inside = region.start < address + size and address < region.end
                if inside and region.backing is not None and not region.backing.most & PAGE_WRITE:
                    raise fail(errno.EACCES)
        with self._taking(address, size, permissions):
            if not self.memory.protect(address, size, permissions):
                raise fail(errno.ENOMEM)

    def resized(self, descriptor: int, size: int) -> None:
        """An open file is about to get `size` bytes: the guest must not touch mapped pages beyond, nor can the host."""
        if self.has_files:
            status = os.fstat(descriptor)
            if size < status.st_size:
                with self.stopped():
                    self.memory.set_data_end((status.st_dev, status.st_ino), max(size, 0))

    def lost(self, address: int) -> None:
        """A page of a mapped file turned out not to be there: somebody else cut the file short."""
        region = self.memory.region_at(address)
        if region is None or region.backing is None or region.backing.file is None:
            return
        # The host's handler emptied its permission byte; code made from it has to go, too.
        self.memory.table[address >> PAGE_BITS] = PAGE_CODE
        self.memory.set_data_end(region.backing.file, region.offset + address - region.start)

    def behind_data(self, address: int) -> bool:
        """Whether `address` is mapped, but the file ends before its page: SIGBUS's case."""
        region = self.memory.region_at(address) if self.has_files else None
        return region is not None and region.data_end <= address

    def check_regions(self) -> None:
        """ENOMEM when the map has too many regions (max_map_count); counting takes a while: it is done now and then."""
        self._changes += 1
        if self._changes % _COUNT_EVERY == 0:
            self._full = sum(1 for _ in self.memory.regions()) >= MAX_REGIONS
        if self._full:
            raise fail(errno.ENOMEM)

    def unmap(self, address: int, size: int) -> None:
        """munmap of a checked range."""
        with self._taking(address, size):
            self.memory.unmap(address, size)

    def discard(self, address: int, size: int) -> None:
        """MADV_DONTNEED of a mapped range."""
        with self._taking(address, size, PAGE_READ | PAGE_WRITE):
            self.memory.discard(address, size)

    def move(self, address: int, size: int, target: int, new_size: int) -> None:
        """mremap: the pages of [address, address + size), all one region, appear at `target`, `new_size` bytes long."""
        self.check_regions()
        with self.stopped():
            self.memory.move(address, size, target, new_size)


def page_permissions(protection: int) -> int:
    """Page permissions for PROT_* (READ 1, WRITE 2, EXEC 4 on every guest); a writable page can be read."""
    permissions = protection & (PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    return permissions | PAGE_READ if permissions & PAGE_WRITE else permissions


def file_name(descriptor: int) -> str:
    """The path of an open file, as maps show it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "/?"
