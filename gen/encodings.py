"""Encodings: reads the quoted bit patterns of a spec into masks, values and field positions.

A pattern is the manual's own line, most significant bit first: `imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gen.errors import Diagnostics
from gen.model import FieldLayout, FieldSlice, Pattern, Space
from gen.overlaps import check_space
from gen.tree import Pos, Text

__all__ = ["check_space", "parse_instruction_pattern", "parse_operand_pattern", "parse_pattern"]

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<slash>/)
      | \{(?P<hole>[A-Za-z_]\w*)(?::(?P<hole_width>\d+))?\}
      | 0x(?P<hex>[0-9A-Fa-f_]+)
      | 0b(?P<binary>[01_]+)
      | (?P<decimal>\d+):(?P<decimal_width>\d+)
      | (?P<bits>[01](?:_?[01])*)
      | (?P<name>[A-Za-z_]\w*)(?::(?P<width>\d+))?(?:\[(?P<slices>[^\]]*)\])?
    """,
    re.VERBOSE,
)
_SLICE = re.compile(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?")


@dataclass(slots=True)
class _FieldBits:
    """The bits of one field in the order they are written; `width` when the text or a declaration gives it."""

    name: str
    width: int | None
    declared: bool
    numbers: list[tuple[int, Pos]] = field(default_factory=list)  # as written, before msb0 is undone


@dataclass(slots=True)
class _Piece:
    """What stands between two `/`: text bits, first one most significant.

    A bit is a constant, or (field name, position in that field's `numbers`).  `little` are runs (start, bits) of whole
    bytes that are one little-endian number in a byte-wise space.
    """

    bits: list[int | tuple[str, int]] = field(default_factory=list)
    little: list[tuple[int, int]] = field(default_factory=list)
    operand: str = ""  # the operand whose units stand here


class _PatternReader:
    """Scans one pattern, reporting what is wrong with it as it goes."""

    def __init__(
        self,
        text: Text,
        widths: Mapping[str, int | None],
        substitutions: Mapping[str, str | int],
        diagnostics: Diagnostics,
        msb0: bool,
        operands: Sequence[str] = (),
    ) -> None:
        self.text = text
        self.operands = operands
        self.widths = widths
        self.substitutions = substitutions
        self.diagnostics = diagnostics
        self.msb0 = msb0
        self.fields: dict[str, _FieldBits] = {}
        self.pieces: list[_Piece] = [_Piece()]
        self.written: list[str] = []  # the text with its holes filled
        self.failed = False
        self._scan(text.value, None)
        self._number_bits()

    def error(self, pos: Pos, message: str, help: str | None = None) -> None:
        self.failed = True
        self.diagnostics.error(pos, message, help=help)

    def _span(self, start: int, end: int, hole: Pos | None) -> Pos:
        """Characters start..end of the text, or the hole they were put in for."""
        if hole is not None:
            return hole
        pos = self.text.pos
        return Pos(pos.file, pos.line, pos.column + 1 + start, pos.line, pos.column + 1 + end)

    def _scan(self, value: str, hole: Pos | None) -> None:
        at, glued = 0, False
        while at < len(value):
            match = _TOKEN.match(value, at)
            if match is None:
                wrong = re.compile(r"\S+").match(value, at)
                end = wrong.end() if wrong else at + 1
                help = (
                    "a constant of several bits needs its width, as in 21:6"
                    if value[at].isdigit()
                    else "a pattern holds bits, 0x bytes, value:width, fields, {columns} and /"
                )
                self.error(self._span(at, end, hole), f"'{value[at:end]}' is not part of a pattern", help)
                at = end
                continue
            span = self._span(match.start(), match.end(), hole)
            if match["space"] or match["slash"] or match["hole"]:
                glued = False
            elif glued:
                self.error(span, f"put a space before '{match[0]}'")
            else:
                glued = True
            self._token(match, span, hole)
            at = match.end()

    def _token(self, match: re.Match[str], span: Pos, hole: Pos | None) -> None:
        piece = self.pieces[-1]
        if match["hole"]:
            self._substitute(match, span, hole)
            return
        self.written.append(" " if match["space"] else match[0])
        if match["slash"]:
            self.pieces.append(_Piece())
        elif match["hex"]:
            digits = match["hex"].replace("_", "")
            piece.bits += _constant(int(digits, 16), 4 * len(digits))
        elif match["binary"] or match["bits"]:
            piece.bits += [int(digit) for digit in match["binary"] or match["bits"] if digit != "_"]
        elif match["decimal"]:
            value, width = int(match["decimal"]), int(match["decimal_width"])
            if width == 0 or value >> width:
                self.error(span, f"{value} does not fit {width} bits")
            piece.bits += _constant(value, width)
        elif match["name"] in self.operands:
            self._place(match, span, piece)
        elif match["name"]:
            self._field(match, span, piece)

    def _place(self, match: re.Match[str], span: Pos, piece: _Piece) -> None:
        """The name of an operand: its own units come here."""
        name = match["name"]
        if match["width"] or match["slices"]:
            self.error(span, f"'{name}' is an operand: its rows say how long it is", f"write / {name}")
        elif len(self.pieces) == 1:
            self.error(span, f"the units of operand '{name}' cannot come first", "the rows are found by what is before")
        elif any(other.operand == name for other in self.pieces):
            self.error(span, f"operand '{name}' is placed twice")
        piece.operand = name

    def _substitute(self, match: re.Match[str], span: Pos, hole: Pos | None) -> None:
        name, width = match["hole"], match["hole_width"]
        if hole is not None:
            self.error(hole, f"the value put in for this hole holds another one, {{{name}}}")
        elif name not in self.substitutions:
            columns = ", ".join(self.substitutions)
            self.error(
                span,
                f"{{{name}}} is no column of this table",
                f"the columns are {columns}" if columns else "only `insns` tables have columns",
            )
        else:
            value = self.substitutions[name]
            if width is not None:
                self._scan(f"{value}:{width}", span)
            elif isinstance(value, int):
                self.error(span, f"{{{name}}} is a number: give its width, as in {{{name}:5}}")
            else:
                self._scan(value, span)

    def _field(self, match: re.Match[str], span: Pos, piece: _Piece) -> None:
        name = match["name"]
        declared = self.widths.get(name)
        width = int(match["width"]) if match["width"] else None
        if width is not None and declared is not None and width != declared:
            self.error(span, f"'{name}' is declared with {declared} bits, here it has {width}")
            return
        if width == 0:
            self.error(span, f"'{name}' has no bits")
            return
        known = declared if declared is not None else width
        if known is None and match["slices"] is None:
            if name in self.widths:
                self.error(span, f"the width of '{name}' is not known here", f"write {name}:12 or {name}[11:0]")
                return
            if len(name) > 1:
                self.error(
                    span, f"unknown field '{name}'", f"declare it (`field {name} : 5`) or give its width ({name}:5)"
                )
                return
            known = 1  # a lone letter names one bit, as in manuals
        bits = self.fields.setdefault(name, _FieldBits(name, known, name in self.widths))
        if bits.width is None:
            bits.width = known
        numbers: list[int] = []
        if match["slices"] is not None:
            numbers = self._slice_numbers(match["slices"], span)
        elif known is not None:
            numbers = list(range(known)) if self.msb0 else list(range(known))[::-1]
        start = len(piece.bits)
        for number in numbers:
            piece.bits.append((name, len(bits.numbers)))
            bits.numbers.append((number, span))
        if len(numbers) > 8 and len(numbers) % 8 == 0 and start % 8 == 0:
            piece.little.append((start, len(numbers)))

    def _slice_numbers(self, slices: str, span: Pos) -> list[int]:
        numbers: list[int] = []
        for part in slices.split("|"):
            match = _SLICE.fullmatch(part)
            if match is None:
                self.error(span, f"'{part.strip()}' is not a bit number or a range of them", "write it as in [12|10:5]")
                continue
            first, last = int(match[1]), int(match[2] or match[1])
            if (first > last) if self.msb0 else (first < last):
                order = "msb0" if self.msb0 else "lsb0"
                self.error(span, f"in a file of {order} order the range is written {last}:{first}")
            numbers += range(first, last + 1) if first <= last else range(first, last - 1, -1)
        return numbers

    def _number_bits(self) -> None:
        """Turns msb0 numbers into lsb0 ones; checks that each bit of a field is given once and none is forgotten."""
        for bits in self.fields.values():
            if not bits.numbers:
                continue
            if bits.width is None:
                bits.width = max(number for number, _ in bits.numbers) + 1
            width, seen = bits.width, set()
            twice: dict[Pos, list[int]] = {}
            for index, (written, span) in enumerate(bits.numbers):
                if written >= width:
                    self.error(span, f"'{bits.name}' has {width} bits: there is no bit {written}")
                elif written in seen:
                    twice.setdefault(span, []).append(written)
                seen.add(written)
                bits.numbers[index] = (width - 1 - written if self.msb0 else written, span)
            for span, again in twice.items():
                which = f"bit {again[0]} of '{bits.name}' is" if len(again) == 1 else f"bits of '{bits.name}' are"
                self.error(span, f"{which} given twice")
            lowest = min(number for number, _ in bits.numbers)
            missing = [
                number for number in range(lowest, width) if (width - 1 - number if self.msb0 else number) not in seen
            ]
            if missing and not self.failed:
                if self.msb0:
                    missing = [width - 1 - number for number in missing][::-1]
                self.error(
                    bits.numbers[0][1],
                    f"'{bits.name}' has {width} bits, but {_name_bits(missing)} "
                    f"{'is' if len(missing) == 1 else 'are'} not given",
                    "only the lowest bits may be left out: they are then 0",
                )

    def layout(self, positions: list[list[int]], length: int, text: str) -> Pattern:
        """The pattern whose piece p has its text bit t at fetch bit positions[p][t]."""
        mask = value = 0
        places: dict[str, dict[int, int]] = {name: {} for name in self.fields}
        for piece, where in zip(self.pieces, positions, strict=True):
            for bit, at in zip(piece.bits, where, strict=True):
                if isinstance(bit, int):
                    mask |= 1 << at
                    value |= bit << at
                else:
                    name, index = bit
                    places[name][self.fields[name].numbers[index][0]] = at
        layouts = tuple(
            FieldLayout(name, self.fields[name].width or 0, _slices(bits)) for name, bits in places.items() if bits
        )
        return Pattern(length, mask, value, layouts, text, self.text.pos)


def _constant(value: int, width: int) -> list[int]:
    return [value >> bit & 1 for bit in range(width - 1, -1, -1)]


def _name_bits(numbers: list[int]) -> str:
    """`bit 3` or `bits 9:4, 2` for ascending numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    names = ", ".join(str(low) if low == high else f"{high}:{low}" for low, high in reversed(runs))
    return f"{'bit' if len(numbers) == 1 else 'bits'} {names}"


def _slices(places: dict[int, int]) -> tuple[FieldSlice, ...]:
    """Field bit -> fetch bit, as maximal runs, the field's lowest first."""
    slices: list[FieldSlice] = []
    for number, at in sorted(places.items()):
        if slices:
            last = slices[-1]
            if number == last.field_low + last.width and at == last.low + last.width:
                slices[-1] = FieldSlice(last.field_low, last.low, last.width + 1)
                continue
        slices.append(FieldSlice(number, at, 1))
    return tuple(slices)


def _fetch_positions(piece: _Piece, space: Space, base: int) -> list[int]:
    """Fetch bit of each text bit of a piece that starts `base` bits into the fetch.

    A little-endian unit is one number of its length.  Big-endian units and single bytes lie in memory as they are
    written, except that in a byte-wise little-endian space a field of several whole bytes is a little-endian number.
    """
    length = len(piece.bits)
    if not space.big and space.units[0] > 8:
        return [base + length - 1 - index for index in range(length)]
    positions = [base + index // 8 * 8 + 7 - index % 8 for index in range(length)]
    if not space.big:
        for start, width in piece.little:
            for index in range(width):
                positions[start + index] = base + start + width - 1 - index
    return positions


def _check_length(piece: _Piece, space: Space, first: bool, reader: _PatternReader) -> None:
    bits, units = len(piece.bits), space.units
    # Where text order is memory order, a piece may be several units long.
    multiples = len(units) == 1 and (units[0] == 8 or (space.big and not first))
    if not (bits in units or (multiples and bits > 0 and bits % units[0] == 0)):
        sizes = " or ".join(str(unit) for unit in units) + (" or a multiple" if multiples else "")
        what = "the pattern" if len(reader.pieces) == 1 else "the first unit" if first else "a unit after '/'"
        reader.error(reader.text.pos, f"{what} has {bits} bits; units of '{space.name}' have {sizes}")


def parse_pattern(
    text: Text,
    space: Space,
    field_widths: Mapping[str, int | None],
    substitutions: Mapping[str, str | int],
    diagnostics: Diagnostics,
    msb0: bool,
) -> Pattern | None:
    """Reads an instruction's, prefix's or reserved word's pattern; None after reporting what is wrong with it.

    `field_widths` holds the declared fields, None for those whose width the pattern must give; `substitutions` the
    row's text for each `{column}`.
    """
    reader = _PatternReader(text, field_widths, substitutions, diagnostics, msb0)
    if reader.failed:
        return None
    for index, piece in enumerate(reader.pieces):
        _check_length(piece, space, index == 0, reader)
    if reader.failed:
        return None
    positions, base = [], 0
    for piece in reader.pieces:
        positions.append(_fetch_positions(piece, space, base))
        base += len(piece.bits)
    if base > 8 * space.max_bytes:
        reader.error(text.pos, f"the pattern has {base // 8} bytes; '{space.name}' allows {space.max_bytes}")
        return None
    return reader.layout(positions, base, "".join(reader.written).strip())


def parse_instruction_pattern(
    text: Text,
    space: Space,
    field_widths: Mapping[str, int | None],
    substitutions: Mapping[str, str | int],
    diagnostics: Diagnostics,
    msb0: bool,
    operands: Sequence[str],
) -> tuple[Pattern, tuple[Pattern, ...]] | None:
    """An instruction's pattern up to its first operand's units, and what comes behind each operand's.

    `operands` are those that `with` binds, in that order.  Where none is named between the `/`, all come last.
    """
    reader = _PatternReader(text, field_widths, substitutions, diagnostics, msb0, operands)
    placed = [piece.operand for piece in reader.pieces if piece.operand]
    if placed and placed != list(operands) and not reader.failed:
        order = ", ".join(operands)
        reader.error(
            text.pos, "operands are placed all or none, in the order in which they are bound", f"here: {order}"
        )
    groups: list[list[_Piece]] = [[]]
    for index, piece in enumerate(reader.pieces):
        if piece.operand:
            if piece.bits and not reader.failed:
                reader.error(
                    text.pos, f"operand '{piece.operand}' stands alone between '/'", f"write / {piece.operand} /"
                )
            groups.append([])
            continue
        if not reader.failed:
            _check_length(piece, space, index == 0, reader)
        groups[-1].append(piece)
    if reader.failed:
        return None
    groups += [[] for _ in range(len(operands) + 1 - len(groups))]
    made, seen, total = [], set[str](), 0
    for number, group in enumerate(groups):
        positions, base = [], 0
        for piece in group:
            positions.append(_fetch_positions(piece, space, base))
            base += len(piece.bits)
        total += base
        names = {bit[0] for piece in group for bit in piece.bits if not isinstance(bit, int)}
        if names & seen:
            reader.error(text.pos, f"'{min(names & seen)}' stands on both sides of an operand")
        if number and any(isinstance(bit, int) for piece in group for bit in piece.bits):
            reader.error(text.pos, "what comes behind an operand is fields: fixed bits there would be found too late")
        seen |= names
        reader.pieces = group
        made.append(reader.layout(positions, base, "".join(reader.written).strip()))
    if total > 8 * space.max_bytes:
        reader.error(text.pos, f"the pattern has {total // 8} bytes; '{space.name}' allows {space.max_bytes}")
    return None if reader.failed else (made[0], tuple(made[1:]))


def parse_operand_pattern(
    text: Text,
    space: Space,
    argument_width: int,
    field_widths: Mapping[str, int | None],
    diagnostics: Diagnostics,
    msb0: bool,
) -> tuple[Pattern, Pattern] | None:
    """Reads one row of an `operand`: (head, rest), see model.OperandAlt; None after reporting what is wrong.

    `argument_width` is the width of all arguments of type bits(n) together: what stands before the first `/`.
    """
    reader = _PatternReader(text, field_widths, {}, diagnostics, msb0)
    if reader.failed:
        return None
    head, tail = reader.pieces[0], reader.pieces[1:]
    if len(head.bits) != argument_width:
        reader.error(
            text.pos,
            f"the row matches {len(head.bits)} bits before any '/'; the operand's arguments have {argument_width}",
        )
    for piece in tail:
        _check_length(piece, space, False, reader)
    if reader.failed:
        return None
    positions, base = [], 0
    for piece in tail:
        positions.append(_fetch_positions(piece, space, base))
        base += len(piece.bits)
    names = {bit[0] for bit in head.bits if not isinstance(bit, int)}
    both = names & {bit[0] for piece in tail for bit in piece.bits if not isinstance(bit, int)}
    if both:
        reader.error(text.pos, f"'{min(both)}' stands on both sides of a '/'")
        return None
    written = "".join(reader.written).strip()
    reader.pieces = [head]
    head_pattern = reader.layout([list(range(argument_width))[::-1]], argument_width, written)
    reader.pieces = tail
    return head_pattern, reader.layout(positions, base, written)
