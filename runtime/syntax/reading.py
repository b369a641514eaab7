"""Reads assembly text: every statement becomes an item of its section."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.errors import AssemblyError, Message
from runtime.syntax.expressions import BadExpression, Expression, Number, floats, parse, strings
from runtime.syntax.items import Align, Assignment, Bytes, Code, Data, Fault, Item, Label, Space
from runtime.syntax.statements import Statement, split

__all__ = ["Part", "Program", "Reader"]

_DATA = {
    ".byte": 1,
    ".half": 2,
    ".hword": 2,
    ".short": 2,
    ".2byte": 2,
    ".word": 4,
    ".long": 4,
    ".int": 4,
    ".4byte": 4,
    ".dword": 8,
    ".quad": 8,
    ".xword": 8,
    ".8byte": 8,
}
#: what compilers and people write for other tools
_IGNORED = frozenset(
    {
        ".file",
        ".ident",
        ".type",
        ".size",
        ".option",
        ".attribute",
        ".loc",
        ".local",
        ".end",
        ".addrsig",
    }
)
_STANDARD = {".text": (False, True), ".rodata": (False, False), ".data": (True, False), ".bss": (True, False)}
_NAME = re.compile(r"[ \t]*([A-Za-z_.$][\w.$]*)[ \t]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_.$][\w.$]*)[ \t]*=(?!=)")


@dataclass(slots=True)
class Part:
    """A section being filled."""

    name: str
    writable: bool
    executable: bool
    items: list[Item] = field(default_factory=list)
    address: int = 0
    data: bytearray = field(default_factory=bytearray)
    alignment: int = 16

    @property
    def order(self) -> int:
        """Code, then constants, then what is written, zeros last."""
        return 0 if self.executable else 1 if not self.writable else 3 if self.name.startswith(".bss") else 2


class Program:
    """A text that was read: sections of items, symbols, and what is wrong with it so far."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.parts: dict[str, Part] = {}
        self.where: dict[str, tuple[Statement, str | None]] = {}  # symbol -> its definition and section
        self.globals: dict[str, Statement] = {}
        self.messages: list[Message] = []

    def report(self, statement: Statement, fault: Fault) -> None:
        """Adds a message about a statement."""
        start = min(fault.start, max(len(statement.text) - 1, 0))
        end = len(statement.text) if fault.end is None else fault.end
        column = statement.column + start + 1
        self.messages.append(
            Message(
                self.file,
                statement.line,
                column,
                max(statement.column + end + 1, column + 1),
                fault.message,
                self.lines[statement.line - 1],
                fault.notes,
            )
        )

    def raise_if_any(self) -> None:
        """Raises what was reported, in the order of the text."""
        if self.messages:
            raise AssemblyError(sorted(self.messages, key=lambda message: (message.line, message.column)))


