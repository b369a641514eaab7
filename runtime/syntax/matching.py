"""Reads operand text along a template: names become numbers, numbers stay expressions until symbols are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.syntax.expressions import BadExpression, Expression, parse, parse_operand, symbols
from runtime.syntax.tables import AliasHole, Hole, Names, Operand, Row

__all__ = ["Given", "Matcher", "RowGiven", "Wildcard"]


@dataclass(frozen=True, slots=True)
class RowGiven:
    """The row of an operand that the text fits, with what stands in its holes."""

    row: Row
    holes: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A hole of an alias standing in its expansion, where a value would: `{name}` or `{expression}`."""

    text: str


@dataclass(frozen=True, slots=True)
class Given:
    """What stands in a hole, and where."""

    value: int | Expression | RowGiven | Wildcard
    start: int
    end: int


def _wordlike(character: str) -> bool:
    return character.isalnum() or character in "_."


class Matcher:
    """One text against templates; `furthest` is where the best of the failed attempts stopped.

    A symbol may not be called as one of `registers` is.  Of an operand's rows those come first that fit `modes`.
    """

    def __init__(
        self,
        text: str,
        registers: frozenset[str] = frozenset(),
        wildcards: bool = False,
        modes: Mapping[str, int] | None = None,
    ) -> None:
        self.text = text
        self.lower = text.lower()
        self.registers = registers
        self.wildcards = wildcards
        self.modes: Mapping[str, int] = modes or {}
        self.furthest = 0
        self.complaint: BadExpression | None = None

    def match(
        self, pieces: Sequence[str | Hole | AliasHole], operands: Sequence[Operand] = ()
    ) -> Iterator[tuple[Given, ...]]:
        """All ways in which the whole text is the template's."""
        for given, at in self._pieces(pieces, 0, 0, operands):
            end = self._blanks(at)
            if end == len(self.text):
                yield given
            else:
                self._reached(end)

    def _reached(self, at: int, complaint: BadExpression | None = None) -> None:
        if at > self.furthest or (at == self.furthest and complaint is None):
            self.furthest, self.complaint = at, complaint

    def _blanks(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in " \t":
            at += 1
        return at

    def _between(self, at: int) -> int:
        """Skips blanks, except inside a word: those of `addi a0` end the mnemonic, those after `,` mean nothing."""
        if at and _wordlike(self.text[at - 1]):
            return at
        return self._blanks(at)

    def _pieces(
        self, pieces: Sequence[str | Hole | AliasHole], index: int, at: int, operands: Sequence[Operand]
    ) -> Iterator[tuple[tuple[Given, ...], int]]:
        if index == len(pieces):
            yield (), at
            return
        piece = pieces[index]
        if isinstance(piece, str):
            end = self._literal(piece, at)
            if end is not None:
                yield from self._pieces(pieces, index + 1, end, operands)
            return
        hole = piece.hole if isinstance(piece, AliasHole) else piece
        for given in self._hole(hole, at, operands):
            for rest, end in self._pieces(pieces, index + 1, given.end, operands):
                yield (given, *rest), end

    def _literal(self, literal: str, at: int) -> int | None:
        """Where the text goes on after a literal, blanks around punctuation being free."""
        for character in literal.lower():
            if character == " ":
                after = self._blanks(at)
                # Words that a template keeps apart stay apart; elsewhere blanks are optional.
                if (
                    after == at
                    and at < len(self.text)
                    and at
                    and _wordlike(self.text[at - 1])
                    and _wordlike(self.text[at])
                ):
                    self._reached(at)
                    return None
                at = after
                continue
            if not _wordlike(character):
                at = self._blanks(at)
            else:
                at = self._between(at)
            if at >= len(self.text) or self.lower[at] != character:
                self._reached(at)
                return None
            at += 1
        return at

    def _hole(self, hole: Hole, at: int, operands: Sequence[Operand]) -> Iterator[Given]:
        if hole.kind == "optional":
            end = self._literal(hole.text, at)
            if end is not None:
                yield Given(1, at, end)
            yield Given(0, at, at)
            return
        start = self._between(at)
        if self.wildcards and self.text[start : start + 1] == "{":
            end = self.text.find("}", start)
            if end > 0:
                yield Given(Wildcard(self.text[start + 1 : end]), start, end + 1)
            return
        if hole.kind == "operand":
            operand = next(operand for operand in operands if operand.name == hole.operand)
            for row in operand.best_first(self.modes):
                for inner, end in self._pieces(row.pieces, 0, start, row.operands):
                    yield Given(RowGiven(row, inner), start, end)
            return
        if hole.kind == "set" and hole.names is not None:
            yield from self._set(hole.names, start)
            return
        if hole.names is not None:
            yield from self._names(hole, start)
            return
        if hole.numbers is not None:
            yield from self._numbers(hole.numbers, start)
        yield from self._expression(hole, start)

    def _names(self, hole: Hole, at: int) -> Iterator[Given]:
        names = hole.names
        assert names is not None
        found = False
        for length in names.lengths:
            value = names.by_name.get(self.lower[at : at + length]) if length <= len(self.text) - at else None
            if value is not None:
                found = True
                yield Given(value, at, at + length)
        if not found:
            self._reached(at)

    def _set(self, names: Names, at: int) -> Iterator[Given]:
        """Names separated by commas, in any order; `r4-r7` is all from one to the other."""
        start, bits, last = at, 0, -1
        while True:
            found = self._member(names, self._blanks(at))
            if found is None:
                return
            value, at = found
            for bit in range(last if last >= 0 else value, value + 1):
                bits |= 1 << bit
            end = self._blanks(at)
            sign = self.text[end : end + 1]
            if sign not in (",", "-"):
                break
            last = value if sign == "-" else -1
            at = end + 1
        yield Given(bits, start, at)

    def _member(self, names: Names, at: int) -> tuple[int, int] | None:
        end = at
        while end < len(self.text) and _wordlike(self.text[end]):
            end += 1
        value = names.by_name.get(self.lower[at:end])
        if value is None:
            self._reached(at)
            return None
        return value, end

    def _numbers(self, numbers: Mapping[int, str], at: int) -> Iterator[Given]:
        for value, name in numbers.items():
            end = at + len(name)
            if self.lower.startswith(name.lower(), at) and not (end < len(self.text) and _wordlike(self.text[end])):
                yield Given(value, at, end)

    def _expression(self, hole: Hole, at: int) -> Iterator[Given]:
        if hole.kind == "plus" and self.text[at : at + 1] not in ("+", "-"):
            self._reached(at)
            return
        # The longest expression first, but a template may go on with what could be an operator: `[{a}+{b}*{c}]`.
        before = -1
        for reader in (parse, parse_operand):
            try:
                value, end = reader(self.text, at)
            except BadExpression as error:
                self._reached(max(at, error.start), error)
                continue
            register = next((symbol for symbol in symbols(value) if symbol.name.lower() in self.registers), None)
            if register is not None:
                self._reached(
                    at, BadExpression(f"'{register.name}' is a register, not a number", register.start, register.end)
                )
            elif end != before:
                before = end
                yield Given(value, at, end)
