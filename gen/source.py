"""Printing Python source: calls and literals laid out the way `ruff format` would, within 120 columns."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from textwrap import wrap

WIDTH = 120
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Group:
    """Brackets around items: a call `f(a, b)`, a tuple, a list."""

    opening: str  # up to and including the bracket
    items: tuple[Doc, ...]
    closing: str
    comma_for_one: bool = False  # a one-item tuple keeps its comma


@dataclass(frozen=True, slots=True)
class Keyword:
    """`name=value`, or `key: value` in a dict."""

    prefix: str
    value: Doc


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one operator, broken before the operator."""

    parts: tuple[str, ...]
    operator: str


Doc = str | Group | Keyword | Chain


def call(function: str, *arguments: Doc) -> Group:
    """`function(arguments)`."""
    return Group(f"{function}(", arguments, ")")


def tuple_of(items: Iterable[Doc]) -> Group:
    """`(a, b)`, `(a,)` or `()`."""
    return Group("(", tuple(items), ")", comma_for_one=True)


def flat(doc: Doc) -> str:
    """The text on one line."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Keyword):
        return doc.prefix + flat(doc.value)
    if isinstance(doc, Chain):
        return doc.operator.join(doc.parts)
    inside = ", ".join(flat(item) for item in doc.items)
    comma = "," if doc.comma_for_one and len(doc.items) == 1 else ""
    return f"{doc.opening}{inside}{comma}{doc.closing}"


def statement(prefix: str, doc: Doc, suffix: str = "", depth: int = 0) -> list[str]:
    """Lines of `prefix doc suffix` at an indentation depth, broken at brackets where they are too long."""
    margin = INDENT * depth
    line = f"{margin}{prefix}{flat(doc)}{suffix}"
    if len(line) <= WIDTH or isinstance(doc, str):
        return [line]
    if isinstance(doc, Keyword):
        return statement(prefix + doc.prefix, doc.value, suffix, depth)
    if isinstance(doc, Chain):
        return _chain(prefix, doc, suffix, depth)
    if not doc.items:
        return [line]
    inner = INDENT * (depth + 1)
    inside = ", ".join(flat(item) for item in doc.items)
    last = f"{margin}{doc.closing}{suffix}"
    one_line = f"{inner}{inside}{',' if doc.comma_for_one and len(doc.items) == 1 else ''}"
    if len(one_line) <= WIDTH and not (doc.comma_for_one and len(doc.items) == 1):
        return [f"{margin}{prefix}{doc.opening}", one_line, last]
    lines = [f"{margin}{prefix}{doc.opening}"]
    for item in doc.items:
        lines += statement("", item, ",", depth + 1)
    return [*lines, last]


def _chain(prefix: str, doc: Chain, suffix: str, depth: int) -> list[str]:
    """An operand a line; in brackets of its own unless it stands inside some already (`name=…,`)."""
    if len(doc.parts) == 1:
        return [f"{INDENT * depth}{prefix}{doc.parts[0]}{suffix}"]
    operator = doc.operator.lstrip()
    *before, last = doc.parts
    function, _, arguments = last.partition("(")
    opened = f"{INDENT * depth}{prefix}{doc.operator.join([*before, function])}("
    only_call = arguments.endswith(")") and "(" not in flat(Chain((*before, function), doc.operator))
    if suffix != "," and only_call and len(opened) <= WIDTH:  # that bracket is the one to break at
        return [opened, f"{INDENT * (depth + 1)}{arguments[:-1]}", f"{INDENT * depth}){suffix}"]
    if suffix == ",":
        rest = [f"{INDENT * depth}{operator}{part}" for part in doc.parts[1:]]
        return [f"{INDENT * depth}{prefix}{doc.parts[0]}", *rest[:-1], f"{rest[-1]}{suffix}"]
    inner = INDENT * (depth + 1)
    rest = [f"{inner}{operator}{part}" for part in doc.parts[1:]]
    return [f"{INDENT * depth}{prefix}(", f"{inner}{doc.parts[0]}", *rest, f"{INDENT * depth}){suffix}"]


def literal(value: object) -> Doc:
    """A value as an expression: dataclasses by their constructor (defaults left out), tuples, strings, numbers."""
    if isinstance(value, tuple):
        return tuple_of(literal(item) for item in value)
    if isinstance(value, str):
        return quoted(value)
    if is_dataclass(value) and not isinstance(value, type):
        arguments: list[Doc] = []
        for f in fields(value):
            item = getattr(value, f.name)
            if f.init and (f.default is MISSING or item != f.default):
                arguments.append(Keyword(f"{f.name}=", literal(item)))
        return call(type(value).__name__, *arguments)
    return repr(value)


def quoted(text: str) -> str:
    """A string literal in double quotes."""
    single = repr(text)
    if single[0] == '"' or '"' in text:
        return single
    return '"' + single[1:-1].replace("\\'", "'") + '"'


def identifier(name: str, taken: Sequence[str] | frozenset[str] = ()) -> str:
    """`name` as a Python identifier that is no keyword and none of `taken`."""
    text = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
    if not text or text[0].isdigit():
        text = f"_{text}"
    while keyword.iskeyword(text) or text in taken:
        text += "_"
    return text


def class_name(words: Iterable[str]) -> str:
    """`rd`, `rs1` -> `RdRs1`."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in word.split("_"))


def hexadecimal(value: int) -> str:
    """Small numbers in decimal, larger ones as 0x with capitals, as `ruff format` writes them."""
    return str(value) if value < 10 else f"0x{value:X}"


def folded(line: str) -> list[str]:
    """A line that assigns or returns an expression; in parentheses over several lines if it is too long for one.

    The expression has no blanks but those between its parts.
    """
    found = re.match(r"( *)(return|\w+ =) (.+)", line)
    if len(line) <= WIDTH or found is None:
        return [line]
    indent, start, code = found.groups()
    inner = indent + "    "
    parts = wrap(code, WIDTH - len(inner), break_long_words=False, break_on_hyphens=False)
    return [f"{indent}{start} (", *[inner + part for part in parts], f"{indent})"]
