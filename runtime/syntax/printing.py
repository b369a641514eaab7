"""Printers: a form becomes a Python function from a word to its text, compiled when the form is first met.

Walking the tables for every word would cost ten times as much.  What a form's printer does is fixed by its tables and
by the modes: take the fields out of the word, try the guard, then the texts of longer encodings that do the same and
of pseudo-instructions, and at last its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from runtime.syntax.arithmetic import signed
from runtime.syntax.solve import Solver, Style, Unsolvable
from runtime.syntax.tables import (
    NEXT_PC,
    PC,
    Alias,
    AliasHole,
    Argument,
    Form,
    Hole,
    Shorter,
    Step,
    Syntax,
    Values,
)

__all__ = [
    "UNWRITABLE",
    "Address",
    "Canonical",
    "Printer",
    "Printers",
    "by_short_form",
    "hidden_fields",
    "least_hidden",
    "limits_of",
    "plain_address",
    "show_value",
    "style_of",
]

#: how an address is shown
Address = Callable[[int], str]
#: (word, pc, address) -> (mnemonic, operands); None where the form's guard fails
Printer = Callable[[int, int, Address], tuple[str, str] | None]
#: what a printer gives for a word that no text stands for
UNWRITABLE = ("", "")

_MOST_NAMES = 4096
#: values of hidden fields are tried if they have so many bits together
_MOST_HIDDEN_BITS = 6
_PROBES = 16


def style_of(hole: Hole | Argument) -> Style:
    """How a hole's value is meant, for the solver."""
    if isinstance(hole, Hole):
        if hole.kind == "address":
            return "relative"
        if hole.kind == "either":
            return "either"
        if hole.signed:
            return "signed"
    return "unsigned"


def plain_address(value: int) -> str:
    """An address as a number."""
    return f"0x{value:x}"


def show_value(hole: Hole, value: int, address: Address = plain_address) -> str | None:
    """The text of a hole with this value; None if there is none."""
    if hole.kind == "optional":
        return hole.text if value else ""
    if hole.names is not None:
        return hole.names.show_set(value) if hole.kind == "set" else hole.names.show(value)
    if hole.numbers is not None and value in hole.numbers:
        return hole.numbers[value]
    if hole.kind == "address":
        return address(value)
    if hole.kind == "hex" or hole.numbers is not None:
        return f"0x{value:x}"
    number = signed(value, hole.width) if hole.signed or hole.kind == "plus" else value
    return f"{number:+d}" if hole.kind == "plus" else str(number)


def hidden_fields(form: Form) -> tuple[str, ...]:
    """Fields that the text does not show; they must be 0."""
    seen = {field for hole in form.holes for field in hole.depends}
    for operand in form.operands:
        for argument in operand.arguments:
            seen.update((argument.field,) if argument.field else argument.fields)
    return tuple(field.name for field in form.encoding.fields if field.name not in seen)


def least_hidden(form: Form, names: Sequence[str], values: Values) -> dict[str, int]:
    """What fields are that the text does not show: 0, or the least that the form's guard allows."""
    zeros = dict.fromkeys(names, 0)
    if form.guard is None or not names or form.guard({**values, **zeros}):
        return zeros
    widths = {field.name: field.width for field in form.fields}
    if sum(widths[name] for name in names) > _MOST_HIDDEN_BITS:
        return zeros
    for numbers in product(*(range(1 << widths[name]) for name in names)):
        found = dict(zip(names, numbers, strict=True))
        if form.guard({**values, **found}):
            return found
    return zeros


def _only_in(hole: Hole, form: Form) -> frozenset[str]:
    """The fields of an expression that no other hole shows by themselves."""
    return frozenset(hole.fields) - {other.field for other in form.holes}


