"""Entries of a qcow2 image's tables, and a second-level table that knows what of it has changed."""

from __future__ import annotations

from array import array

__all__ = ["COMPRESSED", "COPIED", "OFFSET", "ZERO", "Table"]

#: bits of table entries
OFFSET = 0x00FF_FFFF_FFFF_FE00
COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1


class Table:
    """A second-level table."""

    __slots__ = ("first", "last", "offset", "words")

    def __init__(self, offset: int, words: array[int]) -> None:
        self.offset = offset
        self.words = words
        self.first, self.last = len(words), 0  # the entries that changed

    def set(self, index: int, entry: int) -> None:
        """Change one."""
        self.words[index] = entry
        self.first, self.last = min(self.first, index), max(self.last, index + 1)
