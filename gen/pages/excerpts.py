"""The spec's own lines: what declares an instruction, a function or a register, coloured and numbered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gen import model, tree
from gen.names import Declared, Module
from gen.pages.highlight import Meaning, Token, highlight
from gen.tree import Pos

__all__ = ["Excerpt", "Line", "Sources"]


@dataclass(frozen=True, slots=True)
class Line:
    """One source line; `skipped` is true when lines before it are left out."""

    number: int
    tokens: tuple[Token, ...]
    skipped: bool = False

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of one file, and the line that stands for them in `file:line`."""

    file: str
    line: int
    lines: tuple[Line, ...]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


class Sources:
    """The texts of a spec's files, and what names in them mean."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._lines = {file: text.split("\n") for file, text in module.sources.items()}
        self.names = dict(_names(module))

    # ------------------------------------------------------------ declarations

    def declaration(self, pos: Pos) -> Declared[tree.Insn | tree.Insns] | None:
        """The instruction, or table of them, that a position is in."""
        for declared in self.module.instructions:
            head = declared.decl.pos  # of its first line, or lines
            if head.file == pos.file and head.line <= pos.line <= self._end(head.file, head.line):
                return declared
        return None

    def instruction(self, insn: model.Instruction, fields: Mapping[str, str]) -> Excerpt:
        """The lines that say what an instruction is: of a table, its head, the instruction's row and the body."""
        declared = self.declaration(insn.pos)
        if declared is None:
            return self.excerpt(insn.pos, fields=fields)
        decl = declared.decl
        shown = set(range(decl.pos.line, self._end(decl.pos.file, decl.pos.line) + 1))
        inside: Sequence[tree.Row | tree.Enc] = decl.rows if isinstance(decl, tree.Insns) else decl.encodings
        own = next((item for item in inside if item.pos.line <= insn.pos.line <= item.pos.end_line), None)
        for item in inside:
            if item is not own:
                shown -= set(range(item.pos.line, item.pos.end_line + 1))
        if own is not None:
            shown |= set(range(own.pos.line, own.pos.end_line + 1))
        names = {**self.names, **{name: Meaning(kind) for name, kind in fields.items()}}
        if isinstance(decl, tree.Insns):
            names |= {column.name: Meaning("column") for column in decl.columns if column.name not in fields}
        row = own.pos.line if isinstance(own, tree.Row) else None
        return self._excerpt(decl.pos.file, insn.pos.line, sorted(shown), names, row)

    def excerpt(self, pos: Pos, fields: Mapping[str, str] | None = None) -> Excerpt:
        """All lines of a declaration."""
        names = {**self.names, **{name: Meaning(kind) for name, kind in (fields or {}).items()}}
        return self._excerpt(pos.file, pos.line, range(pos.line, self._end(pos.file, pos.line) + 1), names, None)

    def row(self, pos: Pos) -> Excerpt:
        """A line of a table, with the deeper lines under it."""
        source, end = self._lines[pos.file], pos.line
        depth = _depth(source[pos.line - 1])
        while end < len(source) and source[end].strip() and _depth(source[end]) > depth:
            end += 1
        return self._excerpt(pos.file, pos.line, range(pos.line, end + 1), self.names, None)

    def text(self, pos: Pos) -> str:
        """The source of an expression or a declaration, on one line."""
        lines = self._lines[pos.file][pos.line - 1 : pos.end_line]
        lines[-1] = lines[-1][: pos.end_column - 1]
        lines[0] = lines[0][pos.column - 1 :]
        return " ".join(line.strip().removesuffix("\\").strip() for line in lines)

    def _excerpt(
        self, file: str, place: int, numbers: Sequence[int], names: Mapping[str, Meaning], row: int | None
    ) -> Excerpt:
        source, lines, before = self._lines[file], [], None
        for number in numbers:
            text = source[number - 1].rstrip()
            if number == row:  # the name of a row may be that of a function too
                blank = len(text) - len(text.lstrip())
                name = text.split(maxsplit=1)[0] if text.strip() else ""
                rest = highlight(text[blank + len(name) :], "isa", names)
                tokens = [Token("", text[:blank]), Token("name", name), *rest]
            else:
                tokens = highlight(text, "isa", names)
            lines.append(Line(number, tuple(tokens), before is not None and number != before + 1))
            before = number
        return Excerpt(shown_path(file), place, tuple(lines))

    def _end(self, file: str, line: int) -> int:
        """The last line of the declaration that begins on a line: the next one begins in column 1 too."""
        source, end, at = self._lines[file], line, line
        while at < len(source):
            text, before = source[at], source[at - 1]
            begins = text[:1] not in ("", " ", "#", ")", "]", "}")
            if begins and not before.endswith("\\"):
                break
            at += 1
            if text.strip() and not text.startswith("#"):
                end = at
        return end

    # ------------------------------------------------------------ comments

    def section(self, pos: Pos) -> str:
        """The comment that heads this part of the file, if there is one: it follows a blank line."""
        lines = self._lines[pos.file]
        for number in range(min(pos.line, len(lines)) - 1, 0, -1):
            if lines[number].startswith("#") and not lines[number - 1].strip():
                return _sentence(lines[number:])
        return ""

    def title(self, file: str) -> str:
        """The comment a file begins with."""
        return _sentence(self._lines[file])


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def shown_path(file: str) -> str:
    """A spec's path as people give it: from the working directory if it is below it."""
    path = Path(file)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return file


def _sentence(lines: Sequence[str]) -> str:
    """The first sentence of the comment at the start of these lines."""
    words: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        words.append(line.strip("# "))
        if line.rstrip().endswith((".", ":")):
            break
    return " ".join(words).rstrip(".:")


def _names(module: Module) -> Iterator[tuple[str, Meaning]]:
    """What the names of a spec stand for, with the places that say more."""
    for name in (*module.constants, *module.parameters):
        yield name, Meaning("number")
    for name in module.types:
        yield name, Meaning("type")
    tables: tuple[Iterable[str], ...] = (
        *(module.regs, module.files_of_regs, module.aliases, module.modes, module.prefix_state, module.pcs),
        *(module.memories, module.inputs, module.sysregs),
    )
    for name in (name for table in tables for name in table):
        yield name, Meaning("state", f"#state-{name}")
    for name in module.functions:
        yield name, Meaning("function", f"#fn-{name}")
    for name in module.operands:
        yield name, Meaning("function", f"#operand-{name}")
    for name in module.exceptions:
        yield name, Meaning("exception", f"#exception-{name}")
