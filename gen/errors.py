"""Diagnostics: what is wrong, where, what else to look at and what to do; and how they are printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gen.tree import Pos

__all__ = ["Diagnostic", "Diagnostics", "SpecError", "about_file", "render"]

Note = tuple[Pos | None, str]

# Longer source lines are shown as a window around the caret.
_LONGEST_LINE = 200
# Control and format characters, surrogates, separators: shown as such they would move or hide what is around them.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error.  A position on line 0 means the file as a whole; a note without a position belongs to the error's."""

    pos: Pos
    message: str
    notes: tuple[Note, ...] = ()
    help: str | None = None


def about_file(path: str) -> Pos:
    """The position of an error that concerns a file and no line of it."""
    return Pos(path, 0, 0, 0, 0)


class SpecError(Exception):
    """Everything found wrong in one run, with the texts needed to print it."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        self.sources: dict[str, str] = dict(sources or {})
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics, self.sources)


class Diagnostics:
    """Collects errors, so that one run reports many.  The same message for the same place is kept once."""

    def __init__(self, sources: Mapping[str, str] | None = None) -> None:
        self.sources: dict[str, str] = dict(sources or {})
        self._found: dict[tuple[Pos, str], Diagnostic] = {}

    def error(self, pos: Pos, message: str, notes: Sequence[Note] = (), help: str | None = None) -> None:
        self._found.setdefault((pos, message), Diagnostic(pos, message, tuple(notes), help))

    def add(self, error: SpecError) -> None:
        """Takes over what another stage raised."""
        self.sources.update(error.sources)
        for diagnostic in error.diagnostics:
            self._found.setdefault((diagnostic.pos, diagnostic.message), diagnostic)

    def __len__(self) -> int:
        return len(self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def found(self) -> tuple[Diagnostic, ...]:
        """In the order of the text within each file, files in the order they were first complained about."""
        files: dict[str, int] = {}
        for diagnostic in self._found.values():
            files.setdefault(diagnostic.pos.file, len(files))
        return tuple(sorted(self._found.values(), key=lambda d: (files[d.pos.file], d.pos.line, d.pos.column)))

    def raise_if_any(self) -> None:
        if self._found:
            raise SpecError(self.found, self.sources)


def render(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str] | None = None) -> str:
    """The text shown to the user: position, message, source line with caret, notes, help."""
    return "".join(_render_one(diagnostic, _Lines(sources or {})) for diagnostic in diagnostics)


class _Lines:
    """Source lines by file: those given, or else those on disk."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._split: dict[str, list[str]] = {}

    def line(self, file: str, number: int) -> str | None:
        if file not in self._split:
            text = self._sources.get(file)
            if text is None:
                try:
                    text = Path(file).read_text(encoding="utf-8", errors="replace")
                except (OSError, ValueError):
                    text = ""
            # Not splitlines(): it also splits at form feeds and Unicode separators, which are not line ends here.
            self._split[file] = text.split("\n")
        lines = self._split[file]
        return lines[number - 1].rstrip("\r") if 1 <= number <= len(lines) else None


def _render_one(diagnostic: Diagnostic, lines: _Lines) -> str:
    out = [f"{_where(diagnostic.pos)}: error: {diagnostic.message}", *_excerpt(diagnostic.pos, lines)]
    for pos, text in diagnostic.notes:
        out.append(f"{_where(pos)}: note: {text}" if pos is not None else f"      = note: {text}")
    if diagnostic.help is not None:
        out.append(f"      = help: {diagnostic.help}")
    return "\n".join(out) + "\n"


def _where(pos: Pos) -> str:
    return f"{pos.file}:{pos.line}:{pos.column}" if pos.line else pos.file


def _excerpt(pos: Pos, lines: _Lines) -> list[str]:
    line = lines.line(pos.file, pos.line) if pos.line else None
    if line is None:
        return []
    start = min(pos.column - 1, len(line))
    end = pos.end_column - 1 if pos.end_line == pos.line else len(line.rstrip())
    end = min(max(end, start + 1), max(len(line), start + 1))
    if len(line) > _LONGEST_LINE:
        low = max(0, start - _LONGEST_LINE // 3)
        high = min(len(line), low + _LONGEST_LINE)
        before, after = ("…" if low else ""), ("…" if high < len(line) else "")
        line = before + line[low:high] + after
        start, end = start - low + len(before), min(end, high) - low + len(before)
    shown = "".join(_printable(c) for c in line)
    left = sum(_columns(c) for c in line[:start])
    marked = max(1, sum(_columns(c) for c in line[start:end]))
    return [f"{pos.line:5} | {shown}".rstrip(), f"      | {' ' * left}^{'~' * (marked - 1)}"]


def _printable(character: str) -> str:
    """A character as it is shown: always one that can be seen."""
    if character == "\t":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in _UNPRINTABLE else character


def _columns(character: str) -> int:
    """Terminal columns a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
