"""The opcode map of an instruction space: which words are instructions, and which are not defined.

The bits that all encodings of one length fix make a grid, as manuals draw it; a square of several instructions is split
once more, by the bits all of those fix.  How much of a square is defined is counted, conditions on fields included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gen import model
from gen.guards import Encoding, bits_of, encoding_of, points
from gen.pages.diagram import bit_order, units

__all__ = ["Grid", "Square", "opcode_maps", "share_text"]

_MOST_GRID_BITS = 8
_MOST_SLOT_BITS = 5
#: bits of a condition that are tried out; wider ones are taken to hold
_MOST_TRIED = 12


@dataclass(slots=True)
class Square:
    """Words that agree in some bits: what instructions they are, and the share of them that is any."""

    label: str  # the bits
    names: tuple[str, ...] = ()
    share: float = 0.0
    longer: bool = False  # the beginning of longer instructions
    slots: tuple[Square, ...] = ()
    slot_bits: str = ""

    @property
    def state(self) -> str:
        """longer, none, some or all."""
        if self.longer:
            return "longer"
        return "none" if not self.names else "all" if self.share > 0.9999 else "some"


@dataclass(slots=True)
class Grid:
    """The map of all instructions of one length; `fixed` are the bits they all have in common."""

    title: str
    length: int
    fixed: str
    row_bits: str
    column_bits: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]
    share: float
    count: int


@dataclass(slots=True)
class _Group:
    """Distinct encodings of one length; `numbers` are how the first unit's bits are numbered."""

    length: int
    encodings: list[Encoding]
    numbers: dict[int, int]
    mask: int = 0
    value: int = 0
    counted: list[Encoding] = field(default_factory=list)  # without those whose words another one has too

    def fixed_by_all(self, encodings: Sequence[Encoding]) -> int:
        """Bits of the first unit that all fix, each in its way."""
        mask = -1
        for encoding in encodings:
            mask &= encoding.pattern.mask
        return mask & sum(1 << bit for bit in self.numbers)

    def named(self, bits: Sequence[int]) -> str:
        """`31:25, 7` for fetch bits, the most significant first."""
        runs: list[list[int]] = []
        for number in (self.numbers[bit] for bit in bits):
            if runs and abs(runs[-1][-1] - number) == 1:
                runs[-1].append(number)
            else:
                runs.append([number])
        return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1]}" for run in runs)

    def written(self, mask: int) -> list[int]:
        """The fetch bits of a mask in the order they are written."""
        return [bit for bit in self.numbers if mask >> bit & 1]


def opcode_maps(spec: model.Spec, space: model.Space, msb0: bool = False) -> list[Grid]:
    """A grid for each length of instruction, shortest first."""
    groups = list(_groups(spec, space, msb0))
    return [_grid(group, [other for other in groups if other.length > group.length]) for group in groups]


def share_text(share: float) -> str:
    """`37 %`; never 0 or 100 for what is only nearly so."""
    percent = 100 * share
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return "<1 %" if percent < 1 else f"{min(percent, 99):.0f} %"


def _groups(spec: model.Spec, space: model.Space, msb0: bool) -> Iterator[_Group]:
    own = [insn for insn in spec.instructions if insn.space == space.name]
    bytewise = space.units[0] == 8
    lengths = [0] if bytewise else sorted({insn.pattern.length for insn in own})
    for length in lengths:
        chosen = [insn for insn in own if bytewise or insn.pattern.length == length]
        if not chosen:
            continue
        distinct: dict[tuple[str, int, int, int], Encoding] = {}
        for insn in chosen:
            pattern = insn.pattern
            key = insn.mnemonic, pattern.length, pattern.mask, pattern.value
            distinct.setdefault(key, encoding_of(insn, spec.functions))
        encodings = list(distinct.values())
        size = min((units(e.pattern, space)[0][1] for e in encodings), default=8)
        order = bit_order(0, size, space)
        numbers = {bit: index if msb0 else size - 1 - index for index, bit in enumerate(order)}
        group = _Group(length or size, encodings, numbers)
        common = group.fixed_by_all(encodings)
        value = encodings[0].pattern.value
        for encoding in encodings:
            common &= ~(encoding.pattern.value ^ value)
        group.mask, group.value = common, value & common
        over = {(name, e.name) for e in encodings if e.instruction for name in e.instruction.overrides}
        names = {e.mnemonic for e in encodings} | {e.name for e in encodings}
        group.counted = [e for e in encodings if not any(b == e.name and a in names for a, b in over)]
        yield group


def _grid(group: _Group, longer: Sequence[_Group]) -> Grid:
    mask = group.fixed_by_all(group.encodings) & ~group.mask
    bits = _axis(group, group.encodings, mask, _MOST_GRID_BITS)
    at = _middle(bits)
    rows_bits, column_bits = bits[:at], bits[at:]
    rows = []
    for row in range(1 << len(rows_bits)):
        squares = []
        for column in range(1 << len(column_bits)):
            value = _scatter(rows_bits, row) | _scatter(column_bits, column)
            squares.append(_square(group, bits, value, longer))
        rows.append((_binary(row, len(rows_bits)), tuple(squares)))
    columns = tuple(_binary(column, len(column_bits)) for column in range(1 << len(column_bits)))
    own = [square for _, squares in rows for square in squares if not square.longer]
    defined = sum(square.share for square in own) / max(len(own), 1)
    common = group.written(group.mask)
    values = "".join(str(group.value >> bit & 1) for bit in common)
    fixed = f"{group.named(common)} = {values}" if common else ""
    return Grid(
        f"{group.length}-bit instructions" if len({e.pattern.length for e in group.encodings}) == 1 else "First byte",
        group.length,
        fixed,
        group.named(rows_bits),
        group.named(column_bits),
        columns,
        tuple(rows),
        min(defined, 1.0),
        len(group.encodings),
    )


