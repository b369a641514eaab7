"""Guest memory of a user-mode process: one host reservation, and a permission byte for every guest page.

Guest address a is host address `base` + a.  Native code checks `permissions[a >> 12]` before it touches anything, so
the reservation itself is readable and writable everywhere and a page that is not mapped merely has permission 0.
Mapped files are mapped by the host, too, into their place in the reservation; their pages behind the end of the file,
which the host process must not touch, have permission 0 although the region's permissions are others.

Pages that hold translated code carry PAGE_CODE and lose PAGE_WRITE, PAGE_WRITABLE remembering it (runtime/core/env.py).
Whatever Python does to such a page (write, map, unmap, protect) first calls `on_code_change`, which drops its blocks.
"""

from __future__ import annotations

from _bisect import bisect_left, bisect_right  # what bisect has, without importing a module twice

from runtime.core.buffer import HostBuffer
from runtime.core.env import (
    ADDRESS_BITS,
    ADDRESS_MARGIN,
    PAGE_BITS,
    PAGE_CODE,
    PAGE_EXEC,
    PAGE_READ,
    PAGE_READABLE,
    PAGE_WATCHED,
    PAGE_WRITABLE,
    PAGE_WRITE,
)
from runtime.core.record import record, replace

TYPE_CHECKING = False  # typing's own takes longer to import than all this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.core.guard import Guard

PAGE_SIZE = 1 << PAGE_BITS
PAGE_MASK = PAGE_SIZE - 1
_PERMISSIONS = PAGE_READ | PAGE_WRITE | PAGE_EXEC
_CHUNK = 1 << 20  # pages whose permissions are written at a time
_PIECE = 1 << 12  # pages whose permissions are checked at a time


class GuestFault(Exception):
    """A guest address that does not allow what was tried; `access` is env's: 0 load, 1 store, 2 fetch."""

    def __init__(self, address: int, access: int) -> None:
        super().__init__(f"guest {('load', 'store', 'fetch')[access]} fault at {address:#x}")
        self.address = address
        self.access = access


class GuestRangeError(ValueError):
    """A range handed to map, unmap or protect that is empty, unaligned or outside the guest's address space."""


class Backing:
    """Host memory under a region that is not the reservation's own: a file's pages, or ones that fork shares.

    file       (device, inode); None for anonymous memory
    most       permissions the region can be given
    data_end   offset of the first page that is not there, for the file ends before: touching it would be fatal
    """

    __slots__ = ("data_end", "file", "most")

    def __init__(self, file: tuple[int, int] | None = None, most: int = _PERMISSIONS, data_end: int = 0) -> None:
        self.file = file
        self.most = most
        self.data_end = page_up(data_end)


@record
class Region:
    """A run of mapped pages, [start, end), all alike: a line of /proc/self/maps."""

    start: int
    end: int
    permissions: int  # PAGE_READ | PAGE_WRITE | PAGE_EXEC
    name: str = ""  # path of a mapped file, "[heap]", "[stack]" ...; "" when anonymous
    offset: int = 0  # of `start` in the file
    shared: bool = False
    backing: Backing | None = None

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def data_end(self) -> int:
        """First address that cannot be touched although it is mapped, because the file ends before it; or `end`."""
        if self.backing is None:
            return self.end
        return min(max(self.start + self.backing.data_end - self.offset, self.start), self.end)


def page_down(address: int) -> int:
    """`address` rounded down to a page."""
    return address & ~PAGE_MASK


def page_up(address: int) -> int:
    """`address` rounded up to a page."""
    return (address + PAGE_MASK) & ~PAGE_MASK


def _allowing(need: int) -> bytes:
    """A table from permission byte to 1 when it grants all of `need`; PAGE_WRITABLE grants writing, and so on."""
    table = bytearray(256)
    for byte in range(256):
        granted = byte | (PAGE_WRITE if byte & PAGE_WRITABLE else 0) | (PAGE_READ if byte & PAGE_READABLE else 0)
        table[byte] = granted & need == need
    return bytes(table)


_ALLOWING = tuple(_allowing(need) for need in range(_PERMISSIONS + 1))
_HOLDS_CODE = bytes(bool(byte & PAGE_CODE) for byte in range(256))
_WATCHED = bytes(bool(byte & PAGE_WATCHED) for byte in range(256))


