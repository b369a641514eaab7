"""Images that a machine begins with: ELF files, Linux kernels and plain bytes, put into its memory at each reset."""

from __future__ import annotations

import mmap
import os
import stat
import struct

from runtime.core.record import record
from runtime.hw.dma import Dma, DmaError
from runtime.machine.machine import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Bytes = bytes | memoryview

_PT_LOAD = 1
_ELF32, _ELF64 = struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<HHIQQQIHHHHHH")
_MOST_HEADERS = 4096


@record
class Part:
    """Bytes at a physical address, then zeros up to `size`."""

    address: int
    data: Bytes
    size: int
    name: str

    @property
    def end(self) -> int:
        return self.address + self.size


@record
class Executable:
    """An ELF file: what it loads, where it begins, and how wide its addresses are."""

    parts: tuple[Part, ...]
    entry: int
    bits: int
    machine: int

    @property
    def end(self) -> int:
        return max(part.end for part in self.parts)


def read_file(path: str, option: str) -> memoryview:
    """A file's bytes, mapped; MachineError names the option that wanted it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise MachineError(f"{option} {path}: {'a directory' if stat.S_ISDIR(found.st_mode) else 'not a file'}")
            if not found.st_size:
                raise MachineError(f"{option} {path}: the file is empty")
            return memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MachineError(f"{option} {path}: {reason}") from error


def is_elf(data: Bytes) -> bool:
    """Whether it begins as ELF files do."""
    return bytes(data[:4]) == b"\x7fELF"


def read_elf(data: Bytes, name: str) -> Executable:
    """A little-endian executable's segments, at their physical addresses."""
    try:
        wide = data[4] == 2
        if data[5] != 1 or data[4] not in (1, 2):
            raise MachineError(f"{name}: a big-endian or damaged ELF file")
        header = (_ELF64 if wide else _ELF32).unpack_from(data, 16)
        kind, machine, _, entry, table, _, _, _, size, count = header[:10]
        if kind != 2 and kind != 3:
            raise MachineError(f"{name}: an ELF file that is not linked")
        segment = struct.Struct("<IIQQQQQQ" if wide else "<IIIIIIII")
        parts = []
        if count > _MOST_HEADERS or size < segment.size:
            raise MachineError(f"{name}: a damaged ELF file")
        for index in range(count):
            fields = segment.unpack_from(data, table + index * size)
            if fields[0] != _PT_LOAD:
                continue
            if wide:
                _, _, offset, virtual, physical, in_file, in_memory, _ = fields
            else:
                _, offset, virtual, physical, in_file, in_memory, _, _ = fields
            if offset + in_file > len(data) or in_file > in_memory:
                raise MachineError(f"{name}: a segment of the ELF file is cut short")
            if in_memory:
                if virtual <= entry < virtual + in_memory:  # the entry is a virtual address
                    entry += physical - virtual
                parts.append(Part(physical, data[offset : offset + in_file], in_memory, name))
    except (struct.error, IndexError):
        raise MachineError(f"{name}: the ELF file is cut short") from None
    if not parts:
        raise MachineError(f"{name}: the ELF file has nothing to load")
    return Executable(tuple(parts), entry, 64 if wide else 32, machine)


class Images:
    """What is put into memory at each reset; two parts may not overlap."""

    def __init__(self, memory: Dma) -> None:
        self._memory = memory
        self.parts: list[Part] = []
        #: for parts in ROM, which no device can write
        self.rom: list[tuple[Callable[[], memoryview], bytes]] = []

    def add(self, part: Part) -> None:
        """Another one; MachineError if it does not fit."""
        for other in self.parts:
            if part.address < other.end and other.address < part.end:
                raise MachineError(
                    f"{part.name} at {part.address:#x}..{part.end - 1:#x} overlaps {other.name} at "
                    f"{other.address:#x}..{other.end - 1:#x}"
                )
        try:
            self._memory.check(part.address, part.size)
        except DmaError:
            raise MachineError(
                f"{part.name}: {part.size:#x} bytes at {part.address:#x} are not all RAM; give the machine more (-m)"
            ) from None
        self.parts.append(part)

    def load(self) -> None:
        """Put all of it into memory."""
        for part in self.parts:
            self._memory.write(part.address, part.data)
            rest = part.size - len(part.data)
            if rest:
                self._memory.write(part.end - rest, bytes(rest))
