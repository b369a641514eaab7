"""-kernel on the pc board: Linux's x86 boot protocol for bzImages, PVH for ELF files, without any firmware.

The sections named are those of Linux's Documentation/arch/x86/boot.rst; PVH is Xen's docs/misc/pvh.pandoc with
xen/include/public/arch-x86/hvm/start_info.h.
"""

from __future__ import annotations

import struct

from runtime.core.record import record
from runtime.machine.images import Images, Part, is_elf, read_elf, read_file
from runtime.machine.machine import MachineError
from runtime.machine.pc_entry_x86 import ENTRY, SIZE, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.machine.images import Bytes

__all__ = ["RAM", "RESERVED", "TABLES", "TABLES_ACPI", "BootWishes", "add_kernel"]

#: kinds of ranges in a memory map (ACPI 6.4, 15.1)
RAM, RESERVED, TABLES_ACPI = 1, 2, 3
#: what a board lays out below 1 MiB for the kernel's beginning
PARAMETERS, PAGES, START_INFO, COMMAND_LINE = 0x2000, 0x3000, 0x9000, 0x10000
#: the root of the ACPI tables, and the tables, where PCs have their BIOS
ROOT, TABLES = 0xE0000, 0xE0100
_MEGABYTE = 1 << 20
_PAGE, _2M = 4096, 2 << 20
_COMMAND_LINE_MOST = 0x10000

# The header of a bzImage ("The Real-Mode Kernel Header").
_SETUP_SECTORS, _FLAG, _JUMP, _MAGIC, _VERSION = 0x1F1, 0x1FE, 0x201, 0x202, 0x206
_LOADER, _LOAD_FLAGS, _RAMDISK, _RAMDISK_SIZE, _COMMAND_POINTER = 0x210, 0x211, 0x218, 0x21C, 0x228
_RAMDISK_MOST, _RELOCATABLE, _WIDE_FLAGS, _COMMAND_SIZE, _PREFERRED, _MEMORY_NEEDED = (
    0x22C, 0x234, 0x236, 0x238, 0x258, 0x260,
)  # fmt: skip
_HEADER_START = 0x1F1
_VIDEO_MODE = 0x1FA
_LOADED_HIGH = 1
_LEAST_VERSION = 0x0206
_OTHER_LOADER, _NORMAL_VIDEO = 0xFF, 0xFFFF
_WIDE_ENTRY = 0x200
# The boot parameters (zero-page.rst).
_ACPI_ROOT, _MAP_COUNT, _MAP, _MAP_MOST = 0x070, 0x1E8, 0x2D0, 128
_RANGE = struct.Struct("<QQI")

_PT_NOTE, _PHYS32_ENTRY = 4, 18
_START_MAGIC = 0x336EC578
_EM_386, _EM_X86_64 = 3, 62


@record
class BootWishes:
    """What is to be booted, and in what memory.

    low   RAM below 4 GiB
    ranges   the memory map: (start, size, kind)
    acpi   where the root of the ACPI tables is
    """

    kernel: str
    initrd: str | None
    append: str
    low: int
    ranges: Sequence[tuple[int, int, int]]
    acpi: int


def add_kernel(images: Images, wishes: BootWishes) -> None:
    """Put a kernel, what it is told, and the code that enters it among the images; MachineError."""
    data, name = read_file(wishes.kernel, "-kernel"), f"-kernel {wishes.kernel}"
    command = wishes.append.encode("utf-8", "surrogateescape") + b"\0"
    if len(command) > _COMMAND_LINE_MOST:
        raise MachineError(f"-append: more than {_COMMAND_LINE_MOST - 1} bytes")
    images.add(Part(COMMAND_LINE, command, len(command), "-append"))
    if is_elf(data):
        entry = _pvh(images, wishes, data, name)
    elif len(data) > _MEMORY_NEEDED + 4 and bytes(data[_MAGIC : _MAGIC + 4]) == b"HdrS":
        entry = _linux(images, wishes, data, name, len(command))
    else:
        raise MachineError(f"{name}: neither a bzImage nor an ELF file")
    images.add(Part(ENTRY, entry.code(), SIZE, "the way to the kernel"))


def _ramdisk(images: Images, wishes: BootWishes, behind: int, most: int) -> tuple[int, int]:
    """Load -initrd as high as it may be; its place and size."""
    if wishes.initrd is None:
        return 0, 0
    data = read_file(wishes.initrd, "-initrd")
    at = min(wishes.low, most + 1) - len(data) & -_PAGE
    if at < behind:
        raise MachineError(f"-initrd {wishes.initrd}: no room behind the kernel; give the machine more memory (-m)")
    images.add(Part(at, data, len(data), f"-initrd {wishes.initrd}"))
    return at, len(data)


# ------------------------------------------------------------------ bzImage


