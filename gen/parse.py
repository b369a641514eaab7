"""Parses .isa files: text to gen/tree.py, or every syntax error in it.

A line that starts in column 1 begins a declaration, so a file is cut there first and each declaration is parsed by
itself: one that is broken never hides errors in the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from lark import Lark
from lark.exceptions import UnexpectedInput
from lark.indenter import DedentError, Indenter

from gen import tree
from gen.errors import Diagnostic, Diagnostics, SpecError, about_file
from gen.syntax_errors import explain
from gen.tree import Pos
from gen.tree_builder import TreeBuilder

__all__ = ["parse_expression", "parse_file", "parse_text"]

# Later stages walk the tree recursively: this many nodes may lie within each other.
DEEPEST = 100
# A declaration without a longer line than this, and with brackets closed on their lines, nests no deeper: each level
# takes a character, of the line or of its indentation.
_SHORT = 100
_LARGEST_FILE = 16 << 20
# A file with more broken declarations than this is something else than a spec.
_MOST_ERRORS = 50

_GRAMMAR = Path(__file__).with_name("grammar.lark")


class Layout(Indenter):
    """Turns the indentation of lines outside brackets into _INDENT and _DEDENT."""

    NL_type = "_NL"
    OPEN_PAREN_types: ClassVar[list[str]] = ["LPAR", "LSQUARE", "LBRACE"]
    CLOSE_PAREN_types: ClassVar[list[str]] = ["RPAR", "RSQUARE", "RBRACE"]
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8


@lru_cache(maxsize=1)
def _parser() -> tuple[Lark, TreeBuilder]:
    builder = TreeBuilder()
    lark = Lark(
        _GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["item", "expr"],
        postlex=Layout(),
        transformer=builder,
        keep_all_tokens=True,
        maybe_placeholders=True,
    )
    return lark, builder


def parse_file(path: Path | str) -> tree.SpecFile:
    """Reads and parses a file; messages name it as given."""
    return parse_text(read_file(path), str(path))


def read_file(path: Path | str) -> str:
    """The text of a spec, or a SpecError that says why there is none."""
    name = str(path)
    try:
        if Path(path).is_dir():
            raise SpecError([_whole_file(name, "is a directory, not a spec")])
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise SpecError([_whole_file(name, "there is no such file")]) from None
    except OSError as error:
        raise SpecError([_whole_file(name, f"cannot be read: {error.strerror}")]) from None
    except ValueError:  # a NUL in the name
        raise SpecError([_whole_file(repr(name), "is no name of a file")]) from None
    if len(data) > _LARGEST_FILE:
        raise SpecError([_whole_file(name, f"larger than {_LARGEST_FILE >> 20} MiB: not a spec")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        diagnostics = Diagnostics({name: data.decode("utf-8", errors="replace")})
        diagnostics.error(
            Pos(name, line, column, line, column + 1),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            help="save the file as UTF-8",
        )
        raise SpecError(diagnostics.found, diagnostics.sources) from None


def _whole_file(name: str, message: str) -> Diagnostic:
    return Diagnostic(about_file(name), message)


def parse_text(text: str, path: Path | str) -> tree.SpecFile:
    """Parses the text of a file called `path`; raises SpecError with all errors found."""
    name = str(path)
    diagnostics = Diagnostics({name: text})
    _check_characters(text, name, diagnostics)
    diagnostics.raise_if_any()
    lark, builder = _parser()
    decls: list[tree.Decl] = []
    some = False
    for first_line, chunk in declarations(text):
        some = True
        if chunk.startswith(" "):
            line = chunk.split("\n", 1)[0]
            indent = len(line) - len(line.lstrip(" "))
            diagnostics.error(
                Pos(name, first_line, indent + 1, first_line, len(line) + 1),
                "an indented line outside any declaration",
                help="declarations start in column 1",
            )
            continue
        builder.start(name, first_line - 1, diagnostics)
        try:
            decl: Any = lark.parse(chunk, start="item")
        except (UnexpectedInput, DedentError) as error:
            explain(error, chunk, name, first_line, diagnostics)
            if len(diagnostics) >= _MOST_ERRORS:
                break
            continue
        if _may_be_deep(chunk):
            _check_depth(decl, diagnostics)
        decls.append(decl)
    if not some:
        diagnostics.error(
            about_file(name), "nothing is declared here", help="a spec starts with a line such as `isa demo`"
        )
    diagnostics.raise_if_any()
    return tree.SpecFile(name, tuple(decls))


def parse_expression(text: tree.Text, diagnostics: Diagnostics) -> tree.Expr | None:
    """Parses the expression in a hole of a syntax template; None after reporting what is wrong with it."""
    lark, builder = _parser()
    builder.start(text.pos.file, text.pos.line - 1, diagnostics)
    # Blanks up to the text's place in its line make the columns right.
    padded = " " * text.pos.column + text.value
    try:
        parsed: Any = lark.parse(padded, start="expr")
    except UnexpectedInput as error:
        explain(error, padded, text.pos.file, text.pos.line, diagnostics)
        return None
    if _may_be_deep(padded):
        _check_depth(parsed, diagnostics)
    expr: tree.Expr = parsed
    return expr


_BAD_CHARACTER = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ufeff]")


def _check_characters(text: str, name: str, diagnostics: Diagnostics) -> None:
    """Tabs, carriage returns and other control characters: the first of them, since a file has none or many."""
    found = _BAD_CHARACTER.search(text)
    if found is None:
        return
    start = text.rfind("\n", 0, found.start()) + 1
    line, column = text.count("\n", 0, found.start()) + 1, found.start() - start + 1
    pos = Pos(name, line, column, line, column + 1)
    match found.group():
        case "\t":
            diagnostics.error(pos, "a tab", help="indent and align with spaces (`expand` turns tabs into spaces)")
        case "\r":
            diagnostics.error(pos, "a carriage return", help="lines end in a line feed alone (`dos2unix` converts)")
        case "\ufeff":
            diagnostics.error(pos, "a byte order mark", help="save the file as UTF-8 without a byte order mark")
        case other:
            diagnostics.error(pos, f"control character U+{ord(other):04X}", help="a spec is plain text")


def declarations(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) of each declaration; comments and blank lines go with what is before them."""
    lines = text.split("\n")
    begun: int | None = None
    continued = False
    for number, line in enumerate(lines):
        if line and line[0] not in "#)]}" and not continued and (line[0] != " " or (begun is None and _solid(line))):
            if begun is not None:
                yield begun + 1, "\n".join(lines[begun:number]) + "\n"
            begun = number
        elif line and line[0] in ")]}" and begun is None:
            begun = number
        continued = line.endswith("\\") and _solid(line)
    if begun is not None:
        yield begun + 1, "\n".join(lines[begun:]) + "\n"


