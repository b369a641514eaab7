"""Guards of encodings as functions of fetched bits and modes, so that questions about them can be tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass

from gen import model
from gen.evaluate import NotStatic, compile_guards, variables_of

__all__ = ["MOST_FREE_BITS", "Encoding", "Guard", "TooManyBits", "bits_of", "common_point", "encoding_of", "points"]

#: guards are tried out on all values of at most this many bits
MOST_FREE_BITS = 16


@dataclass(slots=True)
class Guard:
    """A condition over some fetch bits and modes, as a function of (fetch, modes)."""

    bits: int  # mask of the fetch bits it reads
    modes: dict[str, int]
    holds: Callable[[int, Mapping[str, int]], bool]


@dataclass(slots=True)
class Encoding:
    """An instruction, or a reserved word (`instruction` is then None), ready for comparison."""

    name: str
    mnemonic: str
    pattern: model.Pattern
    instruction: model.Instruction | None
    guards: list[Guard] = field(default_factory=list)
    exact: bool = True  # all its guards are among these: some cannot be tried out
    above: list[Encoding] = field(default_factory=list)  # those that take words away from it

    @property
    def mode_widths(self) -> dict[str, int]:
        return {name: width for guard in self.guards for name, width in guard.modes.items()}

    @property
    def guard_bits(self) -> int:
        bits = 0
        for guard in self.guards:
            bits |= guard.bits
        return bits

    def accepts(self, fetch: int, modes: Mapping[str, int]) -> bool:
        return fetch & self.pattern.mask == self.pattern.value and all(
            guard.holds(fetch, modes) for guard in self.guards
        )


class TooManyBits(Exception):
    """A question that would need more than MOST_FREE_BITS bits to be tried out."""


def field_value(layout: model.FieldLayout, fetch: int) -> int:
    """A field's value in a fetch integer."""
    value = 0
    for part in layout.slices:
        value |= (fetch >> part.low & ((1 << part.width) - 1)) << part.field_low
    return value


def field_mask(layout: model.FieldLayout, bits: int = -1) -> int:
    """The fetch bits a field, or these bits of it, occupies."""
    mask = 0
    for part in layout.slices:
        mask |= (bits >> part.field_low & ((1 << part.width) - 1)) << part.low
    return mask


def _guard_of(expr: model.Expr, pattern: model.Pattern, functions: Mapping[str, model.Function]) -> Guard | None:
    """None when the guard cannot be tried out here; it then proves nothing."""
    fields, modes, addresses = variables_of(expr, functions)
    layouts = {layout.name: layout for layout in pattern.fields}
    if addresses or any(name not in layouts for name in fields):
        return None
    used = [layouts[name] for name in fields]
    try:
        evaluate = compile_guards([expr], functions, list(fields), list(modes))
    except NotStatic:
        return None
    names = tuple(modes)

    def holds(fetch: int, values: Mapping[str, int]) -> bool:
        return evaluate(*(field_value(layout, fetch) for layout in used), *(values[name] for name in names))

    read = _bits_read(expr)
    bits = 0
    for layout in used:
        bits |= field_mask(layout, read.get(layout.name, -1))
    return Guard(bits, modes, holds)


def _conditions(expr: model.Expr) -> Iterator[model.Expr]:
    """What must hold all together."""
    match expr:
        case model.Select(_, condition, then, model.Const(_, 0)) | model.Binary(1, "and", condition, then):
            yield from _conditions(condition)
            yield from _conditions(then)
        case _:
            yield expr


def _bits_read(root: object) -> dict[str, int]:
    """Of fields of which only some bits are read: those bits."""
    found: dict[str, int] = {}

    def visit(node: object) -> None:
        match node:
            case model.Slice(width, model.FieldRef(_, name), low):
                found[name] = found.get(name, 0) | ((1 << width) - 1) << low
            case model.FieldRef(_, name):
                found[name] = -1
            case tuple():
                for item in node:
                    visit(item)
            case _ if is_dataclass(node):
                for part in fields(node):
                    visit(getattr(node, part.name))

    visit(root)
    return found