class Reader:
    """Reads one text with the instructions of one encoder."""

    def __init__(self, encoder: Encoder, text: str, file: str) -> None:
        self.encoder = encoder
        self.text = text
        self.program = Program(text, file)
        self.part = self._part(".text")
        self.counts: dict[str, int] = {}  # numbered labels so far

    def read(self) -> Program:
        """The program, with a message for every statement that is wrong by itself."""
        forms = self.encoder.syntax.forms
        hashes = any(isinstance(piece, str) and "#" in piece for form in forms for piece in form.pieces)
        for statement in split(self.text, not hashes):
            try:
                self._read(statement)
            except Fault as fault:
                self.program.report(statement, fault)
        return self.program

    def _part(self, name: str, writable: bool | None = None, executable: bool | None = None) -> Part:
        if name not in self.program.parts:
            stem = "." + name.split(".")[1] if name.startswith(".") and len(name) > 1 else name
            default = _STANDARD.get(stem, (True, False))
            self.program.parts[name] = Part(
                name, default[0] if writable is None else writable, default[1] if executable is None else executable
            )
        return self.program.parts[name]

    def _define(self, name: str, statement: Statement, section: str | None) -> None:
        if name in self.program.where:
            raise Fault(
                f"'{name}' is defined twice", 0, len(name), (f"note: first on line {self.program.where[name][0].line}",)
            )
        if name.lower() in self.encoder.syntax.register_names:
            raise Fault(f"'{name}' is a register", 0, len(name))
        self.program.where[name] = statement, section

    def _read(self, statement: Statement) -> None:
        if statement.label:
            self._label(statement)
            return
        word = statement.text.split(None, 1)[0]
        if word.startswith("."):
            self._directive(word.lower(), statement)
        elif found := _ASSIGNMENT.match(statement.text):
            self._assign(found[1], statement, found.end())
        else:
            try:
                candidates = self.encoder.read(statement.text)
            except Rejected as error:
                raise Fault(error.message, error.start, error.end, error.notes) from None
            self.part.items.append(Code(statement, dict(self.counts), candidates))

    def _label(self, statement: Statement) -> None:
        name = statement.label
        if name.isdigit():
            self.counts[name] = self.counts.get(name, 0) + 1
            name = f"{name}:{self.counts[name]}"
        else:
            self._define(name, statement, self.part.name)
        self.part.items.append(Label(statement, {}, name))

    def _assign(self, name: str, statement: Statement, at: int) -> None:
        value, end = self._expression(statement, at)
        if statement.text[end:].strip():
            raise Fault("nothing may follow the value", end)
        if name not in self.program.where or self.program.where[name][1] is not None:
            self._define(name, statement, None)
        self.part.items.append(Assignment(statement, dict(self.counts), name, value))

    def _expression(self, statement: Statement, at: int) -> tuple[Expression, int]:
        try:
            return parse(statement.text, at)
        except BadExpression as error:
            raise Fault(str(error), error.start, error.end) from None

    def _list(self, statement: Statement, at: int) -> list[tuple[Expression, int, int]]:
        """Expressions separated by commas, with their places."""
        found = []
        while True:
            start = at + len(statement.text[at:]) - len(statement.text[at:].lstrip())
            value, end = self._expression(statement, start)
            found.append((value, start, end))
            rest = statement.text[end:].lstrip()
            if not rest:
                return found
            at = len(statement.text) - len(rest)
            if rest[0] != ",":
                raise Fault(f"found '{rest[0]}', expected ','", at, at + 1)
            at += 1

    def _directive(self, word: str, statement: Statement) -> None:
        at, counts = len(word), dict(self.counts)
        add: Callable[[Item], None] = self.part.items.append
        match word:
            case ".text" | ".data" | ".bss" | ".rodata":
                self.part = self._part(word)
            case ".section":
                self._section(statement, at)
            case ".globl" | ".global":
                for name in statement.text[at:].split(","):
                    self.program.globals.setdefault(name.strip(), statement)
            case ".ascii" | ".asciz" | ".string":
                try:
                    texts = strings(statement.text, at)
                except BadExpression as error:
                    raise Fault(str(error), error.start, error.end) from None
                end = b"" if word == ".ascii" else b"\0"
                add(Bytes(statement, counts, b"".join(text + end for text in texts)))
            case ".float" | ".single" | ".double":
                try:
                    numbers = floats(statement.text, at)
                except BadExpression as error:
                    raise Fault(str(error), error.start, error.end) from None
                add(Bytes(statement, counts, self._packed(numbers, "d" if word == ".double" else "f")))
            case ".align" | ".p2align" | ".balign":
                values = self._list(statement, at)
                add(Align(statement, counts, values[0][0], word != ".balign", values[1][0] if values[1:] else None))
            case ".space" | ".zero" | ".skip":
                values = self._list(statement, at)
                add(Space(statement, counts, values[0][0], values[1][0] if values[1:] else Number(0)))
            case ".equ" | ".set":
                found = _NAME.match(statement.text, at)
                if found is None or statement.text[found.end() : found.end() + 1] != ",":
                    raise Fault(f"write {word} name, value")
                self._assign(found[1], statement, found.end() + 1)
            case _ if word in _DATA:
                add(Data(statement, counts, _DATA[word], self._list(statement, at)))
            case _ if word not in _IGNORED and not word.startswith(".cfi_"):
                raise Fault(f"unknown directive '{word}'", 0, len(word))

    def _packed(self, numbers: list[float], layout: str) -> bytes:
        try:
            return b"".join(
                struct.pack((">" if self.encoder.syntax.big else "<") + layout, number) for number in numbers
            )
        except OverflowError:
            raise Fault("a number too large for single precision") from None

    def _section(self, statement: Statement, at: int) -> None:
        words = [word.strip().strip('"') for word in statement.text[at:].split(",")]
        if not words[0]:
            raise Fault("the section has no name", at)
        if len(words) > 1:
            self.part = self._part(words[0], "w" in words[1], "x" in words[1])
        else:
            self.part = self._part(words[0])