def _solid(line: str) -> bool:
    """Whether a line has more than blanks and a comment."""
    return not line.lstrip(" ").startswith("#") and not line.isspace()


def _may_be_deep(chunk: str) -> bool:
    return len(chunk) > _SHORT and any(
        len(line) > _SHORT or line.count("(") != line.count(")") for line in chunk.split("\n")
    )


def _check_depth(decl: tree.Decl, diagnostics: Diagnostics) -> None:
    """Refuses trees that would overflow a recursive walk."""
    level: list[Any] = [decl]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for node in level:
            links = _LINKS.get(type(node))
            if links is None:
                links = _LINKS[type(node)] = _links(node)
            for link in links:
                child = getattr(node, link)
                if isinstance(child, tuple):
                    _flatten(child, below)
                elif child is not None:
                    below.append(child)
        if not below:
            return
        level = below
    diagnostics.error(
        next((node.pos for node in level if hasattr(node, "pos")), decl.pos),
        f"nested more than {DEEPEST} levels deep",
        help="split the expression with `let`, or move a part into a function",
    )


def _flatten(items: tuple[Any, ...], below: list[Any]) -> None:
    for item in items:
        if isinstance(item, tuple):
            _flatten(item, below)
        else:
            below.append(item)


_LEAVES = frozenset(
    {
        "Pos",
        "str",
        "int",
        "bool",
        "Name",
        "Text",
        "Name | None",
        "Num | None",
        "Text | None",
        "tuple[Name, ...]",
        "tuple[Text, ...]",
    }
)
_LINKS: dict[type, tuple[str, ...]] = {}


def _links(node: Any) -> tuple[str, ...]:
    """The attributes of a node's class that lead to further nodes, or to tuples of them."""
    if not is_dataclass(node) or isinstance(node, (Pos, tree.Name, tree.Text)):
        return ()
    return tuple(f.name for f in fields(node) if f.type not in _LEAVES)
