"""A program while it is read: its sections, its symbols, and what is wrong with it so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.syntax.errors import AssemblyError, Message
from runtime.syntax.items import Fault, Item
from runtime.syntax.statements import Statement

__all__ = ["Definition", "Part", "Program", "key_of"]

_STANDARD = {
    ".text": (False, True),
    ".init": (False, True),
    ".fini": (False, True),
    ".rodata": (False, False),
    ".srodata": (False, False),
    ".eh_frame": (False, False),
    ".data": (True, False),
    ".sdata": (True, False),
    ".bss": (True, False),
    ".sbss": (True, False),
}
#: sections that say something about the program and are no part of it
_ASIDE = (".debug_", ".comment", ".note.GNU-stack", ".stab", ".gnu.attributes")
_ZEROS = (".bss", ".sbss")
_MOST_MESSAGES = 100


@dataclass(slots=True)
class Part:
    """A section being filled."""

    name: str
    writable: bool
    executable: bool
    loaded: bool = True
    items: list[Item] = field(default_factory=list)
    address: int = 0
    data: bytearray = field(default_factory=bytearray)
    alignment: int = 16

    @property
    def order(self) -> int:
        """Code, then constants, then what is written, zeros, and last what is not loaded."""
        if not self.loaded:
            return 4
        return 0 if self.executable else 1 if not self.writable else 3 if self.name.startswith(_ZEROS) else 2


@dataclass(slots=True)
class Definition:
    """Where a symbol is defined; a constant has no section."""

    name: str
    statement: Statement
    section: str | None


def key_of(name: str, unit: int) -> str:
    """What a symbol of one of several files is called inside."""
    return f"{name}\0{unit}" if unit else name


class Program:
    """Sections of items, symbols by key, and messages."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.where: dict[str, Definition] = {}
        self.globals: dict[str, Statement] = {}
        self.weak: set[str] = set()
        self.kinds: dict[str, str] = {}  # 'function' or 'object'
        self.exported: dict[str, str] = {}  # global name -> key
        self.odd: set[str] = set()  # where code is whose functions have odd addresses
        self.messages: list[Message] = []

    def part(self, name: str, flags: str | None = None, zeros: bool = False) -> Part:
        """The section called `name`, made with these flags if it is new."""
        if name not in self.parts:
            stem = "." + name.split(".")[1] if name.startswith(".") and len(name) > 1 else name
            writable, executable = _STANDARD.get(stem, (True, False))
            loaded = not name.startswith(_ASIDE)
            if flags:
                writable, executable, loaded = "w" in flags, "x" in flags, "a" in flags or "w" in flags or "x" in flags
            elif flags == "":
                loaded = stem in _STANDARD
            self.parts[name] = Part(name, writable, executable, loaded)
        return self.parts[name]

    def report(self, statement: Statement, fault: Fault) -> None:
        """Adds a message about a statement."""
        start = min(fault.start, max(len(statement.text) - 1, 0))
        end = len(statement.text) if fault.end is None else fault.end
        column = statement.column + start + 1
        line = statement.source_line
        self.messages.append(
            Message(
                statement.source.file,
                statement.line,
                column,
                max(min(statement.column + end + 1, len(line) + 1), column + 1),
                fault.message,
                line,
                (*fault.notes, *statement.source.notes),
            )
        )
        if len(self.messages) >= _MOST_MESSAGES:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Raises what was reported, in the order of the text."""
        if self.messages:
            ordered = sorted(self.messages, key=lambda message: (message.file, message.line, message.column))
            raise AssemblyError(list(dict.fromkeys(ordered)))

    def export(self) -> None:
        """Makes global symbols known to all files; reports those that two files define."""
        for key in self.globals:
            definition = self.where.get(key)
            name = key.partition("\0")[0]
            if definition is None:
                continue
            other = self.exported.get(name)
            if other is not None and other not in self.weak and key not in self.weak:
                first = self.where[other].statement
                self.report(
                    definition.statement,
                    Fault(f"'{name}' is defined twice", notes=(f"note: first in {first.source.file}:{first.line}",)),
                )
            elif other is None or other in self.weak:
                self.exported[name] = key
