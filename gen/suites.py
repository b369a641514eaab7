"""build/<isa>/tests/: tables of words at the corners of every encoding, what each is, and a pytest file that runs them.

What a word is, is found here by trying encodings one after the other, so that the decision trees are tested against
something else.  The texts are the templates' own, without pseudo-instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import runtime.syntax.arithmetic
from gen import model
from gen.decisions import by_priority
from gen.evaluate import NotStatic, PythonPrinter, compile_guards, variables_of
from gen.python_emitter import source_line
from gen.templates import render
from runtime.syntax.disassemble import show_value
from runtime.syntax.tables import Hole, Names, Space

__all__ = ["ADDRESS", "FOLDER", "write"]

#: below build/<isa>/
FOLDER = "tests"
#: where every word stands
ADDRESS = 0x1000
#: modes wider than this are not searched for the value that makes a space the active one
_MOST_MODE_BITS = 12
_NEIGHBOURS_A_LINE = 6
Modes = Mapping[str, int]
Evaluate = Callable[[Modes, Modes], int]


def write(spec: model.Spec, folder: Path) -> int:
    """Write everything into `folder`; the number of words."""
    tables = _Tables(spec)
    (folder / "encodings").mkdir(parents=True)
    words = 0
    by_module: dict[str, list[model.Instruction]] = {}
    for instruction in spec.instructions:
        by_module.setdefault(instruction.isa, []).append(instruction)
    for module, instructions in by_module.items():
        lines = [line for instruction in instructions for line in tables.encoding(instruction)]
        text = render("encodings.txt.j2", isa=spec.name, module=module, address=f"{ADDRESS:#x}", lines=lines)
        (folder / "encodings" / f"{module}.txt").write_text(text, encoding="utf-8")
        words += tables.words
        tables.words = 0
    lines = [f"{source_line(test.pos)}  {test.asm}" for test in spec.tests]
    (folder / "lines.txt").write_text(render("lines.txt.j2", isa=spec.name, lines=lines), encoding="utf-8")
    (folder / f"test_{spec.name}.py").write_text(render("tests.py.j2", isa=spec.name), encoding="utf-8")
    return words


class _Tables:
    """One spec's encodings, space by space, with the modes in which a space is the active one."""

    def __init__(self, spec: model.Spec) -> None:
        self.spec = spec
        self.reset: Modes = {mode.name: mode.reset for mode in spec.modes}
        self.spaces = {space.name: _Candidates(spec, space) for space in spec.spaces}
        self.modes = {space.name: self._modes(number) for number, space in enumerate(spec.spaces)}
        self.words = 0

    def _modes(self, number: int) -> Modes | None:
        """Modes that make a space the one instructions are taken from, None if none were found."""
        space, before = self.spec.spaces[number], self.spec.spaces[:number]
        read: dict[str, int] = {}
        for other in (*before, space):
            if other.when is not None:
                read.update(variables_of(other.when, self.spec.functions)[1])
        # What prefixes say is not set from outside: their own bytes would have to stand before.
        read = {mode.name: read[mode.name] for mode in self.spec.modes if mode.name in read and not mode.prefix}
        if sum(read.values()) > _MOST_MODE_BITS:
            return None
        values = product(*(range(1 << width) for width in read.values()))
        choices = [{**self.reset, **dict(zip(read, chosen, strict=True))} for chosen in values]
        for modes in (self.reset, *choices):
            if self._active(space, modes) and not any(self._active(other, modes) for other in before):
                return modes
        return None

    def _active(self, space: model.Space, modes: Modes) -> bool:
        return space.when is None or bool(_guard(self.spec, [space.when], ())(modes, {}))

    # ------------------------------------------------------------ one encoding

    def encoding(self, instruction: model.Instruction) -> Iterator[str]:
        """The lines of one encoding; none if it cannot be reached by words alone."""
        modes = self.modes[instruction.space]
        if modes is None or instruction.operands:
            return
        space = self.spaces[instruction.space]
        pattern = instruction.pattern
        own: dict[str, None] = {}
        others: dict[str, None] = {}
        example = None
        for values in _corners(pattern.fields):
            fetch = pattern.value | _insert(pattern, values)
            found = space.find(fetch, modes)
            if found is instruction:
                shown = " ".join(f"{values[field.name]:x}" for field in pattern.fields) or "-"
                own[f"{space.digits(fetch, pattern.length)}  {shown}  {space.text(instruction, values, modes)}"] = None
                # The more bits are set, the fewer neighbours happen to be another instruction's special case.
                example = fetch
            else:
                others[_neighbour(space, fetch, pattern.length, found)] = None
        if self.spec.prefixes:
            others.clear()  # a neighbour may be a prefix, or longer, with bytes of its own to come
        elif example is not None:
            for bit in range(pattern.length):
                if pattern.mask >> bit & 1:
                    fetch = example ^ 1 << bit
                    others[_neighbour(space, fetch, pattern.length, space.find(fetch, modes))] = None
        self.words += len(own) + len(others)
        changed = ",".join(f"{name}={value}" for name, value in modes.items() if value != self.reset[name])
        fields = " ".join(field.name for field in pattern.fields)
        yield f"{instruction.name}  {source_line(instruction.pos)}  [{changed}]  {fields}".rstrip()
        yield from (f"    {row}" for row in own)
        rows = list(others)
        for at in range(0, len(rows), _NEIGHBOURS_A_LINE):
            yield "  ! " + "  ".join(rows[at : at + _NEIGHBOURS_A_LINE])


