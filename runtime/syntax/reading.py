"""Reads assembly text: macros and conditions as they come, and an item of its section for every other statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from runtime.syntax.directives import DIRECTIVES, Context
from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.expressions import BadExpression, Undefined, parse
from runtime.syntax.items import Bytes, Code, Fault
from runtime.syntax.macros import CLOSING, Macro, arguments_of, body_end, declared, expand, first_word
from runtime.syntax.program import Program
from runtime.syntax.spelling import OperandSpelling
from runtime.syntax.statements import Segment, Source, Statement, segments, statements
from runtime.syntax.tables import Syntax

__all__ = ["Reader"]

_ASSIGNMENT = re.compile(r"([A-Za-z_.$][\w.$]*)[ \t]*={1,2}(?!=)")
_DEEPEST = 60  # macros and files inside one another
_MOST_SEGMENTS = 2_000_000  # of expansions: more is a macro that never ends
_CONDITIONS: dict[str, Callable[[int], bool]] = {
    ".if": lambda value: value != 0,
    ".ifne": lambda value: value != 0,
    ".ifeq": lambda value: value == 0,
    ".ifgt": lambda value: value > 0,
    ".ifge": lambda value: value >= 0,
    ".iflt": lambda value: value < 0,
    ".ifle": lambda value: value <= 0,
}
_TEXT_CONDITIONS = (".ifdef", ".ifndef", ".ifnotdef", ".ifb", ".ifnb", ".ifc", ".ifnc")


@dataclass(slots=True)
class _Condition:
    """An open `.if`: whether its present part is read, and whether one of its parts was."""

    statement: Statement
    active: bool
    taken: bool
    outer: bool
    otherwise: bool = False


class _End(Exception):
    """`.end` was read."""


class Reader:
    """Reads texts into one program."""

    def __init__(
        self,
        syntax: Syntax,
        short: bool,
        folders: Sequence[Path] = (),
        modes: Mapping[str, int] | None = None,
    ) -> None:
        self.syntax = syntax
        self.program = Program()
        self.folders = tuple(folders)
        self.encoders: dict[tuple[tuple[str, int], ...], Encoder] = {}
        self.short = short
        begins_in = {name: value for name, value in (modes or {}).items() if value != syntax.modes[name]}
        self.context = Context(syntax, self.program, self.encoder_for(begins_in), short, begins_in)
        self.macros: dict[str, Macro] = {}
        self.conditions: list[_Condition] = []
        self.depth = 0
        self.expansions = 0
        self.expanded = 0
        forms = syntax.forms
        # `#` starts a comment anywhere only if no instruction is written with it.
        hashes = any(isinstance(piece, str) and "#" in piece for form in forms for piece in form.pieces)
        own = tuple(spelling.text for spelling in syntax.spellings if spelling.kind == "comment")
        self.comments = own if hashes else ("#", *own)
        self.renamed = {
            spelling.text: spelling.meaning for spelling in syntax.spellings if spelling.kind == "directive"
        }
        self.operands = [
            OperandSpelling(spelling, syntax.register_names)
            for spelling in syntax.spellings
            if spelling.kind == "operand"
        ]
        self.directives = {directive.text: directive for directive in syntax.directives}
        self.open = {text.split()[0]: directive for text, directive in self.directives.items() if text.endswith("}")}
        self.own_words = {directive.text.split()[0] for directive in syntax.directives}

    def encoder_for(self, modes: dict[str, int]) -> Encoder:
        """The encoder of instructions in these modes."""
        key = tuple(sorted(modes.items()))
        if key not in self.encoders:
            self.encoders[key] = Encoder(self.syntax, modes)
        return self.encoders[key]

    def read(self, text: str, file: str, unit: int = 0) -> None:
        """Reads one file; messages gather in the program."""
        self.context.begin(unit, self.short)
        self.macros.clear()
        source = Source(file, text.split("\n"), (), unit)
        try:
            self._run(segments(text, self.comments), source)
        except _End:
            self.conditions.clear()
        self.context.end()
        for condition in self.conditions:
            self.program.report(condition.statement, Fault("this condition has no .endif"))
        self.conditions.clear()

    # ------------------------------------------------------------ flow

    def _run(self, body: Sequence[Segment], source: Source) -> None:
        self.depth += 1
        index = 0
        while index < len(body):
            segment = body[index]
            index += 1
            word = first_word(segment)
            active = not self.conditions or self.conditions[-1].active
            if word in CLOSING:
                end = body_end(body, index, word)
                inside = None if end is None else body[index:end]
                index = len(body) if end is None else end + 1
                if active:
                    self._guarded(segment, source, partial(self._body, word, inside))
            else:
                self._guarded(segment, source, self._statement)
        self.depth -= 1

    def _guarded(self, segment: Segment, source: Source, read: Callable[[Statement], None]) -> None:
        """Labels of a segment, then `read` with what is behind them; faults become messages."""
        for statement in statements(segment, source):
            try:
                if statement.label:
                    if not self.conditions or self.conditions[-1].active:
                        self.context.label(statement)
                else:
                    read(statement)
            except Fault as fault:
                self.program.report(statement, fault)

    def _statement(self, statement: Statement) -> None:
        word = statement.text.split(None, 1)[0].lower()
        if word in _CONDITIONS or word in _TEXT_CONDITIONS:
            self._open(statement, word)
        elif word in (".else", ".elseif", ".endif"):
            self._turn(statement, word)
        elif self.conditions and not self.conditions[-1].active:
            return
        elif word in self.macros:
            self._use(self.macros[word], statement, len(word))
        elif word.startswith("."):
            self._directive(word, statement)
        elif found := _ASSIGNMENT.match(statement.text):
            self.context.assign(found[1], statement, found.end())
        else:
            self._instruction(statement)

    def _instruction(self, statement: Statement) -> None:
        context, text = self.context, statement.text
        spelled = self._spelled(statement)
        try:
            candidates = context.encoder.read(spelled)
        except Rejected as error:
            if spelled != text:
                error = self._about(text, error)
            raise Fault(error.message, error.start, error.end, error.notes) from None
        try:
            code = context.encoder.fixed(spelled, context.short)
        except Rejected:
            code = None  # said when all is placed, in the order of the text
        if code is not None:
            context.add(Bytes(statement, context.counts, code, context.mark))
        else:
            context.add(Code(statement, context.counts, context.encoder, context.short, candidates, context.mark))
        if self.syntax.following:
            context.step(context.encoder.decoder.modes_after(code or b""), self.encoder_for)
        if context.slots and context.encoder.is_delayed(candidates[0]):
            nop = context.encoder.fixed("nop", context.short)
            context.add(Bytes(statement, context.counts, nop or b"", context.mark))

    def _spelled(self, statement: Statement) -> str:
        """An instruction's text with its operands as the spec writes them."""
        text = statement.text
        if self.operands:
            start = len(text.split(None, 1)[0])
            for spelling in self.operands:
                text = spelling.apply(text, start, lambda value: self.context.literal(statement, value))
        return text

    def _about(self, text: str, error: Rejected) -> Rejected:
        """What is wrong with a text that was read in another spelling: of places only the text's own mean something."""
        try:
            self.context.encoder.read(text)
        except Rejected as original:
            return original
        return Rejected(error.message, 0, len(text), error.notes)

    # ------------------------------------------------------------ conditions

    def _open(self, statement: Statement, word: str) -> None:
        outer = not self.conditions or self.conditions[-1].active
        condition = _Condition(statement, False, False, outer)
        self.conditions.append(condition)
        if outer:
            condition.active = condition.taken = self._holds(statement, word)

    def _turn(self, statement: Statement, word: str) -> None:
        if not self.conditions:
            raise Fault(f"{word} without .if", 0, len(word))
        condition = self.conditions[-1]
        if word == ".endif":
            self.conditions.pop()
            return
        if condition.otherwise:
            raise Fault(f"{word} behind .else", 0, len(word), (f"note: .if is on line {condition.statement.line}",))
        condition.otherwise = word == ".else"
        condition.active = False
        if condition.outer and not condition.taken:
            condition.active = condition.taken = word == ".else" or self._holds(statement, word, ".if")

    def _holds(self, statement: Statement, word: str, kind: str | None = None) -> bool:
        rest, at = statement.text[len(word) :].strip(), len(word)
        kind = kind or word
        if kind in (".ifdef", ".ifndef", ".ifnotdef"):
            if not rest:
                raise Fault("a symbol is missing", at)
            return self.context.defined(rest) == (kind == ".ifdef")
        if kind in (".ifb", ".ifnb"):
            return (not rest) == (kind == ".ifb")
        if kind in (".ifc", ".ifnc"):
            left, comma, right = rest.partition(",")
            if not comma:
                raise Fault("two texts are missing, separated by ','", at)
            return (left.strip() == right.strip()) == (kind == ".ifc")
        return _CONDITIONS[kind](self._now(statement, at))

    def _now(self, statement: Statement, at: int) -> int:
        """An expression's value, which must be known while reading."""
        try:
            value, end = parse(statement.text, at)
            if statement.text[end:].strip():
                raise Fault("nothing may follow the value", end)
            return value.evaluate(self.context.known())
        except Undefined as error:
            raise Fault(f"'{error.name}' has no value yet; it is needed here", error.start, error.end) from None
        except BadExpression as error:
            raise Fault(str(error), error.start, error.end) from None

    # ------------------------------------------------------------ bodies

    def _body(self, word: str, inside: Sequence[Segment] | None, statement: Statement) -> None:
        """`.macro` and repetitions."""
        if inside is None:
            raise Fault(f"{word} without {CLOSING[word][0]}", 0, len(word))
        if word == ".macro":
            macro = declared(statement, inside)
            if macro.name.lower() in self.macros:
                first = self.macros[macro.name.lower()].statement
                raise Fault(f"macro '{macro.name}' is declared twice", 0, None, (f"note: first on line {first.line}",))
            self.macros[macro.name.lower()] = macro
            return
        if word == ".rept":
            count = self._now(statement, len(word))
            if count < 0:
                raise Fault(f"{count} repetitions", len(word))
            if count * max(len(inside), 1) > _MOST_SEGMENTS:
                raise Fault(f"{count} repetitions are too many", len(word))
            values: list[dict[str, str]] = [{}] * count
        else:
            name, _, rest = statement.text[len(word) :].strip().partition(",")
            name = name.strip().lstrip("\\")
            if not name:
                raise Fault("a name is missing", len(word))
            each = list(rest.strip().strip('"')) if word == ".irpc" else [part.strip() for part in rest.split(",")]
            values = [{name: value} for value in each]
        for value in values:
            self._expand(inside, value, statement, f"note: in {word} on line {statement.line}")

    def _use(self, macro: Macro, statement: Statement, at: int) -> None:
        values = arguments_of(macro, statement.text, at)
        note = f"note: in macro '{macro.name}', used in {statement.source.file}:{statement.line}"
        self._expand(macro.body, values, statement, note, macro)

    def _expand(
        self,
        body: Sequence[Segment],
        values: dict[str, str],
        statement: Statement,
        note: str,
        macro: Macro | None = None,
    ) -> None:
        if self.depth >= _DEEPEST:
            raise Fault("macros inside one another without end")
        self.expansions += 1
        self.expanded += max(len(body), 1)
        if self.expanded > _MOST_SEGMENTS:
            raise Fault("the expansions never end")
        inside = expand(body, values, self.expansions)
        origin = macro.statement.source if macro else statement.source
        notes = (note, *statement.source.notes)[:8]
        self._run(inside, Source(origin.file, origin.lines, notes, statement.source.unit))

    # ------------------------------------------------------------ directives

    def _directive(self, word: str, statement: Statement) -> None:
        if word in self.renamed:
            statement = replace(statement, text=self.renamed[word] + statement.text[len(word) :])
            word = self.renamed[word]
        if word in self.own_words:
            directive = self.directives.get(" ".join(statement.text.lower().split()), self.open.get(word))
            if directive is None and word in DIRECTIVES:
                DIRECTIVES[word](self.context, word, statement)
                return
            if directive is None:
                known = ", ".join(text for text in self.directives if text.split()[0] == word)
                raise Fault(f"'{statement.text}' is not known", 0, None, (f"help: there are {known}",))
            self.context.obey(directive, statement, self.encoder_for)
        elif word == ".include":
            self._include(statement, len(word))
        elif word == ".incbin":
            self.context.add(Bytes(statement, self.context.counts, self._file(statement, len(word))[1]))
        elif word == ".end":
            raise _End
        elif word in DIRECTIVES:
            DIRECTIVES[word](self.context, word, statement)
        elif word in (".endm", ".endmacro", ".endr"):
            raise Fault(f"{word} without what it ends", 0, len(word))
        elif not word.startswith(".cfi_"):
            close = get_close_matches(word, [*DIRECTIVES, *_CONDITIONS, *CLOSING, ".include", ".endif", ".else"], 3)
            help = (f"help: did you mean {' or '.join(close)}?",) if close else ()
            raise Fault(f"unknown directive '{word}'", 0, len(word), help)

    def _file(self, statement: Statement, at: int) -> tuple[Path, bytes]:
        """The file a statement names, beside its own or in one of the folders."""
        name = statement.text[at:].strip()
        if len(name) < 3 or name[0] != '"' or name[-1] != '"':
            raise Fault("a file name in double quotes is missing", at)
        folders = [Path(statement.source.file).parent, *self.folders]
        for folder in folders:
            try:
                return folder / name[1:-1], (folder / name[1:-1]).read_bytes()
            except (OSError, ValueError):
                continue
        looked = ", ".join(str(folder) for folder in dict.fromkeys(folders))
        raise Fault(f"no file {name} that can be read", at, None, (f"note: looked in {looked}",))

    def _include(self, statement: Statement, at: int) -> None:
        if self.depth >= _DEEPEST:
            raise Fault("files that include each other without end")
        path, data = self._file(statement, at)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Fault(f"{path} is not UTF-8 text", at) from None
        notes = (f"note: included in {statement.source.file}:{statement.line}", *statement.source.notes)[:8]
        self.expanded += len(text) // 8
        if self.expanded > _MOST_SEGMENTS:
            raise Fault("files that include each other without end")
        self._run(segments(text, self.comments), Source(str(path), text.split("\n"), notes, statement.source.unit))
