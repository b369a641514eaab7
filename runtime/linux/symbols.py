"""Names for a guest's addresses, from its executable's symbol table."""

from __future__ import annotations

import struct
from bisect import bisect_right

SHT_SYMTAB, SHT_DYNSYM = 2, 11
_STT_OBJECT, _STT_FUNC, _STT_NOTYPE = 1, 2, 0
_EM_ARM = 40
#: a symbol without a size reaches as far as the next one, but no further than this
_REACH = 1 << 16


class Symbols:
    """The functions and objects of one executable, `bias` bytes above their addresses in the file."""

    def __init__(self, path: str, bits: int, big_endian: bool, bias: int = 0) -> None:
        self._bias = bias
        found: dict[int, tuple[int, str]] = {}
        self._odd: set[int] = set()
        try:
            with open(path, "rb") as file:
                data = file.read()
            for address, size, name, odd in _read(data, bits, big_endian):
                if odd:
                    self._odd.add(address)
                known = found.get(address)
                if known is None or size > known[0]:
                    found[address] = size, name
        except (OSError, struct.error, IndexError, ValueError):
            # A damaged table is no reason to say nothing of the rest.
            pass
        self._addresses = sorted(found)
        self._found = found

    def find(self, address: int) -> tuple[str, int] | None:
        """The symbol an address lies in, and how far inside."""
        address -= self._bias
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        start = self._addresses[index]
        size, name = self._found[start]
        if not size:
            end = self._addresses[index + 1] if index + 1 < len(self._addresses) else start + _REACH
            size = min(end - start, _REACH)
        return (name, address - start) if address < start + size else None

    def is_odd(self, address: int) -> bool:
        """Whether it lies in a function that is called by an odd address, which selects another instruction set."""
        found = self.find(address)
        return found is not None and address - self._bias - found[1] in self._odd

    def named(self, name: str) -> tuple[int, int] | None:
        """Start and end of a symbol."""
        for start in self._addresses:
            size, found = self._found[start]
            if found == name:
                return start + self._bias, start + self._bias + (size or _REACH)
        return None

    def addresses(self) -> list[int]:
        """Where symbols begin, in order."""
        return [address + self._bias for address in self._addresses]

    def describe(self, address: int) -> str:
        """`main+0x12`, or nothing."""
        found = self.find(address)
        if found is None:
            return ""
        return f"{found[0]}+{found[1]:#x}" if found[1] else found[0]


def _sections(data: bytes, bits: int, big_endian: bool) -> list[tuple[int, ...]]:
    """The section headers, in the order of Elf64_Shdr."""
    order = ">" if big_endian else "<"
    wide = bits == 64
    at = struct.unpack_from(order + ("Q" if wide else "I"), data, 40 if wide else 32)[0]
    entry_bytes, count = struct.unpack_from(order + "HH", data, 58 if wide else 46)
    section = struct.Struct(order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"))
    if at + count * entry_bytes > len(data):
        raise struct.error("the section headers end beyond the file")
    return [section.unpack_from(data, at + index * entry_bytes) for index in range(count)]


def _read(data: bytes, bits: int, big_endian: bool) -> list[tuple[int, int, str, bool]]:
    """Address, size and name of every defined symbol of the fullest table there is, and whether its value is odd."""
    tables = _sections(data, bits, big_endian)
    for kind in (SHT_SYMTAB, SHT_DYNSYM):
        for fields in tables:
            if fields[1] == kind:
                names_at, names_bytes = tables[fields[6]][4:6]
                names = data[names_at : names_at + names_bytes]
                table = data[fields[4] : fields[4] + fields[5]]
                order = ">" if big_endian else "<"
                thumb = struct.unpack_from(order + "H", data, 18)[0] == _EM_ARM
                return _symbols(table, names, order, bits == 64, thumb)
    return []


def _symbols(table: bytes, names: bytes, order: str, wide: bool, thumb: bool) -> list[tuple[int, int, str, bool]]:
    """`thumb`: bit 0 of a function's value says in which instruction set it is, and is no part of its address."""
    symbol = struct.Struct(order + ("IBBHQQ" if wide else "IIIBBH"))
    found = []
    for fields in symbol.iter_unpack(table[: len(table) // symbol.size * symbol.size]):
        if wide:
            name_at, info, _, section, value, size = fields
        else:
            name_at, value, size, info, _, section = fields
        if not section or info & 15 not in (_STT_NOTYPE, _STT_OBJECT, _STT_FUNC):
            continue
        name = names[name_at : names.find(b"\0", name_at)].decode("utf-8", "replace")
        if name and not name.startswith("$"):  # $x and the like are marks for disassemblers, not names
            odd = thumb and info & 15 == _STT_FUNC and value & 1 == 1
            found.append((value - odd, size, name, odd))
    return found
