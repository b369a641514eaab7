"""What the registers of a NAME.gdb.toml are made of: `FSW[10]`, `FPR[TOP + 2]`, `~FTW[7]` and so on, checked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtime.core.layout import Layout, RegisterLayout
from runtime.core.record import replace
from runtime.core.register_part import Part

#: a part that always reads the same (runtime/core/register_part.py)
_NOTHING = ""
#: a name; the entry of a file, perhaps counted from what a mode says; the bits of anything else
_PART = re.compile(r"(~?)([^\s~\[\]]+)(?:\[(?:(\w+) \+ )?(\d+)(?::(\d+))?\])?")


class PartError(Exception):
    """A part that the spec does not have: the word that is wrong, what is, and what there is."""

    def __init__(self, word: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.word = word
        self.message = message
        self.help = help


def part_of(layout: Layout, item: object) -> Part:
    """What an item of `parts` says; PartError.

    A number is so many bits of 0, `{ bits, value }` bits that never change; of several places, in a list, all have the
    same bits.
    """
    match item:
        case int() if type(item) is int and item > 0:
            return Part(_NOTHING, 0, item)
        case {"bits": int(bits), "value": int(value), **rest} if not rest and bits > 0 and 0 <= value < 1 << bits:
            return Part(_NOTHING, value, bits)
        case [first, *others] if others:
            return _several(layout, first, others)
        case str():
            return _named(layout, item)
        case _:
            raise PartError(
                "parts", f"{item!r} is no part of a register", 'a part is "NAME", a number of bits, or { bits, value }'
            )


def _several(layout: Layout, first: object, others: Sequence[object]) -> Part:
    parts = [part_of(layout, item) for item in (first, *others)]
    if len({part.width for part in parts}) > 1:
        raise PartError(parts[0].name, "what stands in several places has the same width in all of them")
    one = parts[0]
    return replace(one, also=tuple(parts[1:]))


def _named(layout: Layout, text: str) -> Part:
    found = _PART.fullmatch(text)
    if found is None:
        raise PartError(text, f"{text!r} is no part of a register", "write NAME, NAME[7:0], FILE[3] or FILE[MODE + 3]")
    tilde, name, mode, number, low = found.groups()
    file = layout.by_name.get(name)
    if file is not None and file.is_file:
        if number is None or low is not None or int(number) >= file.count:
            raise PartError(name, f"'{name}' has {file.count} entries, and '{text}' is none", f"write {name}[0]")
        if mode is not None and not _mode_width(layout, mode):
            raise PartError(mode, f"the spec has no mode '{mode}'")
        entries = file.count if mode else 0
        return Part(name, int(number), file.width, 0, mode or "", entries, bool(tilde))
    whole = whole_part(layout, name)
    if whole is None:
        raise PartError(name, f"the spec has no register {name!r}", f"registers: {', '.join(known_names(layout))}")
    if number is None:
        return replace(whole, inverted=bool(tilde))
    high = int(number)
    lowest = high if low is None else int(low)
    if mode is not None or not lowest <= high < whole.width:
        raise PartError(name, f"'{name}' has {whole.width} bits, and '{text}' is none of them")
    return replace(whole, width=high - lowest + 1, low=lowest, inverted=bool(tilde))


def whole_part(layout: Layout, name: str) -> Part | None:
    """A register, a mode, the pc, or an entry of a file by one of its spellings."""
    register = layout.by_name.get(name)
    if register is not None and not register.is_file:
        return Part(name, 0, register.width)
    if name == layout.pc_name:
        return pc_part(layout)
    if width := _mode_width(layout, name):
        return Part(name, 0, width)
    return next((Part(file.name, index, file.width) for file, index in _spelled(layout, name)), None)


def pc_part(layout: Layout) -> Part:
    """The whole program counter."""
    return Part("pc", 0, layout.pc_width)


def known_names(layout: Layout) -> tuple[str, ...]:
    """All that a part may be of."""
    modes = (mode.name for mode in layout.modes if not mode.prefix)
    return (layout.pc_name, *(register.name for register in layout.registers), *modes)


def _mode_width(layout: Layout, name: str) -> int:
    """Bits of a mode; 0 if there is none."""
    return next((mode.width for mode in layout.modes if mode.name == name and not mode.prefix), 0)


def _spelled(layout: Layout, name: str) -> list[tuple[RegisterLayout, int]]:
    return [
        (register, index)
        for register in layout.registers
        for index, spellings in enumerate(register.names)
        if name in spellings
    ]
