"""Disassembler: bytes to text that assembles to the same bytes.

What cannot be written down, such as a reserved value or a hidden field that is not 0, is shown as data.  Words met
before come from a table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from runtime.syntax.decode import BoundRow, Decoded, Decoder
from runtime.syntax.printing import (
    UNWRITABLE,
    Address,
    Printer,
    Printers,
    by_short_form,
    least_hidden,
    plain_address,
    show_value,
    style_of,
)
from runtime.syntax.solve import Solver, Unsolvable
from runtime.syntax.tables import Alias, AliasHole, Field, Form, Hole, Operand, Piece, Space, Syntax, Values

__all__ = ["Disassembler", "Instruction", "show_value"]

_DATA_DIRECTIVES = {1: ".byte", 2: ".2byte", 4: ".4byte", 8: ".8byte"}
_DATA_NAMES = {4: ".word", 2: ".short", 1: ".byte"}
#: words remembered at most
_MOST_WORDS = 1 << 18


class Instruction(NamedTuple):
    """One disassembled instruction; `name` is the encoding's, "" for data."""

    address: int
    mnemonic: str
    op_str: str
    bytes: bytes
    size: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.mnemonic}\t{self.op_str}" if self.op_str else self.mnemonic


#: size, mnemonic, operands, name; a printer if the text depends on the address
_Entry = tuple[int, str, str, str, Printer | None]


