"""Cuts assembly text into segments, and those into statements: comments, `;`, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Segment", "Source", "Statement", "quoted_end", "segments", "statements"]

_LABEL = re.compile(r"[ \t]*([A-Za-z_.$][\w.$]*|\d+)[ \t]*:(?!:)")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"?|\'(?:\\.[0-9A-Fa-f]*|[^\\\n])\'')


@dataclass(frozen=True, slots=True)
class Source:
    """Where text comes from: a file, or the expansion of a macro, whose uses `notes` name."""

    file: str
    lines: Sequence[str]
    notes: tuple[str, ...] = ()
    unit: int = 0  # which of the files assembled together


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands between `;` and line ends: labels and one statement.  `shown` is an expanded line, if it is one."""

    line: int
    column: int
    text: str
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A label (`label` set, no text) or what is between labels and `;`.  `column` is the 0-based place of its text."""

    line: int
    column: int
    text: str
    source: Source
    label: str = ""
    shown: str | None = None

    @property
    def source_line(self) -> str:
        """The whole line, for messages."""
        return self.source.lines[self.line - 1] if self.shown is None else self.shown


def segments(text: str, comments: tuple[str, ...]) -> list[Segment]:
    """The parts of a text.  These signs start comments, and `//`; `#` does at the start of a line in any case."""
    found = []
    for number, line in enumerate(_without_comments(text, ("//", *comments)).split("\n"), 1):
        start = 0
        for end in _ends(line):
            part = line[start:end]
            if part and not part.isspace():
                found.append(Segment(number, start, part))
            start = end + 1
    return found


def statements(segment: Segment, source: Source) -> Iterator[Statement]:
    """The labels of a segment, and what follows them."""
    column, text = segment.column, segment.text
    while found := _LABEL.match(text):
        yield Statement(segment.line, column + found.start(1), "", source, found[1], segment.shown)
        column += found.end()
        text = text[found.end() :]
    body = text.strip()
    if body:
        start = column + len(text) - len(text.lstrip())
        yield Statement(segment.line, start, body, source, "", segment.shown)


def quoted_end(text: str, at: int) -> int:
    """Where a string or character that begins at `at` ends; `at` if none does."""
    found = _QUOTED.match(text, at) if text[at] in "\"'" else None
    return found.end() if found else at


def _ends(line: str) -> Iterator[int]:
    """Where statements end: at `;` outside quotes, and at the end of the line."""
    at = 0
    while at < len(line):
        quoted = _QUOTED.match(line, at)
        if quoted:
            at = quoted.end()
            continue
        if line[at] == ";":
            yield at
        at += 1
    yield len(line)


def _without_comments(text: str, comments: tuple[str, ...]) -> str:
    """The text with comments blanked out, so that columns stay right."""
    out: list[str] = []
    at, line_start = 0, True
    while at < len(text):
        character = text[at]
        quoted = _QUOTED.match(text, at) if character in "\"'" else None
        if quoted:
            out.append(quoted[0])
            at = quoted.end()
            line_start = False
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            end = len(text) if end < 0 else end + 2
            out.append(re.sub(r"[^\n]", " ", text[at:end]))
            at = end
        elif text.startswith(comments, at) or (character == "#" and line_start):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            out.append(" " * (end - at))
            at = end
        else:
            out.append(" " if character == "\r" else character)
            line_start = character == "\n" or (line_start and character.isspace())
            at += 1
    return "".join(out)
