"""build/<isa>/translate.py: decoder, emitters, functions and hooks of an ISA as Python source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

from gen import decisions, model
from gen.bodies import BodyPrinter, Context
from gen.effects import Effects
from gen.lazy import lazy_rules
from gen.operand_printer import Kind, OperandPrinter, variable
from gen.python_decoder import DecoderPrinter, extraction_function
from gen.source import WIDTH, Doc, Keyword, call, class_name, hexadecimal, identifier, quoted, statement, tuple_of
from gen.templates import render
from gen.tree import Pos
from gen.walk import nodes


def emitter_name(instruction: model.Instruction) -> str:
    """The name of an instruction's emitter function."""
    return f"emit_{identifier(instruction.name)}"


def source_line(pos: Pos) -> str:
    """`specs/base.isa:31`, wherever the tree lies."""
    return f"{'/'.join(PurePath(pos.file).parts[-2:])}:{pos.line}"


#: names that translate.py imports
_IMPORTED = frozenset(
    [
        "Bits",
        "Builder",
        "Computed",
        "Decoded",
        "Helper",
        "Hook",
        "InMemory",
        "Instruction",
        "Operand",
        "Part",
        "Prefix",
        "Reference",
        "Row",
        "Storage",
        "Table",
        "Use",
        "Variable",
    ]
)


