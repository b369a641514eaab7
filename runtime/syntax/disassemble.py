"""Disassembler: bytes to text that assembles to the same bytes.

What cannot be written down, such as a reserved value or a hidden field that is not 0, is shown as data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.syntax.arithmetic import signed
from runtime.syntax.decode import BoundRow, Decoded, Decoder
from runtime.syntax.solve import Solver, Style, Unsolvable
from runtime.syntax.tables import Alias, AliasHole, Argument, Field, Hole, Operand, Piece, Syntax, Values

__all__ = ["Disassembler", "Instruction", "show_value", "style_of"]

_DATA_DIRECTIVES = {1: ".byte", 2: ".half", 4: ".word", 8: ".dword"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One disassembled instruction; `name` is the encoding's, "" for data."""

    address: int
    mnemonic: str
    op_str: str
    bytes: bytes
    size: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.mnemonic}\t{self.op_str}" if self.op_str else self.mnemonic


class Disassembler:
    """Disassembles one instruction at a time; `aliases` shows pseudo-instructions where they apply."""

    def __init__(self, syntax: Syntax, aliases: bool = True, modes: Mapping[str, int] | None = None) -> None:
        self.syntax = syntax
        self.decoder = Decoder(syntax, modes)
        self._aliases: dict[str, list[Alias]] = {}
        if aliases:
            for alias in syntax.aliases:
                if alias.printed:
                    self._aliases.setdefault(alias.steps[0].form, []).append(alias)
            for known in self._aliases.values():
                known.sort(key=_constraints, reverse=True)  # stable: declared order among equals
        self._hidden: dict[str, tuple[str, ...]] = {}
        self._solvers: dict[int, Solver] = {}
        self._row_fields: dict[int, tuple[Field, ...]] = {}

    def one(self, data: bytes, pc: int) -> Instruction:
        """The instruction at the start of `data`, which stands at address `pc`; `data` may not be empty."""
        decoded = self.decoder.decode(data, pc)
        text = None if decoded is None else self._text(decoded)
        if decoded is None or text is None:
            return self._as_data(data, pc, None if decoded is None else decoded.length)
        mnemonic, _, operands = text.partition(" ")
        return Instruction(pc, mnemonic, operands.strip(), data[: decoded.length], decoded.length, decoded.form.name)

    def all(self, data: bytes, pc: int) -> Iterator[Instruction]:
        """Everything in `data`, one instruction after the other."""
        at = 0
        while at < len(data):
            instruction = self.one(data[at : at + self.decoder.space.max_bytes], pc + at)
            yield instruction
            at += instruction.size

    def _as_data(self, data: bytes, pc: int, size: int | None) -> Instruction:
        size = size or self.decoder.length_of_undefined(data)
        taken = data[:size]
        if size in _DATA_DIRECTIVES:
            number = int.from_bytes(taken, "big" if self.syntax.big else "little")
            return Instruction(pc, _DATA_DIRECTIVES[size], f"0x{number:0{2 * size}x}", taken, size)
        return Instruction(pc, ".byte", ", ".join(f"0x{byte:02x}" for byte in taken), taken, size)

    # ------------------------------------------------------------ text

    def _text(self, decoded: Decoded) -> str | None:
        form = decoded.form
        if any(
            decoded.values[name]
            for name in self._hidden_fields(form.name, form.encoding.fields, form.pieces, form.operands)
        ):
            return None
        shown = self._pieces(form.pieces, decoded.values, decoded.operands, form.encoding.fields)
        if shown is None:
            return None
        for alias in self._aliases.get(form.name, ()):
            text = _apply(alias, form.holes, shown, decoded.values)
            if text is not None:
                return text
        holes = iter(shown)
        return "".join(piece if isinstance(piece, str) else next(holes) for piece in form.pieces)

    def _hidden_fields(
        self, name: str, fields: Sequence[Field], pieces: Sequence[Piece], operands: Sequence[Operand]
    ) -> tuple[str, ...]:
        """Fields that neither the text nor an operand shows."""
        if name not in self._hidden:
            seen = {field for piece in pieces if isinstance(piece, Hole) for field in piece.depends}
            for operand in operands:
                for argument in operand.arguments:
                    seen.update((argument.field,) if argument.field else argument.fields)
            self._hidden[name] = tuple(field.name for field in fields if field.name not in seen)
        return self._hidden[name]

    def _pieces(
        self, pieces: Sequence[Piece], values: Values, operands: Mapping[str, BoundRow], fields: Sequence[Field]
    ) -> list[str] | None:
        """The text of each hole; None if one of them cannot be written."""
        shown: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                continue
            if piece.kind == "operand":
                bound = operands[piece.operand]
                inner = self._row(bound)
                if inner is None:
                    return None
                shown.append(inner)
                continue
            value = piece.evaluate(values)
            text = show_value(piece, value)
            if text is None or not self._canonical(piece, value, values, fields):
                return None
            shown.append(text)
        return shown

    def _row(self, bound: BoundRow) -> str | None:
        row = bound.row
        fields = self._row_fields.setdefault(id(row), (*row.head.fields, *row.rest.fields))
        key = f"row {id(row)}"
        if any(bound.values[name] for name in self._hidden_fields(key, fields, row.pieces, row.operands)):
            return None
        shown = self._pieces(row.pieces, bound.values, bound.operands, fields)
        if shown is None:
            return None
        holes = iter(shown)
        return "".join(piece if isinstance(piece, str) else next(holes) for piece in row.pieces)

    def _canonical(self, hole: Hole, value: int, values: Values, fields: Sequence[Field]) -> bool:
        """Whether reading the value back gives these field bits and no others that mean the same."""
        if hole.value is None or hole.kind == "optional":
            return True
        solver = self._solvers.setdefault(id(fields), Solver(fields, self.decoder.modes))
        known = {name: number for name, number in values.items() if name not in hole.fields}
        try:
            solver.solve(hole, value, known, style_of(hole))
        except Unsolvable:
            return False
        return all(known[name] == values[name] for name in hole.fields)


