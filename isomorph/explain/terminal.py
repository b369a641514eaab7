"""An explanation on a terminal, by rich: sections, nothing cut off, plain text where there are no colours."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gen.pages.diagram import FIELD_KINDS, text_diagram
from gen.pages.entries import FieldRow
from gen.pages.highlight import Token

if TYPE_CHECKING:
    from isomorph.explain.explanation import Explanation, InstructionReport, Stage

__all__ = ["plain_text", "show"]

#: kinds of tokens and of fields as a terminal's own colours, which suit its background
_STYLES = {
    "comment": "italic bright_black",
    "keyword": "magenta",
    "string": "default",
    "number": "yellow",
    "function": "blue",
    "state": "cyan",
    "exception": "red",
    "value": "blue",
    "label": "magenta",
    "type": "cyan",
    "name": "bold",
    "mnemonic": "bold",
    "column": "default",
    "field-dst": "green",
    "field-src": "blue",
    "field-reg": "blue",
    "field-imm": "yellow",
    "field-adr": "magenta",
    "field-opt": "cyan",
    "field-sys": "red",
    "field-sub": "bright_red",
    "field-hid": "bright_black",
    "fixed": "default",
    "rule": "bright_black",
}
#: a terminal of so many columns shows both ways to host code beside each other
_WIDE = 150
#: of a page that goes to a file: as wide as a line of a spec
_PLAIN_WIDTH = 120


def show(explanation: Explanation, file: TextIO | None = None, width: int | None = None) -> None:
    """Print an explanation to `file` (standard output), in colour if that is a terminal."""
    console = Console(file=file, width=width, highlight=False)
    if not console.is_terminal:
        asked = os.environ.get("COLUMNS", "")
        console.file.write(plain_text(explanation, width or (int(asked) if asked.isdigit() else _PLAIN_WIDTH)))
        return
    for part in _page(explanation, console.width):
        console.print(part)


def plain_text(explanation: Explanation, width: int = _PLAIN_WIDTH) -> str:
    """The page without colours."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, color_system=None, force_terminal=False)
    for part in _page(explanation, width):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _page(explanation: Explanation, width: int) -> Iterator[RenderableType]:
    several = len(explanation.instructions) > 1
    for report in explanation.instructions:
        yield from _instruction(report, width)
        if several or width < _WIDE:
            yield _title("Tier 0: the native handler")
            yield from _handler(report)
            for stage in report.stages:
                yield from _stage(stage)
    if several or width < _WIDE:
        yield _title("Tier 1: a compiled region")
        for stage in explanation.stages:
            yield from _stage(stage)
    else:
        yield from _side_by_side(explanation, width)


def _side_by_side(explanation: Explanation, width: int) -> Iterator[RenderableType]:
    (report,) = explanation.instructions
    yield _title("Tier 0: the native handler  ·  Tier 1: a compiled region")
    yield from _handler(report)
    for left, right in zip(report.stages, explanation.stages, strict=True):
        grid = Table.grid(padding=(0, 3), expand=False)
        half = (width - 3) // 2
        grid.add_column(width=half, overflow="fold")
        grid.add_column(width=half, overflow="fold")
        grid.add_row(Group(*_stage(left)), Group(*_stage(right)))
        yield grid


# ---------------------------------------------------------------- one instruction


def _instruction(report: InstructionReport, width: int) -> Iterator[RenderableType]:
    entry = report.entry
    yield _title(f"{report.address:#x}  {report.text}")
    named = "" if report.text == report.plain else f"   that is {report.plain}"
    yield Text.assemble(
        (entry.title, "bold"), f"  {report.word}, bytes {report.bytes.hex(' ')}, of {entry.instruction.isa}{named}"
    )
    for row in report.rows:
        for block in text_diagram(row, width):
            for pieces in block:
                text = Text(no_wrap=True, overflow="ignore")
                for kind, piece in pieces:
                    text.append(piece, _style(kind))
                yield text
    yield _fields(report, entry.fields)
    yield from _facts(report)
    yield _heading("Spec", entry.source.place)
    for line in entry.source.lines:
        if line.skipped:
            yield Text("      ⋮", "bright_black")
        yield _numbered(line.number, line.tokens)
    yield _heading("Syntax", "")
    yield _tokens(entry.syntax, "  ")
    for alias in entry.aliases:
        yield Text.assemble("  ", alias.syntax, ("  for ", "bright_black"), (alias.expansion, "bright_black"))


def _fields(report: InstructionReport, rows: Iterable[FieldRow]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    for name in ("Field", "Bits", "Value", "Meaning"):
        table.add_column(name, overflow="fold")
    any_row = False
    for row in rows:
        any_row = True
        table.add_row(Text(row.name, _style(row.kind)), row.bits, report.values[row.name], f"{row.meaning}")
    return table if any_row else Text("no fields", "bright_black")


def _facts(report: InstructionReport) -> Iterator[RenderableType]:
    touched = report.entry.touched
    jumps = ["may change the program counter"] if touched.jumps else []
    for name, words in (
        ("Only if", report.entry.conditions),
        ("Also reads", touched.reads),
        ("Also writes", touched.writes),
        ("Loads", touched.loads),
        ("Stores", touched.stores),
        ("Jumps", jumps),
        ("Raises", touched.raises),
    ):
        if words:
            yield Text.assemble((f"{name:11} ", "bright_black"), ", ".join(words))


def _handler(report: InstructionReport) -> Iterator[RenderableType]:
    handler = report.handler
    chosen = f", one of {handler.variants}" if handler.variants > 1 else ""
    yield Text(f"{handler.name}{chosen}; its op record has {handler.record_bytes} bytes")
    for condition, answer in handler.decisions:
        yield Text(f"  chosen because {condition} is {'true' if answer else 'false'}")
    if handler.slots:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
        for name in ("Offset", "Bits", "Here", "Computed when decoded"):
            table.add_column(name, overflow="fold")
        for slot in handler.slots:
            table.add_row(f"{slot.offset:#x}", str(slot.bits), f"{slot.value:#x}", slot.expression)
        yield table


# ---------------------------------------------------------------- pieces


def _stage(stage: Stage) -> Iterator[RenderableType]:
    yield _heading(stage.title, stage.note)
    yield _tokens(stage.tokens, "")


def _title(text: str) -> RenderableType:
    return Group(Text(""), Rule(Text(text, "bold"), align="left", style="bright_black"))


def _heading(text: str, note: str) -> RenderableType:
    return Group(Text(""), Text.assemble((text, "bold"), (f"  {note}" if note else "", "bright_black")))


def _tokens(tokens: Iterable[Token], indent: str) -> Text:
    text = Text(indent, overflow="fold")
    for token in tokens:
        text.append(token.text, _style(token.kind))
    return text


def _numbered(number: int, tokens: Iterable[Token]) -> Text:
    text = Text(f"{number:5}  ", "bright_black", overflow="fold")
    for token in tokens:
        text.append(token.text, _style(token.kind))
    return text


def _style(kind: str) -> str:
    assert kind in _STYLES or not kind or kind in FIELD_KINDS, kind
    return _STYLES.get(kind, "default")