class _Candidates:
    """A space's encodings in the order in which they are tried, and their texts."""

    def __init__(self, spec: model.Spec, space: model.Space) -> None:
        self.spec = spec
        self.space = Space(space.name, space.units, space.big, space.max_bytes)
        mine = [instruction for instruction in spec.instructions if instruction.space == space.name]
        self.tried: list[tuple[model.Instruction, Evaluate | None]] = []
        for found in by_priority(mine):
            if isinstance(found, model.Instruction):
                guards = [guard for guard in (found.where, found.when) if guard is not None]
                names = [field.name for field in found.pattern.fields]
                self.tried.append((found, _guard(spec, guards, names) if guards else None))
        self.holes: dict[int, tuple[Hole, Evaluate | None]] = {}

    def find(self, fetch: int, modes: Modes) -> model.Instruction | None:
        """The first encoding that takes a word with nothing but zeros behind it."""
        for instruction, holds in self.tried:
            pattern = instruction.pattern
            if fetch & pattern.mask == pattern.value and (holds is None or holds(modes, _extract(pattern, fetch))):
                return instruction
        return None

    def digits(self, fetch: int, length: int) -> str:
        """A word as people write it."""
        return f"{self.space.word(fetch.to_bytes(length // 8, 'little')):0{length // 4}x}"

    def text(self, instruction: model.Instruction, values: Modes, modes: Modes) -> str:
        """The instruction in assembly, "?" if these values cannot be written."""
        shown = {name for piece in instruction.syntax if isinstance(piece, model.Slot) for name in _fields_of(piece)}
        if any(value for name, value in values.items() if name not in shown):
            return "?"
        text = ""
        for piece in instruction.syntax:
            if isinstance(piece, model.Literal):
                text += piece.text
                continue
            hole, evaluate = self._hole(instruction, piece)
            next_pc = ADDRESS + instruction.pattern.length // 8
            addresses = {"pc": ADDRESS, "next_pc": next_pc}
            value = values[hole.field] if evaluate is None else evaluate({**modes, **addresses}, values)
            part = show_value(hole, value)
            if part is None:
                return "?"
            text += part
        return text

    def _hole(self, instruction: model.Instruction, slot: model.Slot) -> tuple[Hole, Evaluate | None]:
        found = self.holes.get(id(slot))
        if found is None:
            kind = {"file": "names", "enum": "names", "sysreg": "number"}.get(slot.kind, slot.kind)
            names = [" ".join(name.replace(" ", "~") or "-" for name in spelling) for spelling in slot.table]
            field = slot.expr.name if isinstance(slot.expr, model.FieldRef) else ""
            hole = Hole(
                "number" if slot.kind == "file" and not names else kind,
                slot.expr.width,
                field=field,
                signed=slot.signed,
                names=Names("", tuple(names)) if names else None,
                numbers=dict(slot.sysregs) or None,
                text=slot.text,
            )
            fields = [layout.name for layout in instruction.pattern.fields]
            found = self.holes[id(slot)] = hole, None if field else _value(self.spec, slot.expr, fields)
        return found


