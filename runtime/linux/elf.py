"""ELF executables: headers read and checked, every error naming the file, what is wrong and what to do.

Layouts and limits are those of the ELF specification (gABI chapters 4 and 5) and of Linux's fs/binfmt_elf.c.  Headers
are read with `struct`: importing a library for it would cost more time than the program's start.
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise

from runtime.linux.abi import machine_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_INTERP, PT_NOTE, PT_PHDR, PT_GNU_STACK = 1, 3, 4, 6, 0x6474E551
#: types of headers that each processor's ABI gives a meaning
PT_LOPROC, PT_HIPROC = 0x70000000, 0x7FFFFFFF
PF_X, PF_W, PF_R = 1, 2, 4

#: owner of the note in which `isomorph asm` says what a program was assembled for (runtime/syntax/elf_writer.py)
NOTE_OWNER = b"Isomorph\0"

_TYPES = {0: "no type", 1: "an object file", 4: "a core dump"}
_PAGE = 4096
#: Linux takes no longer name of a dynamic linker (PATH_MAX)
_MAX_INTERPRETER = 4096
#: of a note, as much as is looked at
_NOTE_BYTES = 256
#: Linux refuses more program headers than fit in 64 KiB
_MAX_HEADERS_BYTES = 65536


class ElfError(Exception):
    """A file that cannot be run; the message is for the user and names the file."""


class Segment:
    """A PT_LOAD entry: `file_bytes` bytes at `offset` of the file, then zeros up to `memory_bytes`, at `address`."""

    __slots__ = ("address", "file_bytes", "flags", "memory_bytes", "offset")

    def __init__(self, offset: int, address: int, file_bytes: int, memory_bytes: int, flags: int) -> None:
        self.offset = offset
        self.address = address
        self.file_bytes = file_bytes
        self.memory_bytes = memory_bytes
        self.flags = flags

    @property
    def end(self) -> int:
        return self.address + self.memory_bytes


class Image:
    """What the headers of an executable say, checked: nothing here points outside the file or the address space."""

    __slots__ = (
        "big_endian",
        "bits",
        "entry",
        "executable_stack",
        "header_bytes",
        "header_count",
        "headers_address",
        "interpreter",
        "isa",
        "machine",
        "path",
        "position_independent",
        "processor",
        "segments",
    )

    def __init__(self, path: str, machine: int, bits: int, big_endian: bool) -> None:
        self.path = path
        self.machine = machine
        self.bits = bits
        self.big_endian = big_endian
        self.position_independent = False
        self.entry = 0
        self.segments: Sequence[Segment] = ()
        self.headers_address = 0  # of the program headers in memory, 0 when they are not loaded
        self.header_bytes = 0
        self.header_count = 0
        self.executable_stack = False
        self.interpreter: bytes | None = None  # the guest's path of its dynamic linker, if it needs one
        self.processor: dict[int, int] = {}  # addresses of what the processor's own headers stand for, by their types
        self.isa = ""  # name of the instruction set, if the file has a note of it

    @property
    def low(self) -> int:
        """First byte of the lowest segment."""
        return min(segment.address for segment in self.segments)

    @property
    def high(self) -> int:
        """First byte beyond the highest segment."""
        return max(segment.end for segment in self.segments)

    @property
    def machine_name(self) -> str:
        return machine_name(self.machine, self.bits, self.big_endian)


def open_executable(path: str) -> int:
    """A descriptor on the file, or ElfError saying why it cannot be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:
        raise ElfError(f"{path!r}: a file name cannot hold a NUL byte") from None
    except OSError as error:
        raise ElfError(f"{path}: {os.strerror(error.errno or 0)}") from None
    mode = os.fstat(descriptor).st_mode
    if mode & 0o170000 != 0o100000:
        os.close(descriptor)
        kind = "a directory" if mode & 0o170000 == 0o040000 else "not a regular file"
        raise ElfError(f"{path}: {kind}; give the path of a Linux executable")
    return descriptor


