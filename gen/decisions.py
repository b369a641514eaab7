"""Decision trees: which encoding a fetched word is, found by switching on a few bits at a time.

The tree is walked from the widest run of bits that every candidate fixes, as a hand-written decoder would be; bits are
only tested when every candidate left is long enough to have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gen.model import Instruction, Prefix, Space

__all__ = ["Candidate", "Illegal", "Leaf", "Node", "Switch", "build", "by_priority", "decode_with_tree", "walk"]

Candidate = Instruction | Prefix

#: a leaf may hold this many candidates to be tried one after the other
_SMALL = 2
#: a switch on bits that some candidates leave free copies those to every case; wider ones copy too much
_WIDEST_PARTIAL_SWITCH = 8


@dataclass(frozen=True, slots=True)
class Switch:
    """Goes on at cases[fetch bits low .. low+width-1], or at `default`."""

    low: int
    width: int
    cases: dict[int, Node]
    default: Node


@dataclass(frozen=True, slots=True)
class Leaf:
    """Candidates in the order in which to try them.

    A candidate is taken if its pattern's bits that are not in `tested` (those have been compared on the way) agree, and
    its `where` and `when` hold.  When none is taken the word is illegal.
    """

    candidates: tuple[Candidate, ...]
    tested: int

    def remaining(self, candidate: Candidate) -> tuple[int, int]:
        """(mask, value) still to be compared for a candidate."""
        mask = candidate.pattern.mask & ~self.tested
        return mask, candidate.pattern.value & mask


@dataclass(frozen=True, slots=True)
class Illegal:
    """No encoding has these bits."""


Node = Switch | Leaf | Illegal


def build(space: Space, instructions: Sequence[Instruction], prefixes: Sequence[Prefix] = ()) -> Node:
    """The decision tree of a space whose encodings passed gen.encodings.check_space."""
    inside = [instruction for instruction in instructions if instruction.space == space.name]
    before = [prefix for prefix in prefixes if prefix.space == space.name]
    return _build(by_priority([*before, *inside]), 0)


def by_priority(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Overriding encodings first, then those that fix more bits; otherwise as declared."""
    overridden: dict[str, set[str]] = {}
    for candidate in candidates:
        if isinstance(candidate, Instruction):
            for name in (candidate.mnemonic, candidate.name):
                overridden.setdefault(name, set()).update(candidate.overrides)
    depths: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        """Length of the longest chain of overrides below `name`."""
        if name not in depths:
            below = overridden.get(name, set()) - above
            depths[name] = max((1 + depth(other, above | {name}) for other in below), default=0)
        return depths[name]

    def key(candidate: Candidate) -> tuple[int, int]:
        rank = depth(candidate.mnemonic, frozenset()) if isinstance(candidate, Instruction) else 0
        return -rank, -candidate.pattern.mask.bit_count()

    return sorted(candidates, key=key)


def _certain(candidate: Candidate, tested: int) -> bool:
    """Nothing is left to check: what comes after it is never tried."""
    if candidate.pattern.mask & ~tested or candidate.when is not None:
        return False
    return isinstance(candidate, Prefix) or (candidate.where is None and not candidate.operands)


def _leaf(candidates: Sequence[Candidate], tested: int) -> Node:
    kept: list[Candidate] = []
    for candidate in candidates:
        kept.append(candidate)
        if _certain(candidate, tested):
            break
    return Leaf(tuple(kept), tested) if kept else Illegal()


def _runs(mask: int) -> Iterator[tuple[int, int]]:
    """(low, width) of each run of ones."""
    low = 0
    while mask >> low:
        if mask >> low & 1:
            width = 1
            while mask >> (low + width) & 1:
                width += 1
            yield low, width
            low += width
        else:
            low += 1


def _build(candidates: Sequence[Candidate], tested: int) -> Node:
    if len(candidates) < 2:
        return _leaf(candidates, tested)
    shortest = min(candidate.pattern.length for candidate in candidates)
    open_bits = ((1 << shortest) - 1) & ~tested
    common = open_bits
    for candidate in candidates:
        common &= candidate.pattern.mask
    run = _best_common_run(candidates, common)
    if run is None and len(candidates) > _SMALL:
        run = _best_partial_run(candidates, open_bits)
    if run is None:
        return _leaf(candidates, tested)
    low, width = run
    field = ((1 << width) - 1) << low
    cases: dict[int, list[Candidate]] = {}
    loose = [candidate for candidate in candidates if candidate.pattern.mask & field != field]
    for candidate in candidates:
        if candidate.pattern.mask & field == field:
            cases.setdefault(candidate.pattern.value >> low & ((1 << width) - 1), [])
    for value, case in cases.items():
        case += [
            candidate
            for candidate in candidates
            if not (candidate.pattern.value ^ value << low) & candidate.pattern.mask & field
        ]
    return Switch(
        low,
        width,
        {value: _build(case, tested | field) for value, case in sorted(cases.items())},
        _build(loose, tested),
    )  # those left know nothing more about these bits


def _best_common_run(candidates: Sequence[Candidate], common: int) -> tuple[int, int] | None:
    """The run of bits fixed by all candidates that tells most of them apart, if any does."""
    best, most = None, 1
    for low, width in _runs(common):
        values = {candidate.pattern.value >> low & ((1 << width) - 1) for candidate in candidates}
        if len(values) > most:
            best, most = (low, width), len(values)
    return best


def _best_partial_run(candidates: Sequence[Candidate], open_bits: int) -> tuple[int, int] | None:
    """The run of bits, fixed by some candidates, whose cases are smallest on average; None if no case gets smaller."""
    runs: set[tuple[int, int]] = set()
    for candidate in candidates:
        for low, width in _runs(candidate.pattern.mask & open_bits):
            runs.add((low, min(width, _WIDEST_PARTIAL_SWITCH)))
            runs.add((low + max(0, width - _WIDEST_PARTIAL_SWITCH), min(width, _WIDEST_PARTIAL_SWITCH)))
    best, least = None, float(len(candidates))
    for low, width in sorted(runs):
        field = ((1 << width) - 1) << low
        values = {
            candidate.pattern.value & field for candidate in candidates if candidate.pattern.mask & field == field
        }
        sizes = [
            sum(not (candidate.pattern.value ^ value) & candidate.pattern.mask & field for candidate in candidates)
            for value in values
        ]
        sizes.append(sum(candidate.pattern.mask & field != field for candidate in candidates))
        if max(sizes) == len(candidates):
            continue
        average = sum(size * size for size in sizes) / sum(sizes)
        if average < least:
            best, least = (low, width), average
    return best


def decode_with_tree(
    node: Node, fetch: int, available: int, holds: Callable[[Candidate, int], bool]
) -> Candidate | None:
    """Walks the tree: the meaning of it, and the oracle for the generated decoders.

    `available` is the number of bits in `fetch`; candidates longer than that are not taken.  `holds` judges `where` and
    `when` of a candidate for a word.
    """
    while isinstance(node, Switch):
        node = node.cases.get(fetch >> node.low & ((1 << node.width) - 1), node.default)
    if isinstance(node, Leaf):
        for candidate in node.candidates:
            mask, value = node.remaining(candidate)
            if fetch & mask == value and candidate.pattern.length <= available and holds(candidate, fetch):
                return candidate
    return None


def walk(node: Node) -> Iterator[Node]:
    """Every node, parents first."""
    yield node
    if isinstance(node, Switch):
        for case in node.cases.values():
            yield from walk(case)
        yield from walk(node.default)
