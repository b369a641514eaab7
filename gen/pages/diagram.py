"""An encoding as a picture: its bits in the order they are written, as cells of fixed bits and of fields.

The same cells make the inline SVG of a page and the text diagram of a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from gen import model

__all__ = ["FIELD_KINDS", "Cell", "bit_order", "cells", "svg", "text_diagram", "units"]

#: kind of a field -> what it is, in the order of a legend
FIELD_KINDS = {
    "field-dst": "register written",
    "field-src": "register read",
    "field-reg": "register",
    "field-imm": "number",
    "field-adr": "address",
    "field-opt": "option",
    "field-sys": "system register",
    "field-sub": "operand",
    "field-hid": "not in the text",
    "fixed": "fixed bits",
}
#: of the drawing, in its own units
_BIT, _HEIGHT, _TOP, _MARGIN = 22, 30, 16, 2
_ROW_BITS = 32


@dataclass(frozen=True, slots=True)
class Cell:
    """Bits next to each other: `text` is the field's name with its slice, or the fixed bits themselves."""

    kind: str
    name: str  # "" for fixed bits
    text: str
    low: int  # fetch bit of the lowest
    width: int
    high_number: int  # as manuals number the leftmost and rightmost bits of the unit
    low_number: int
    value: str = ""  # its bits in one word, when a word is shown


def units(pattern: model.Pattern, space: model.Space) -> list[tuple[int, int]]:
    """(first fetch bit, bits) of each unit of a pattern, in the order fetched."""
    if space.big or space.units[0] == 8:
        size = min(space.units[0] if space.big else 8, pattern.length) or 8
        if len(space.units) > 1 and pattern.length in space.units:
            size = pattern.length
        return [(at, min(size, pattern.length - at)) for at in range(0, pattern.length, size)]
    pieces = pattern.text.count("/") + 1
    size = pattern.length // pieces if pattern.length % pieces == 0 else space.units[0]
    if size not in space.units:
        size = space.units[0]
    return [(at, min(size, pattern.length - at)) for at in range(0, pattern.length, size)]


