"""`asm "…" = "…"`: finds the instructions that a pseudo-instruction stands for, and what each of their holes gets.

A text that reads as a longer instruction than the one it stands for is another encoding of it.  `%f({x})` is a function
of the assembler's expressions, a text that begins with a dot a directive that sets modes, a sign and a hole that stand
for nothing a comment.  `asm operand "…" = "…"` is another spelling of operands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from gen import model
from gen.errors import Diagnostics
from gen.python_emitter import source_line
from runtime.syntax.expressions import BadExpression, Undefined, parse, symbols
from runtime.syntax.matching import Given, Matcher, RowGiven, Wildcard
from runtime.syntax.printing import style_of
from runtime.syntax.solve import Solver, Unsolvable, fits
from runtime.syntax.spelling import BadSpelling, OperandSpelling
from runtime.syntax.tables import (
    Alias,
    AliasHole,
    Binding,
    Directive,
    Form,
    Function,
    Hole,
    Shorter,
    Spelling,
    Step,
    Syntax,
    mode_key,
)

__all__ = ["Found", "resolve"]

_HOLE = re.compile(r"\{\s*([A-Za-z_]\w*)\s*(?::\s*([su]?[1-9]\d*|!0)\s*)?\}")
_FUNCTION = re.compile(r"(%[A-Za-z_]\w*)\(\{\s*([A-Za-z_]\w*)\s*\}\)")
_WHOLE = re.compile(r"\{(.*)\}")
_SETTING = re.compile(r"([A-Za-z_]\w*)\s*=\s*(\d+)")
#: settings of the assembler's that are no modes, and those that are words; docs/assembler.md has what they mean
_OWN_SETTINGS = ("short", "odd", "align", "slots")
_WORDS = re.compile(r"push|pop|function|pool|\$[a-z]")
#: a sign that begins a comment; and a mnemonic with what it may be written without
_COMMENT = re.compile(r"([^\w\s.%{}]+)\{\w+\}")
_RENAMED = re.compile(r"\.\w+")
_SUFFIX = re.compile(r"\{(\w+)\} = \{\1\}(\.\w+)")
#: what a directive may end in: anything
_REST = re.compile(r"(\.\S+) \{\w+\}")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*")
#: alias holes that only expressions use hold numbers of any size; the instruction's own holes check the result
_NUMBER = Hole("number", 64, signed=True)


class _Wrong(Exception):
    """What is wrong with one alias."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message, self.help = message, help


class _NoSymbols:
    """The environment of constants: nothing has a value."""

    def symbol(self, name: str) -> int | None:
        return None

    def here(self) -> int:
        raise Undefined(".", 0, 0)

    def call(self, name: str, value: int, addend: int) -> int:
        raise BadExpression(f"{name} is not known here", 0)


@dataclass(slots=True)
class Found:
    """What the `asm` lines of a spec declare, each kind in declared order; each alias with its line."""

    aliases: list[tuple[Alias, model.AsmAliasDef]] = field(default_factory=list)
    shorter: list[Shorter] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    directives: list[Directive] = field(default_factory=list)
    spellings: list[Spelling] = field(default_factory=list)


def resolve(definitions: Iterable[model.AsmAliasDef], syntax: Syntax, diagnostics: Diagnostics) -> Found:
    """Everything declared; reports what stands for nothing."""
    found = Found()
    for definition in definitions:
        try:
            if definition.when is not None and definition.syntax.startswith(("%", ".")):
                raise _Wrong("`when` is for pseudo-instructions")
            if spelling := _spelling(definition, syntax):
                found.spellings.append(spelling)
            elif definition.syntax.startswith("%"):
                found.functions.append(_function(definition))
            elif definition.syntax.startswith("."):
                found.directives.append(_directive(definition, syntax))
            else:
                resolver = _Resolver(definition, syntax)
                shorter = None if definition.when is not None else resolver.shorter()
                if shorter is not None:
                    found.shorter.append(shorter)
                else:
                    found.aliases += ((alias, definition) for alias in resolver.of_all_clones())
        except _Wrong as wrong:
            diagnostics.error(definition.pos, wrong.message, help=wrong.help)
    return found


def _spelling(definition: model.AsmAliasDef, syntax: Syntax) -> Spelling | None:
    """Another spelling, if that is what it declares."""
    source, text, meaning = source_line(definition.pos), definition.syntax.strip(), definition.expansion.strip()
    if definition.operand:
        if definition.space or definition.when is not None:
            raise _Wrong("operands are spelled so everywhere: without `in` and `when`")
        spelling = Spelling(source, "operand", text, definition.expansion)
        try:
            OperandSpelling(spelling, syntax.register_names)
        except BadSpelling as wrong:
            raise _Wrong(str(wrong)) from None
        return spelling
    if _RENAMED.fullmatch(text) and _RENAMED.fullmatch(meaning):
        return Spelling(source, "directive", text.lower(), meaning)
    if not meaning and (comment := _COMMENT.fullmatch(text)):
        return Spelling(source, "comment", comment[1])
    if suffix := _SUFFIX.fullmatch(f"{text} = {meaning}"):
        return Spelling(source, "suffix", suffix[2], "", definition.space)
    return None