class ModulePrinter:
    """Prints one spec's translate.py."""

    def __init__(self, spec: model.Spec) -> None:
        self.spec = spec
        self.effects = Effects(spec.functions)
        constants: dict[str, str] = {}
        for exception in spec.exceptions:
            constants[exception.name] = identifier(exception.name.upper(), frozenset(constants.values()))
        self.context = Context(spec.functions, {m.name: m for m in spec.memories}, constants, self.effects)
        self._classes: dict[Kind, str] = {}
        self._extractions: dict[tuple[str, tuple[model.FieldLayout, ...]], str] = {}
        self._extraction_lines: list[list[str]] = []
        self._prefix_guards: dict[int, str] = {}
        self._guards: dict[object, str] = {}
        self._guard_lines: list[list[str]] = []
        self._operands = OperandPrinter(self.context, self._class, self._guard, source_line)
        self._spaces = {space.name: space for space in spec.spaces}
        self._predicates: dict[str, list[str]] = {}
        self._lazy = lazy_rules(spec)
        #: the mode that says `in a delay slot` is the builder's business
        self._next_modes = [mode for mode in spec.modes if mode.next is not None and mode.name != spec.slot]

    # ------------------------------------------------------------ fields and guards

    def fields_class(self, instruction: model.Instruction) -> str:
        """The record for an encoding's fields: one for each set of names."""
        return self._class(
            (
                tuple(identifier(layout.name) for layout in instruction.pattern.fields),
                tuple(identifier(operand.name) for operand in instruction.operands),
                tuple(identifier(layout.name) for tail in instruction.tails for layout in tail.fields),
            )
        )

    def _class(self, kind: Kind) -> str:
        if kind not in self._classes:
            wanted = class_name(name for names in kind for name in names) or "NoFields"
            while wanted in self._classes.values() or wanted in _IMPORTED:
                wanted += "_"
            self._classes[kind] = wanted
        return self._classes[kind]

    @staticmethod
    def _class_lines(kind: Kind, name: str) -> list[str]:
        """Fields, operands, fields behind those: what is not known at first has a value all the same."""
        first, operands, late = kind
        lines = [f"    {field}: Value" for field in first]
        lines += [f"    {field}: Operand = UNBOUND" for field in operands]
        lines += [f"    {field}: Value = 0" for field in late]
        decorator = "@mutable_record" if operands else "@record"  # operands are bound later
        return [decorator, f"class {name}:", *(lines or ["    pass"])]

    def fields_function(self, instruction: model.Instruction) -> str:
        """The extraction function, shared by encodings whose fields lie alike."""
        kind = self.fields_class(instruction)
        key = (kind, instruction.pattern.fields)
        if key not in self._extractions:
            name = identifier(instruction.name)
            self._extractions[key] = f"fields_{name}"
            self._extraction_lines.append(extraction_function(name, kind, instruction.pattern.fields))
        return self._extractions[key]

    def guard_function(self, instruction: model.Instruction) -> str | None:
        """The function for `where` and `when`, if the encoding has them; shared by encodings that say the same."""
        conditions = [c for c in (instruction.where, instruction.when) if c is not None]
        if not conditions:
            return None
        value = conditions[0]
        for condition in conditions[1:]:
            value = model.Binary(1, "and", value, condition)
        kind = self.fields_class(instruction)
        return self._guard(value, kind, f"guard_{identifier(instruction.name)}", instruction.pos, instruction.name)

    def _guard(self, value: model.Expr, kind: str, name: str, pos: Pos, owner: str = "") -> str:
        """The function for a condition over fields and modes; shared by all that say the same."""
        key = (kind, value)
        if key not in self._guards:
            self._guards[key] = name
            self._guard_lines.append(
                [
                    f"def {name}(b: Builder, f: {kind}) -> Value:",
                    *self._doc(f"{owner}  {source_line(pos)}".strip()),
                    *self._lines([model.Return((value,), pos)], (1,), pos),
                ]
            )
        return self._guards[key]

    # ------------------------------------------------------------ bodies

    def _doc(self, text: str) -> list[str]:
        return [f'    """{text}"""']

    def _lines(
        self,
        body: Sequence[model.Stmt],
        results: Sequence[int],
        pos: Pos,
        parameters: Callable[[BodyPrinter], None] | None = None,
    ) -> list[str]:
        printer = BodyPrinter(self.context, pos)
        if parameters:
            parameters(printer)
        printer.function(body, results)
        return printer.lines

    def _definition(
        self,
        prefix: str,
        owner: model.Function | model.HookFn,
        results: Sequence[int],
        doc: str,
        modes: Sequence[tuple[str, int]] = (),
    ) -> list[str]:
        """`def fn_jump(b: Builder, t: Value) -> None:` and its body; `modes` are further parameters."""
        printer = BodyPrinter(self.context, owner.pos)
        names = [printer.declare(name) for name, _ in owner.params]
        given = [printer.declare(f"mode_{name}") for name, _ in modes]
        printer.function(owner.body, results)
        known = [f"    b.modes[{quoted(name)}] = {value}" for (name, _), value in zip(modes, given, strict=True)]
        head = self._head(prefix, owner.name, [*names, *given], results)
        return [*head, *self._doc(doc), *known, *printer.lines]

    def function(self, function: model.Function) -> list[str]:
        """A function to inline; for a helper, its body and the function that calls it."""
        doc = f"{function.source}  {source_line(function.pos)}"
        if function.name in self._lazy:
            return self._rule(function, doc)
        if not function.helper:
            return self._definition("fn", function, function.results, doc)
        body = self._definition("body", function, function.results, doc, function.modes)
        return [*body, "", "", *self._helper_call(function)]

    def _rule(self, function: model.Function, doc: str) -> list[str]:
        """A rule of a lazy group, which the builder may put off."""
        printer = BodyPrinter(self.context, function.pos)
        names = [printer.declare(name) for name, _ in function.params]
        printer.function(function.body, function.results)
        sized = [tuple_of((name, str(width))) for name, (_, width) in zip(names, function.params, strict=True)]
        asked = call("b.lazy", str(self._lazy[function.name]), *sized)
        return [
            *self._head("fn", function.name, names, function.results),
            *self._doc(doc),
            *statement("if ", asked, ":", 1),
            "        return",
            *printer.lines,
        ]

    def _lazy_table(self) -> list[str]:
        """LAZY: the rules that may be put off, in the order of their numbers, with their arguments' widths."""
        rows = [
            tuple_of((f"fn_{name}", tuple_of(str(width) for _, width in self.spec.functions[name].params)))
            for name in self._lazy
        ]
        kind = "LAZY: tuple[tuple[Callable[..., None], tuple[int, ...]], ...] = "
        return statement(kind, tuple_of(rows)) if rows else [f"{kind}()"]

    def _helper_call(self, function: model.Function) -> list[str]:
        """`def fn_f32_add(b: Builder, a: Value, c: Value) -> tuple[Value, ...]:` around `b.call`."""
        printer = BodyPrinter(self.context, function.pos)
        names = [printer.declare(name) for name, _ in function.params]
        given: list[tuple[Doc, int]] = [(name, w) for name, (_, w) in zip(names, function.params, strict=True)]
        given += [(call("b.get_mode", quoted(name)), w) for name, w in function.modes]
        sized = tuple_of(tuple_of((value, str(w))) for value, w in given)
        value = call("b.call", quoted(function.name), sized, tuple_of(map(str, function.results)))
        wrapped = call("one" if len(function.results) == 1 else "several", value)
        # A guard asks with numbers, and there is nothing compiled to call where instructions are decoded in Python.
        folds = _folds(function)
        return [
            *self._head("fn", function.name, names, function.results),
            *self._doc(f"{function.source}: calls what body_{function.name} is compiled to"),
            *(statement("if ", call("known", *names), ":", depth=1) if folds else []),
            *(statement("return ", call(f"body_{function.name}", "b", *names), depth=2) if folds else []),
            *statement("return ", wrapped, depth=1),
        ]

    def _head(self, prefix: str, name: str, parameters: Sequence[str], results: Sequence[int]) -> list[str]:
        answer = {0: "None", 1: "Value"}.get(len(results), "tuple[Value, ...]")
        head = call(f"def {prefix}_{name}", "b: Builder", *(f"{parameter}: Value" for parameter in parameters))
        return statement("", head, f" -> {answer}:")

    def emitter(self, instruction: model.Instruction) -> list[str]:
        """`def emit_add(b: Builder, f: RdRs1Rs2) -> None:`"""
        written = self.effects.modes_written(instruction.body)
        return [
            f"def {emitter_name(instruction)}(b: Builder, f: {self.fields_class(instruction)}) -> None:",
            *self._doc(f"{instruction.name}  {source_line(instruction.pos)}"),
            *(["    b.delayed()"] if instruction.delayed else []),
            *self._body(instruction),
            *(line for mode in self._next_modes if mode.name not in written for line in self._next_mode(mode)),
            *(["    b.leave_slot()"] if self.spec.slot and not instruction.delayed else []),
        ]

    def _body(self, instruction: model.Instruction) -> list[str]:
        """What it does, if its space's predicate holds."""
        space = self._spaces[instruction.space]
        if space.predicate is None or not self._has_fields(instruction, space.predicate):
            return self._lines(
                instruction.body, (), instruction.pos, lambda printer: printer.bind_operands(instruction.operands)
            )
        named = {node.name for node in nodes(space.predicate) if isinstance(node, model.FieldRef)}
        names = [layout.name for layout in instruction.pattern.fields if layout.name in named]
        kind = self._class((tuple(map(identifier, names)), (), ()))
        fields = call(kind, *(f"f.{identifier(name)}" for name in names))
        function = self._predicate_function(space, kind)
        printer = BodyPrinter(self.context, instruction.pos)
        printer.guarded(call("b.guarded", function, fields), instruction.body)
        return printer.lines

    def _predicate_function(self, space: model.Space, kind: str) -> str:
        """`def predicate_A32(b: Builder, f: Cond) -> Value:`"""
        name = f"predicate_{identifier(space.name)}_{kind}"
        if name not in self._predicates:
            assert space.predicate is not None
            self._predicates[name] = [
                f"def {name}(b: Builder, f: {kind}) -> Value:",
                *self._doc(f"{space.name}  {source_line(space.pos)}"),
                *self._lines([model.Return((space.predicate,), space.pos)], (1,), space.pos),
            ]
        return name

    def _next_mode(self, mode: model.Mode) -> list[str]:
        """What a one-shot mode is for the next instruction, after one that does not set it."""
        return statement("", call("b.next_mode", quoted(mode.name), f"next_{identifier(mode.name)}(b)"), depth=1)

    def next_function(self, mode: model.Mode) -> list[str]:
        """`def next_IT(b: Builder) -> Value:`"""
        assert mode.next is not None
        return [
            f"def next_{identifier(mode.name)}(b: Builder) -> Value:",
            *self._doc(f"{mode.name}  {source_line(mode.pos)}"),
            *self._lines([model.Return((mode.next,), mode.pos)], (1,), mode.pos),
        ]

    @staticmethod
    def _has_fields(instruction: model.Instruction, predicate: model.Expr) -> bool:
        """A space's predicate is for encodings that have the fields it names; others are unconditional."""
        own = {layout.name for layout in instruction.pattern.fields}
        return all(node.name in own for node in nodes(predicate) if isinstance(node, model.FieldRef))

    # ------------------------------------------------------------ prefixes

    def prefix(self, number: int, prefix: model.Prefix) -> list[list[str]]:
        """`fields_prefix_0`, `guard_prefix_0` if it has one, and `prefix_0`, which sets its state."""
        kind = self._class((tuple(identifier(layout.name) for layout in prefix.pattern.fields), (), ()))
        self._extraction_lines.append(extraction_function(f"prefix_{number}", kind, prefix.pattern.fields))
        if prefix.when is not None:
            self._prefix_guards[number] = self._guard(prefix.when, kind, f"guard_prefix_{number}", prefix.pos)
        return [
            [
                f"def prefix_{number}(b: Builder, f: {kind}) -> None:",
                *self._doc(source_line(prefix.pos)),
                *self._lines(prefix.body, (), prefix.pos),
            ]
        ]

    def _prefix_table(self) -> list[str]:
        """PREFIXES: for each, (fields, guard, what it does)."""
        rows = [
            call("Prefix", f"fields_prefix_{number}", f"prefix_{number}", self._prefix_guards.get(number, "None"))
            for number in range(len(self.spec.prefixes))
        ]
        if not rows:
            return ["PREFIXES: tuple[Prefix, ...] = ()"]
        return statement("PREFIXES: tuple[Prefix, ...] = ", tuple_of(rows))

    # ------------------------------------------------------------ tables

    def _instruction_row(self, instruction: model.Instruction) -> list[str]:
        arguments: list[Doc] = [
            quoted(instruction.name),
            quoted(instruction.mnemonic),
            quoted(source_line(instruction.pos)),
            quoted(instruction.space),
            str(instruction.pattern.length // 8),
            emitter_name(instruction),
            self.fields_function(instruction),
        ]
        guard = self.guard_function(instruction)
        if guard:
            arguments.append(guard)
        if instruction.operands:
            kind = self.fields_class(instruction)
            uses = [
                self._operands.use(operand, kind, instruction.body, instruction.pos) for operand in instruction.operands
            ]
            arguments.append(Keyword("variable=", variable(uses, instruction.tails)))
        if instruction.undefined:
            arguments.append(Keyword("undefined=", tuple_of(map(quoted, instruction.undefined))))
        return statement(f"{quoted(instruction.name)}: ", call("Instruction", *arguments), ",", 1)

    def _table(self, name: str, rows: Iterable[tuple[str, Doc]]) -> list[str]:
        lines = [line for key, row in rows for line in statement(f"{quoted(key)}: ", row, ",", 1)]
        return [f"{name} = {{", *lines, "}"] if lines else [f"{name} = {{}}"]

    def _space_test(self, space: model.Space) -> list[str] | None:
        """`def when_T32(b: Builder) -> Value:`"""
        if space.when is None:
            return None
        return [
            f"def when_{identifier(space.name)}(b: Builder) -> Value:",
            *self._doc(f"{space.name}  {source_line(space.pos)}"),
            *self._lines([model.Return((space.when,), space.pos)], (1,), space.pos),
        ]

    def _decode(self) -> list[str]:
        lines = []
        for space in self.spec.spaces:
            found = f"return _decode_{identifier(space.name)}(fetch, b)"
            if space.when is None:
                lines.append(f"    {found}")
                break
            lines += [f"    if when_{identifier(space.name)}(b):", f"        {found}"]
        else:
            lines.append("    return None")
        return lines

    def module(self) -> str:
        """The whole text."""
        spec = self.spec
        emitters = [self.emitter(instruction) for instruction in spec.instructions]
        rows = [self._instruction_row(instruction) for instruction in spec.instructions]
        prefixes = [lines for number, prefix in enumerate(spec.prefixes) for lines in self.prefix(number, prefix)]
        decoders: list[list[str]] = []
        for space in spec.spaces:
            printer = DecoderPrinter(
                identifier(space.name), self.fields_function, self.guard_function, spec.prefixes, self._prefix_guards
            )
            decoders += printer.functions(decisions.build(space, spec.instructions, spec.prefixes))
        classes = [self._class_lines(kind, name) for kind, name in sorted(self._classes.items(), key=lambda c: c[1])]
        reset = [f'    b.modes["{mode.name}"] = {mode.reset}' for mode in spec.modes if mode.prefix]
        helpers = [f for f in spec.functions.values() if f.helper]
        hooks = list(spec.hooks.values())
        next_functions = [self.next_function(mode) for mode in self._next_modes]
        space_tests = [test for test in map(self._space_test, spec.spaces) if test]
        return render(
            "translate.py.j2",
            isa=spec.name,
            instruction_import=_import(
                "runtime.tcg.instructions",
                [
                    *("Decoded", "Helper", "Hook", "Instruction", "Prefix"),
                    *(["behind"] if spec.prefixes else []),
                    *(["known"] if any(map(_folds, helpers)) else []),
                    *sorted({"one" if len(f.results) == 1 else "several" for f in helpers}),
                    *(["with_operands"] if self._operands.tables else []),
                ],
            ),
            records=sorted({"mutable_record" if operands else "record" for _, operands, _ in self._classes}),
            operand_import=_import("runtime.tcg.operands", self._operands.imports()),
            exceptions=[(self.context.exceptions[e.name], hexadecimal(e.code)) for e in spec.exceptions],
            classes=classes,
            functions=[*(self.function(f) for f in spec.functions.values()), *next_functions],
            hooks=[self._definition("hook", h, h.results, f"on {h.name}  {source_line(h.pos)}") for h in hooks],
            emitters=[*self._predicates.values(), *emitters],
            prefixes=prefixes,
            prefix_table=self._prefix_table(),
            lazy_table=self._lazy_table(),
            reset=reset,
            operand_functions=self._operands.functions,
            operand_tables=self._operands.tables,
            extractions=self._extraction_lines,
            guards=[*self._guard_lines, *space_tests],
            instructions=["INSTRUCTIONS: dict[str, Instruction] = {", *(line for row in rows for line in row), "}"],
            helper_table=self._table(
                "HELPERS: dict[str, Helper]",
                (
                    (
                        f.name,
                        call(
                            "Helper",
                            quoted(f.name),
                            f"body_{f.name}",
                            tuple_of(str(width) for _, width in (*f.params, *f.modes)),
                            tuple_of(map(str, f.results)),
                        ),
                    )
                    for f in helpers
                ),
            ),
            hook_table=self._table(
                "HOOKS: dict[str, Hook]",
                (
                    (
                        h.name,
                        call(
                            "Hook",
                            quoted(h.name),
                            f"hook_{h.name}",
                            tuple_of(str(width) for _, width in h.params),
                            *([tuple_of(map(str, h.results))] if h.results else []),
                        ),
                    )
                    for h in hooks
                ),
            ),
            next_table=self._table(
                "NEXT_MODES: dict[str, Callable[[Builder], Value]]",
                ((mode.name, f"next_{identifier(mode.name)}") for mode in self._next_modes),
            ),
            decoders=decoders,
            decode=self._decode(),
        )


def _folds(function: model.Function) -> bool:
    """Whether a helper given numbers is a number: loops of unknown length and modes are emitted as code."""
    return (
        not function.modes
        and bool(function.results)
        and not any(isinstance(n, model.While) for n in nodes(function.body))
    )


def _import(module: str, names: Sequence[str]) -> list[str]:
    """`from module import …`, in brackets if it is too long."""
    line = f"from {module} import {', '.join(names)}"
    if not names or len(line) <= WIDTH:
        return [line] if names else []
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def module_source(spec: model.Spec) -> str:
    """The text of translate.py."""
    return ModulePrinter(spec).module()