class Disassembler:
    """Disassembles; `aliases` shows pseudo-instructions, and short encodings as the long ones that do the same.

    `address` says how addresses are written, such as with the symbol there.
    """

    def __init__(
        self,
        syntax: Syntax,
        aliases: bool = True,
        modes: Mapping[str, int] | None = None,
        address: Address = plain_address,
    ) -> None:
        self.syntax = syntax
        self.address = address
        self.decoder = Decoder(syntax, modes)
        self._aliases: dict[str, list[Alias]] = {}
        if aliases:
            for alias in syntax.aliases:
                if alias.printed and alias.holds(self.decoder.modes):
                    self._aliases.setdefault(alias.steps[0].form, []).append(alias)
            for known in self._aliases.values():
                known.sort(key=_constraints, reverse=True)  # stable: declared order among equals
        shorter = dict(by_short_form(syntax.shorter)) if aliases else {}
        self._printers = Printers(syntax, self.decoder.modes, self._aliases, shorter)
        self._made: dict[str, tuple[Printer, bool]] = {}
        self._canonical = self._printers.canonical
        self._operands = _Operands(self.decoder.modes, address)
        self._words = _words_of(self.decoder)
        self._shows_aliases = aliases
        self._leaving = {form.name for form in syntax.forms if form.leaves}
        self._others: dict[tuple[tuple[str, int], ...], Disassembler] = {}

    def one(self, data: bytes, pc: int) -> Instruction:
        """The instruction at the start of `data`, which stands at address `pc`; `data` may not be empty."""
        size, mnemonic, operands, name, _ = self._read(data, pc)
        return Instruction(pc, mnemonic, operands, data[:size], size, name)

    def all(self, data: bytes, pc: int) -> Iterator[Instruction]:
        """Everything in `data`, one instruction after the other."""
        if self.syntax.following:
            return self._in_step(data, pc)
        return self._plain(data, pc)

    def _plain(self, data: bytes, pc: int) -> Iterator[Instruction]:
        """All in the same modes."""
        return self._by_words(data, pc, self._words) if self._words is not None else self._one_by_one(data, pc)

    def _in_step(self, data: bytes, pc: int) -> Iterator[Instruction]:
        """Each instruction in the modes that the one before it leaves."""
        at, own, longest = 0, self.decoder.modes, self.decoder.space.max_bytes
        while at < len(data):
            modes: Mapping[str, int] = own
            for instruction in self._plain(data[at:], pc + at):
                yield instruction
                at += instruction.size
                if instruction.name in self._leaving:
                    modes = self.decoder.modes_after(instruction.bytes)
                    break
            while modes != own and at < len(data):
                engine = self._in(modes)
                instruction = engine.one(data[at : at + longest], pc + at)
                yield instruction
                at += instruction.size
                modes = engine.decoder.modes_after(instruction.bytes)

    def _in(self, modes: Mapping[str, int]) -> Disassembler:
        """The same in other modes."""
        key = tuple(sorted(modes.items()))
        if key not in self._others:
            self._others[key] = Disassembler(self.syntax, self._shows_aliases, modes, self.address)
        return self._others[key]

    def data(self, data: bytes, pc: int) -> Iterator[Instruction]:
        """Data as directives, in pieces as large as their addresses allow."""
        at = 0
        while at < len(data):
            size = next(size for size in _DATA_NAMES if (pc + at) % size == 0 and at + size <= len(data))
            taken = data[at : at + size]
            number = int.from_bytes(taken, "big" if self.syntax.big else "little")
            yield Instruction(pc + at, _DATA_NAMES[size], f"0x{number:0{2 * size}x}", taken, size)
            at += size

    def _one_by_one(self, data: bytes, pc: int) -> Iterator[Instruction]:
        at, longest = 0, self.decoder.space.max_bytes
        while at < len(data):
            instruction = self.one(data[at : at + longest], pc + at)
            yield instruction
            at += instruction.size

    def _by_words(self, data: bytes, pc: int, words: _Words) -> Iterator[Instruction]:
        unit, one, two, address = words.unit, words.one, words.two, self.address
        whole = len(data) // unit
        units = memoryview(data[: whole * unit]).cast(words.layout)
        bits, make, kind = 8 * unit, tuple.__new__, Instruction
        index = 0
        while index < whole:
            key = units[index]
            entry = one.get(key)
            if entry is None and index + 1 < whole:
                key |= units[index + 1] << bits
                entry = two.get(key)
            at = index * unit
            if entry is None:
                code = data[at : at + words.longest]
                entry = self._read(code, pc + at)
                words.remember(entry, code)
            size, mnemonic, operands, name, printer = entry
            if printer is not None:
                text = printer(key, pc + at, address)
                if text is not None:
                    mnemonic, operands = text
            yield make(kind, (pc + at, mnemonic, operands, data[at : at + size], size, name))
            index += size // unit
        if whole * unit < len(data):
            yield self.one(data[whole * unit :], pc + whole * unit)

    def _read(self, data: bytes, pc: int) -> _Entry:
        """What stands at the start of `data`."""
        decoder = self.decoder
        if self.syntax.prefixes:
            return self._read_behind_prefixes(data, pc)
        fetch = int.from_bytes(data[: decoder.space.max_bytes], "little")
        available = 8 * min(len(data), decoder.space.max_bytes)
        for form in decoder.candidates(decoder.space, fetch):
            encoding = form.encoding
            if fetch & encoding.mask != encoding.value or encoding.length > available:
                continue
            if form.operands:
                found = decoder.take(form, fetch, available, pc)
                if found is None:
                    continue
                size, text = found.length, self._text(found)
                moves = True
                printer = None
            else:
                printer, moves = self._printer(form)
                shown = printer(fetch, pc, self.address)
                if shown is None:
                    continue
                size, text = encoding.length // 8, shown
            if text == UNWRITABLE:
                return self._as_data(data[:size])
            return size, *text, form.name, printer if moves else None
        return self._as_data(data[: decoder.length_of_undefined(data)])

    def _read_behind_prefixes(self, data: bytes, pc: int) -> _Entry:
        """What stands at the start of `data` where prefixes may."""
        found = self.decoder.decode(data, pc)
        if found is None:
            return self._as_data(data[: self.decoder.length_of_undefined(data)])
        text = self._text(found)
        if text == UNWRITABLE:
            return self._as_data(data[: found.length])
        return found.length, *text, found.form.name, None

    def _printer(self, form: Form) -> tuple[Printer, bool]:
        made = self._made.get(form.name)
        if made is None:
            made = self._made[form.name] = self._printers.printer(form), self._printers.moves(form)
        return made

    def _as_data(self, taken: bytes) -> _Entry:
        size = len(taken)
        if size in _DATA_DIRECTIVES:
            number = int.from_bytes(taken, "big" if self.syntax.big else "little")
            return size, _DATA_DIRECTIVES[size], f"0x{number:x}", "", None
        return size, ".byte", ", ".join(f"0x{byte:02x}" for byte in taken), "", None

    def _text(self, decoded: Decoded) -> tuple[str, str]:
        """The text of a form with operands."""
        form = decoded.form
        shown = self._operands.form(decoded)
        if shown is None:
            return UNWRITABLE
        for alias in self._aliases.get(form.name, ()):
            text = _apply(alias, form.holes, shown, decoded.values)
            if text is not None:
                break
        else:
            holes = iter(shown)
            text = "".join(piece if isinstance(piece, str) else next(holes) for piece in form.pieces)
        mnemonic, _, operands = text.partition(" ")
        return mnemonic, operands.strip()