def _linux(images: Images, wishes: BootWishes, data: Bytes, name: str, command: int) -> Entry:
    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], "little")

    version = number(_VERSION, 2)
    if number(_FLAG, 2) != 0xAA55 or version < _LEAST_VERSION or not number(_LOAD_FLAGS, 1) & _LOADED_HIGH:
        raise MachineError(
            f"{name}: its boot protocol is {version >> 8}.{version & 255:02}; 2.06 is the least there is here"
        )
    if command - 1 > number(_COMMAND_SIZE, 4):
        raise MachineError(f"-append: this kernel takes {number(_COMMAND_SIZE, 4)} bytes")
    start = ((number(_SETUP_SECTORS, 1) or 4) + 1) * 512
    code = data[start:]
    if not len(code):
        raise MachineError(f"{name}: the file is cut short")
    # From 2.10 on it says where it wants to be, and how much memory it needs there until it has its own map.
    at, needed = _MEGABYTE, len(code)
    if version >= 0x020A:
        at, needed = number(_PREFERRED, 8), max(needed, number(_MEMORY_NEEDED, 4))
    if at < _MEGABYTE or at + needed > wishes.low:
        if not 0 < at + needed <= wishes.low and not number(_RELOCATABLE, 1):
            raise MachineError(f"{name}: it needs {needed:#x} bytes at {at:#x}; give the machine more memory (-m)")
        at = _MEGABYTE
        if at + needed > wishes.low:
            raise MachineError(f"{name}: it needs {needed:#x} bytes of memory; give the machine more (-m)")
    images.add(Part(at, code, len(code), name))
    ramdisk, ramdisk_size = _ramdisk(images, wishes, at + needed, number(_RAMDISK_MOST, 4))

    page = bytearray(_PAGE)
    end = _MAGIC + number(_JUMP, 1)
    page[_HEADER_START:end] = data[_HEADER_START:end]

    def put(place: int, size: int, value: int) -> None:
        page[place : place + size] = value.to_bytes(size, "little")

    put(_LOADER, 1, _OTHER_LOADER)
    put(_VIDEO_MODE, 2, _NORMAL_VIDEO)
    put(0x214, 4, at)  # code32_start: where it was loaded
    put(_RAMDISK, 4, ramdisk)
    put(_RAMDISK_SIZE, 4, ramdisk_size)
    put(_COMMAND_POINTER, 4, COMMAND_LINE)
    put(_ACPI_ROOT, 8, wishes.acpi)
    put(_MAP_COUNT, 1, len(wishes.ranges))
    for index, one in enumerate(wishes.ranges[:_MAP_MOST]):
        _RANGE.pack_into(page, _MAP + index * _RANGE.size, *one)
    images.add(Part(PARAMETERS, bytes(page), _PAGE, "Linux's boot parameters"))
    if version >= 0x020C and number(_WIDE_FLAGS, 2) & 1:
        images.add(Part(PAGES, _identity(), len(_identity()), "the first page tables"))
        return Entry(at + _WIDE_ENTRY, PARAMETERS, pages=PAGES)
    return Entry(at, PARAMETERS)


def _identity() -> bytes:
    """Page tables that map the first 4 GiB to themselves, 2 MiB at a time."""
    present = 3
    top = struct.pack("<Q", PAGES + _PAGE | present).ljust(_PAGE, b"\0")
    gigabytes = b"".join(struct.pack("<Q", PAGES + (2 + index) * _PAGE | present) for index in range(4))
    pages = b"".join(struct.pack("<Q", index * _2M | present | 0x80) for index in range(4 * 512))
    return top + gigabytes.ljust(_PAGE, b"\0") + pages


# ------------------------------------------------------------------ PVH


def _pvh(images: Images, wishes: BootWishes, data: Bytes, name: str) -> Entry:
    executable = read_elf(data, name)
    if executable.machine not in (_EM_386, _EM_X86_64):
        raise MachineError(f"{name}: an ELF file of another processor")
    entry = _pvh_entry(data, executable.bits == 64)
    if entry is None:
        raise MachineError(
            f"{name}: an ELF file without PVH entry (a Xen note of type {_PHYS32_ENTRY}); a bzImage needs none"
        )
    for part in executable.parts:
        images.add(part)
    ramdisk, ramdisk_size = _ramdisk(images, wishes, executable.end, (1 << 32) - 1)
    modules = START_INFO + 0x40
    table = modules + 0x20
    ranges = b"".join(struct.pack("<QQII", start, size, kind, 0) for start, size, kind in wishes.ranges)
    info = struct.pack(
        "<IIIIQQQQII", _START_MAGIC, 1, 0, 1 if ramdisk else 0, modules if ramdisk else 0, COMMAND_LINE, wishes.acpi,
        table, len(wishes.ranges), 0,
    )  # fmt: skip
    block = info.ljust(0x40, b"\0") + struct.pack("<QQQQ", ramdisk, ramdisk_size, 0, 0) + ranges
    images.add(Part(START_INFO, block, len(block), "PVH's start information"))
    return Entry(entry, start_info=START_INFO)


def _pvh_entry(data: Bytes, wide: bool) -> int | None:
    """What the note says, if there is one."""
    table = int.from_bytes(data[32:40] if wide else data[28:32], "little")
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    for index in range(count):
        at = table + index * size
        if int.from_bytes(data[at : at + 4], "little") != _PT_NOTE:
            continue
        places = ((8, 8), (32, 8), (48, 8)) if wide else ((4, 4), (16, 4), (28, 4))
        offset, length, align = (int.from_bytes(data[at + place : at + place + n], "little") for place, n in places)
        found = _note(data[offset : offset + length], 8 if align == 8 else 4)
        if found is not None:
            return found
    return None


def _note(notes: Bytes, align: int) -> int | None:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, at)
        name_at = at + 12
        value_at = at + (12 + name_size + align - 1 & -align)
        if kind == _PHYS32_ENTRY and bytes(notes[name_at : name_at + name_size]) == b"Xen\0" and size in (4, 8):
            return int.from_bytes(notes[value_at : value_at + size], "little") & 0xFFFF_FFFF
        at = value_at + (size + align - 1 & -align)
    return None