def _operand_guard(
    operand: model.BoundOperand, pattern: model.Pattern, functions: Mapping[str, model.Function]
) -> Guard | None:
    """An operand accepts what one of its rows accepts, judged by the bits of its arguments alone."""
    layouts = {layout.name: layout for layout in pattern.fields}
    used: list[model.FieldLayout] = []
    for argument in operand.args:
        if not isinstance(argument, model.FieldRef) or argument.name not in layouts:
            return None
        used.append(layouts[argument.name])
    rows: list[tuple[model.Pattern, Guard | None]] = []
    for row in operand.alternatives:
        guard = None if row.where is None else _guard_of(row.where, row.head, functions)
        rows.append((row.head, None if guard is not None and guard.modes else guard))

    def holds(fetch: int, _values: Mapping[str, int]) -> bool:
        head = 0
        for layout in used:
            head = head << layout.width | field_value(layout, fetch)
        return any(head & row.mask == row.value and (guard is None or guard.holds(head, {})) for row, guard in rows)

    bits = 0
    for layout in used:
        bits |= field_mask(layout)
    return Guard(bits, {}, holds)


def encoding_of(instruction: model.Instruction, functions: Mapping[str, model.Function]) -> Encoding:
    """An instruction with its guards and its operands' rows as functions."""
    encoding = Encoding(instruction.name, instruction.mnemonic, instruction.pattern, instruction)
    candidates = [
        _guard_of(expr, instruction.pattern, functions)
        for guard in (instruction.where, instruction.when)
        if guard is not None
        for expr in _conditions(guard)
    ]
    candidates += [_operand_guard(operand, instruction.pattern, functions) for operand in instruction.operands]
    encoding.guards = [guard for guard in candidates if guard is not None]
    encoding.exact = len(encoding.guards) == len(candidates)
    return encoding


def bits_of(mask: int) -> list[int]:
    """The numbers of a mask's bits, ascending."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def points(base: int, free: int, modes: Mapping[str, int]) -> Iterator[tuple[int, dict[str, int]]]:
    """All fetch integers that differ from `base` in `free` bits only, with all values of the modes."""
    positions = bits_of(free)
    if len(positions) + sum(modes.values()) > MOST_FREE_BITS:
        raise TooManyBits
    for mode_bits in range(1 << sum(modes.values())):
        values, rest = {}, mode_bits
        for name, width in modes.items():
            values[name] = rest & ((1 << width) - 1)
            rest >>= width
        # Subsets of `free` in ascending order: subtracting the mask from the last one carries through its gaps.
        subset = 0
        while True:
            yield base | subset, values
            subset = (subset - free) & free
            if not subset:
                break


def common_point(first: Encoding, second: Encoding) -> tuple[int, dict[str, int]] | None:
    """A word, and modes, that both encodings take; None when there is none.

    Guards of too many bits are dropped, widest first, which can only make the answer more cautious; when what is left
    has a common point the question is open and TooManyBits is raised.
    """
    base = first.pattern.value | second.pattern.value
    fixed = first.pattern.mask | second.pattern.mask
    guards = sorted(first.guards + second.guards, key=lambda guard: (guard.bits & ~fixed).bit_count())
    dropped = False
    while True:
        free, modes = 0, {}
        for guard in guards:
            free |= guard.bits & ~fixed
            modes.update(guard.modes)
        if free.bit_count() + sum(modes.values()) <= MOST_FREE_BITS:
            break
        guards.pop()
        dropped = True
    found = next(solutions(base, fixed, guards), None)
    if found is not None and dropped:
        raise TooManyBits
    return found


def solutions(base: int, fixed: int, guards: Sequence[Guard]) -> Iterator[tuple[int, dict[str, int]]]:
    """Words that differ from `base` outside `fixed` only, with modes, for which all guards hold.

    Each guard is tried as soon as its own bits and modes have values, those of few before those of many."""
    ordered = sorted(guards, key=lambda guard: (guard.bits & ~fixed).bit_count() + sum(guard.modes.values()))

    def search(number: int, word: int, known: int, modes: dict[str, int]) -> Iterator[tuple[int, dict[str, int]]]:
        if number == len(ordered):
            yield word, modes
            return
        guard = ordered[number]
        free = guard.bits & ~known
        for fetch, values in points(word, free, {name: w for name, w in guard.modes.items() if name not in modes}):
            chosen = {**modes, **values}
            if guard.holds(fetch, chosen):
                yield from search(number + 1, fetch, known | free, chosen)

    return search(0, base, fixed, {})