def _axis(group: _Group, encodings: Sequence[Encoding], mask: int, most: int) -> list[int]:
    """Which bits to split by, as written: those of `mask` that tell encodings apart, the best run if too many."""
    bits = group.written(mask)
    if not bits:  # nothing is fixed in all: then what is fixed in most
        counts = {bit: sum(e.pattern.mask >> bit & 1 for e in encodings) for bit in group.numbers}
        half = [bit for bit in group.numbers if 2 * counts[bit] > len(encodings) and not group.mask >> bit & 1]
        bits = half[:4]
    if len(bits) <= most:
        return bits

    return min(_windows(bits, most), key=lambda run: _crowded(encodings, run))


def _slot_axis(group: _Group, encodings: Sequence[Encoding], fixed: int) -> list[int]:
    """Neighbouring bits that all fix and that tell them apart best, whole as far as they go."""
    varying = _differing(encodings)
    runs: list[list[int]] = []
    for bit in group.written(fixed):
        if runs and abs(group.numbers[runs[-1][-1]] - group.numbers[bit]) == 1:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    choices = [run for whole in runs for run in _windows(whole, _MOST_SLOT_BITS)]
    choices = [run for run in choices if any(varying >> bit & 1 for bit in run)]
    return min(choices, key=lambda run: _crowded(encodings, run)) if choices else []


def _windows(bits: Sequence[int], most: int) -> list[list[int]]:
    """All runs of at most `most` bits."""
    return [list(bits[start : start + most]) for start in range(max(len(bits) - most, 0) + 1)]


def _crowded(encodings: Sequence[Encoding], run: Sequence[int]) -> int:
    """How badly a split by these bits tells encodings apart."""
    chosen = sum(1 << bit for bit in run)
    cells: dict[int, int] = {}
    for encoding in encodings:
        key = encoding.pattern.value & chosen
        cells[key] = cells.get(key, 0) + 1
    return sum(count * count for count in cells.values())


def _middle(bits: Sequence[int]) -> int:
    """Where to cut the bits into rows and columns: at a gap if there is one, else in the middle."""
    gaps = [index for index in range(1, len(bits)) if abs(bits[index - 1] - bits[index]) != 1]
    near = [index for index in gaps if 2 * index <= len(bits) + 2 and len(bits) - index <= 5]
    return near[-1] if near else len(bits) // 2


def _scatter(bits: Sequence[int], number: int) -> int:
    """A number's bits put at fetch bits, its most significant at the first."""
    return sum((number >> (len(bits) - 1 - index) & 1) << bit for index, bit in enumerate(bits))


def _binary(number: int, width: int) -> str:
    return f"{number:0{width}b}" if width else ""


def _square(group: _Group, bits: Sequence[int], value: int, longer: Sequence[_Group]) -> Square:
    chosen = sum(1 << bit for bit in bits)
    mask, value = chosen | group.mask, value | group.value
    square = _filled(group, group.encodings, mask, value, "")
    for other in longer:
        first = other.mask & ((1 << group.length) - 1)
        if first and not first & ~mask and not (other.value ^ value) & first:
            square.longer = True
    inside = [e for e in group.encodings if not (e.pattern.value ^ value) & e.pattern.mask & mask]
    if len(inside) > 1:
        axis = _slot_axis(group, inside, group.fixed_by_all(inside) & ~mask)
        if axis:
            square.slot_bits = group.named(axis)
            axis_mask = sum(1 << bit for bit in axis)
            square.slots = tuple(
                _filled(group, inside, mask | axis_mask, value | _scatter(axis, number), _binary(number, len(axis)))
                for number in range(1 << len(axis))
            )
    return square


def _differing(encodings: Sequence[Encoding]) -> int:
    first = encodings[0].pattern.value
    found = 0
    for encoding in encodings:
        found |= encoding.pattern.value ^ first
    return found


def _filled(group: _Group, encodings: Sequence[Encoding], mask: int, value: int, label: str) -> Square:
    inside = [e for e in encodings if not (e.pattern.value ^ value) & e.pattern.mask & mask]
    counted = set(map(id, group.counted))
    if len({e.pattern.length for e in inside}) > 1:
        return Square(label, _names(inside), 0.5)  # of several lengths: not counted
    length = inside[0].pattern.length if inside else group.length
    words = sum(_count(e, length, mask, value) for e in inside if id(e) in counted)
    total = 1 << (length - mask.bit_count())
    return Square(label, _names(inside), min(words / total, 1.0))


def _names(encodings: Sequence[Encoding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e.name for e in encodings))


def _count(encoding: Encoding, length: int, mask: int, value: int) -> float:
    """How many words that agree with `value` in `mask` are this encoding's."""
    fixed = encoding.pattern.mask | mask
    words = 1 << max(length - fixed.bit_count(), 0)
    guards = [guard for guard in encoding.guards if not guard.modes]
    tried = 0
    for guard in guards:
        tried |= guard.bits & ~fixed
    none: Mapping[str, int] = {}
    if tried.bit_count() > _MOST_TRIED or not guards:
        return words
    base = encoding.pattern.value | value
    held = sum(all(guard.holds(fetch, none) for guard in guards) for fetch, _ in points(base, tried, {}))
    return words * held / (1 << len(bits_of(tried)))
