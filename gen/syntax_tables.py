"""build/<isa>/syntax.py: what the assembler and the disassembler know of an ISA, as Python source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from textwrap import wrap
from types import ModuleType

import runtime.syntax.arithmetic
from gen import model
from gen.decisions import by_priority
from gen.errors import Diagnostics
from gen.evaluate import NotStatic, PythonPrinter, always_holds, variables_of
from gen.python_emitter import source_line
from gen.source import Doc, Group, Keyword, call, folded, hexadecimal, identifier, quoted, statement, tuple_of
from gen.syntax_aliases import Found, resolve
from gen.templates import render
from gen.tree import Pos
from runtime.syntax.tables import (
    NEXT_PC,
    PC,
    Alias,
    AliasHole,
    Directive,
    Function,
    Hole,
    Shorter,
    Spelling,
    Step,
    Syntax,
    mode_key,
)

__all__ = ["module_source"]

_TABLE_NAMES = (
    "Alias",
    "AliasHole",
    "Argument",
    "Binding",
    "Directive",
    "Encoding",
    "Field",
    "Form",
    "Function",
    "Hole",
    "Names",
    "Operand",
    "Prefix",
    "Row",
    "Shorter",
    "Space",
    "Spelling",
    "Step",
    "Syntax",
    "Values",
)

#: guards of at most so many bits are tried out: those of clones together often say nothing
_MOST_GUARD_BITS = 10


class _Constants:
    """Named constants of one kind: each different value is written once."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.names: dict[str, str] = {}
        self.lines: list[list[str]] = []

    def name(self, wanted: str, value: Doc, text: str) -> str:
        """The name of the constant with this text, which is written now if it is new."""
        if text not in self.names:
            name = self.free(wanted)
            self.names[text] = name
            self.lines.append(statement(f"{name} = ", value))
        return self.names[text]

    def free(self, wanted: str) -> str:
        """`wanted`, or that with the lowest number that makes it new."""
        name, number = identifier(wanted), 1
        while name in self.taken:
            number += 1
            name = f"{identifier(wanted)}_{number}"
        self.taken.add(name)
        return name


