"""Solving a template's expression backwards: which field bits give this value.

Most expressions are affine in their field bits (slices, `++`, sign extension, PC + x): trying out one bit at a time
gives each bit's weight, and a value is then taken apart modulo 2**width, lowest weight first.  Others (rotated or
replicated immediates) are tabulated, up to TABLE_BITS bits of fields.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Literal, Protocol

from runtime.syntax.arithmetic import signed
from runtime.syntax.tables import PC, Evaluate, Field, Values

__all__ = ["TABLE_BITS", "Range", "Solver", "Style", "Unsolvable", "fits"]

#: how a value is meant: its top bit may be a sign, or either; a relative one moves with the instruction
Style = Literal["unsigned", "signed", "either", "relative"]

TABLE_BITS = 16
_PROBES = 8


class _Expression(Protocol):
    """A Hole or an Argument."""

    @property
    def width(self) -> int: ...
    @property
    def field(self) -> str: ...
    @property
    def value(self) -> Evaluate | None: ...
    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def modes(self) -> tuple[str, ...]: ...

    def evaluate(self, values: Values) -> int: ...


@dataclass(frozen=True, slots=True)
class Range:
    """The values an expression can have: low .. high in steps; None for a step means a set with gaps."""

    low: int
    high: int
    step: int | None

    def __str__(self) -> str:
        text = f"{self.low}..{self.high}"
        if self.step is None:
            return f"certain values in {text}"
        return text if self.step <= 1 else f"{text} in steps of {self.step}"


def fits(number: int, width: int, style: Style) -> bool:
    """Whether a number, meant this way, is one of `width` bits; addresses wrap around."""
    if style == "signed":
        return -(1 << (width - 1)) <= number < 1 << (width - 1)
    if style == "either":
        return -(1 << (width - 1)) <= number < 1 << width
    return style == "relative" or 0 <= number < 1 << width


class Unsolvable(Exception):
    """No field bits give the value; `allowed` says which values there are, if that can be said."""

    def __init__(self, allowed: Range | None) -> None:
        super().__init__(str(allowed))
        self.allowed = allowed


@dataclass(slots=True)
class _Affine:
    """base(pc) + the sum of bit * weight, modulo 2**width; bits are (field, bit number)."""

    bits: tuple[tuple[str, int], ...]
    weights: tuple[int, ...]
    order: tuple[int, ...]  # indices by how many zeros end the weight


class Solver:
    """Solves expressions over the fields of one encoding, remembering what it found out about each."""

    def __init__(self, fields: Iterable[Field], modes: Values) -> None:
        self.fields = {field.name: field for field in fields}
        self.modes = modes
        #: weights and tables of an expression are others behind other prefixes
        self._affine: dict[tuple[int, tuple[str, ...], tuple[int, ...]], _Affine | None] = {}
        self._tables: dict[tuple[int, tuple[tuple[str, int], ...]], dict[int, tuple[int, ...]]] = {}

    def solve(self, expression: _Expression, target: int, known: dict[str, int], style: Style = "unsigned") -> None:
        """Adds to `known` the values of the expression's fields that make it `target` (0 <= target < 2**width).

        Fields already in `known` keep their values.  `known` holds the addresses and modes too.  Raises Unsolvable.
        """
        names = (expression.field,) if expression.field else expression.fields
        free = tuple(name for name in names if name not in known)
        if expression.value is None and free:
            field = self.fields[expression.field]
            fitting = field.insert(target)
            if field.extract(fitting) != target:
                raise Unsolvable(self.range_of(expression, known, style))
            known[expression.field] = target
            return
        if not free:
            if expression.evaluate(known) != target:
                value = expression.evaluate(known)
                raise Unsolvable(Range(value, value, 1))
            return
        found = self._solve_affine(expression, target, known, free)
        if found is None and not self._decided(expression, known, free):
            found = self._solve_table(expression, target, known, free, style)
        if found is None:
            raise Unsolvable(self.range_of(expression, known, style))
        known.update(found)

    # ------------------------------------------------------------ affine expressions

    def _bits(self, free: Sequence[str]) -> tuple[tuple[str, int], ...]:
        return tuple((name, bit) for name in free for bit in self.fields[name].bits)

    def _affine_of(self, expression: _Expression, known: Values, free: tuple[str, ...]) -> _Affine | None:
        """Weights of the free bits, or None if the expression is not affine in them."""
        key = (id(expression), free, tuple([known[mode] for mode in expression.modes]))
        if key in self._affine and len(free) == len(expression.fields):
            return self._affine[key]
        modulus = 1 << expression.width
        bits = self._bits(free)
        base = self._at(expression, known, free, ())
        weights = tuple((self._at(expression, known, free, (bit,)) - base) % modulus for bit in bits)
        order = sorted(range(len(bits)), key=lambda index: _zeros(weights[index]))
        affine: _Affine | None = _Affine(bits, weights, tuple(order))
        chance = random.Random(len(bits))  # the same probes every time
        for probe in range(_PROBES):
            chosen = [bit for bit in bits if probe == 0 or chance.getrandbits(1)]
            total = base + sum(weight for bit, weight in zip(bits, weights, strict=True) if bit in chosen)
            if self._at(expression, known, free, chosen) != total % modulus:
                affine = None
                break
        self._affine[key] = affine
        return affine

    def _at(self, expression: _Expression, known: Values, free: Iterable[str], bits: Iterable[tuple[str, int]]) -> int:
        values = {**known, **dict.fromkeys(free, 0)}
        for name, bit in bits:
            values[name] |= 1 << bit
        return expression.evaluate(values)

    def _solve_affine(
        self, expression: _Expression, target: int, known: Values, free: tuple[str, ...]
    ) -> dict[str, int] | None:
        affine = self._affine_of(expression, known, free)
        if affine is None:
            return None
        values = dict.fromkeys(free, 0)
        rest = (target - self._at(expression, known, free, ())) % (1 << expression.width)
        for index in affine.order:
            weight = affine.weights[index]
            # All remaining weights are multiples of this power of two, so only this one can clear the bit.
            if weight and rest >> _zeros(weight) & 1:
                rest = (rest - weight) % (1 << expression.width)
                name, bit = affine.bits[index]
                values[name] |= 1 << bit
        if rest or expression.evaluate({**known, **values}) != target:
            return None
        # What does not count, the other fields being what they are, is left to whatever shows it.
        telling = {name for (name, _), weight in zip(affine.bits, affine.weights, strict=True) if weight}
        return {name: value for name, value in values.items() if name in telling}

    def _decided(self, expression: _Expression, known: Values, free: tuple[str, ...]) -> bool:
        """Whether what `_solve_affine` does not find is not there: one weight decides about each bit of the sum."""
        affine = self._affine_of(expression, known, free)
        if affine is None:
            return False
        zeros = [_zeros(weight) for weight in affine.weights if weight]
        return len(set(zeros)) == len(zeros)

    def one_to_one(self, expression: _Expression, known: Values, free: tuple[str, ...]) -> bool:
        """Whether different bits of these fields always give different values."""
        affine = self._affine_of(expression, known, free)
        if affine is None:
            return False
        # The lowest set bits of the weights differ, so each bit of the sum, from the lowest up, gives one field bit.
        zeros = [_zeros(weight) for weight in affine.weights]
        return all(affine.weights) and len(set(zeros)) == len(zeros)

    # ------------------------------------------------------------ others

    def _solve_table(
        self, expression: _Expression, target: int, known: Values, free: tuple[str, ...], style: Style
    ) -> dict[str, int] | None:
        bits = self._bits(free)
        if len(bits) > TABLE_BITS:
            return None
        numbers = self._table(expression, known, free, bits, style).get(target)
        return None if numbers is None else dict(zip(free, numbers, strict=True))

    def _table(
        self,
        expression: _Expression,
        known: Values,
        free: tuple[str, ...],
        bits: tuple[tuple[str, int], ...],
        style: Style,
    ) -> dict[int, tuple[int, ...]]:
        fixed = (
            *(name for name in expression.fields if name in known),
            *expression.modes,
            *((PC,) if style == "relative" else ()),
        )
        key = (id(expression), tuple((name, known[name]) for name in fixed))
        if key not in self._tables:
            table: dict[int, tuple[int, ...]] = {}
            values = dict(known)
            for number in range(1 << len(bits)):
                for name in free:
                    values[name] = 0
                # The first field named is the most significant, so that the lowest number is the canonical one.
                for place, (name, bit) in enumerate(bits):
                    values[name] |= (number >> place & 1) << bit
                table.setdefault(expression.evaluate(values), tuple(values[name] for name in free))
            self._tables[key] = table
        return self._tables[key]

    # ------------------------------------------------------------ ranges

    def range_of(self, expression: _Expression, known: Values, style: Style) -> Range | None:
        """What the expression can be, for messages."""
        names = (expression.field,) if expression.field else expression.fields
        free = tuple(name for name in names if name not in known)
        width = expression.width
        base = self._at(expression, known, free, ())
        affine = self._affine_of(expression, known, free)
        if affine is not None:
            weights = affine.weights
            step = 0
            for weight in weights:
                step = gcd(step, weight)
            if style != "unsigned":
                weights = tuple(signed(weight, width) for weight in weights)
            if style == "signed":
                base = signed(base, width)
            negative = sum(weight for weight in weights if weight < 0)
            positive = sum(weight for weight in weights if weight > 0)
            return Range(base + negative, base + positive, step)
        bits = self._bits(free)
        if len(bits) > TABLE_BITS:
            return None
        values = sorted(
            signed(value, width) if style == "signed" else value
            for value in self._table(expression, known, free, bits, style)
        )
        return Range(values[0], values[-1], None)


def _zeros(weight: int) -> int:
    """How many zeros end it; a weight of 0 sorts last."""
    return (weight & -weight).bit_length() - 1 if weight else 1 << 16