def bit_order(first: int, length: int, space: model.Space) -> list[int]:
    """Fetch bits of a unit, the one written leftmost first."""
    if not space.big:
        return list(range(first + length - 1, first - 1, -1))
    return [first + 8 * (index // 8) + 7 - index % 8 for index in range(length)]


def cells(
    pattern: model.Pattern,
    space: model.Space,
    kinds: Mapping[str, str],
    msb0: bool = False,
    word: int | None = None,
) -> list[list[Cell]]:
    """The cells of each unit; `kinds` are those of the fields, `word` a fetch integer whose bits to show."""
    owner: dict[int, tuple[str, int, int]] = {}
    for layout in pattern.fields:
        for part in layout.slices:
            for bit in range(part.width):
                owner[part.low + bit] = layout.name, part.field_low + bit, layout.width
    rows = []
    for first, length in units(pattern, space):
        order = bit_order(first, length, space)
        rows.append([_cell(run, order, owner, pattern, kinds, msb0, word) for run in _runs(order, owner)])
    return rows


def _runs(order: Sequence[int], owner: Mapping[int, tuple[str, int, int]]) -> Iterator[list[int]]:
    """Indices of `order` that make one cell: fixed bits, or descending bits of one field."""
    run: list[int] = []
    for index, bit in enumerate(order):
        if run:
            before, this = owner.get(order[run[-1]]), owner.get(bit)
            joined = (before is None and this is None) or (
                before is not None and this is not None and before[0] == this[0] and before[1] == this[1] + 1
            )
            if not joined:
                yield run
                run = []
        run.append(index)
    if run:
        yield run


def _cell(
    run: Sequence[int],
    order: Sequence[int],
    owner: Mapping[int, tuple[str, int, int]],
    pattern: model.Pattern,
    kinds: Mapping[str, str],
    msb0: bool,
    word: int | None,
) -> Cell:
    bits = [order[index] for index in run]
    ends = (run[0], run[-1]) if msb0 else (len(order) - 1 - run[0], len(order) - 1 - run[-1])
    value = "" if word is None else "".join(str(word >> bit & 1) for bit in bits)
    first = owner.get(bits[0])
    common = Cell("fixed", "", "", min(bits), len(bits), *ends, value)
    if first is None:
        fixed = "".join(str(pattern.value >> bit & 1) if pattern.mask >> bit & 1 else "-" for bit in bits)
        return replace(common, text=fixed)
    name, high, width = first
    low = high - len(bits) + 1
    text = name
    if len(bits) != width:
        ends = (width - 1 - high, width - 1 - low) if msb0 else (high, low)
        text = f"{name}[{ends[0]}]" if high == low else f"{name}[{ends[0]}:{ends[1]}]"
    return replace(common, kind=kinds.get(name, "field-hid"), name=name, text=text)


def slices_text(layout: model.FieldLayout, rows: Sequence[Sequence[Cell]]) -> str:
    """Where a field stands: `31:25, 11:7`; with several units, the unit's number before the bits."""
    found = []
    for number, row in enumerate(rows):
        for cell in row:
            if cell.name == layout.name:
                bits = str(cell.high_number) if cell.width == 1 else f"{cell.high_number}:{cell.low_number}"
                found.append(bits if len(rows) == 1 else f"{number}.{bits}")
    return ", ".join(found)


# ---------------------------------------------------------------- SVG


def svg(rows: Sequence[Sequence[Cell]], title: str, ident: str, shown: bool = False) -> str:
    """The picture: units side by side, as many bits in a line as fit; `shown` adds the bits of the word below."""
    lines: list[list[Sequence[Cell]]] = [[]]
    used = 0
    for row in rows:
        bits = sum(cell.width for cell in row)
        if used and used + bits > _ROW_BITS:
            lines.append([])
            used = 0
        lines[-1].append(row)
        used += bits
    step = _TOP + _HEIGHT + (_TOP if shown else 0) + 6
    widest = max(sum(cell.width for row in line for cell in row) for line in lines)
    gaps = max(len(line) for line in lines) - 1
    width = widest * _BIT + gaps * _BIT // 2 + 2 * _MARGIN
    height = step * len(lines)
    described = "; ".join(_described(cell) for row in rows for cell in row)
    out = [
        f'<svg class="bits" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-labelledby="{ident}-t {ident}-d">',
        f'<title id="{ident}-t">{escape(title)}</title><desc id="{ident}-d">{escape(described)}</desc>',
    ]
    for number, line in enumerate(lines):
        x, y = _MARGIN, number * step
        for row in line:
            for cell in row:
                out += _drawn(cell, x, y, shown)
                x += cell.width * _BIT
            x += _BIT // 2
    out.append("</svg>")
    return "".join(out)


def _described(cell: Cell) -> str:
    bits = f"bit {cell.high_number}" if cell.width == 1 else f"bits {cell.high_number} to {cell.low_number}"
    what = cell.text if cell.name else f"fixed {cell.text}"
    return f"{bits}: {what}" + (f" = {cell.value}" if cell.value and cell.name else "")


def _drawn(cell: Cell, x: int, y: int, shown: bool) -> Iterator[str]:
    width, top = cell.width * _BIT, y + _TOP
    yield f'<g class="{cell.kind}"><rect x="{x}" y="{top}" width="{width}" height="{_HEIGHT}"/>'
    if cell.name:
        text = next(
            (
                text
                for text in (cell.text, cell.name, cell.text[len(cell.name) :].strip("[]"))
                if 7.4 * len(text) <= width
            ),
            cell.name[: max(1, width // 8)],
        )
        style = ' class="tight"' if len(text) * 8.4 > width else ""
        yield f'<text x="{x + width / 2:g}" y="{top + 20}"{style}>{escape(text)}</text>'
    else:
        for index, bit in enumerate(cell.text):
            yield f'<text x="{x + index * _BIT + _BIT / 2:g}" y="{top + 20}">{bit}</text>'
    yield "</g>"
    if cell.width == 1:
        yield f'<text class="no" x="{x + _BIT / 2:g}" y="{y + 11}">{cell.high_number}</text>'
    else:
        yield f'<text class="no first" x="{x + 4}" y="{y + 11}">{cell.high_number}</text>'
        yield f'<text class="no last" x="{x + width - 4}" y="{y + 11}">{cell.low_number}</text>'
    if shown and cell.name:
        for index, bit in enumerate(cell.value):
            yield f'<text class="no" x="{x + index * _BIT + _BIT / 2:g}" y="{top + _HEIGHT + 13}">{bit}</text>'


# ---------------------------------------------------------------- terminals


def text_diagram(row: Sequence[Cell], width: int) -> list[list[list[tuple[str, str]]]]:
    """A unit as boxes of characters: blocks of lines of (kind, text), each at most `width` columns wide."""
    blocks: list[list[Cell]] = [[]]
    used = 1
    for cell in row:
        needed = _columns(cell) + 1
        if used + needed > width and blocks[-1]:
            blocks.append([])
            used = 1
        blocks[-1].append(cell)
        used += needed
    return [_boxes(block) for block in blocks]


def _numbers(cell: Cell) -> str:
    return str(cell.high_number) if cell.width == 1 else f"{cell.high_number} {cell.low_number}"


def _columns(cell: Cell) -> int:
    return max(len(cell.text), len(cell.value), len(_numbers(cell))) + 2


def _boxes(block: Sequence[Cell]) -> list[list[tuple[str, str]]]:
    def rule(left: str, middle: str, right: str) -> list[tuple[str, str]]:
        return [("rule", left + middle.join("─" * _columns(cell) for cell in block) + right)]

    def line(text: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        out = [("rule", "│")]
        for (kind, shown), cell in zip(text, block, strict=True):
            out += [(kind, f"{shown:^{_columns(cell)}}"), ("rule", "│")]
        return out

    numbers: list[tuple[str, str]] = [("rule", " ")]
    for cell in block:
        inside = _columns(cell)
        high, low = str(cell.high_number), str(cell.low_number)
        text = f"{high:^{inside}}" if cell.width == 1 else f" {high}{low:>{inside - 2 - len(high)}} "
        numbers.append(("rule", text + " "))
    lines = [numbers, rule("┌", "┬", "┐"), line([(cell.kind, cell.text) for cell in block])]
    if any(cell.value and cell.name for cell in block):
        lines.append(line([(cell.kind, cell.value if cell.name else "") for cell in block]))
    return [*lines, rule("└", "┴", "┘")]