class _SyntaxPrinter:
    """Prints one spec's syntax.py."""

    def __init__(self, spec: model.Spec) -> None:
        self.spec = spec
        self.diagnostics = Diagnostics()
        taken = {*_TABLE_NAMES, "FORMS", "ALIASES", "SYNTAX"}
        self.names = _Constants(taken)
        self.fields = _Constants(taken)
        self.holes = _Constants(taken)
        self.operands = _Constants(taken)
        self.values: dict[str, str] = {}  # code -> function name
        self.value_lines: list[list[str]] = []
        self.taken = taken
        self.printer = PythonPrinter(
            spec.functions,
            lambda name: f'f["{name}"]',
            lambda name: f'f["{mode_key(name)}"]',
            (f'f["{PC}"]', f'f["{NEXT_PC}"]'),
        )
        self.prefixes: list[list[str]] = []
        self.set_by_prefixes = {
            part.place.mode
            for prefix in spec.prefixes
            for part in prefix.body
            if isinstance(part, model.Assign) and isinstance(part.place, model.ToMode)
        }
        self.next = {mode.name for mode in spec.modes if mode.next is not None}
        self.files = {file.names: file.name for file in spec.files if file.names}
        self.registers: dict[str, None] = {}  # constants of the tables whose names are no symbols
        self.hole_names: dict[int, str] = {}  # id of a hole in the loaded tables -> its constant

    # ------------------------------------------------------------ parts

    def function(self, wanted: str, expr: model.Expr, pos: Pos) -> str:
        """The function that computes an expression, shared by all that do the same."""
        try:
            code = self.printer.expression(expr)
        except NotStatic as error:
            self.diagnostics.error(pos, f"the assembler cannot work with {error.what}: it is only known at run time")
            return "None"
        if code not in self.values:
            name = self.names.free(wanted.lower())
            self.values[code] = name
            self.value_lines.append([f"def {name}(f: Values) -> int:", *folded(f"    return {code}")])
        return self.values[code]

    def encoding(self, pattern: model.Pattern) -> Doc:
        arguments: list[Doc] = [str(pattern.length), hexadecimal(pattern.mask), hexadecimal(pattern.value)]
        if pattern.fields:
            arguments.append(tuple_of(self.field(layout) for layout in pattern.fields))
        return call("Encoding", *arguments)

    def field(self, layout: model.FieldLayout) -> str:
        slices = tuple((part.field_low, part.low, part.width) for part in layout.slices)
        value = call("Field", quoted(layout.name), str(layout.width), repr(slices))
        return self.fields.name(f"{layout.name.upper()}_FIELD", value, repr((layout.name, layout.width, slices)))

    def table(self, slot: model.Slot) -> str:
        """The constant for a slot's names."""
        # A set's bits may be called as registers are: it is none of them.
        wanted = self.files.get(slot.table) if slot.kind != "set" else None
        if wanted is None:
            wanted = slot.expr.name.upper() if isinstance(slot.expr, model.FieldRef) else "NAMES"
        texts = [" ".join(name.replace(" ", "~") or "-" for name in names) for names in slot.table]
        value = call("Names", quoted(wanted), tuple_of(map(_long_text, texts)))
        name = self.names.name(f"{wanted}_NAMES", value, repr((slot.kind == "set", texts)))
        if slot.kind == "file" or slot.registers:
            self.registers[name] = None
        return name

    def numbers(self, slot: model.Slot) -> str:
        items = [Keyword(f"{hexadecimal(number)}: ", quoted(name)) for number, name in slot.sysregs]
        text = repr(sorted(slot.sysregs))
        wanted = slot.expr.name.upper() if isinstance(slot.expr, model.FieldRef) else "REGISTERS"
        return self.names.name(f"{wanted}_NUMBERS", _braces(items), text)

    def hole(self, slot: model.Slot, pos: Pos) -> str:
        kind = {"file": "names", "enum": "names", "sysreg": "number"}.get(slot.kind, slot.kind)
        if slot.kind == "file" and not slot.table:
            kind = "number"
        arguments: list[Doc] = [quoted(kind), str(slot.expr.width)]
        wanted = "HOLE"
        if slot.kind == "operand":
            wanted = slot.operand
        elif isinstance(slot.expr, model.FieldRef):
            arguments.append(Keyword("field=", quoted(slot.expr.name)))
            wanted = slot.expr.name
        else:
            names, modes, addresses = variables_of(slot.expr, self.spec.functions)
            wanted = "_".join([*addresses, *names]) or "constant"
            arguments.append(Keyword("value=", self.function(wanted, slot.expr, pos)))
            arguments.append(Keyword("fields=", tuple_of(map(quoted, names))))
            arguments += self.prefix_state(modes)
        if slot.signed:
            arguments.append(Keyword("signed=", "True"))
        if slot.table and kind in ("names", "set"):
            arguments.append(Keyword("names=", self.table(slot)))
        if slot.sysregs:
            arguments.append(Keyword("numbers=", self.numbers(slot)))
        if slot.text:
            arguments.append(Keyword("text=", quoted(slot.text)))
        if slot.operand:
            arguments.append(Keyword("operand=", quoted(slot.operand)))
        value = call("Hole", *arguments)
        return self.holes.name(wanted.upper() if len(wanted) > 1 else f"{wanted.upper()}_HOLE", value, repr(value))

    def prefix_state(self, modes: Iterable[str]) -> list[Doc]:
        """What of these modes prefixes set, so that it changes from instruction to instruction."""
        keys = [quoted(mode_key(mode)) for mode in modes if mode in self.set_by_prefixes]
        return [Keyword("modes=", tuple_of(keys))] if keys else []

    def pieces(self, template: model.Template, pos: Pos) -> Doc:
        return tuple_of(
            quoted(piece.text) if isinstance(piece, model.Literal) else self.hole(piece, pos) for piece in template
        )

    def operand(self, operand: model.BoundOperand, pos: Pos) -> str:
        arguments: list[Doc] = []
        for argument in operand.args:
            if isinstance(argument, model.FieldRef):
                arguments.append(call("Argument", str(argument.width), Keyword("field=", quoted(argument.name))))
            else:
                names, modes, _ = variables_of(argument, self.spec.functions)
                arguments.append(
                    call(
                        "Argument",
                        str(argument.width),
                        Keyword("value=", self.function(operand.name, argument, pos)),
                        Keyword("fields=", tuple_of(map(quoted, names))),
                        *self.prefix_state(modes),
                    )
                )
        rows: list[Doc] = []
        for row in operand.alternatives:
            parts: list[Doc] = [self.encoding(row.head), self.encoding(row.pattern), self.pieces(row.syntax, row.pos)]
            if row.where is not None:
                parts.append(Keyword("guard=", self.function("guard", row.where, row.pos)))
            if row.operands:
                parts.append(Keyword("operands=", tuple_of(self.operand(inner, row.pos) for inner in row.operands)))
            rows.append(call("Row", *parts))
        value = call("Operand", quoted(operand.name), tuple_of(arguments), tuple_of(rows))
        return self.operands.name(f"{operand.name.upper()}_OPERAND", value, repr(value))

    # ------------------------------------------------------------ forms

    def forms(self) -> list[list[str]]:
        """Encodings in decoding order; clones that differ in their guards alone are one form."""
        lines: list[list[str]] = []
        for space in self.spec.spaces:
            inside = [instruction for instruction in self.spec.instructions if instruction.space == space.name]
            merged: dict[object, list[model.Instruction]] = {}
            for instruction in by_priority(inside):
                if isinstance(instruction, model.Instruction):
                    pattern = instruction.pattern
                    key = (
                        instruction.mnemonic,
                        pattern.mask,
                        pattern.value,
                        pattern.fields,
                        instruction.syntax,
                        instruction.operands,
                        instruction.tails,
                    )
                    merged.setdefault(key, []).append(instruction)
            lines += [self.form(clones) for clones in merged.values()]
        return lines

    def form(self, clones: Sequence[model.Instruction]) -> list[str]:
        first = clones[0]
        arguments: list[Doc] = [
            quoted(first.name),
            quoted(source_line(first.pos)),
            quoted(first.space),
            self.encoding(first.pattern),
            self.pieces(first.syntax, first.pos),
        ]
        guard = _guard_of(clones)
        if guard is not None and not always_holds(guard, self.spec.functions, _MOST_GUARD_BITS):
            arguments.append(Keyword("guard=", self.function(f"guard_{first.mnemonic}", guard, first.pos)))
        if first.operands:
            arguments.append(
                Keyword("operands=", tuple_of(self.operand(operand, first.pos) for operand in first.operands))
            )
        leaves = [tuple_of((quoted(mode_key(mode)), value)) for mode, value in self.leaves(first)]
        if leaves:
            arguments.append(Keyword("leaves=", tuple_of(leaves)))
        if first.delayed:
            arguments.append(Keyword("delayed=", "True"))
        if any(tail.length for tail in first.tails):
            arguments.append(Keyword("tails=", tuple_of(self.encoding(tail) for tail in first.tails)))
        return statement("", call("Form", *arguments), ",", 1)

    def leaves(self, insn: model.Instruction) -> Iterator[tuple[str, str]]:
        """One-shot modes that an instruction always sets, and the functions that compute what to."""
        for part in insn.body:
            if isinstance(part, model.Assign) and isinstance(part.place, model.ToMode) and part.place.mode in self.next:
                with suppress(NotStatic):  # only known when it runs
                    self.printer.expression(part.value)
                    yield part.place.mode, self.function(f"leaves_{insn.mnemonic}", part.value, insn.pos)

    def following(self) -> Doc:
        """What one-shot modes are one instruction later, if there is one that sets them."""
        left = {mode for insn in self.spec.instructions for mode, _ in self.leaves(insn)}
        rows = []
        for mode in self.spec.modes:
            if mode.name in left and mode.next is not None:
                value = self.function(f"next_{mode.name}", mode.next, mode.pos)
                rows.append(tuple_of((quoted(mode_key(mode.name)), value)))
        return tuple_of(rows)

    def prefix(self, prefix: model.Prefix) -> list[str]:
        """One row of PREFIXES."""
        settings: list[Doc] = []
        for statement_ in prefix.body:
            if not isinstance(statement_, model.Assign) or not isinstance(statement_.place, model.ToMode):
                message = "a prefix sets its state and no more: the assembler reads it, too"
                self.diagnostics.error(prefix.pos, message, help='write `prefix "…" : name = value`')
                continue
            mode = statement_.place.mode
            value = self.function(f"set_{mode}", statement_.value, prefix.pos)
            settings.append(tuple_of((quoted(mode_key(mode)), value)))
        arguments: list[Doc] = [quoted(prefix.space), self.encoding(prefix.pattern), tuple_of(settings)]
        if prefix.when is not None:
            arguments.append(Keyword("guard=", self.function("guard_prefix", prefix.when, prefix.pos)))
        return statement("", call("Prefix", *arguments), ",", 1)

    def space(self, space: model.Space) -> Doc:
        arguments: list[Doc] = [quoted(space.name), repr(space.units), str(space.big), str(space.max_bytes)]
        if space.when is not None:
            arguments.append(Keyword("when=", self.function(f"when_{space.name}", space.when, space.pos)))
        return call("Space", *arguments)

    def module(self) -> str:
        """The whole text."""
        forms = self.forms()
        self.prefixes = [self.prefix(prefix) for prefix in self.spec.prefixes]
        following = self.following()
        big = self.spec.memories[0].big if self.spec.memories else None
        modes = [Keyword(f"{quoted(mode_key(mode.name))}: ", hexadecimal(mode.reset)) for mode in self.spec.modes]
        syntax = statement(
            "SYNTAX = ",
            call(
                "Syntax",
                Keyword("isa=", quoted(self.spec.name)),
                Keyword("pc_width=", str(self.spec.pc.width)),
                Keyword("big=", str(isinstance(big, model.Const) and bool(big.value))),
                Keyword("modes=", _braces(modes)),
                Keyword("spaces=", tuple_of([self.space(space) for space in self.spec.spaces])),
                Keyword("forms=", "FORMS"),
                Keyword("aliases=", "ALIASES"),
                Keyword("registers=", tuple_of(self.registers)),
                Keyword("shorter=", "SHORTER"),
                Keyword("functions=", "FUNCTIONS"),
                Keyword("directives=", "DIRECTIVES"),
                Keyword("spellings=", "SPELLINGS"),
                *([Keyword("prefixes=", "PREFIXES")] if self.prefixes else []),
                *([Keyword("following=", following)] if following != "()" else []),
            ),
        )
        without = self._render(forms, Found(), syntax)
        self.diagnostics.raise_if_any()
        loaded = ModuleType(f"syntax of {self.spec.name}")
        exec(compile(without, loaded.__name__, "exec"), loaded.__dict__)
        self.hole_names = {id(value): name for name, value in vars(loaded).items() if isinstance(value, Hole)}
        tables: Syntax = loaded.SYNTAX
        found = resolve(self.spec.asm_aliases, tables, self.diagnostics)
        self.diagnostics.raise_if_any()
        return self._render(forms, found, syntax)

    def _render(self, forms: list[list[str]], found: Found, syntax: list[str]) -> str:
        aliases = [self.alias(alias, definition) for alias, definition in found.aliases]
        shorter = [self.shorter(rule) for rule in found.shorter]
        asm_functions = [self.asm_function(function) for function in found.functions]
        directives = [self.directive(directive) for directive in found.directives]
        spellings = [self.spelling(spelling) for spelling in found.spellings]
        functions = [
            [piece for line in self.printer.function(function) for piece in folded(line)]
            for function in self.printer.used.values()
        ]
        code = "\n".join(line for lines in [*functions, *self.value_lines] for line in lines)
        tables = "\n".join(
            line
            for part in (
                forms,
                aliases,
                shorter,
                asm_functions,
                directives,
                spellings,
                self.prefixes,
                self.operands.lines,
                self.holes.lines,
                self.names.lines,
                self.fields.lines,
                [syntax],
                self.value_lines,
            )
            for lines in part
            for line in lines
        )
        return render(
            "syntax.py.j2",
            isa=self.spec.name,
            arithmetic=[name for name in runtime.syntax.arithmetic.__all__ if re.search(rf"\b{name}\(", code)],
            table_names=[
                name
                for name in _TABLE_NAMES
                if name in ("Alias", "Directive", "Form", "Function", "Shorter", "Spelling")
                or re.search(rf"\b{name}\b(?!\")", tables)
            ],
            names=self.names.lines,
            fields=self.fields.lines,
            functions=functions,
            values=self.value_lines,
            holes=self.holes.lines,
            operands=self.operands.lines,
            forms=forms,
            prefixes=self.prefixes,
            aliases=aliases,
            shorter=shorter,
            asm_functions=asm_functions,
            directives=directives,
            spellings=spellings,
            syntax=syntax,
        )

    # ------------------------------------------------------------ aliases

    def alias(self, alias: Alias, definition: model.AsmAliasDef) -> list[str]:
        """One row of ALIASES."""
        pieces: list[Doc] = []
        for piece in alias.pieces:
            if isinstance(piece, AliasHole):
                parts: list[Doc] = [quoted(piece.name), self._hole_constant(piece.hole)]
                if piece.limit:
                    parts.append(Keyword("limit=", quoted(piece.limit)))
                pieces.append(call("AliasHole", *parts))
            else:
                pieces.append(quoted(piece))
        steps = tuple_of(self.step(step) for step in alias.steps)
        arguments: list[Doc] = [quoted(alias.source), tuple_of(pieces), steps, str(alias.printed)]
        if definition.when is not None:
            arguments.append(Keyword("guard=", self.function("when_alias", definition.when, definition.pos)))
        value = call("Alias", *arguments)
        return statement("", value, ",", 1)

    def step(self, step: Step) -> Doc:
        bindings: list[Doc] = []
        for binding in step.bindings:
            if binding.value is not None:
                bindings.append(call("Binding", Keyword("value=", hexadecimal(binding.value))))
            elif binding.name:
                bindings.append(call("Binding", Keyword("name=", quoted(binding.name))))
            else:
                bindings.append(call("Binding", Keyword("expression=", quoted(binding.expression))))
        return call("Step", quoted(step.form), tuple_of(bindings))

    def shorter(self, rule: Shorter) -> list[str]:
        """One row of SHORTER."""
        arguments = [quoted(rule.source), self.step(rule.long), self.step(rule.short)]
        if rule.limits:
            limits = tuple_of(tuple_of((quoted(name), quoted(limit))) for name, limit in rule.limits)
            arguments.append(Keyword("limits=", limits))
        return statement("", call("Shorter", *arguments), ",", 1)

    def asm_function(self, function: Function) -> list[str]:
        """One row of FUNCTIONS."""
        texts = (function.source, function.name, function.parameter, function.expression)
        return statement("", call("Function", *map(quoted, texts)), ",", 1)

    def directive(self, directive: Directive) -> list[str]:
        """One row of DIRECTIVES."""
        settings = tuple_of(tuple_of((quoted(name), str(value))) for name, value in directive.settings)
        value = call("Directive", quoted(directive.source), quoted(directive.text), settings)
        return statement("", value, ",", 1)

    def spelling(self, spelling: Spelling) -> list[str]:
        """One row of SPELLINGS."""
        texts = (spelling.source, spelling.kind, spelling.text, spelling.meaning, spelling.space)
        return statement("", call("Spelling", *map(quoted, texts)), ",", 1)

    def _hole_constant(self, hole: Hole) -> str:
        """A hole of a form is a constant already; a plain number that only expressions use is one of its own."""
        name = self.hole_names.get(id(hole))
        if name is not None:
            return name
        value = call("Hole", quoted(hole.kind), str(hole.width), Keyword("signed=", str(hole.signed)))
        return self.holes.name("NUMBER", value, repr(value))


def _guard_of(clones: Sequence[model.Instruction]) -> model.Expr | None:
    """The condition for one of the clones to apply; None if one always does."""
    either: model.Expr | None = None
    for clone in clones:
        both: model.Expr | None = None
        for guard in (clone.where, clone.when):
            if guard is not None:
                both = guard if both is None else model.Binary(1, "and", both, guard)
        if both is None:
            return None
        either = both if either is None else model.Binary(1, "or", either, both)
    return either


def _long_text(text: str) -> Doc:
    """A string literal, in several pieces when it does not fit a line."""
    lines = wrap(text, 90, break_long_words=False)
    if len(text) < 110:
        return quoted(text)
    pieces = [quoted(line + " ") for line in lines[:-1]] + [quoted(lines[-1])]
    return "\n        ".join(pieces)


def _braces(items: Iterable[Doc]) -> Doc:
    return Group("{", tuple(items), "}")


def module_source(spec: model.Spec) -> str:
    """The text of syntax.py."""
    return _SyntaxPrinter(spec).module()