class GuestMemory:
    """The address space of one guest process.

    size          bytes of guest address space: 2**address_bits, at most 2**ADDRESS_BITS
    base          host address of guest address 0 (env.memory_base)
    permissions   host address of the permission table (env.permissions)
    table         the permission table itself, a byte a page
    view          all of guest memory as a memoryview: unchecked access, view[a:b]
    on_code_change  called with (first page, last page) before pages holding translated code change
    on_change     called with (start, end) before pages some of which have PAGE_WATCHED change
    on_protected  called with (start, end) after the permissions of these pages were set anew
    guard         has the host refuse what the table refuses, once `enable_guard` was called
    changes       a list that ranges are added to before Python changes them, if somebody wants to know
    """

    def __init__(self, address_bits: int = 64) -> None:
        if address_bits < PAGE_BITS:
            raise ValueError(f"an address space of {address_bits} bits is smaller than a page")
        self.size = 1 << min(address_bits, ADDRESS_BITS)
        # One page more than the guest can name: the decoder may look a few bytes past the last instruction.
        self._memory = HostBuffer(self.size + PAGE_SIZE, margin=ADDRESS_MARGIN)
        self._table = HostBuffer(self.size >> PAGE_BITS, sparse=True)
        self.base = self._memory.address
        self.permissions = self._table.address
        self.table = self._table.memory
        self.view = self._memory.view()
        self.on_code_change: Callable[[int, int], None] | None = None
        self.on_change: Callable[[int, int], None] | None = None
        self.on_protected: Callable[[int, int], None] | None = None
        self.changes: list[tuple[int, int]] | None = None
        self.guard: Guard | None = None
        self._starts: list[int] = []
        self._regions: list[Region] = []

    def close(self) -> None:
        """Return everything to the host.  The object is of no use afterwards."""
        if self.guard is not None:
            self.guard.close()
            self.guard = None
        self.view.release()
        self._memory.close()
        self._table.close()

    def enable_guard(self) -> None:
        """Have the host refuse what the permission table refuses: compiled code does not look there (core/guard.py)."""
        from runtime.core.guard import Guard  # not needed at start-up

        if self.guard is None:
            self.guard = Guard(self.base, self.size, self.table)  # from here on changes are followed
            self.guard.begin(lambda: [(one.start >> PAGE_BITS, one.end >> PAGE_BITS) for one in self.regions()])

    # ------------------------------------------------------------ the map

    def map(
        self, address: int, size: int, permissions: int, name: str = "", offset: int = 0, shared: bool = False
    ) -> None:
        """Map zeroed pages at [address, address + size), replacing what is there (mmap's MAP_FIXED)."""
        self._check_range("map", address, size)
        self._check_permissions(permissions)
        end = address + size
        self._code_changes(address, end)
        for old in self._carve(address, end):
            self._return(old)
            if not permissions:
                self._fill(old.start, old.end, 0)
        self._insert(Region(address, end, permissions, name, offset, shared))
        if permissions:
            self._fill(address, end, permissions)

    def unmap(self, address: int, size: int) -> None:
        """Unmap every page of the range and return them to the host; pages that are not mapped are no error."""
        self._check_range("unmap", address, size)
        self._code_changes(address, address + size)
        for old in self._carve(address, address + size):
            self._return(old)
            self._fill(old.start, old.end, 0)

    def map_backed(self, region: Region, descriptor: int) -> None:
        """Map `region`, which has a backing: pages of the host's file `descriptor`, or for -1 anonymous ones.

        What is stored there other mappings see at once, in this process and others, if the region is shared.
        """
        assert region.backing is not None
        self._check_range("map", region.start, region.size)
        self._check_permissions(region.permissions)
        self._code_changes(region.start, region.end)
        writable = bool(region.backing.most & PAGE_WRITE)
        self._memory.place(region.start, region.size, descriptor, region.offset, region.shared, writable)
        self._carve(region.start, region.end)
        self._insert(region)
        self._grant(region)

    def move(self, address: int, size: int, target: int, new_size: int) -> None:
        """Let the pages of [address, address + size), all one region, appear at `target`, `new_size` bytes long.

        What is at the target is replaced; nothing is left behind.  OSError, and nothing moved, if the host cannot.
        """
        self._check_range("move", address, size)
        self._check_range("map", target, new_size)
        before = self.region_at(address)
        if before is None or before.end < address + size:
            raise GuestRangeError(f"cannot move {size:#x} bytes at {address:#x}: they are not mapped alike")
        if new_size < size:
            self.unmap(address + new_size, size - new_size)
            size = new_size
        self._code_changes(address, address + size)
        self.unmap(target, new_size)
        if self.guard is not None:
            self.guard.open(address, size)  # the host moves only what is alike
        try:
            self._memory.move(address, size, target, new_size)
        except OSError:
            if before.backing is not None:
                raise
            # The host has its own idea of which pages are alike: it takes no range that others were moved into.
            self.view[target : target + size] = self.view[address : address + size]
            self._memory.discard(address, size)
        self._carve(address, address + size)
        self._fill(address, address + size, 0)
        moved = replace(_from(before, address), start=target, end=target + new_size)
        self._insert(moved)
        self._grant(moved)

    def grow(self, address: int, size: int, new_size: int) -> None:
        """Let the region that ends at `address + size` go on into free pages, up to `new_size` bytes from `address`."""
        self._check_range("map", address, new_size)
        region = self.region_at(address)
        assert region is not None
        if region.backing is not None:
            self._memory.grow(address, size, new_size)
        grown = replace(_from(region, region.end), end=address + new_size)
        self._insert(grown)
        self._grant(grown)

    def set_data_end(self, file: tuple[int, int], size: int) -> None:
        """A file is about to become `size` bytes long: the pages behind its end shall not be touched any more."""
        mapped = [(region, region.backing) for region in self._regions if region.backing is not None]
        cut = [(region, backing, region.data_end) for region, backing in mapped if backing.file == file]
        for _, backing, _ in cut:
            backing.data_end = min(backing.data_end, page_up(size))
        for region, _, before in cut:
            if region.data_end < before:
                self._code_changes(region.data_end, before)
                self._fill(region.data_end, before, 0)

    def look_again(self, address: int) -> bool:
        """Whether a mapped page that was behind its file's end is there by now, and can be touched from now on."""
        region = self.region_at(address)
        if region is None or region.backing is None or not region.data_end <= address < region.end:
            return False
        if not self._memory.can_be_touched(address):
            return False
        before = region.data_end
        region.backing.data_end = region.offset + page_up(address + 1) - region.start
        self._fill(before, region.data_end, region.permissions)
        return True

    def flush(self, address: int, size: int) -> None:
        """Have the host write stores into shared files to disk."""
        self._check_range("flush", address, size)
        for region in self._overlapping(address, address + size):
            if region.shared and region.backing is not None:
                start, end = max(region.start, address), min(region.end, address + size)
                self._memory.flush(start, end - start)

    def protect(self, address: int, size: int, permissions: int) -> bool:
        """Change the permissions of a range; False, and nothing changed, when part of it is not mapped (ENOMEM)."""
        self._check_range("protect", address, size)
        self._check_permissions(permissions)
        end = address + size
        if not self.is_mapped(address, size):
            return False
        self._code_changes(address, end)
        plain = True
        for old in self._carve(address, end):
            plain = plain and old.backing is None
            self._insert(replace(old, permissions=permissions))
        self._fill(address, end, permissions)
        if not plain:
            for region in self._overlapping(address, end):
                self._fill(region.data_end, region.end, 0)
        return True

    def discard(self, address: int, size: int) -> None:
        """Return the memory of mapped pages to the host (MADV_DONTNEED): they are zero again, or as in their file."""
        self._check_range("discard", address, size)
        self._code_changes(address, address + size)
        for region in self._overlapping(address, address + size):
            start, end = max(region.start, address), min(region.end, address + size)
            self._memory.discard(start, end - start)

    def rename(self, address: int, size: int, name: str) -> None:
        """Give the mapped pages of a range another name."""
        self._check_range("rename", address, size)
        for old in self._carve(address, address + size):
            self._insert(replace(old, name=name))

    def is_mapped(self, address: int, size: int) -> bool:
        """Whether every page of the range is mapped, whatever its permissions."""
        at, end = address, address + size
        if address < 0 or end > self.size:
            return False
        for region in self._overlapping(address, end):
            if region.start > at:
                return False
            at = region.end
        return at >= end

    def is_free(self, address: int, size: int) -> bool:
        """Whether the range lies inside the address space and no page of it is mapped."""
        if address < 0 or address + size > self.size:
            return False
        return next(self._overlapping(address, address + size), None) is None

    def find_free(
        self,
        size: int,
        hint: int | None = None,
        low: int = PAGE_SIZE,
        high: int | None = None,
        alignment: int = PAGE_SIZE,
    ) -> int | None:
        """An address where `size` bytes are free: `hint` if they are free there, else the highest below `high`.

        None when there is no such place.
        """
        size = page_up(size)
        high = self.size if high is None else min(high, self.size)
        if size <= 0 or size > high:
            return None
        if hint is not None:
            hint = page_down(hint)
            if low <= hint and hint % alignment == 0 and hint + size <= high and self.is_free(hint, size):
                return hint
        top = high
        for index in range(bisect_left(self._starts, high) - 1, -1, -1):
            region = self._regions[index]
            if region.end < top:
                place = (top - size) // alignment * alignment
                if place >= max(region.end, low):
                    return place
            top = min(top, region.start)
            if top < low + size:
                return None
        place = (top - size) // alignment * alignment
        return place if place >= low else None

    def regions(self) -> Iterator[Region]:
        """Every mapped region by address."""
        return iter(tuple(self._regions))

    def region_at(self, address: int) -> Region | None:
        """The region that holds `address`."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._regions[index].end:
            return self._regions[index]
        return None

    # ------------------------------------------------------------ contents

    def check(self, address: int, size: int, need: int) -> int | None:
        """The first address of [address, address + size) whose page does not grant `need`; None if all is well."""
        if size <= 0:
            return None
        if not 0 <= address < self.size:
            return address
        end = min(address + size, self.size)
        first, last = address >> PAGE_BITS, (end - 1) >> PAGE_BITS
        allowing = _ALLOWING[need]
        if first == last:
            if not allowing[self.table[first]]:
                return address
        else:
            # In pieces, for a guest may ask for any size and the first bad page is the answer.
            for piece in range(first, last + 1, _PIECE):
                bad = self.table[piece : min(piece + _PIECE, last + 1)].translate(allowing).find(0)
                if bad >= 0:
                    return max(address, (piece + bad) << PAGE_BITS)
        return self.size if end < address + size else None

    def read(self, address: int, size: int, need: int = PAGE_READ) -> bytes:
        """`size` bytes at `address`; GuestFault where a page does not grant `need` (0: mapped or not)."""
        bad = self.check(address, size, need)
        if bad is not None:
            raise GuestFault(bad, 0)
        return bytes(self.view[address : address + size])

    def write(self, address: int, data: bytes | bytearray | memoryview, need: int = PAGE_WRITE) -> None:
        """Store `data` at `address`; GuestFault, and nothing stored, where a page does not grant `need`."""
        size = len(data)
        bad = self.check(address, size, need)
        if bad is not None:
            raise GuestFault(bad, 1)
        self._code_changes(address, address + size)
        self.view[address : address + size] = data

    def readable(self, address: int, size: int) -> memoryview:
        """The guest's own bytes, checked for reading, without a copy.  Release it before the memory is closed."""
        bad = self.check(address, size, PAGE_READ)
        if bad is not None:
            raise GuestFault(bad, 0)
        return self.view[address : address + size]

    def writable(self, address: int, size: int) -> memoryview:
        """The guest's own bytes, checked for writing, to be filled in at once (for readv, recv_into ...)."""
        bad = self.check(address, size, PAGE_WRITE)
        if bad is not None:
            raise GuestFault(bad, 1)
        self._code_changes(address, address + size)
        return self.view[address : address + size]

    def read_string(self, address: int, limit: int = 1 << 20) -> bytes:
        """The bytes at `address` up to, not including, the first NUL; GuestFault when they run into a bad page.

        At most `limit` bytes are looked at: a longer string comes back cut, `limit` bytes long.
        """
        parts = []
        while limit > 0:
            size = min(limit, PAGE_SIZE - (address & PAGE_MASK))
            part = self.read(address, size)
            nul = part.find(0)
            if nul >= 0:
                parts.append(part[:nul])
                break
            parts.append(part)
            address += size
            limit -= size
        return b"".join(parts)

    # ------------------------------------------------------------ inside

    def _check_range(self, what: str, address: int, size: int) -> None:
        if (address | size) & PAGE_MASK:
            raise GuestRangeError(f"cannot {what} {size:#x} bytes at {address:#x}: not whole {PAGE_SIZE}-byte pages")
        if size <= 0:
            raise GuestRangeError(f"cannot {what} {size:#x} bytes at {address:#x}: the size is not positive")
        if address < 0 or address + size > self.size:
            raise GuestRangeError(
                f"cannot {what} {size:#x} bytes at {address:#x}: the guest's address space ends at {self.size:#x}"
            )

    @staticmethod
    def _check_permissions(permissions: int) -> None:
        if permissions & ~_PERMISSIONS:
            raise ValueError(f"permissions {permissions:#x}: only read (1), write (2) and execute (4) can be given")

    def _code_changes(self, start: int, end: int) -> None:
        """Have the blocks translated from pages of [start, end) dropped before the pages change."""
        if start >= end:
            return
        if self.changes is not None:
            self.changes.append((start, end))
        first, last = start >> PAGE_BITS, (end - 1) >> PAGE_BITS
        if self.on_change is not None:
            for chunk in range(first, last + 1, _CHUNK):
                if 1 in self.table[chunk : min(chunk + _CHUNK, last + 1)].translate(_WATCHED):
                    self.on_change(start, end)
                    break
        if self.on_code_change is None:
            return
        if first == last:
            if self.table[first] & PAGE_CODE:
                self.on_code_change(first, last)
            return
        for chunk in range(first, last + 1, _CHUNK):
            pages = self.table[chunk : min(chunk + _CHUNK, last + 1)].translate(_HOLDS_CODE)
            if 1 in pages:
                self.on_code_change(chunk + pages.find(1), chunk + pages.rfind(1))

    def _fill(self, start: int, end: int, permissions: int) -> None:
        """Set the permission bytes of a range."""
        first, last = start >> PAGE_BITS, end >> PAGE_BITS
        for chunk in range(first, last, _CHUNK):
            stop = min(chunk + _CHUNK, last)
            self.table[chunk:stop] = bytes((permissions,)) * (stop - chunk)
        if self.on_protected is not None:
            self.on_protected(start, end)
        if self.guard is not None:
            self.guard.follow(first, last)

    def _grant(self, region: Region) -> None:
        """Set the permission bytes of a region: none for pages behind its file's end."""
        self._fill(region.start, region.data_end, region.permissions)
        self._fill(region.data_end, region.end, 0)

    def _return(self, region: Region) -> None:
        """Put zeros under a region that is no more."""
        if region.backing is None:
            self._memory.discard(region.start, region.size)
        else:
            self._memory.renew(region.start, region.size)

    def _overlapping(self, start: int, end: int) -> Iterator[Region]:
        index = max(bisect_right(self._starts, start) - 1, 0)
        while index < len(self._regions) and self._regions[index].start < end:
            if self._regions[index].end > start:
                yield self._regions[index]
            index += 1

    def _carve(self, start: int, end: int) -> list[Region]:
        """Take [start, end) out of the list of regions; what was there, cut to size, by address."""
        taken: list[Region] = []
        kept: list[Region] = []
        first = index = max(bisect_right(self._starts, start) - 1, 0)
        while index < len(self._regions) and self._regions[index].start < end:
            region = self._regions[index]
            index += 1
            if region.end <= start:
                kept.append(region)
                continue
            if region.start < start:
                kept.append(replace(region, end=start))
            if region.end > end:
                kept.append(_from(region, end))
            inside = _from(region, start) if region.start < start else region
            taken.append(replace(inside, end=end) if inside.end > end else inside)
        if index > first:
            self._regions[first:index] = kept
            self._starts[first:index] = [region.start for region in kept]
        return taken

    def _insert(self, region: Region) -> None:
        """Add a region where none is, joined with its neighbours where they are alike."""
        index = bisect_left(self._starts, region.start)
        first = last = index
        if index and _continues(self._regions[index - 1], region):
            first = index - 1
            region = replace(self._regions[first], end=region.end)
        if index < len(self._regions) and _continues(region, self._regions[index]):
            last = index + 1
            region = replace(region, end=self._regions[index].end)
        self._regions[first:last] = [region]
        self._starts[first:last] = [region.start]


def _from(region: Region, start: int) -> Region:
    """The part of a region at and above `start`."""
    offset = region.offset + (start - region.start) if region.name[:1] == "/" else region.offset
    return replace(region, start=start, offset=offset)


def _continues(left: Region, right: Region) -> bool:
    """Whether two regions are one for anybody who looks."""
    return (
        left.end == right.start
        and left.backing is right.backing
        and (left.permissions, left.name, left.shared) == (right.permissions, right.name, right.shared)
        and _from(left, right.start).offset == right.offset
    )
