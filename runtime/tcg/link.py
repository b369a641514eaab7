"""Links ELF objects made by LLVM into one position-independent blob, and writes blob files.

Code and constants are laid out in one piece that refers to itself PC-relatively, so it runs wherever it is mapped and
is never written.  Whatever would break that is an error that names it: an undefined symbol (LLVM called its runtime
library), an absolute address, writable data.
"""

from __future__ import annotations

import os
import struct
import zlib

from runtime.tcg.blobs import HEADER, MAGIC, PAGE
from runtime.tcg.elf_object import ObjectFile, Section
from runtime.tcg.ir import InternalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_EXECINSTR, _ALLOC, _WRITE = 4, 2, 1
_LOCAL, _WEAK = 0, 2
# Relocation types of the x86-64 psABI, table 4.10.
_PC32, _PLT32, _PC64, _GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX = 2, 4, 24, 9, 41, 42
_RELATIVE = {_PC32: ("<i", 4), _PLT32: ("<i", 4), _PC64: ("<q", 8)}
#: `mov r, [rip + GOT entry]` becomes `lea r, [rip + symbol]`
_MOV_LOAD, _LEA = 0x8B, 0x8D


class _Object:
    """One object file and where its sections went: section number -> offset in the blob."""

    def __init__(self, data: bytes) -> None:
        self.elf = ObjectFile(data)
        self.placed: dict[int, int] = {}


def _wanted(section: Section) -> bool:
    if not section.flags & _ALLOC or section.bytes == 0 or section.name == ".eh_frame":
        return False
    if section.flags & _WRITE and not section.name.startswith(".data.rel.ro"):
        raise InternalError(f"section {section.name}: compiled code may have no writable data")
    return True


def link(objects: Sequence[bytes], table: str = "") -> tuple[bytes, dict[str, int]]:
    """The blob's bytes, and where in it each global symbol stands.

    table: a section whose place is wanted too, under its name, and its bytes, under "bytes of" that; of one object.
    """
    files = [_Object(data) for data in objects]
    blob = bytearray()
    # Code first, so that constants do not share its pages' first lines.
    for executable in (True, False):
        for file in files:
            for number, section in enumerate(file.elf.sections):
                if bool(section.flags & _EXECINSTR) == executable and _wanted(section):
                    align = max(16, section.align)
                    blob += (b"\xcc" if executable else b"\0") * (-len(blob) % align)
                    file.placed[number] = len(blob)
                    blob += section.data
    symbols = _globals(files)
    if table:
        for number, section in enumerate(files[0].elf.sections):
            if section.name == table and number in files[0].placed:
                symbols[table], symbols[f"bytes of {table}"] = files[0].placed[number], section.bytes
    for file in files:
        for section in file.elf.sections:
            if section.info in file.placed:
                _relocate(blob, file, section, symbols)
    return bytes(blob), symbols


def _globals(files: Sequence[_Object]) -> dict[str, int]:
    symbols: dict[str, int] = {}
    for file in files:
        for symbol in file.elf.symbols:
            if symbol.binding == _LOCAL or symbol.section not in file.placed:
                continue
            if symbol.name in symbols:
                if symbol.binding == _WEAK:
                    continue  # the same function, compiled into several objects
                raise InternalError(f"two functions are called {symbol.name}")
            symbols[symbol.name] = file.placed[symbol.section] + symbol.value
    return symbols


def _owner(place: int, symbols: Mapping[str, int]) -> str:
    """The function that this place belongs to."""
    return max((start, name) for name, start in symbols.items() if start <= place)[1]


def _relocate(blob: bytearray, file: _Object, relocations: Section, symbols: Mapping[str, int]) -> None:
    base = file.placed[relocations.info]
    for offset, kind, symbol, addend in file.elf.relocations(relocations):
        place = base + offset
        if symbol.section in file.placed:
            target = file.placed[symbol.section] + symbol.value
        elif symbol.name in symbols:
            target = symbols[symbol.name]
        else:
            user = _owner(place, symbols)
            raise InternalError(f"{user} refers to {symbol.name or 'a section left out'}, which is not in the blob")
        if kind in (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX):
            if blob[place - 2] != _MOV_LOAD:
                raise InternalError(f"a reference to {symbol.name} through a table of addresses")
            blob[place - 2] = _LEA
            kind = _PC32
        if kind not in _RELATIVE:
            raise InternalError(f"a reference to {symbol.name} is an absolute address (relocation type {kind})")
        form, size = _RELATIVE[kind]
        blob[place : place + size] = struct.pack(form, target + addend - place)


def write_blob(path: Path, code: bytes, symbols: Mapping[str, int], meta: Mapping[str, str] | None = None) -> None:
    """Write a blob file: header, `meta` and symbols in lines, the code at a page boundary.  Replaces atomically."""
    about, table = ("\n".join(f"{key} {value}" for key, value in d.items()) for d in (meta or {}, symbols))
    description = f"{about}\n\n{table}\n".encode()
    start = -(-(HEADER.size + len(description)) // PAGE) * PAGE
    checksum = zlib.crc32(code, zlib.crc32(description))
    header = HEADER.pack(MAGIC, len(description), start, len(code), checksum)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes((header + description).ljust(start, b"\0") + code)
    temporary.replace(path)
