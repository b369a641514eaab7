"""Object files as LLVM writes them for this host: ELF64, little-endian, relocatable; as much as the linker looks at.

Layouts are those of the ELF specification (gABI chapter 4).  Importing a library for it would take a compiler's process
a tenth of its start; what is read here has just been made in this very process.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_IDENT = b"\x7fELF\x02\x01"
_RELOCATABLE = 1
_SYMTAB, _RELA, _NOBITS = 2, 4, 8


class Section:
    """A section: `link` and `info` are what its type makes of them."""

    __slots__ = ("align", "bytes", "data", "flags", "info", "kind", "link", "name")

    def __init__(self, name: str, kind: int, flags: int, data: memoryview, fields: tuple[int, int, int]) -> None:
        self.name = name
        self.kind = kind
        self.flags = flags
        self.data = data
        self.bytes = len(data)
        self.link, self.info, self.align = fields


class Symbol:
    """A symbol: `section` is the number of the one that `value` is an offset in."""

    __slots__ = ("binding", "name", "section", "value")

    def __init__(self, name: str, binding: int, section: int, value: int) -> None:
        self.name = name
        self.binding = binding
        self.section = section
        self.value = value


class ObjectFile:
    """An object file's sections and symbols; ValueError if it is none."""

    def __init__(self, data: bytes) -> None:
        try:
            header = _HEADER.unpack_from(data)
            if header[0][: len(_IDENT)] != _IDENT or header[1] != _RELOCATABLE:
                raise ValueError("not an object file of this host's")
            start, size, count, names = header[6], header[11], header[12], header[13]
            raw = [_SECTION.unpack_from(data, start + number * size) for number in range(count)]
            view = memoryview(data)
            strings = self._contents(view, raw[names])
            self.sections = [
                Section(
                    _string(strings, fields[0]),
                    fields[1],
                    fields[2],
                    self._contents(view, fields),
                    (fields[6], fields[7], fields[8]),
                )
                for fields in raw
            ]
            self.symbols = list(self._symbols())
        except (struct.error, IndexError) as error:
            raise ValueError(f"a damaged object file: {error}") from error

    @staticmethod
    def _contents(view: memoryview, fields: tuple[int, ...]) -> memoryview:
        offset, size = fields[4], fields[5]
        return memoryview(bytes(size)) if fields[1] == _NOBITS else view[offset : offset + size]

    def _symbols(self) -> Iterator[Symbol]:
        for section in self.sections:
            if section.kind == _SYMTAB:
                strings = self.sections[section.link].data
                for name, about, _, number, value, _ in _SYMBOL.iter_unpack(section.data):
                    yield Symbol(_string(strings, name), about >> 4, number, value)

    def relocations(self, section: Section) -> Iterator[tuple[int, int, Symbol, int]]:
        """(offset, type, symbol, addend) of each, if the section holds relocations: of section number `info`."""
        if section.kind == _RELA:
            for offset, about, addend in _RELOCATION.iter_unpack(section.data):
                yield offset, about & 0xFFFFFFFF, self.symbols[about >> 32], addend


def _string(strings: memoryview, at: int) -> str:
    end = at
    while strings[end]:
        end += 1
    return bytes(strings[at:end]).decode()
