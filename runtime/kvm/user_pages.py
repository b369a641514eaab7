"""The page tables of a user program's machine, made from the permission table of its memory.

Guest-linear addresses are the program's; guest-physical ones are the same, shifted, and behind them lies what the
machine itself needs: tables, descriptors, the level-0 code and a small stack for each vCPU.  The guest has no mapping
of anything else, so it cannot reach other memory of the host's.

A table of 512 pages is filled when one of them is first touched; from then on it follows the permission table.  All
tables lie in a row, so that the entry of a page is found by its number.

What a vCPU may have cached of an entry that loses rights (the processor's TLB; a KVM without nested paging, its own
tables) is dropped by changing the host's protection of the page's memory there and back: the kernel then takes back all
that it has derived from it (its MMU notifiers), on every vCPU, before mprotect returns.
"""

from __future__ import annotations

import mmap
import struct
from _thread import RLock
from array import array

from runtime.core.buffer import HostBuffer
from runtime.core.env import PAGE_BITS, PAGE_EXEC, PAGE_READ, PAGE_WRITE
from runtime.core.host_faults import protect
from runtime.core.memory import GuestMemory
from runtime.kvm import user_entry_x86_64 as entry
from runtime.kvm.machine import Machine

_PAGE = 1 << PAGE_BITS
_ENTRIES = 512
_AREA_BITS = 21  # what a table of 512 pages covers
_PAGES_PER_AREA = 1 << _AREA_BITS - PAGE_BITS

#: guest-physical: the program's memory above the addresses that processors keep for themselves
PROGRAM = 1 << 32
#: and what the machine needs, above all that a program can have
OWN = 1 << 39
#: guest-linear address of the machine's own first pages: in the lower half, where no program's memory reaches
OWN_LINEAR = 0x7F0000000000

# Offsets in the machine's own memory.
_CODE = 0
_GDT, _IDT = 0x2000, 0x2400
_ROOT, _PROGRAM_DIRECTORIES, _OWN_DIRECTORIES, _OWN_DIRECTORY, _OWN_TABLES = 0x3000, 0x4000, 0x5000, 0x6000, 0x7000
_STACKS = 0x200000
MOST_PROCESSORS = 1024
_DIRECTORIES = 0x1000000
_TABLES = 0x2000000

# Bits of an entry: present, writable, user, accessed, dirty (the last two so that no processor need set them).
_P, _W, _U, _AD, _NX = 1, 2, 4, 0x60, 1 << 63
_TABLE = _P | _W | _U | 0x20
_ZEROS = memoryview(bytes(8 * _ENTRIES)).cast("Q")

