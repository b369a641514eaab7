"""Writes an assembled program as a static ELF executable, with its symbols (System V gABI, chapters 4 and 5)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from runtime.core.whole_file import whole_file
from runtime.syntax.image import Image, Section

__all__ = ["executable_bytes", "write_executable", "write_file"]

_PAGE = 4096
_EM_NONE = 0
_ET_EXEC = 2
_PT_LOAD, _PT_NOTE, _PT_GNU_STACK = 1, 4, 0x6474E551
_PF_X, _PF_W, _PF_R = 1, 2, 4
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 1, 2, 3, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_SHN_ABS = 0xFFF1
_STT_NOTYPE, _STT_FUNC, _STT_OBJECT = 0, 2, 1
#: the note that names the instruction set a program was assembled for; runtime/linux/elf.py looks for it
_NOTE_OWNER = b"Isomorph\0"
_NOTE_ISA = 1


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode("utf-8") + b"\0"
        return at


class _Writer:
    """Packs the structures of one class and byte order."""

    def __init__(self, bits: int, big_endian: bool) -> None:
        self.wide = bits == 64
        self.order = ">" if big_endian else "<"

    def header(self, machine: int, flags: int, entry: int, segments: int, sections_at: int, sections: int) -> bytes:
        ident = b"\x7fELF" + bytes([2 if self.wide else 1, 2 if self.order == ">" else 1, 1]) + bytes(9)
        size, segment, section = (64, 56, 64) if self.wide else (52, 32, 40)
        layout = "HHIQQQIHHHHHH" if self.wide else "HHIIIIIHHHHHH"
        return ident + struct.pack(
            self.order + layout,
            _ET_EXEC,
            machine,
            1,
            entry,
            size,
            sections_at,
            flags,
            size,
            segment,
            segments,
            section,
            sections,
            sections - 1,
        )

    def segment(self, kind: int, flags: int, offset: int, address: int, filed: int, size: int, align: int) -> bytes:
        if self.wide:
            return struct.pack(self.order + "IIQQQQQQ", kind, flags, offset, address, address, filed, size, align)
        return struct.pack(self.order + "IIIIIIII", kind, offset, address, address, filed, size, flags, align)

    def section(
        self,
        name: int,
        kind: int,
        flags: int,
        address: int,
        offset: int,
        size: int,
        link: int = 0,
        info: int = 0,
        align: int = 1,
        entry: int = 0,
    ) -> bytes:
        layout = "IIQQQQIIQQ" if self.wide else "IIIIIIIIII"
        return struct.pack(self.order + layout, name, kind, flags, address, offset, size, link, info, align, entry)

    def symbol(self, name: int, value: int, size: int, info: int, index: int) -> bytes:
        if self.wide:
            return struct.pack(self.order + "IBBHQQ", name, info, 0, index, value, size)
        return struct.pack(self.order + "IIIBBH", name, value, size, info, 0, index)

    def note(self, isa: str) -> bytes:
        name = isa.encode("ascii")
        parts = (_NOTE_OWNER.ljust(-(-len(_NOTE_OWNER) // 4) * 4, b"\0"), name.ljust(-(-len(name) // 4) * 4, b"\0"))
        return struct.pack(self.order + "III", len(_NOTE_OWNER), len(name), _NOTE_ISA) + b"".join(parts)


def executable_bytes(
    image: Image, machine: int = _EM_NONE, bits: int = 64, big_endian: bool = False, flags: int = 0, isa: str = ""
) -> bytes:
    """The file's bytes; `machine` and `flags` are the ABI's e_machine and e_flags, `isa` stands in a note.

    ValueError for a section that ends behind the last address of `bits` bits.
    """
    writer = _Writer(bits, big_endian)
    groups = _groups(image.sections)
    note = writer.note(isa) if isa else b""
    count = len(groups) + (2 if note else 1)
    header_size = (64 if bits == 64 else 52) + (56 if bits == 64 else 32) * count
    offset = -(-(header_size + len(note)) // _PAGE) * _PAGE
    segments, body = b"", bytearray()
    offsets: dict[str, int] = {}
    for group in groups:
        start, end = group[0].address, max(section.address + section.size for section in group)
        if end > 1 << bits:
            raise ValueError(f"{group[0].name}: its end, {end:#x}, is no address of {bits} bits")
        filed = max((section.address + len(section.data) for section in group if section.data), default=start) - start
        before = start % _PAGE  # places in the file and in memory agree within a page, as mmap wants
        body += bytes(before)
        offset += before
        content = bytearray(filed)
        for section in group:
            at = section.address - start
            content[at : at + len(section.data)] = section.data
            offsets[section.name] = offset + at
        permissions = _PF_R | (_PF_W if group[0].writable else 0) | (_PF_X if group[0].executable else 0)
        segments += writer.segment(_PT_LOAD, permissions, offset, start, filed, end - start, _PAGE)
        after = -(before + len(content)) % _PAGE
        body += content + bytes(after)
        offset += len(content) + after
    if note:
        segments += writer.segment(_PT_NOTE, _PF_R, header_size, 0, len(note), len(note), 4)
    segments += writer.segment(_PT_GNU_STACK, _PF_R | _PF_W, 0, 0, 0, 0, 16)
    tables, headers = _sections(image, writer, offsets, offset)
    sections_at = offset + len(tables)
    file = writer.header(machine, flags, image.entry, count, sections_at, len(headers)) + segments + note
    file += bytes(-len(file) % _PAGE)
    return file + bytes(body) + tables + b"".join(headers)


def _groups(sections: Sequence[Section]) -> list[list[Section]]:
    """Runs of sections with the same permissions: one segment each."""
    groups: list[list[Section]] = []
    for section in sections:
        if not section.size or not section.loaded:
            continue
        key = (section.writable, section.executable)
        if groups and (groups[-1][0].writable, groups[-1][0].executable) == key:
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def _sections(image: Image, writer: _Writer, offsets: dict[str, int], at: int) -> tuple[bytes, list[bytes]]:
    """The symbol and string tables, which begin at file offset `at`, and all section headers."""
    names, strings = _Strings(), _Strings()
    headers = [writer.section(0, 0, 0, 0, 0, 0, align=0)]
    index: dict[str, int] = {}
    aside = bytearray()  # what is not loaded
    for section in image.sections:
        if not section.size:
            continue
        index[section.name] = len(headers)
        flags = _SHF_ALLOC | (_SHF_WRITE if section.writable else 0) | (_SHF_EXECINSTR if section.executable else 0)
        kind = _SHT_PROGBITS if section.data else _SHT_NOBITS
        if not section.loaded:
            offsets[section.name] = at + len(aside)
            aside += section.data
            flags = 0
        headers.append(
            writer.section(
                names.add(section.name),
                kind,
                flags,
                section.address,
                offsets[section.name],
                section.size,
                align=section.alignment,
            )
        )
    code = {section.name for section in image.sections if section.executable}
    table = bytearray(writer.symbol(0, 0, 0, 0, 0))
    entry_size = len(table)
    aside_names = {section.name for section in image.sections if not section.loaded}
    kept = [symbol for symbol in image.symbols if symbol.section not in aside_names and symbol.name[:2] != ".L"]
    ordered = sorted(kept, key=lambda symbol: symbol.is_global)  # local ones first, as the gABI wants
    for inside, address, mark in image.marks:
        table += writer.symbol(strings.add(mark), address, 0, _STT_NOTYPE, index[inside])
    mask = (1 << (64 if writer.wide else 32)) - 1
    for symbol in ordered:
        kind = _STT_NOTYPE if symbol.section is None else _STT_FUNC if symbol.section in code else _STT_OBJECT
        kind = {"function": _STT_FUNC, "object": _STT_OBJECT, "label": _STT_NOTYPE}.get(symbol.kind or "", kind)
        where = _SHN_ABS if symbol.section is None else index.get(symbol.section, _SHN_ABS)
        table += writer.symbol(
            strings.add(symbol.name), symbol.value & mask, symbol.size & mask, symbol.is_global << 4 | kind, where
        )
    local = 1 + len(image.marks) + sum(not symbol.is_global for symbol in ordered)
    symtab_at = at + len(aside) + -(at + len(aside)) % 8
    tables = bytes(aside) + bytes(symtab_at - at - len(aside)) + bytes(table)
    headers.append(
        writer.section(
            names.add(".symtab"), _SHT_SYMTAB, 0, 0, symtab_at, len(table), len(headers) + 1, local, 8, entry_size
        )
    )
    headers.append(writer.section(names.add(".strtab"), _SHT_STRTAB, 0, 0, at + len(tables), len(strings.data)))
    tables += bytes(strings.data)
    name = names.add(".shstrtab")
    headers.append(writer.section(name, _SHT_STRTAB, 0, 0, at + len(tables), len(names.data)))
    tables += bytes(names.data)
    return tables + bytes(-(at + len(tables)) % 8), headers


def write_executable(
    image: Image,
    path: Path | str,
    machine: int = _EM_NONE,
    bits: int = 64,
    big_endian: bool = False,
    flags: int = 0,
    isa: str = "",
) -> None:
    """Writes the file, executable for those who may read it."""
    write_file(executable_bytes(image, machine, bits, big_endian, flags, isa), path, 0o777)


def write_file(data: bytes, path: Path | str, mode: int = 0o666) -> None:
    """Writes a file at once, into a folder that is there; nothing is left of it where that fails."""
    with whole_file(path, mode) as file:
        file.write(data)