class Canonical:
    """Whether reading a hole's value back gives the field bits it came from, and no others that mean the same."""

    def __init__(self, modes: Values) -> None:
        self.modes = modes
        self._solvers: dict[int, Solver] = {}

    def always(self, hole: Hole, form: Form) -> bool:
        """Whether it is so for all values."""
        if hole.value is None or hole.kind == "optional":
            return True
        known = {**self.modes, PC: 0, NEXT_PC: 0}
        open_fields = _only_in(hole, form)
        known.update((field.name, 0) for field in form.encoding.fields if field.name not in open_fields)
        return self._solver(form).one_to_one(hole, known, tuple(name for name in hole.fields if name in open_fields))

    def holds(self, hole: Hole, value: int, values: Values, form: Form) -> bool:
        """Whether it is so for this value."""
        open_fields = _only_in(hole, form)
        known = {name: number for name, number in values.items() if name not in open_fields}
        try:
            self._solver(form).solve(hole, value, known, style_of(hole))
        except Unsolvable:
            return False
        # A field that this value does not depend on is read from another hole, or is 0.
        elsewhere = {name for other in form.holes if other is not hole for name in (other.field, *other.fields)}
        return all(known.get(name, values[name] if name in elsewhere else 0) == values[name] for name in hole.fields)

    def _solver(self, form: Form) -> Solver:
        fields = form.encoding.fields
        return self._solvers.setdefault(id(fields), Solver(fields, self.modes))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A hole, and the variable that has its value."""

    hole: Hole
    variable: str


class Printers:
    """Makes printers; `aliases` are pseudo-instructions that may be shown, by form and in order of preference."""

    def __init__(
        self,
        syntax: Syntax,
        modes: Values,
        aliases: Mapping[str, Sequence[Alias]],
        shorter: Mapping[str, Sequence[Shorter]],
    ) -> None:
        self.syntax = syntax
        self.modes = modes
        self.aliases = aliases
        self.shorter = shorter
        self.canonical = Canonical(modes)

    def moves(self, form: Form) -> bool:
        """Whether the form's text depends on its address: the same word reads differently elsewhere."""
        chance = Random(form.encoding.value)
        for _ in range(_PROBES):
            word = chance.getrandbits(form.encoding.length) & ~form.encoding.mask | form.encoding.value
            values = {**self.modes, **form.encoding.extract(word)}
            for hole in form.holes:
                seen = {
                    hole.evaluate({**values, PC: pc, NEXT_PC: pc + form.encoding.length // 8}) for pc in (0, 0x5A5A000)
                }
                if len(seen) > 1:
                    return True
        return any(hole.kind == "address" for hole in form.holes)

    def printer(self, form: Form) -> Printer:
        """The printer of a form without operands."""
        source = _Source(self, form)
        code = compile("\n".join(source.lines), f"<printer of {form.name}>", "exec")
        exec(code, source.constants)
        made: Printer = source.constants["show"]
        return made


class _Source:
    """The text of one printer."""

    def __init__(self, printers: Printers, form: Form) -> None:
        self.printers = printers
        self.constants: dict[str, Any] = {"UNWRITABLE": UNWRITABLE}
        self.lines = ["def show(w, pc, address):"]
        self.count = 0
        self._fields(form)
        shown = self._holes(form)
        for rule in printers.shorter.get(form.name, ()):
            self._shorter(rule, shown)
        self._texts(form, shown, 1)

    def _constant(self, value: object) -> str:
        self.count += 1
        name = f"k{self.count}"
        self.constants[name] = value
        return name

    def _variable(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def _add(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    # ------------------------------------------------------------ what the word says

    def _fields(self, form: Form) -> None:
        """Variables for the fields, all values for what is computed, the guard, and fields that must be 0."""
        names: dict[str, str] = {}
        for field in form.encoding.fields:
            name = names[field.name] = f"f{len(names)}"
            parts = [
                f"(w >> {low} & {(1 << width) - 1:#x}){f' << {field_low}' if field_low else ''}"
                for field_low, low, width in field.slices
            ]
            self._add(1, f"{name} = {' | '.join(parts)}")
        self.field_names = names
        computed = [hole for hole in form.holes if hole.value is not None]
        if computed or form.guard is not None:
            mask = (1 << self.printers.syntax.pc_width) - 1
            items = [f"{mode!r}: {value}" for mode, value in self.printers.modes.items()]
            items += [f"{field!r}: {name}" for field, name in names.items()]
            items += [f"{PC!r}: pc", f"{NEXT_PC!r}: (pc + {form.encoding.length // 8}) & {mask:#x}"]
            self._add(1, f"f = {{{', '.join(items)}}}")
        if form.guard is not None:
            self._add(1, f"if not {self._constant(form.guard)}(f): return None")
        hidden = hidden_fields(form)
        if hidden and form.guard is None:
            self._add(1, f"if {' or '.join(names[name] for name in hidden)}: return UNWRITABLE")
        elif hidden:
            # Zeros are the least there is, and the guard allows this word.
            some = " or ".join(names[name] for name in hidden)
            given = ", ".join(f"{name!r}: {names[name]}" for name in hidden)
            least = f"{self._constant(least_hidden)}({self._constant(form)}, {hidden!r}, f)"
            self._add(1, f"if ({some}) and {least} != {{{given}}}: return UNWRITABLE")

    def _holes(self, form: Form) -> list[_Shown]:
        shown = []
        for hole in form.holes:
            if hole.value is None:
                shown.append(_Shown(hole, self.field_names[hole.field]))
                continue
            variable = self._variable()
            self._add(1, f"{variable} = {self._constant(hole.value)}(f)")
            if not self.printers.canonical.always(hole, form):
                check, constants = self._constant(self.printers.canonical.holds), self._constant(hole)
                self._add(1, f"if not {check}({constants}, {variable}, f, {self._constant(form)}): return UNWRITABLE")
            shown.append(_Shown(hole, variable))
        return shown

    # ------------------------------------------------------------ texts

    def _texts(self, form: Form, shown: Sequence[_Shown], depth: int) -> None:
        """The pseudo-instructions of a form whose holes have these values, and its own text."""
        for alias in self.printers.aliases.get(form.name, ()):
            conditions, bound = _bind(alias.steps[0], shown)
            if conditions:
                self._add(depth, f"if {' and '.join(conditions)}:")
            pieces = [bound[piece.name] if isinstance(piece, AliasHole) else piece for piece in alias.pieces]
            self._return(pieces, depth + bool(conditions))
            if not conditions:
                return
        holes = iter(shown)
        self._return([piece if isinstance(piece, str) else next(holes) for piece in form.pieces], depth)

    def _shorter(self, rule: Shorter, shown: Sequence[_Shown]) -> None:
        """The text of the longer encoding that does the same."""
        conditions, bound = _bind(rule.short, shown)
        for name, limit in rule.limits:
            conditions.append(_within(bound[name], limit))
        long = self.printers.syntax.by_name[rule.long.form]
        depth = 1
        if conditions:
            self._add(1, f"if {' and '.join(conditions)}:")
            depth = 2
        values = []
        for binding, hole in zip(rule.long.bindings, long.holes, strict=True):
            variable = self._variable()
            text = str(binding.value) if binding.value is not None else _converted(bound[binding.name], hole)
            self._add(depth, f"{variable} = {text}")
            values.append(_Shown(hole, variable))
        self._texts(long, values, depth)

    def _return(self, pieces: Sequence[str | _Shown], depth: int) -> None:
        mnemonic, operands = "", ""
        cut = False
        for piece in pieces:
            if isinstance(piece, str):
                literal = piece.replace("{", "{{").replace("}", "}}")
                if not cut and " " in literal:
                    before, _, literal = literal.partition(" ")
                    mnemonic += before
                    literal = literal.lstrip()
                    cut = True
            else:
                literal = f"{{{self._text_of(piece, depth)}}}"
            if cut:
                operands += literal
            else:
                mnemonic += literal
        self._add(depth, f"return f{mnemonic!r}, f{operands!r}")

    def _text_of(self, shown: _Shown, depth: int) -> str:
        """A variable that has the hole's text, or shows it."""
        hole, value = shown.hole, shown.variable
        variable = self._variable()
        if hole.kind == "optional":
            self._add(depth, f"{variable} = {hole.text!r} if {value} else ''")
        elif hole.kind == "set" and hole.names is not None:
            self._add(depth, f"{variable} = {self._constant(hole.names.show_set)}({value})")
        elif hole.names is not None:
            size = 1 << min(hole.width, _MOST_NAMES.bit_length() - 1)
            names = tuple(map(hole.names.show, range(size)))
            place = value if hole.width < _MOST_NAMES.bit_length() else f"min({value}, {size - 1})"
            self._add(depth, f"{variable} = {self._constant(names)}[{place}]")
            if None in names:
                self._add(depth, f"if {variable} is None: return UNWRITABLE")
        elif hole.kind == "address":
            self._add(depth, f"{variable} = address({value})")
        elif hole.numbers is not None:
            self._add(depth, f"{variable} = {self._constant(dict(hole.numbers))}.get({value}) or hex({value})")
        elif hole.kind == "hex":
            self._add(depth, f"{variable} = hex({value})")
        elif hole.kind == "plus":
            self._add(depth, f"{variable} = '%+d' % {_number(shown)}")
        elif hole.signed:
            self._add(depth, f"{variable} = {_number(shown)}")
        else:
            return value
        return variable


def _bind(step: Step, shown: Sequence[_Shown]) -> tuple[list[str], dict[str, _Shown]]:
    """The conditions for an instruction to be this step, and what its names then stand for."""
    conditions: list[str] = []
    bound: dict[str, _Shown] = {}
    for binding, hole in zip(step.bindings, shown, strict=True):
        if binding.value is not None:
            conditions.append(f"{hole.variable} == {binding.value}")
        elif binding.name in bound:
            conditions.append(f"{hole.variable} == {bound[binding.name].variable}")
        else:
            bound[binding.name] = hole
    return conditions, bound


def _number(shown: _Shown) -> str:
    """The number a variable's bits mean."""
    if not (shown.hole.signed or shown.hole.kind == "plus"):
        return shown.variable
    sign = 1 << (shown.hole.width - 1)
    return f"({shown.variable} ^ {sign:#x}) - {sign:#x}"


def _converted(shown: _Shown, hole: Hole) -> str:
    """The bits that mean the same number in another hole."""
    if (shown.hole.width, shown.hole.signed) == (hole.width, hole.signed):
        return shown.variable
    return f"({_number(shown)}) & {(1 << hole.width) - 1:#x}"


def _within(shown: _Shown, limit: str) -> str:
    if limit == "!0":
        return f"{shown.variable} != 0"
    low, high = limits_of(limit)
    return f"{low} <= ({_number(shown)}) <= {high}"


def limits_of(limit: str) -> tuple[int, int]:
    """The lowest and the highest number of 's32', 'u32' or '32'."""
    bits, sign = int(limit.lstrip("su")), limit[0]
    return 0 if sign == "u" else -(1 << (bits - 1)), (1 << (bits - 1 if sign == "s" else bits)) - 1


def by_short_form(rules: Sequence[Shorter]) -> Iterator[tuple[str, list[Shorter]]]:
    """Rules by the name of their short form, in declared order."""
    found: dict[str, list[Shorter]] = {}
    for rule in rules:
        found.setdefault(rule.short.form, []).append(rule)
    yield from found.items()