def read_image(path: str, descriptor: int, address_top: int | None = None) -> Image:
    """Read and check an executable's headers; `address_top` bounds its addresses (default: its own word size)."""
    file_bytes = os.fstat(descriptor).st_size
    identification = _read(descriptor, 0, 64)
    image, prefix = _identify(path, identification, file_bytes)
    wide = image.bits == 64
    header = struct.Struct(prefix + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"))
    if len(identification) < 16 + header.size:
        raise ElfError(f"{path}: truncated: the ELF header needs {16 + header.size} bytes, the file has {file_bytes}")
    fields = header.unpack_from(identification, 16)
    kind, _, _, image.entry, table, _, _, _, entry_bytes, image.header_count, *_ = fields
    if kind not in (ET_EXEC, ET_DYN):
        what = _TYPES.get(kind, f"of ELF type {kind}")
        raise ElfError(f"{path}: {what}, not an executable; link it first")
    image.position_independent = kind == ET_DYN
    entry = struct.Struct(prefix + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if not image.header_count:
        raise ElfError(f"{path}: no program headers: nothing to load; link it as an executable")
    if entry_bytes != entry.size:
        raise ElfError(f"{path}: damaged: program headers of {entry_bytes} bytes, {entry.size} expected")
    image.header_bytes = entry_bytes
    size = entry_bytes * image.header_count
    if size > _MAX_HEADERS_BYTES:
        raise ElfError(f"{path}: damaged: {image.header_count} program headers are more than Linux accepts")
    if table + size > file_bytes:
        raise ElfError(
            f"{path}: truncated: the program headers end at byte {table + size:#x}, the file at {file_bytes:#x}; "
            "copy it again"
        )
    top = min(address_top or 1 << 64, 1 << image.bits)
    headers = _read(descriptor, table, size)
    _read_segments(image, entry, headers, file_bytes, top)
    _find_headers(image, table, size)
    _read_note(image, entry, headers, descriptor)
    _read_interpreter(image, entry, headers, descriptor)
    return image


def identify(path: str, descriptor: int) -> Image:
    """Only the machine of an ELF file, for choosing the ISA; ElfError when it is no ELF file at all."""
    return _identify(path, _read(descriptor, 0, 64), os.fstat(descriptor).st_size)[0]


def _read(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset) if offset < 1 << 62 else b""


def _identify(path: str, header: bytes, file_bytes: int) -> tuple[Image, str]:
    """The machine, and the `struct` prefix of its byte order."""
    if not header:
        raise ElfError(f"{path}: the file is empty; give the path of a Linux executable")
    if header[:4] != b"\x7fELF"[: len(header)]:
        hint = "a script: run its interpreter" if header[:2] == b"#!" else "give the path of a Linux executable"
        raise ElfError(f"{path}: not an ELF file (it begins with {header[:4].hex(' ')}); {hint}")
    if len(header) < 20:
        raise ElfError(
            f"{path}: truncated: the ELF header needs 52 or 64 bytes, the file has {file_bytes}; copy it again"
        )
    if header[4] not in (1, 2):
        raise ElfError(f"{path}: damaged: ELF class {header[4]}, neither 1 (32-bit) nor 2 (64-bit)")
    if header[5] not in (1, 2):
        raise ElfError(f"{path}: damaged: ELF data encoding {header[5]}, neither 1 (little-endian) nor 2 (big-endian)")
    if header[6] != 1:
        raise ElfError(f"{path}: damaged: ELF version {header[6]}, not 1")
    big_endian = header[5] == 2
    prefix = ">" if big_endian else "<"
    (machine,) = struct.unpack_from(prefix + "H", header, 18)
    return Image(path, machine, 32 * header[4], big_endian), prefix


def _read_segments(image: Image, entry: struct.Struct, table: bytes, file_bytes: int, top: int) -> None:
    path = image.path
    segments = []
    for index, fields in enumerate(entry.iter_unpack(table)):
        if image.bits == 64:
            kind, flags, offset, address, _, in_file, in_memory, _ = fields
        else:
            kind, offset, address, _, in_file, in_memory, flags, _ = fields
        if kind == PT_GNU_STACK:
            image.executable_stack = bool(flags & PF_X)
        if PT_LOPROC <= kind <= PT_HIPROC:
            image.processor[kind] = address
        if kind != PT_LOAD or not in_memory:
            continue
        where = f"{path}: segment {index}"
        if in_file > in_memory:
            raise ElfError(f"{where} is damaged: {in_file:#x} bytes in the file, {in_memory:#x} in memory")
        if offset + in_file > file_bytes:
            raise ElfError(
                f"{where} is truncated: it ends at byte {offset + in_file:#x}, the file at {file_bytes:#x}; "
                "copy it again"
            )
        if address + in_memory > top:
            raise ElfError(
                f"{where} does not fit: addresses {address:#x} to {address + in_memory:#x}, "
                f"the address space ends at {top:#x}"
            )
        if (address - offset) % _PAGE and in_file:
            raise ElfError(f"{where} is damaged: address {address:#x} and file offset {offset:#x} differ within a page")
        segments.append(Segment(offset, address, in_file, in_memory, flags))
    if not segments:
        raise ElfError(f"{path}: no segment to load; link it as an executable")
    segments.sort(key=lambda segment: segment.address)
    for low, high in pairwise(segments):
        if low.end > high.address:
            raise ElfError(
                f"{path}: damaged: segments overlap: {low.address:#x} to {low.end:#x} "
                f"and {high.address:#x} to {high.end:#x}"
            )
    image.segments = segments
    if not any(segment.address <= image.entry < segment.end and segment.flags & PF_X for segment in segments):
        raise ElfError(f"{path}: damaged: the entry point {image.entry:#x} lies in no executable segment")


def _find_headers(image: Image, table: int, size: int) -> None:
    """Where the program headers stand in memory (AT_PHDR): in the segment that holds their bytes of the file."""
    for segment in image.segments:
        if segment.offset <= table and table + size <= segment.offset + segment.file_bytes:
            image.headers_address = table - segment.offset + segment.address


def _read_note(image: Image, entry: struct.Struct, table: bytes, descriptor: int) -> None:
    """The instruction set's name, from the first note if it is ours: sizes of owner and text, a type, owner, text."""
    sizes = struct.Struct(">II" if image.big_endian else "<II")
    for fields in entry.iter_unpack(table):
        if fields[0] == PT_NOTE:
            note = _read(descriptor, fields[2] if image.bits == 64 else fields[1], _NOTE_BYTES)
            owner_bytes, text_bytes = sizes.unpack(note[:8].ljust(8, b"\0"))
            if note[12 : 12 + owner_bytes] == NOTE_OWNER:
                at = 12 + -(-owner_bytes // 4) * 4
                image.isa = note[at : at + text_bytes].decode("ascii", "replace")
                return


def _read_interpreter(image: Image, entry: struct.Struct, table: bytes, descriptor: int) -> None:
    """The path in the first PT_INTERP entry, which ends with a NUL byte."""
    for fields in entry.iter_unpack(table):
        if fields[0] == PT_INTERP:
            offset, size = (fields[2], fields[5]) if image.bits == 64 else (fields[1], fields[4])
            name = _read(descriptor, offset, size) if 2 <= size <= _MAX_INTERPRETER and offset < 1 << 63 else b""
            if not name.endswith(b"\0") or len(name) != size:
                raise ElfError(f"{image.path}: damaged: the name of its dynamic linker (PT_INTERP) is no string")
            image.interpreter = name[:-1].split(b"\0")[0]
            return
