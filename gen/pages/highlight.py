"""Colours for text: cuts .isa source, TCG, LLVM IR and host assembly into tokens, each of a kind.

One table of kinds serves HTML (CSS classes) and terminals (styles), so that a thing has the same colour everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["KINDS", "LANGUAGES", "Meaning", "Token", "highlight"]

#: kind of a token -> what it is; "" is plain text.  A field's kinds are those of diagram.FIELD_KINDS.
KINDS = {
    "comment": "a comment",
    "keyword": "a word of the language",
    "string": "quoted text",
    "number": "a literal",
    "function": "a function or an operation",
    "state": "a register, a mode or memory",
    "exception": "an exception",
    "value": "a temporary or a host register",
    "label": "a place to jump to",
    "type": "a type",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text; `link` is where a page says more of it."""

    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name stands for."""

    kind: str
    link: str = ""


_GRAMMAR = Path(__file__).parent.parent / "grammar.lark"
#: how the grammar writes its words
_KEYWORD = re.compile(r"^[A-Z]+\.2: /(\w+)\\b/$", re.MULTILINE)
_BUILT_IN = frozenset({"sext", "zext", "static", "seldom", "page", "clz", "ctz", "popcount", "parity"})

_ISA = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"[^"\n]*")
      | (?P<number>0x[0-9A-Fa-f_]+ | 0b[01_]+ | \b\d[\d_]*\b)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)
#: a name in an encoding or a hole
_WORD = re.compile(r"[A-Za-z_]\w*")

_RULES: dict[str, str] = {
    "tcg": r"""(?P<comment>^\ ----[^\n]*)
      | (?P<label>\bL\d+\w*)
      | (?P<value>\b[tl]\d+\b)
      | (?P<type>(?<=\d):\d+\b)
      | (?P<number>\b0x[0-9a-f]+\b | \b\d+\b)
      | (?P<keyword>^(?:handler|plain)\b)
      | (?P<function>(?:(?<=^\ \ )|(?<==\ ))[a-z]\w*)""",
    "llvm": r"""(?P<comment>;[^\n]*)
      | (?P<string>c?"[^"\n]*")
      | (?P<function>@[\w.$]+)
      | (?P<label>^[\w.$]+: | (?<=label\ )%[\w.$]+)
      | (?P<value>%[\w.$]+ | \#\d+ | !\w+)
      | (?P<type>\b(?:i\d+ | ptr | void | float | double | half | label)\b)
      | (?P<number>(?<![\w.])-?\d+(?:\.\d+)?\b | \b0x[0-9A-Fa-f]+\b)
      | (?P<keyword>\b[a-z]\w*\b)""",
    "assembly": r"""(?P<comment>\#[^\n]*)
      | (?P<label>^[.\w$]+: | \.L\w+)
      | (?P<keyword>^\s+\.\w+)
      | (?P<function>^\s+[a-z]\w*)
      | (?P<value>%\w+)
      | (?P<number>\$?-?\b0x[0-9a-f]+\b | \$-?\d+ | \b-?\d+\b)""",
}
LANGUAGES = ("isa", *_RULES)


@cache
def _keywords() -> frozenset[str]:
    return frozenset(_KEYWORD.findall(_GRAMMAR.read_text(encoding="utf-8")))


@cache
def _pattern(language: str) -> re.Pattern[str]:
    return re.compile(_RULES[language], re.VERBOSE | re.MULTILINE)


def highlight(text: str, language: str, names: Mapping[str, Meaning] | None = None) -> list[Token]:
    """The text as tokens, which joined give the text; `names` are what names mean in .isa source."""
    found = _isa(text, names or {}) if language == "isa" else _simple(text, _pattern(language))
    return list(_joined(found))


def _simple(text: str, pattern: re.Pattern[str]) -> Iterator[Token]:
    at = 0
    for match in pattern.finditer(text):
        yield Token("", text[at : match.start()])
        yield Token(match.lastgroup or "", match[0])
        at = match.end()
    yield Token("", text[at:])


def _isa(text: str, names: Mapping[str, Meaning]) -> Iterator[Token]:
    for match in _ISA.finditer(text):
        kind = match.lastgroup or ""
        word = match[0]
        if kind == "string":
            yield from _quoted(word, names)
        elif kind == "name":
            known = names.get(word)
            if known is not None:
                yield Token(known.kind, word, known.link)
            elif word in _keywords():
                yield Token("keyword", word)
            else:
                yield Token("function" if word in _BUILT_IN else "", word)
        else:
            yield Token("" if kind == "rest" else kind, word)


def _quoted(text: str, names: Mapping[str, Meaning]) -> Iterator[Token]:
    """A string; the fields it names keep their colours."""
    at = 0
    for match in _WORD.finditer(text):
        known = names.get(match[0])
        if known is not None and known.kind.startswith("field"):
            yield Token("string", text[at : match.start()])
            yield Token(known.kind, match[0])
            at = match.end()
    yield Token("string", text[at:])


def _joined(tokens: Iterator[Token]) -> Iterator[Token]:
    """Neighbours that look alike as one."""
    pending = Token("", "")
    for token in tokens:
        if (token.kind, token.link) == (pending.kind, pending.link) and not token.link:
            pending = Token(pending.kind, pending.text + token.text)
        elif token.text:
            if pending.text:
                yield pending
            pending = token
    if pending.text:
        yield pending
