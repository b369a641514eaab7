"""Directives: data, space, sections, symbols.  What an ISA's own directives set is kept here, too."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from runtime.syntax.encode import Encoder
from runtime.syntax.expressions import BadExpression, Expression, Number, Undefined, floats, parse, strings, symbols
from runtime.syntax.items import (
    Align,
    Assignment,
    Bytes,
    Data,
    Extent,
    Fault,
    Item,
    Label,
    Leb,
    Origin,
    Space,
)
from runtime.syntax.program import Definition, Part, Program, key_of
from runtime.syntax.statements import Statement
from runtime.syntax.tables import Directive, Syntax

__all__ = ["DIRECTIVES", "MARK", "Context"]

#: gives the encoder of instructions in these modes, always the same one
EncoderFor = Callable[[dict[str, int]], Encoder]

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
    ".octa": 16,
}
_NAME = re.compile(r"[ \t]*([A-Za-z_.$][\w.$]*)[ \t]*")
#: where instructions begin that no directive gives another mark
MARK = "$x"


#: bytes of a word that is loaded from beside the code
_POOLED = 4


@dataclass(frozen=True, slots=True)
class Pooled:
    """A word that waits for its place, and the statement that first asked for it."""

    label: str
    value: Expression
    statement: Statement
    locals: Mapping[str, int]  # numbered labels before it


class Known:
    """Symbols whose value is a constant that stands further up."""

    def __init__(self, values: Mapping[str, int], unit: int) -> None:
        self.values = values
        self.unit = unit

    def symbol(self, name: str) -> int | None:
        return self.values.get(key_of(name, self.unit))

    def here(self) -> int:
        raise Undefined(".", 0, 0)

    def call(self, name: str, value: int, addend: int) -> int:
        raise BadExpression(f"{name} is not known here", 0)


class Context:
    """Where reading has got to: the section, numbered labels, symbols, modes."""

    def __init__(
        self, syntax: Syntax, program: Program, encoder: Encoder, short: bool, modes: Mapping[str, int]
    ) -> None:
        self.syntax = syntax
        self.program = program
        self.plain = encoder
        self.begins_in = modes
        self.literals = 0
        self.begin(0, short)
        self.constants: dict[str, int] = {}

    def begin(self, unit: int, short: bool) -> None:
        """A new file begins."""
        self.unit = unit
        self.part = self.previous = self.program.part(".text")
        self.stack: list[tuple[Part, Part]] = []
        self.counts: dict[str, int] = {}  # numbered labels so far; never changed, but replaced
        self.modes = dict(self.begins_in)
        self.encoder, self.short = self.plain, short
        self.odd, self.mark, self.function = False, MARK, False
        self.slots = short  # whether a nop stands behind what is delayed, as GNU as puts one there
        self.pools: dict[str, dict[str, Pooled]] = {}  # by section and text: words that wait for their place
        self.saved: list[tuple[dict[str, int], bool, bool, str, bool]] = []
        for directive in self.syntax.directives:
            modes = [(name, value) for name, value in directive.settings if name in self.syntax.modes]
            if modes and all({**self.syntax.modes, **self.modes}[name] == value for name, value in modes):
                # One that selects what is selected to begin with: so is what else it says.
                for name, value in directive.settings:
                    self.odd = bool(value) if name == "odd" else self.odd
                    self.mark = name if name.startswith("$") else self.mark

    def obey(self, directive: Directive, statement: Statement, encoder_for: EncoderFor) -> None:
        """What a directive of the ISA's does."""
        before = self.encoder
        for name, value in directive.settings:
            match name:
                case "push":
                    self.saved.append((dict(self.modes), self.short, self.odd, self.mark, self.slots))
                case "pop":
                    if not self.saved:
                        raise Fault("nothing was pushed")
                    self.modes, self.short, self.odd, self.mark, self.slots = self.saved.pop()
                    self.step({}, encoder_for)
                case "short":
                    self.short = bool(value)
                case "odd":
                    self.odd = bool(value)
                case "slots":
                    self.slots = bool(value)
                case "pool":
                    self.place_pool()
                case "function":
                    self.function = True
                case "align":
                    if before is not encoder_for(self.modes):
                        boundary, zero = Number(value), Number(0)
                        item = Align(statement, self.counts, boundary, False, zero, None, before, False, "")
                        self.add(item)
                case mode if mode in self.syntax.modes:
                    self.step({mode: value}, encoder_for)
                case mark:
                    self.mark = mark

    def step(self, modes: Mapping[str, int], encoder_for: EncoderFor) -> None:
        """Instructions from here on are read in these modes; those not named stay as they are."""
        self.modes |= modes
        reset = self.syntax.modes
        self.modes = {name: value for name, value in self.modes.items() if value != reset[name]}
        self.encoder = encoder_for(self.modes)

    def add(self, item: Item) -> None:
        self.part.items.append(item)

    def end(self) -> None:
        """The file ends."""
        for name in list(self.pools):
            self.part = self.program.part(name)
            self.place_pool()

    # ------------------------------------------------------------ words that instructions load

    def literal(self, statement: Statement, text: str) -> str:
        """The label of a word with the value of an expression, somewhere behind this statement."""
        pool = self.pools.setdefault(self.part.name, {})
        value, _ = self.expression(replace(statement, text=text), 0)
        here = any(symbol.name[0].isdigit() for symbol in symbols(value))  # 1f means another one elsewhere
        key = f"{text} {self.literals}" if here else text
        if key not in pool:
            self.literals += 1
            pool[key] = Pooled(f".Lliteral.{self.literals}", value, statement, self.counts)
        return pool[key].label

    def place_pool(self) -> None:
        """Here is where those words stand that instructions of this section have asked for."""
        pool = self.pools.pop(self.part.name, {})
        for word in pool.values():
            if word is next(iter(pool.values())):
                boundary, zero = Number(_POOLED), Number(0)
                self.add(Align(word.statement, self.counts, boundary, False, zero, None, self.encoder, False, ""))
            key = self.define(word.label, word.statement, self.part.name)
            self.add(Label(word.statement, self.counts, key))
            self.add(Data(word.statement, word.locals, _POOLED, [(word.value, 0, len(word.statement.text))]))

    def known(self) -> Known:
        """What expressions may use that are needed at once."""
        return Known(self.constants, self.unit)

    # ------------------------------------------------------------ symbols

    def defined(self, name: str) -> bool:
        return key_of(name, self.unit) in self.program.where

    def define(self, name: str, statement: Statement, section: str | None) -> str:
        key = key_of(name, self.unit)
        if key in self.program.where:
            first = self.program.where[key].statement
            raise Fault(f"'{name}' is defined twice", 0, len(name), (f"note: first on line {first.line}",))
        self.program.where[key] = Definition(name, statement, section)
        return key

    def label(self, statement: Statement) -> None:
        name = statement.label
        if name.isdigit():
            name = str(int(name))
            self.counts = {**self.counts, name: self.counts.get(name, 0) + 1}
            key = key_of(f"{name}:{self.counts[name]}", self.unit)
        else:
            key = self.define(name, statement, self.part.name)
            if self.function:
                self.program.kinds[key] = "function"
                self.function = False
            if self.odd:
                self.program.odd.add(key)
        self.add(Label(statement, self.counts, key))

    def assign(self, name: str, statement: Statement, at: int) -> None:
        value, end = self.expression(statement, at)
        if statement.text[end:].strip():
            raise Fault("nothing may follow the value", end)
        key = key_of(name, self.unit)
        if key not in self.program.where or self.program.where[key].section is not None:
            self.define(name, statement, None)
        try:
            self.constants[key] = value.evaluate(self.known())
        except (Undefined, BadExpression):
            self.constants.pop(key, None)
        self.add(Assignment(statement, self.counts, key, value))

    def names(self, statement: Statement, at: int) -> list[str]:
        """Symbols separated by commas."""
        found = []
        for part in statement.text[at:].split(","):
            if not _NAME.fullmatch(part):
                raise Fault(f"'{part.strip()}' is no symbol" if part.strip() else "a symbol is missing", at)
            found.append(part.strip())
        return found

    # ------------------------------------------------------------ operands

    def expression(self, statement: Statement, at: int) -> tuple[Expression, int]:
        try:
            return parse(statement.text, at)
        except BadExpression as error:
            raise Fault(str(error), error.start, error.end) from None

    def operands(self, statement: Statement, at: int, empty: bool = False) -> list[tuple[Expression | None, int, int]]:
        """Expressions separated by commas, with their places; some may be left out if `empty`."""
        found: list[tuple[Expression | None, int, int]] = []
        text = statement.text
        while True:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            if empty and text[start : start + 1] in (",", ""):
                value, end = None, start
            else:
                value, end = self.expression(statement, start)
            found.append((value, start, end))
            rest = text[end:].lstrip()
            if not rest:
                return found
            at = len(text) - len(rest)
            if rest[0] != ",":
                raise Fault(f"found '{rest[0]}', expected ','", at, at + 1)
            at += 1

    def some(self, statement: Statement, at: int, most: int) -> list[Expression | None]:
        """At most so many expressions, None for those left out, the first of which may not be."""
        found = self.operands(statement, at, True)
        if len(found) > most:
            raise Fault("too many operands", found[most][1], found[most][2])
        if found[0][0] is None:
            raise Fault("a number or a symbol is missing", at)
        return [value for value, _, _ in found] + [None] * (most - len(found))