#: selectors: level-0 code and stack, user stack and code, as IA32_STAR's two bases make them of one number each
KERNEL_CODE, KERNEL_STACK, USER_STACK, USER_CODE = 0x08, 0x10, 0x23, 0x2B
STAR = 0x1B << 48 | KERNEL_CODE << 32
_DESCRIPTORS = (0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0, 0x00CFF3000000FFFF, 0x00AFFB000000FFFF)
#: a bit for each I/O port that user level may not use, and the byte of ones that ends it, at the task state's end
_PORTS = 104
_PORT_MAP = (~(1 << entry.CALL_PORT) & (1 << entry.CALL_PORT + 16) - 1).to_bytes(entry.CALL_PORT // 8 + 2, "little")
GDT_LIMIT, IDT_LIMIT, TSS_LIMIT = 8 * len(_DESCRIPTORS) - 1, 16 * 32 - 1, _PORTS + len(_PORT_MAP) - 1
_GATE, _USER_GATE = 0x8E, 0xEE
#: INT3 and INTO are the program's to use
_FOR_PROGRAMS = (3, 4)

#: memory slots: the machine's own, then one for every so many bytes of the program's that are used
_OWN_SLOT, _FIRST_SLOT = 0, 1
_SLOT_BITS = 28


def _flags(permissions: int) -> int:
    if not permissions & (PAGE_READ | PAGE_WRITE | PAGE_EXEC):
        return 0
    return _P | _U | _AD | (_W if permissions & PAGE_WRITE else 0) | (0 if permissions & PAGE_EXEC else _NX)


_FLAGS = tuple(_flags(byte) for byte in range(256))


class PageTables:
    """The page tables over one program's memory, and the machine's own pages."""

    def __init__(self, memory: GuestMemory) -> None:
        self.memory = memory
        self.lock = RLock()
        self.root = OWN + _ROOT
        self.gdt, self.idt = OWN_LINEAR + _GDT, OWN_LINEAR + _IDT
        areas = memory.size >> _AREA_BITS
        self._buffer = HostBuffer(_TABLES + areas * _PAGE, sparse=True)
        self.octets = memoryview(self._buffer.memory)
        self.words = self.octets.cast("Q")
        self._machine: Machine | None = None
        self._filled: set[int] = set()
        self._make_own(areas)
        memory.on_protected = self._changed

    def close(self) -> None:
        """Forget the memory, which is about to be closed."""
        self.memory.on_protected = None
        self.words.release()
        self.octets.release()
        self._buffer.close()

    def attach(self, machine: Machine) -> None:
        """Give a new machine its memory: the machine's own now, the program's as it is used."""
        self._machine = machine
        machine.set_slot(_OWN_SLOT, OWN, self._buffer.size, self._buffer.address)
        for area in self._filled:
            self._give(area)

    # ------------------------------------------------------------ the machine's own pages

    def _make_own(self, areas: int) -> None:
        words = self.words
        self.octets[_CODE : _CODE + len(entry.CODE)] = entry.CODE
        words[_GDT // 8 : _GDT // 8 + len(_DESCRIPTORS)] = memoryview(array("Q", _DESCRIPTORS))
        for vector in range(32):
            gate = _USER_GATE if vector in _FOR_PROGRAMS else _GATE
            target = OWN_LINEAR + entry.FIRST_VECTOR + vector * entry.VECTOR_BYTES
            low = target & 0xFFFF | KERNEL_CODE << 16 | gate << 40 | (target >> 16 & 0xFFFF) << 48
            struct.pack_into("<QQ", self.octets, _IDT + 16 * vector, low, target >> 32)
        words[_ROOT // 8] = OWN + _PROGRAM_DIRECTORIES | _TABLE
        words[_ROOT // 8 + (OWN_LINEAR >> 39)] = OWN + _OWN_DIRECTORIES | _TABLE
        for index in range(-(-areas // _ENTRIES)):
            words[_PROGRAM_DIRECTORIES // 8 + index] = OWN + _DIRECTORIES + index * _PAGE | _TABLE
        words[_OWN_DIRECTORIES // 8] = OWN + _OWN_DIRECTORY | _TABLE
        own_areas = (_STACKS + MOST_PROCESSORS * _PAGE) >> _AREA_BITS
        for index in range(own_areas):
            words[_OWN_DIRECTORY // 8 + index] = OWN + _OWN_TABLES + index * _PAGE | _TABLE
        # Code at the places of SYSCALL for everybody, all else for level 0 only; of the rest what it needs.
        self._map_own(_CODE, _P | _U | 0x20)
        self._map_own(_CODE + _PAGE, _P | 0x20)
        self._map_own(_GDT, _P | _W | _AD | _NX)

    def _map_own(self, offset: int, flags: int) -> None:
        self.words[_OWN_TABLES // 8 + (offset >> PAGE_BITS)] = OWN + offset | flags

    def task(self, number: int) -> tuple[int, int]:
        """The guest-linear address of a vCPU's task state, made anew, and the offset in `octets` of its stack's end.

        Both share a page: the task state at its beginning (Intel's manual, volume 3, 8.7).  Its map of I/O ports lets
        user level use one, for a KVM that leaves the level at 3 when it carries out SYSCALL.
        """
        page = _STACKS + number * _PAGE
        self._map_own(page, _P | _W | _AD | _NX)
        self.octets[page : page + _PORTS] = bytes(_PORTS)
        struct.pack_into("<Q", self.octets, page + 4, self.linear(page + _PAGE))
        struct.pack_into("<H", self.octets, page + 102, _PORTS)
        self.octets[page + _PORTS : page + TSS_LIMIT + 1] = _PORT_MAP
        return self.linear(page), page + _PAGE

    @staticmethod
    def linear(offset: int) -> int:
        """The guest-linear address of a place in the machine's own memory."""
        return OWN_LINEAR + offset

    # ------------------------------------------------------------ the program's pages

    def fill(self, address: int, need: int) -> bool:
        """A page fault at `address`: whether the page grants `need` by now, so that the access can be made again."""
        if not 0 <= address < self.memory.size:
            return False
        with self.lock:
            if not self.memory.table[address >> PAGE_BITS] & need:
                return False
            area = address >> _AREA_BITS
            if area not in self._filled:
                first = area * _PAGES_PER_AREA
                self._give(area)
                self._write(first, first + _PAGES_PER_AREA)
                self.words[_DIRECTORIES // 8 + area] = OWN + _TABLES + area * _PAGE | _TABLE
                self._filled.add(area)
        return True

    def _give(self, area: int) -> None:
        """Let the machine have the memory of an area."""
        machine, piece = self._machine, area >> _SLOT_BITS - _AREA_BITS
        if machine is not None and _FIRST_SLOT + piece not in machine.slots:
            start = piece << _SLOT_BITS
            size = min(1 << _SLOT_BITS, self.memory.size - start)
            machine.set_slot(_FIRST_SLOT + piece, PROGRAM + start, size, self.memory.base + start)

    def _changed(self, start: int, end: int) -> None:
        """The permissions of [start, end) are new."""
        first, last = start >> PAGE_BITS, end >> PAGE_BITS
        with self.lock:
            low, high = first // _PAGES_PER_AREA, -(-last // _PAGES_PER_AREA)
            if high - low > len(self._filled):
                areas = sorted(area for area in self._filled if low <= area < high)
            else:
                areas = [area for area in range(low, high) if area in self._filled]
            for area in areas:
                begin = max(first, area * _PAGES_PER_AREA)
                stop = min(last, (area + 1) * _PAGES_PER_AREA)
                if self._write(begin, stop):
                    self._forget(begin << PAGE_BITS, stop << PAGE_BITS)

    def _write(self, first: int, last: int) -> bool:
        """Write the entries of pages of one area; whether some that were there have changed."""
        table = bytes(self.memory.table[first:last])
        at = _TABLES // 8 + first
        before = self.words[at : at + last - first].tolist()
        begin = 0
        while begin < len(table):
            rest = table[begin:]
            stop = len(table) - len(rest.lstrip(rest[:1]))
            flags = _FLAGS[rest[0]]
            if flags:
                base = PROGRAM | flags
                pages = range((first + begin) * _PAGE + base, (first + stop) * _PAGE + base, _PAGE)
                self.words[at + begin : at + stop] = memoryview(array("Q", pages))
            else:
                self.words[at + begin : at + stop] = _ZEROS[: stop - begin]
            begin = stop
        if not any(before):
            return False
        after = self.words[at : at + last - first]
        return any(old and old != new for old, new in zip(before, after, strict=True))

    def _forget(self, start: int, end: int) -> None:
        """Have the kernel drop what it derived from entries of these pages."""
        at = start
        while at < end:
            region = self.memory.region_at(at)
            writable, stop = True, end
            if region is not None:
                stop = min(region.end, end)
                writable = region.backing is None or bool(region.backing.most & PAGE_WRITE)
            else:
                following = [other.start for other in self.memory.regions() if at < other.start < end]
                stop = min(following, default=end)
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            protect(self.memory.base + at, stop - at, protection | mmap.PROT_EXEC)
            protect(self.memory.base + at, stop - at, protection)
            at = stop