_LAYOUTS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class _Words:
    """What words of one unit and of two are, where their bits alone say how long they are."""

    def __init__(self, space: Space, decided: bool) -> None:
        self.unit = space.units[0] // 8
        self.layout: Literal["B", "H", "I", "Q"] = _LAYOUTS[self.unit]
        self.longest = space.max_bytes
        self.decided = decided
        self.one: dict[int, _Entry] = {}
        self.two: dict[int, _Entry] = {}

    def remember(self, entry: _Entry, code: bytes) -> None:
        """Keeps what `code` starts with; not at the end of the data, where more might have followed."""
        if len(code) < self.longest or not (entry[3] or self.decided):
            return
        table = self.one if entry[0] == self.unit else self.two if entry[0] == 2 * self.unit else None
        if table is not None:
            if len(table) >= _MOST_WORDS:
                table.clear()
            table[int.from_bytes(code[: entry[0]], "little")] = entry


def _words_of(decoder: Decoder) -> _Words | None:
    """None if a word's own bits do not say how long it is, or a form has operands with words of their own."""
    space = decoder.space
    forms = [form for form in decoder.syntax.forms if form.space == space.name]
    if any(form.operands for form in forms) or space.units[0] not in (8, 16, 32, 64) or sys.byteorder != "little":
        return None
    lengths = sorted({form.encoding.length for form in forms})
    for length in lengths:
        ones = (1 << length) - 1
        short = {(e.mask, e.value) for e in (form.encoding for form in forms) if e.length == length}
        long = {(e.mask & ones, e.value & ones) for e in (form.encoding for form in forms) if e.length > length}
        if any(not (a_value ^ b_value) & a_mask & b_mask for a_mask, a_value in short for b_mask, b_value in long):
            return None
    decided = all(encoding.mask for length, encoding in decoder.common.items() if length > lengths[0])
    return _Words(space, decided)


class _Operands:
    """Texts of forms with operands: walks their tables."""

    def __init__(self, modes: Values, address: Address) -> None:
        self.modes = modes
        self.address = address
        self._hidden: dict[str, tuple[str, ...]] = {}
        self._solvers: dict[int, Solver] = {}
        self._row_fields: dict[int, tuple[Field, ...]] = {}

    def form(self, decoded: Decoded) -> list[str] | None:
        """The text of each hole; None if one of them cannot be written."""
        form = decoded.form
        hidden = self._hidden_fields(form.name, form.fields, form.pieces, form.operands)
        values = decoded.values
        if any(values[name] for name in hidden) and any(
            values[name] != number for name, number in least_hidden(form, hidden, values).items()
        ):
            return None
        return self._pieces(form.pieces, decoded.values, decoded.operands, form.fields)

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
            text = show_value(piece, value, self.address)
            if text is None or not self._canonical(piece, value, values, fields, pieces):
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

    def _canonical(
        self, hole: Hole, value: int, values: Values, fields: Sequence[Field], pieces: Sequence[Piece]
    ) -> bool:
        """Whether reading the value back gives these field bits and no others that mean the same."""
        if hole.value is None or hole.kind == "optional":
            return True
        solver = self._solvers.setdefault(id(fields), Solver(fields, self.modes))
        known = {name: number for name, number in values.items() if name not in hole.fields}
        try:
            solver.solve(hole, value, known, style_of(hole))
        except Unsolvable:
            return False
        return all(
            values[name] == known[name]
            if name in known
            # A field that this value does not depend on is read from another hole, or is 0.
            else not values[name]
            or any(name in other.depends for other in pieces if isinstance(other, Hole) and other is not hole)
            for name in hole.fields
        )


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
