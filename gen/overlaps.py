"""Checks the encodings of one space against each other: overlaps, overrides, words nobody can reach.

Two encodings whose fixed bits agree need a reason to coexist: guards that never hold together, or `overrides` on the
one whose words all belong to the other as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from gen import model
from gen.errors import Diagnostics
from gen.guards import MOST_FREE_BITS, Encoding, TooManyBits, bits_of, common_point, encoding_of, points, solutions

__all__ = ["check_space"]


def _agreeing_pairs(encodings: Sequence[Encoding]) -> Iterator[tuple[Encoding, Encoding]]:
    """All pairs whose fixed bits agree, without comparing each with each.

    The set is split again and again by bits fixed in most of it; those that leave such a bit free go to both sides.
    """
    seen: set[tuple[int, int]] = set()
    order = {id(encoding): index for index, encoding in enumerate(encodings)}
    pending: list[tuple[list[Encoding], int]] = [(list(encodings), 0)]
    while pending:
        group, tested = pending.pop()
        split = None if len(group) <= 8 else _splitting_bits(group, tested)
        if split is None:
            for first, second in combinations(group, 2):
                common = first.pattern.mask & second.pattern.mask
                if (first.pattern.value ^ second.pattern.value) & common:
                    continue
                low, high = sorted((order[id(first)], order[id(second)]))
                if (low, high) not in seen:
                    seen.add((low, high))
                    yield encodings[low], encodings[high]
            continue
        buckets: dict[int, list[Encoding]] = {}
        loose = []
        for encoding in group:
            if encoding.pattern.mask & split == split:
                buckets.setdefault(encoding.pattern.value & split, []).append(encoding)
            else:
                loose.append(encoding)
        pending += [(bucket + loose, tested | split) for bucket in buckets.values()]
        if loose or not buckets:
            pending.append((loose, tested | split))


def _splitting_bits(group: Sequence[Encoding], tested: int) -> int | None:
    """Bits fixed in the whole group, or else one fixed in most of it; None when splitting does not pay."""
    common = ~tested
    for encoding in group:
        common &= encoding.pattern.mask
    if common:
        return common
    counts: dict[int, int] = {}
    for encoding in group:
        for bit in bits_of(encoding.pattern.mask & ~tested):
            counts[bit] = counts.get(bit, 0) + 1
    if not counts:
        return None
    bit = max(counts, key=lambda bit: (counts[bit], bit))
    return 1 << bit if counts[bit] * 2 > len(group) else None


def _show_word(space: model.Space, fetch: int, length: int) -> str:
    """A fetch integer as people write it: one number for a single unit, bytes or units in order otherwise."""
    size = length // 8
    data = fetch.to_bytes(size, "little")
    if space.units[0] == 8:
        return " ".join(f"{byte:02x}" for byte in data)
    unit = size if space.big or length in space.units else space.units[0] // 8
    return " ".join(
        f"0x{int.from_bytes(data[at : at + unit], 'big' if space.big else 'little'):0{2 * unit}x}"
        for at in range(0, size, unit)
    )


def _show_point(space: model.Space, fetch: int, length: int, modes: Mapping[str, int]) -> str:
    word = _show_word(space, fetch, length)
    return word + (" when " + ", ".join(f"{name} = {value}" for name, value in modes.items()) if modes else "")


class _SpaceChecker:
    def __init__(self, space: model.Space, encodings: Sequence[Encoding], diagnostics: Diagnostics) -> None:
        self.space = space
        self.encodings = encodings
        self.diagnostics = diagnostics
        self.by_name: dict[str, list[Encoding]] = {}
        for encoding in encodings:
            for name in {encoding.mnemonic, encoding.name}:
                self.by_name.setdefault(name, []).append(encoding)
        self.overridden = {encoding.name: self._closure(encoding) for encoding in encodings}
        self.useful: set[tuple[str, str]] = set()  # (who, what it overrides) that mattered

    def _closure(self, encoding: Encoding) -> set[str]:
        """Names an encoding overrides, directly or through others."""
        found: set[str] = set()
        pending = list(encoding.instruction.overrides) if encoding.instruction else []
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                for other in self.by_name.get(name, ()):
                    if other.instruction is not None:
                        pending += other.instruction.overrides
        return found

    def _overrides(self, first: Encoding, second: Encoding) -> bool:
        names = self.overridden[first.name]
        return second.mnemonic in names or second.name in names

    def check(self) -> None:
        for first, second in _agreeing_pairs(self.encodings):
            self._pair(first, second)
        for encoding in self.encodings:
            self._reach(encoding)
            self._needless_overrides(encoding)

    def _pair(self, first: Encoding, second: Encoding) -> None:
        if first.pattern is second.pattern:
            return  # clones for different values of a split: no word has two
        try:
            point = common_point(first, second)
            if point is None:
                return
            fetch, modes = point
            proven = True
        except TooManyBits:
            fetch, modes, proven = first.pattern.value | second.pattern.value, {}, False
        for high, low in ((first, second), (second, first)):
            if self._overrides(high, low):
                if self._overrides(low, high):
                    self.diagnostics.error(
                        high.pattern.pos, f"'{high.mnemonic}' and '{low.mnemonic}' override each other"
                    )
                    return
                self.useful.update((high.mnemonic, name) for name in (low.mnemonic, low.name))
                low.above.append(high)
                self._subset(high, low)
                return
        self._overlap(first, second, fetch, modes, proven)

    def _subset(self, high: Encoding, low: Encoding) -> None:
        """Reports words of `high` that `low` would not take: it may then not override it."""
        loose = low.pattern.mask & ~high.pattern.mask
        witness = None
        if loose:
            free = loose | high.guard_bits & ~high.pattern.mask
            try:
                witness = next(
                    (
                        point
                        for point in points(high.pattern.value, free, high.mode_widths)
                        if high.accepts(*point) and point[0] & low.pattern.mask != low.pattern.value
                    ),
                    None,
                )
            except TooManyBits:
                witness = high.pattern.value | (~low.pattern.value & loose), {}
        if witness is not None:
            word = _show_point(self.space, witness[0], high.pattern.length, witness[1])
            self.diagnostics.error(
                high.pattern.pos,
                f"'{high.mnemonic}' overrides '{low.mnemonic}' but is no special case of it: "
                f"{word} is a '{high.mnemonic}' only",
                notes=((low.pattern.pos, f"'{low.mnemonic}' is here"),),
            )

    def _overlap(self, first: Encoding, second: Encoding, fetch: int, modes: Mapping[str, int], proven: bool) -> None:
        # The special case, or else the later one, is to blame.
        one, other = (first, second) if self._more_special(first, second) else (second, first)
        length = max(one.pattern.length, other.pattern.length)
        word = _show_point(self.space, fetch, length, modes)
        notes = ((other.pattern.pos, f"'{other.mnemonic}' is here"),)
        if not proven:
            self.diagnostics.error(
                one.pattern.pos,
                f"cannot tell '{one.mnemonic}' from '{other.mnemonic}': their guards read more than "
                f"{MOST_FREE_BITS} bits",
                notes=notes,
                help="fix more bits in the pattern, or add `overrides`",
            )
            return
        if one.instruction is None or other.instruction is None:
            instruction, reserved = (one, other) if other.instruction is None else (other, one)
            self.diagnostics.error(
                instruction.pattern.pos,
                f"encoding of '{instruction.mnemonic}' takes words that are reserved, e.g. {word}",
                notes=((reserved.pattern.pos, "reserved here"),),
                help="exclude them with `where`",
            )
            return
        help = None
        if one.pattern.mask & other.pattern.mask == other.pattern.mask:
            if one.pattern.mask != other.pattern.mask or one.guards:
                help = f"'{one.mnemonic}' is the special case: add `overrides {other.mnemonic}`"
            else:
                help = "the two encodings are the same"
        elif not one.guards and not other.guards:
            help = "tell them apart by a fixed bit, or by `where` or `when`"
        self.diagnostics.error(
            one.pattern.pos,
            f"encoding of '{one.mnemonic}' overlaps that of '{other.mnemonic}', e.g. {word}",
            notes=notes,
            help=help,
        )

    @staticmethod
    def _more_special(first: Encoding, second: Encoding) -> bool:
        a, b = first.pattern.mask, second.pattern.mask
        if a == b:
            return len(first.guards) > len(second.guards)
        return a & b == b

    def _reach(self, encoding: Encoding) -> None:
        if encoding.instruction is None:
            return
        if not encoding.above and not encoding.guards:
            return
        if encoding.guards and self._reachable_point(encoding, []) is False:
            self.diagnostics.error(
                encoding.pattern.pos,
                f"'{encoding.mnemonic}' can never match: its guards exclude every word of its encoding",
            )
            return
        if encoding.above and self._reachable_point(encoding, encoding.above) is False:
            notes = [(other.pattern.pos, f"'{other.mnemonic}' takes some of its words") for other in encoding.above]
            self.diagnostics.error(
                encoding.pattern.pos,
                f"'{encoding.mnemonic}' can never match: the encodings that override it take all its words",
                notes=notes,
            )

    def _reachable_point(self, encoding: Encoding, above: Sequence[Encoding]) -> bool | None:
        """Is there a word left for `encoding`?  None when that cannot be told."""
        pattern = encoding.pattern
        if not all(other.exact for other in above):
            return None
        if not encoding.guards and not any(other.guards for other in above):
            return not _covered(pattern.mask, pattern.value, [other.pattern for other in above])
        if not above:
            if sum(encoding.mode_widths.values()) + (encoding.guard_bits & ~pattern.mask).bit_count() > MOST_FREE_BITS:
                return None
            return next(solutions(pattern.value, pattern.mask, encoding.guards), None) is not None
        free, modes = encoding.guard_bits, encoding.mode_widths
        for other in above:
            free |= other.pattern.mask | other.guard_bits
            modes.update(other.mode_widths)
        try:
            return any(
                encoding.accepts(*point) and not any(other.accepts(*point) for other in above)
                for point in points(pattern.value, free & ~pattern.mask, modes)
            )
        except TooManyBits:
            return None

    def _needless_overrides(self, encoding: Encoding) -> None:
        if encoding.instruction is None:
            return
        for name in encoding.instruction.overrides:
            if (encoding.mnemonic, name) not in self.useful:
                why = (
                    "whose encoding it does not overlap"
                    if name in self.by_name
                    else f"but no encoding of '{self.space.name}' has that name"
                )
                self.diagnostics.error(encoding.pattern.pos, f"'{encoding.mnemonic}' overrides '{name}', {why}")


def _covered(mask: int, value: int, patterns: Sequence[model.Pattern]) -> bool:
    """Do the patterns together take every word whose `mask` bits are `value`?  Splits on one bit after another."""
    agreeing = [pattern for pattern in patterns if not (pattern.value ^ value) & pattern.mask & mask]
    if any(pattern.mask & ~mask == 0 for pattern in agreeing):
        return True
    # The union is at most as large as the sum of its parts: usually that settles it.
    if sum(2.0 ** -(pattern.mask & ~mask).bit_count() for pattern in agreeing) < 1.0:
        return False
    bit = max((pattern.mask & ~mask for pattern in agreeing), default=0)
    bit = 1 << (bit.bit_length() - 1)
    return all(_covered(mask | bit, value | side, agreeing) for side in (0, bit))


def check_space(
    space: model.Space,
    instructions: Iterable[model.Instruction],
    diagnostics: Diagnostics,
    *,
    reserved: Iterable[model.ReservedWord] = (),
    functions: Mapping[str, model.Function] | None = None,
) -> None:
    """Reports overlapping encodings, wrong or useless `overrides`, and encodings that can never match.

    `instructions` and `reserved` are those of this space; `functions` are Spec.functions, which guards may call.
    """
    known = functions or {}
    encodings = [encoding_of(instruction, known) for instruction in instructions]
    encodings += [Encoding(f"reserved {index}", "reserved", word.pattern, None) for index, word in enumerate(reserved)]
    _SpaceChecker(space, encodings, diagnostics).check()
