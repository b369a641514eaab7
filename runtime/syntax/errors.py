"""Messages about assembly text: where, what is wrong, and what would be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AssemblyError", "Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """One error; line and columns are 1-based, the end column exclusive."""

    file: str
    line: int
    column: int
    end: int
    text: str
    source: str  # the line itself
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.file}:{self.line}:{self.column}: error: {self.text}"]
        if self.source.strip():
            shown = self.source.replace("\t", " ")
            lines.append(f"{self.line:5} | {shown}".rstrip())
            lines.append(f"      | {' ' * (self.column - 1)}^{'~' * (self.end - self.column - 1)}")
        lines += [f"      = {note}" for note in self.notes]
        return "\n".join(lines)


class AssemblyError(Exception):
    """Everything found wrong in one text."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = tuple(messages)
        super().__init__(messages)

    def __str__(self) -> str:
        return "\n".join(map(str, self.messages))