# ---------------------------------------------------------------- words


def _corners(fields: Sequence[model.FieldLayout]) -> Iterator[dict[str, int]]:
    """Every field at its ends, alone and together; the last is the one with every bit set."""
    least = {field.name: 0 for field in fields}
    most = {field.name: _ones(field) for field in fields}
    yield least
    for field in fields:
        ones, sign = _ones(field), _sign(field)
        for value in dict.fromkeys((ones & -ones, sign, ones ^ sign, ones)):
            yield {**least, field.name: value}
        yield {**most, field.name: 0}
    yield {field.name: _sign(field) for field in fields}
    yield {field.name: _ones(field) ^ _sign(field) for field in fields}
    yield {field.name: _ones(field) & 0x5555555555555555 >> number % 2 for number, field in enumerate(fields)}
    yield most


def _ones(field: model.FieldLayout) -> int:
    """All bits that the encoding has a place for."""
    value = 0
    for part in field.slices:
        value |= ((1 << part.width) - 1) << part.field_low
    return value


def _sign(field: model.FieldLayout) -> int:
    """The highest of them."""
    ones = _ones(field)
    return 1 << ones.bit_length() - 1 if ones else 0


def _insert(pattern: model.Pattern, values: Modes) -> int:
    fetch = 0
    for field in pattern.fields:
        for part in field.slices:
            fetch |= (values[field.name] >> part.field_low & ((1 << part.width) - 1)) << part.low
    return fetch


def _extract(pattern: model.Pattern, fetch: int) -> dict[str, int]:
    return {
        field.name: sum((fetch >> part.low & ((1 << part.width) - 1)) << part.field_low for part in field.slices)
        for field in pattern.fields
    }


def _neighbour(space: _Candidates, fetch: int, length: int, found: model.Instruction | None) -> str:
    return f"{space.digits(fetch, length)}={'-' if found is None else found.name}"


# ---------------------------------------------------------------- expressions


def _fields_of(slot: model.Slot) -> tuple[str, ...]:
    return (slot.expr.name,) if isinstance(slot.expr, model.FieldRef) else tuple(variables_of(slot.expr, {})[0])


def _guard(spec: model.Spec, guards: Sequence[model.Expr], fields: Sequence[str]) -> Evaluate:
    """Whether guards hold, of modes and fields."""
    modes = [mode.name for mode in spec.modes]
    try:
        holds = compile_guards(guards, spec.functions, fields, modes)
    except NotStatic as error:  # checked when the spec was read
        raise AssertionError(error.what) from error
    return lambda mode, values: holds(*(values[name] for name in fields), *(mode[name] for name in modes))


def _value(spec: model.Spec, expr: model.Expr, fields: Sequence[str]) -> Evaluate:
    """What a hole shows, of modes with the addresses "pc" and "next_pc", and of fields."""
    printer = PythonPrinter(
        spec.functions,
        lambda name: f"fields[{name!r}]",
        lambda name: f"modes[{name!r}]",
        ('modes["pc"]', 'modes["next_pc"]'),
    )
    code = printer.expression(expr)
    functions = [line for function in printer.used.values() for line in printer.function(function)]
    scope = dict(vars(runtime.syntax.arithmetic))
    # The text comes from the printer above: names and operators of a checked spec, nothing a user typed.
    exec("\n".join([*functions, "def value(modes, fields):", f"    return {code}"]), scope)
    found: Evaluate = scope["value"]
    return found
