"""C structure layouts as data: a line of `name:type` words becomes something that packs and unpacks bytes."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: type word -> (struct code, bytes); `long`, `ulong` and `ptr` depend on the ABI
_FIXED = {
    "u8": ("B", 1),
    "s8": ("b", 1),
    "u16": ("H", 2),
    "s16": ("h", 2),
    "u32": ("I", 4),
    "s32": ("i", 4),
    "u64": ("Q", 8),
    "s64": ("q", 8),
}


class Struct:
    """A C structure of one ABI.

    `definition` is what a C declaration says, in order: `"sec:s64 nsec:long name:char65"`.  Padding is what the C
    compiler would insert: every field at a multiple of its size (at most `max_align`), the whole a multiple of the
    largest.
    """

    __slots__ = ("_defaults", "_masks", "_packer", "big_endian", "definition", "offsets", "size")

    def __init__(self, definition: str, long_bytes: int, big_endian: bool, max_align: int = 8) -> None:
        self.definition = definition
        self.big_endian = big_endian
        self.offsets: dict[str, int] = {}
        self._defaults: dict[str, int | bytes] = {}
        self._masks: dict[str, tuple[int, int]] = {}  # name -> (mask, sign bit or 0)
        codes = [">" if big_endian else "<"]
        at, largest = 0, 1
        for word in definition.split():
            name, _, kind = word.partition(":")
            if kind.startswith("char"):
                count = int(kind[4:])
                code, size, align = f"{count}s", count, 1
                self._defaults[name] = b""
            else:
                if kind in ("long", "ulong", "ptr"):
                    kind = f"{'s' if kind == 'long' else 'u'}{long_bytes * 8}"
                code, size = _FIXED[kind]
                align = min(size, max_align)
                self._defaults[name] = 0
                self._masks[name] = ((1 << size * 8) - 1, 1 << size * 8 - 1 if kind[0] == "s" else 0)
            padding = -at % align
            if padding:
                codes.append(f"{padding}x")
            self.offsets[name] = at + padding
            at += padding + size
            largest = max(largest, align)
            codes.append(code)
        if -at % largest:
            codes.append(f"{-at % largest}x")
        self._packer = struct.Struct("".join(codes))
        self.size = self._packer.size

    def pack(self, values: Mapping[str, int | bytes]) -> bytes:
        """The structure's bytes; fields not given are zero, integers too large lose their upper bits as in C."""
        fields = []
        for name, default in self._defaults.items():
            value = values.get(name, default)
            if isinstance(value, int):
                mask, sign = self._masks[name]
                value = ((value & mask) ^ sign) - sign
            fields.append(value)
        return self._packer.pack(*fields)

    def unpack(self, data: bytes) -> dict[str, int]:
        """The integer fields of a structure's bytes (arrays of characters are left out)."""
        pairs = zip(self._defaults, self._packer.unpack(data), strict=True)
        return {name: value for name, value in pairs if isinstance(value, int)}