def _function(definition: model.AsmAliasDef) -> Function:
    heading, body = _FUNCTION.fullmatch(definition.syntax.strip()), _WHOLE.fullmatch(definition.expansion.strip())
    if heading is None or body is None:
        raise _Wrong("a function is written %name({x}) = {expression}")
    try:
        expression, end = parse(body[1], 0, slices=True)
    except BadExpression as error:
        raise _Wrong(f"in '{body[1]}': {error}") from None
    if body[1][end:].strip():
        raise _Wrong(f"'{body[1][end:].strip()}' after an expression")
    for symbol in symbols(expression):
        if symbol.name not in (".", heading[2]):
            raise _Wrong(f"'{symbol.name}' is not the parameter of {heading[1]}")
    return Function(source_line(definition.pos), heading[1], heading[2], body[1].strip())


def _directive(definition: model.AsmAliasDef, syntax: Syntax) -> Directive:
    settings: list[tuple[str, int]] = []
    for text in definition.expansion.split(";"):
        setting = _SETTING.fullmatch(text.strip())
        if _WORDS.fullmatch(text.strip()):
            settings.append((text.strip(), 0))
        elif setting and setting[1] in _OWN_SETTINGS:
            settings.append((setting[1], int(setting[2])))
        elif setting and mode_key(setting[1]) in syntax.modes:
            settings.append((mode_key(setting[1]), int(setting[2])))
        elif text.strip():
            raise _Wrong(
                f"'{text.strip()}' sets nothing",
                f"a directive sets modes, {', '.join(_OWN_SETTINGS)}, as in short = 1, or is push, pop, function, pool "
                "or $x",
            )
    text = " ".join(definition.syntax.lower().split())
    if "{" in text and not _REST.fullmatch(text):
        raise _Wrong(f"'{text}' is no directive", "its text is words, or one word and a hole for the rest: .cpu {name}")
    return Directive(source_line(definition.pos), text, tuple(settings))


