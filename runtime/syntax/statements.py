"""Cuts assembly text into statements: comments, `;`, labels, directives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Statement", "split"]

_LABEL = re.compile(r"[ \t]*([A-Za-z_.$][\w.$]*|\d+)[ \t]*:(?!:)")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"?|\'(?:\\.[0-9A-Fa-f]*|[^\\\n])\'')


@dataclass(frozen=True, slots=True)
class Statement:
    """A label (`label` set, no text) or what is between labels and `;`.  `column` is the 0-based place of its text."""

    line: int
    column: int
    text: str
    label: str = ""


def split(text: str, hash_comments: bool) -> Iterator[Statement]:
    """The statements of a text; `#` starts a comment anywhere only if no instruction is written with it."""
    for number, line in enumerate(_without_comments(text, hash_comments).split("\n"), 1):
        start = 0
        for end in _ends(line):
            yield from _labels(number, start, line[start:end])
            start = end + 1


def _labels(number: int, column: int, text: str) -> Iterator[Statement]:
    while found := _LABEL.match(text):
        yield Statement(number, column + found.start(1), "", found[1])
        column += found.end()
        text = text[found.end() :]
    body = text.strip()
    if body:
        yield Statement(number, column + len(text) - len(text.lstrip()), body)


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


def _without_comments(text: str, hash_comments: bool) -> str:
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
        elif text.startswith("//", at) or (character == "#" and (hash_comments or line_start)):
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            out.append(" " * (end - at))
            at = end
        else:
            out.append(" " if character == "\r" else character)
            line_start = character == "\n" or (line_start and character.isspace())
            at += 1
    return "".join(out)