# ---------------------------------------------------------------- data and space


def _data(context: Context, word: str, statement: Statement) -> None:
    size = _DATA[word]
    values = [(value, start, end) for value, start, end in context.operands(statement, len(word)) if value is not None]
    context.add(Data(statement, context.counts, size, values))


def _text(context: Context, word: str, statement: Statement) -> None:
    try:
        texts = strings(statement.text, len(word))
    except BadExpression as error:
        raise Fault(str(error), error.start, error.end) from None
    end = b"" if word == ".ascii" else b"\0"
    context.add(Bytes(statement, context.counts, b"".join(text + end for text in texts)))


def _floats(context: Context, word: str, statement: Statement) -> None:
    layout = (">" if context.syntax.big else "<") + ("d" if word == ".double" else "f")
    try:
        data = b"".join(struct.pack(layout, number) for number in floats(statement.text, len(word)))
    except BadExpression as error:
        raise Fault(str(error), error.start, error.end) from None
    except OverflowError:
        raise Fault("a number too large for single precision") from None
    context.add(Bytes(statement, context.counts, data))


def _leb(context: Context, word: str, statement: Statement) -> None:
    for value, _, _ in context.operands(statement, len(word)):
        if value is not None:
            context.add(Leb(statement, context.counts, word == ".sleb128", value))