class _Resolver:
    def __init__(self, definition: model.AsmAliasDef, syntax: Syntax) -> None:
        self.definition = definition
        self.syntax = syntax
        space = definition.space
        if space and space not in {known.name for known in syntax.spaces}:
            raise _Wrong(f"there is no instruction space '{space}'")
        self.forms = [form for form in syntax.forms if space in ("", form.space)]
        self.parts = _split(definition.syntax)
        self.holes: dict[str, Hole] = {}  # the first hole of an instruction that takes the alias's hole as it is
        self.used: set[str] = set()

    def alias(self) -> Alias:
        texts = [text.strip() for text in self.definition.expansion.split(";")]
        steps = tuple(self.step(text) for text in texts)
        declared = {name for name, _ in self.parts if name}
        if len(declared) < sum(1 for name, _ in self.parts if name):
            raise _Wrong("a hole of the pseudo-instruction is written twice")
        for name in sorted(self.used - declared):
            raise _Wrong(f"'{{{name}}}' is no hole of the pseudo-instruction")
        for name in sorted(declared - self.used):
            raise _Wrong(f"what stands for '{{{name}}}' is not used")
        pieces = tuple(
            AliasHole(name, self.holes.get(name, _NUMBER), text) if name else text for name, text in self.parts
        )
        return Alias(source_line(self.definition.pos), pieces, steps, self._printed(steps, declared))

    def of_all_clones(self) -> Iterator[Alias]:
        """The alias, and if it stands for one instruction, likewise for what that is with other values of a split."""
        alias = self.alias()
        yield alias
        if len(alias.steps) > 1:
            return
        first = self.syntax.by_name[alias.steps[0].form]
        for form in self.syntax.forms:
            if form.name != first.name and (form.source, form.encoding) == (first.source, first.encoding):
                other = _Resolver(self.definition, self.syntax)
                other.forms = [form]
                with suppress(_Wrong):  # its operands may be written otherwise
                    yield other.alias()

    def shorter(self) -> Shorter | None:
        """What it says of two encodings, if its text reads as an instruction longer than the one it stands for."""
        if ";" in self.definition.expansion:
            return None
        short = self.step(self.definition.expansion.strip())
        length = self.syntax.by_name[short.form].encoding.length
        text = "".join(f"{{{name}}}" if name else literal for name, literal in self.parts)
        matcher = Matcher(text, self.syntax.register_names, wildcards=True)
        readings = (
            reading
            for form in self.forms
            if form.encoding.length > length
            for reading in matcher.match(form.pieces, form.operands)
        )
        if next(readings, None) is None:
            return None
        long = self.step(text, length)
        names = [{binding.name for binding in step.bindings if binding.value is None} for step in (long, short)]
        if "" in names[0] | names[1]:
            raise _Wrong("a shorter encoding cannot compute what it shows")
        for name in sorted(names[0] ^ names[1]):
            raise _Wrong(f"'{name}' stands in only one of the two encodings")
        limits = tuple((name, limit) for name, limit in self.parts if name and limit)
        return Shorter(source_line(self.definition.pos), long, short, limits)

    def _printed(self, steps: tuple[Step, ...], declared: set[str]) -> bool:
        """Whether the disassembler may show it: one instruction, nothing computed, and something fixed."""
        if len(steps) > 1:
            return False
        if any(limit and not _implied(limit, self.holes.get(name, _NUMBER)) for name, limit in self.parts if name):
            return False
        names = [binding.name for binding in steps[0].bindings if binding.value is None]
        return all(names) and len(set(names)) < len(steps[0].bindings) and set(names) == declared

    def step(self, text: str, longer_than: int = 0) -> Step:
        """The instruction a text is, in more than so many bits."""
        text = text.replace("{{", "{").replace("}}", "}")
        matcher = Matcher(text, self.syntax.register_names, wildcards=True)
        wrong: _Wrong | None = None
        for form in sorted(self.forms, key=lambda form: form.encoding.length):
            if form.encoding.length <= longer_than:
                continue
            for given in matcher.match(form.pieces, form.operands):
                try:
                    return Step(
                        form.name,
                        tuple(
                            self.binding(form, hole, value, text) for hole, value in zip(form.holes, given, strict=True)
                        ),
                    )
                except _Wrong as error:
                    wrong = wrong or error
        raise wrong or _Wrong(
            f"'{text}' is no instruction of {self.syntax.isa}",
            "an expansion is instructions, not pseudo-instructions, separated by ';'",
        )

    def binding(self, form: Form, hole: Hole, given: Given, text: str) -> Binding:
        value = given.value
        if isinstance(value, Wildcard):
            if name := _NAME.fullmatch(value.text):
                self.used.add(name[1])
                self.holes.setdefault(name[1], hole)
                return Binding(name=name[1])
            return Binding(expression=self.expression(value.text))
        if isinstance(value, RowGiven):
            raise _Wrong("a pseudo-instruction cannot fix an operand of a sub-table")
        if not isinstance(value, int):
            try:
                value = value.evaluate(_NoSymbols())
            except Undefined as undefined:
                if undefined.name != ".":
                    raise _Wrong(
                        f"'{undefined.name}' is neither a register nor a number",
                        f"write {{{undefined.name}}} for a hole",
                    ) from None
                return Binding(expression=self.expression(text[given.start : given.end]))
            except BadExpression as error:
                raise _Wrong(str(error)) from None
        if hole.kind == "address":  # which bits that is depends on where the instruction stands
            return Binding(expression=str(value))
        target, style = value % (1 << hole.width), style_of(hole)
        solver, known = Solver(form.fields, self.syntax.modes), dict(self.syntax.modes)
        try:
            if not fits(value, hole.width, style):
                raise Unsolvable(solver.range_of(hole, known, style))
            solver.solve(hole, target, known, style)
        except Unsolvable as error:
            raise _Wrong(f"{value} does not fit '{form.name}': {error.allowed}") from None
        return Binding(value=target)

    def expression(self, text: str) -> str:
        """Checks an expression over the alias's holes."""
        try:
            expression, end = parse(text, 0, slices=True)
        except BadExpression as error:
            raise _Wrong(f"in '{text}': {error}") from None
        if text[end:].strip():
            raise _Wrong(f"'{text[end:].strip()}' after an expression")
        names = {name for name, _ in self.parts if name}
        for symbol in symbols(expression):
            if symbol.name not in (".", ".end") and symbol.name not in names:
                raise _Wrong(f"'{symbol.name}' is no hole of the pseudo-instruction")
            self.used.add(symbol.name)
        self.used -= {".", ".end"}
        return text.strip()


def _implied(limit: str, hole: Hole) -> bool:
    """Whether every value of a hole is within a limit."""
    if limit == "!0":
        return False
    bits, sign = int(limit.lstrip("su")), limit[0]
    if sign == "u" and hole.signed:
        return False
    return hole.width + (sign == "s" and not hole.signed) <= bits


def _split(syntax: str) -> list[tuple[str, str]]:
    """("", text) for literals, (name, limit) for holes."""
    parts: list[tuple[str, str]] = []
    at = 0
    while at < len(syntax):
        found = _HOLE.match(syntax, at)
        if found:
            parts.append((found[1], found[2] or ""))
            at = found.end()
        elif syntax[at] in "{}" and syntax[at : at + 2] in ("{{", "}}"):
            parts.append(("", syntax[at]))
            at += 2
        elif syntax[at] in "{}":
            raise _Wrong(f"'{syntax[at:]}': a hole is a name in braces, {{rd}}, perhaps with a limit, {{imm:s32}}")
        else:
            end = next((i for i in range(at, len(syntax)) if syntax[i] in "{}"), len(syntax))
            parts.append(("", syntax[at:end]))
            at = end
    if not parts:
        raise _Wrong("the pseudo-instruction has no text")
    return parts