def style_of(hole: Hole | Argument) -> Style:
    """How a hole's value is meant, for the solver."""
    if isinstance(hole, Hole):
        if hole.kind == "address":
            return "relative"
        if hole.signed:
            return "signed"
    return "unsigned"


def show_value(hole: Hole, value: int) -> str | None:
    """The text of a hole with this value; None if there is none."""
    if hole.kind == "optional":
        return hole.text if value else ""
    if hole.names is not None:
        return hole.names.show(value)
    if hole.numbers is not None and value in hole.numbers:
        return hole.numbers[value]
    if hole.kind in ("hex", "address") or hole.numbers is not None:
        return f"0x{value:x}"
    number = signed(value, hole.width) if hole.signed or hole.kind == "plus" else value
    return f"{number:+d}" if hole.kind == "plus" else str(number)


def _constraints(alias: Alias) -> int:
    """How many holes of its instruction an alias fixes: the more, the more special it is."""
    names = [binding.name for binding in alias.steps[0].bindings if binding.value is None]
    return len(alias.steps[0].bindings) - len(set(names))


def _apply(alias: Alias, holes: Sequence[Hole], shown: Sequence[str], values: Values) -> str | None:
    """The alias's text for an instruction, or None if it does not apply."""
    found: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for binding, hole, text in zip(alias.steps[0].bindings, holes, shown, strict=True):
        if binding.value is not None:
            if hole.evaluate(values) != binding.value:
                return None
        elif hole.kind == "operand":
            if found.setdefault(binding.name, text) != text:
                return None
        else:
            value = hole.evaluate(values)
            if numbers.setdefault(binding.name, value) != value:
                return None
            found.setdefault(binding.name, text)
    return "".join(found[piece.name] if isinstance(piece, AliasHole) else piece for piece in alias.pieces)