def _space(context: Context, word: str, statement: Statement) -> None:
    count, fill = context.some(statement, len(word), 2)
    context.add(Space(statement, context.counts, count or Number(0), 1, fill or Number(0)))


def _fill(context: Context, word: str, statement: Statement) -> None:
    count, size, fill = context.some(statement, len(word), 3)
    try:
        width = 1 if size is None else size.evaluate(context.known())
    except (Undefined, BadExpression):
        raise Fault("the size must be a constant that is known here", len(word)) from None
    if not 0 <= width <= 8:
        raise Fault(f"a size of {width}, it can be 0..8", len(word))
    context.add(Space(statement, context.counts, count or Number(0), width, fill or Number(0)))


def _origin(context: Context, word: str, statement: Statement) -> None:
    to, fill = context.some(statement, len(word), 2)
    context.add(Origin(statement, context.counts, to or Number(0), fill or Number(0)))


def _align(context: Context, word: str, statement: Statement) -> None:
    boundary, fill, most = context.some(statement, len(word), 3)
    power = word != ".balign"
    encoder, short = context.encoder, context.short
    here = boundary or Number(0)
    context.add(Align(statement, context.counts, here, power, fill, most, encoder, short, context.mark))


# ---------------------------------------------------------------- sections


def _standard(context: Context, word: str, statement: Statement) -> None:
    context.previous, context.part = context.part, context.program.part(word)


def _section(context: Context, word: str, statement: Statement) -> None:
    words = [text.strip() for text in statement.text[len(word) :].split(",")]
    name = words[0].strip('"')
    if not name:
        raise Fault("the section has no name", len(word))
    flags = words[1] if len(words) > 1 else None
    if flags is not None and (len(flags) < 2 or flags[0] != '"' or flags[-1] != '"'):
        at = statement.text.find(flags, len(word)) if flags else len(statement.text)
        raise Fault("flags stand in double quotes", at, None, ('help: as in .section .mine,"aw"',))
    if flags is not None and "T" in flags:
        raise Fault("there is no thread-local storage here", len(word))
    if word == ".pushsection":
        context.stack.append((context.part, context.previous))
    context.previous = context.part
    context.part = context.program.part(name, None if flags is None else flags[1:-1])


def _pop_section(context: Context, word: str, statement: Statement) -> None:
    if not context.stack:
        raise Fault("no section was pushed")
    context.part, context.previous = context.stack.pop()


def _previous(context: Context, word: str, statement: Statement) -> None:
    context.part, context.previous = context.previous, context.part


# ---------------------------------------------------------------- symbols


