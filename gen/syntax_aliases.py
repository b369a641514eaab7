"""Pseudo-instructions: finds the instructions that `asm "…" = "…"` stands for, and what each of their holes gets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gen import model
from gen.errors import Diagnostics
from gen.python_emitter import source_line
from runtime.syntax.disassemble import style_of
from runtime.syntax.expressions import BadExpression, Undefined, parse, symbols
from runtime.syntax.matching import Given, Matcher, RowGiven, Wildcard
from runtime.syntax.solve import Solver, Unsolvable, fits
from runtime.syntax.tables import Alias, AliasHole, Binding, Form, Hole, Step, Syntax

__all__ = ["resolve"]

_HOLE = re.compile(r"\{\s*([A-Za-z_]\w*)\s*(?::\s*([su]?[1-9]\d*)\s*)?\}")
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


def resolve(definitions: Iterable[model.AsmAliasDef], syntax: Syntax, diagnostics: Diagnostics) -> tuple[Alias, ...]:
    """The aliases in declared order; reports those that stand for no instruction."""
    found = []
    for definition in definitions:
        try:
            found.append(_Resolver(definition, syntax).alias())
        except _Wrong as wrong:
            diagnostics.error(definition.pos, wrong.message, help=wrong.help)
    return tuple(found)


class _Resolver:
    def __init__(self, definition: model.AsmAliasDef, syntax: Syntax) -> None:
        self.definition = definition
        self.syntax = syntax
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

    def _printed(self, steps: tuple[Step, ...], declared: set[str]) -> bool:
        """Whether the disassembler may show it: one instruction, nothing computed, and something fixed."""
        if len(steps) > 1:
            return False
        if any(limit and not _implied(limit, self.holes.get(name, _NUMBER)) for name, limit in self.parts if name):
            return False
        names = [binding.name for binding in steps[0].bindings if binding.value is None]
        return all(names) and len(set(names)) < len(steps[0].bindings) and set(names) == declared

    def step(self, text: str) -> Step:
        matcher = Matcher(text, self.syntax.register_names, wildcards=True)
        wrong: _Wrong | None = None
        for form in sorted(self.syntax.forms, key=lambda form: form.encoding.length):
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
        target, style = value % (1 << hole.width), style_of(hole)
        solver, known = Solver(form.encoding.fields, self.syntax.modes), dict(self.syntax.modes)
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
            if symbol.name != "." and symbol.name not in names:
                raise _Wrong(f"'{symbol.name}' is no hole of the pseudo-instruction")
            self.used.add(symbol.name)
        self.used.discard(".")
        return text.strip()


def _implied(limit: str, hole: Hole) -> bool:
    """Whether every value of a hole is within a limit."""
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
        elif syntax[at] in "{}":
            raise _Wrong(f"'{syntax[at:]}': a hole is a name in braces, {{rd}}, perhaps with a limit, {{imm:s32}}")
        else:
            end = next((i for i in range(at, len(syntax)) if syntax[i] in "{}"), len(syntax))
            parts.append(("", syntax[at:end]))
            at = end
    if not parts:
        raise _Wrong("the pseudo-instruction has no text")
    return parts
