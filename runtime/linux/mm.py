"""A process's address space as Linux keeps it: brk, mmap, mremap and where they find room, over GuestMemory."""

from __future__ import annotations

import errno
import fcntl
import os

from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.memory import PAGE_MASK, PAGE_SIZE, GuestMemory, page_down, page_up
from runtime.linux.syscalls.table import fail

#: Linux's sysctl vm.mmap_min_addr and vm.max_map_count
LOWEST = 65536
MAX_REGIONS = 65530
#: pages left free below the stack, so that running off it faults (stack_guard_gap)
STACK_GAP = 256 * PAGE_SIZE
_READ_CHUNK = 1 << 20
_COUNT_EVERY = 256


class SharedFile:
    """A writable MAP_SHARED mapping of a file: its pages are written back when unmapped, synced or at the end."""

    __slots__ = ("descriptor", "end", "offset", "start")

    def __init__(self, start: int, end: int, descriptor: int, offset: int) -> None:
        self.start = start
        self.end = end
        self.descriptor = descriptor
        self.offset = offset


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
        self._shared: list[SharedFile] = []
        self._changes = 0
        self._full = False

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
            self.memory.unmap(new, old - new)
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

    def map(
        self, address: int, size: int, protection: int, name: str = "", shared: bool = False, offset: int = 0
    ) -> None:
        """Map zeroed pages over whatever is at a checked range."""
        self.check_regions()
        self.write_back(address, size, forget=True)
        self.memory.map(address, size, page_permissions(protection), name, offset, shared)

    def map_file(self, address: int, size: int, protection: int, descriptor: int, offset: int, shared: bool) -> None:
        """Map a file at a checked range: its bytes are read now, and written back if the mapping is shared.

        `descriptor` is the host's.  Two shared mappings of one file do not see each other's stores until a sync.
        """
        name = file_name(descriptor)
        self.map(address, size, protection, name, shared, offset)
        # A descriptor of its own, for looking for holes moves the file's position.
        source = reopen(descriptor, os.O_RDONLY)
        try:
            self._read_file(source, address, address + size, offset)
        finally:
            os.close(source)
        if shared and _writable(descriptor):
            # Open it anew: writing at an offset to a descriptor with O_APPEND appends.
            self._shared.append(SharedFile(address, address + size, reopen(descriptor, os.O_RDWR), offset))

    def _read_file(self, source: int, address: int, end: int, offset: int) -> None:
        """Fill fresh pages with a file's data, leaving its holes untouched memory."""
        last = min(os.fstat(source).st_size, offset + end - address)
        at = offset
        while at < last:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            size = min(last - at, _READ_CHUNK)
            start = address + at - offset
            if size <= 0 or not (got := os.preadv(source, [self.memory.view[start : start + size]], at)):
                return
            at += got

    def check_regions(self) -> None:
        """ENOMEM when the map has too many regions (max_map_count); counting takes a while: it is done now and then."""
        self._changes += 1
        if self._changes % _COUNT_EVERY == 0:
            self._full = sum(1 for _ in self.memory.regions()) >= MAX_REGIONS
        if self._full:
            raise fail(errno.ENOMEM)

    def unmap(self, address: int, size: int) -> None:
        """munmap of a checked range."""
        self.write_back(address, size, forget=True)
        self.memory.unmap(address, size)

    def move(self, address: int, size: int, target: int, new_size: int) -> None:
        """mremap: the pages of [address, address + size), all one region, appear at `target`, `new_size` bytes long."""
        memory = self.memory
        region = memory.region_at(address)
        assert region is not None  # the caller looked
        offset = region.offset + address - region.start if region.name[:1] == "/" else 0
        memory.map(target, new_size, region.permissions, region.name, offset, region.shared)
        kept = min(size, new_size)
        memory.view[target : target + kept] = memory.view[address : address + kept]
        for mapping in self._shared:
            if mapping.start == address:
                mapping.start, mapping.end = target, target + new_size
        memory.unmap(address, size)

    # ------------------------------------------------------------ shared files

    def write_back(self, address: int, size: int, forget: bool = False) -> None:
        """Write the stores into shared file mappings of a range to their files; `forget` cuts the range out of them."""
        if not self._shared:
            return
        kept = []
        for mapping in self._shared:
            start, end = max(mapping.start, address), min(mapping.end, address + size)
            if start >= end:
                kept.append(mapping)
                continue
            self._store(mapping, start, end)
            if not forget:
                kept.append(mapping)
                continue
            if mapping.start < start:
                kept.append(SharedFile(mapping.start, start, os.dup(mapping.descriptor), mapping.offset))
            if end < mapping.end:
                offset = mapping.offset + end - mapping.start
                kept.append(SharedFile(end, mapping.end, os.dup(mapping.descriptor), offset))
            os.close(mapping.descriptor)
        self._shared = kept

    def finish(self) -> None:
        """Write every shared mapping back: the process ends."""
        self.write_back(0, self.top, forget=True)

    def _store(self, mapping: SharedFile, start: int, end: int) -> None:
        """Write [start, end) of a mapping to its file, no further than the file's end."""
        offset = mapping.offset + start - mapping.start
        length = min(end - start, os.fstat(mapping.descriptor).st_size - offset)
        while length > 0:
            written = os.pwrite(mapping.descriptor, self.memory.view[start : start + length], offset)
            start, offset, length = start + written, offset + written, length - written


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


def reopen(descriptor: int, flags: int) -> int:
    """Another descriptor on the same file, with a position and flags of its own where the host lets us."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)
    except OSError:
        return os.dup(descriptor)


def _writable(descriptor: int) -> bool:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