def _set(context: Context, word: str, statement: Statement) -> None:
    found = _NAME.match(statement.text, len(word))
    if found is None or statement.text[found.end() : found.end() + 1] != ",":
        raise Fault(f"write {word} name, value", len(word))
    if word == ".equiv" and context.defined(found[1]):
        raise Fault(f"'{found[1]}' is defined already", found.start(1), found.end(1))
    context.assign(found[1], statement, found.end() + 1)


def _global(context: Context, word: str, statement: Statement) -> None:
    for name in context.names(statement, len(word)):
        key = key_of(name, context.unit)
        context.program.globals.setdefault(key, statement)
        if word == ".weak":
            context.program.weak.add(key)


def _common(context: Context, word: str, statement: Statement) -> None:
    """`.comm name, size, alignment`: zeros that a definition of the same name replaces."""
    found = _NAME.match(statement.text, len(word))
    if found is None or statement.text[found.end() : found.end() + 1] != ",":
        raise Fault(f"write {word} name, size, alignment", len(word))
    size, boundary = context.some(statement, found.end() + 1, 2)
    if context.defined(found[1]):
        return
    here, context.part = context.part, context.program.part(".bss")
    try:
        encoder, short = context.encoder, context.short
        if boundary is not None:
            context.add(Align(statement, context.counts, boundary, False, None, None, encoder, short, context.mark))
        key = context.define(found[1], statement, context.part.name)
        context.add(Label(statement, context.counts, key))
        context.add(Space(statement, context.counts, size or Number(0), 1, Number(0)))
    finally:
        context.part = here
    context.program.kinds[key] = "object"
    if word == ".comm":
        context.program.globals.setdefault(key, statement)
        context.program.weak.add(key)  # several files may say the same


def _local(context: Context, word: str, statement: Statement) -> None:
    context.names(statement, len(word))


def _type(context: Context, word: str, statement: Statement) -> None:
    name, _, kind = (part.strip() for part in statement.text[len(word) :].partition(","))
    if not name or not kind:
        raise Fault(f"write {word} name, @function", len(word))
    kinds = {"function": "function", "STT_FUNC": "function", "object": "object", "STT_OBJECT": "object"}
    if kind.lstrip("@%#").strip('"') in kinds:
        context.program.kinds[key_of(name, context.unit)] = kinds[kind.lstrip("@%#").strip('"')]


def _size(context: Context, word: str, statement: Statement) -> None:
    found = _NAME.match(statement.text, len(word))
    if found is None or statement.text[found.end() : found.end() + 1] != ",":
        raise Fault(f"write {word} name, value", len(word))
    value, end = context.expression(statement, found.end() + 1)
    if statement.text[end:].strip():
        raise Fault("nothing may follow the value", end)
    context.add(Extent(statement, context.counts, key_of(found[1], context.unit), value))


def _say(context: Context, word: str, statement: Statement) -> None:
    """`.error "text"` and `.err`."""
    try:
        texts = strings(statement.text, len(word)) if statement.text[len(word) :].strip() else [b".err was read"]
    except BadExpression as error:
        raise Fault(str(error), error.start, error.end) from None
    raise Fault(texts[0].decode("utf-8", "replace"))


def _ignore(context: Context, word: str, statement: Statement) -> None:
    """What compilers and people write for other tools."""


DIRECTIVES: dict[str, Callable[[Context, str, Statement], None]] = {
    **dict.fromkeys(_DATA, _data),
    **dict.fromkeys((".ascii", ".asciz", ".string"), _text),
    **dict.fromkeys((".float", ".single", ".double"), _floats),
    **dict.fromkeys((".uleb128", ".sleb128"), _leb),
    **dict.fromkeys((".space", ".zero", ".skip"), _space),
    ".fill": _fill,
    ".org": _origin,
    **dict.fromkeys((".align", ".p2align", ".balign"), _align),
    **dict.fromkeys((".text", ".data", ".bss", ".rodata"), _standard),
    **dict.fromkeys((".section", ".pushsection"), _section),
    ".popsection": _pop_section,
    ".previous": _previous,
    **dict.fromkeys((".equ", ".set", ".equiv"), _set),
    **dict.fromkeys((".globl", ".global", ".weak"), _global),
    **dict.fromkeys((".comm", ".lcomm"), _common),
    ".local": _local,
    ".type": _type,
    ".size": _size,
    **dict.fromkeys((".error", ".err"), _say),
    **dict.fromkeys((".file", ".ident", ".attribute", ".loc", ".addrsig", ".addrsig_sym", ".extern"), _ignore),
    **dict.fromkeys((".hidden", ".protected", ".internal", ".warning", ".print", ".title"), _ignore),
}
