"""Other spellings of operands: what an `asm operand "…" = "…"` says is looked for in a statement, and replaced.

Holes: `{x}` an expression without registers, the longest there is; `{x:term}` one number or symbol; `{x:register}` a
register; `{x:rest}` all up to the bracket that closes.  A blank stands for any number of them, none too.  In what
replaces it `{x:literal}` is the address of a word that holds x.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from runtime.syntax.expressions import BadExpression, parse, parse_operand, symbols
from runtime.syntax.tables import Spelling

__all__ = ["BadSpelling", "OperandSpelling"]

_HOLE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_READ, _WRITTEN = ("", "term", "rest", "register"), ("", "literal")
_OPENING, _CLOSING = "([{", ")]}"


class BadSpelling(ValueError):
    """What is wrong with a rule."""


def _wordlike(character: str) -> bool:
    return character.isalnum() or character in "_.$"


def _split(text: str, kinds: tuple[str, ...]) -> tuple[str | tuple[str, str], ...]:
    """Literals, and (name, kind) for holes."""
    found: list[str | tuple[str, str]] = []
    at = 0
    for hole in _HOLE.finditer(text):
        if hole.start() > at:
            found.append(text[at : hole.start()])
        kind = hole[2] or ""
        if kind not in kinds:
            raise BadSpelling(f"there is no kind of hole '{kind}' here, only {', '.join(filter(None, kinds))}")
        found.append((hole[1], kind))
        at = hole.end()
    if text[at:]:
        found.append(text[at:])
    return tuple(found)


class OperandSpelling:
    """One rule; BadSpelling unless each hole is read once, and those that are written are read."""

    def __init__(self, rule: Spelling, registers: frozenset[str]) -> None:
        self.registers = registers
        self.read = _split(rule.text.lower(), _READ)
        self.written = _split(rule.meaning, _WRITTEN)
        names = [piece[0] for piece in self.read if isinstance(piece, tuple)]
        if not self.read or len(set(names)) < len(names):
            raise BadSpelling("a hole is written twice" if names else "it has no text")
        for piece in self.written:
            if isinstance(piece, tuple) and piece[0] not in names:
                raise BadSpelling(f"'{{{piece[0]}}}' is no hole of '{rule.text}'")

    def apply(self, text: str, start: int, literal: Callable[[str], str]) -> str:
        """The text with every place from `start` on replaced that is spelled so; `literal` gives a word's label."""
        out, at = [text[:start]], start
        lower = text.lower()
        while at < len(text):
            quoted = text[at] == '"'
            end = None if quoted else next(self._pieces(text, lower, at, 0, {}), None)
            if end is None:
                stop = text.find('"', at + 1) + 1 if quoted else _word_end(text, at)
                out.append(text[at : stop or len(text)])
                at = stop or len(text)
                continue
            given, at = end
            for piece in self.written:
                if isinstance(piece, str):
                    out.append(piece)
                else:
                    out.append(literal(given[piece[0]]) if piece[1] == "literal" else given[piece[0]])
        return "".join(out)

    def _pieces(
        self, text: str, lower: str, at: int, index: int, given: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, str], int]]:
        if index == len(self.read):
            if not (0 < at < len(text) and _wordlike(text[at - 1]) and _wordlike(text[at])):
                yield given, at
            return
        piece = self.read[index]
        if isinstance(piece, str):
            end = _literal_end(piece, lower, at)
            if end is not None:
                yield from self._pieces(text, lower, end, index + 1, given)
            return
        if at < len(text) and text[at] in " \t":
            return
        if piece[1] == "rest":
            end = _rest_end(text, at)
        elif piece[1] == "register":
            end = _word_end(text, at) if at < len(text) else at
            end = end if lower[at:end] in self.registers else at
        else:
            end = self._expression_end(text, at, piece[1] == "term")
        if end > at:
            yield from self._pieces(text, lower, end, index + 1, {**given, piece[0]: text[at:end].strip()})

    def _expression_end(self, text: str, at: int, term: bool) -> int:
        try:
            value, end = (parse_operand if term else parse)(text, at)
        except BadExpression:
            return at
        return at if any(symbol.name.lower() in self.registers for symbol in symbols(value)) else end


def _literal_end(literal: str, lower: str, at: int) -> int | None:
    """Where the text goes on behind a literal, whose blanks stand for any number of them, none too."""
    for character in literal:
        if character == " ":
            while at < len(lower) and lower[at] in " \t":
                at += 1
        elif at < len(lower) and lower[at] == character:
            at += 1
        else:
            return None
    if literal[-1] == " " and 0 < at < len(lower) and _wordlike(lower[at - 1]) and _wordlike(lower[at]):
        return None  # the word goes on
    return at


def _rest_end(text: str, at: int) -> int:
    """Where the bracket closes that was open before."""
    depth = 0
    for end in range(at, len(text)):
        if text[end] in _OPENING:
            depth += 1
        elif text[end] in _CLOSING:
            if depth == 0:
                return end
            depth -= 1
    return at


def _word_end(text: str, at: int) -> int:
    """Behind the word, or the sign, that stands there."""
    end = at + 1
    if _wordlike(text[at]):
        while end < len(text) and _wordlike(text[end]):
            end += 1
    return end
