"""Encoder: one statement's text to bytes, once the values of symbols are known.

`read` finds every form and pseudo-instruction a statement may be; `encode` makes bytes of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from runtime.syntax.arithmetic import signed
from runtime.syntax.decode import Decoder
from runtime.syntax.disassemble import style_of
from runtime.syntax.expressions import BadExpression, Environment, Expression, parse
from runtime.syntax.matching import Given, Matcher, RowGiven, Wildcard
from runtime.syntax.solve import Solver, Unsolvable, fits
from runtime.syntax.tables import NEXT_PC, PC, Alias, AliasHole, Encoding, Field, Form, Hole, Operand, Piece, Syntax

__all__ = ["Candidate", "Encoder", "Rejected"]


class Rejected(Exception):
    """Why a statement is no instruction; columns are 0-based places in its text."""

    def __init__(self, message: str, start: int, end: int, notes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.notes = message, start, max(end, start + 1), tuple(notes)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form, or an alias, with what the text gives for its holes."""

    target: Form | Alias
    given: tuple[Given, ...]


class _AliasEnvironment:
    """Symbols inside an alias's expressions: its holes, and `.` where the pseudo-instruction stands."""

    def __init__(self, values: Mapping[str, int], pc: int) -> None:
        self.values = values
        self.pc = pc

    def symbol(self, name: str) -> int | None:
        return self.values.get(name)

    def here(self) -> int:
        return self.pc


class Encoder:
    """Encodes statements of one instruction space."""

    def __init__(self, syntax: Syntax, modes: Mapping[str, int] | None = None) -> None:
        self.syntax = syntax
        self.decoder = Decoder(syntax, modes)
        self.modes = self.decoder.modes
        self._heads: dict[str, list[Form | Alias]] = {}
        self._solvers: dict[int, Solver] = {}
        self._expressions: dict[str, Expression] = {}
        self._row_fields: dict[int, tuple[Field, ...]] = {}
        forms = [form for form in syntax.forms if form.space == self.decoder.space.name]
        # Short encodings are tried first, and real instructions before pseudo-instructions.
        for form in sorted(forms, key=lambda form: form.encoding.length):
            self._heads.setdefault(_head(form.pieces), []).append(form)
        for alias in syntax.aliases:
            self._heads.setdefault(_head(alias.pieces), []).append(alias)

    # ------------------------------------------------------------ reading

    def read(self, text: str) -> list[Candidate]:
        """Everything the statement may be, best first; raises Rejected."""
        word = text.split(None, 1)[0].lower() if text.strip() else ""
        matcher = Matcher(text, self.syntax.register_names)
        targets = self._targets(word)
        found = [
            Candidate(target, given)
            for target in targets
            for given in matcher.match(target.pieces, () if isinstance(target, Alias) else target.operands)
        ]
        if found:
            return found
        if not any(_complete(target.pieces, word) for target in targets):
            close = get_close_matches(word, [head.strip() for head in self._heads if len(head) > 1], 3)
            raise Rejected(
                f"unknown instruction '{word}'",
                0,
                len(word),
                [f"help: did you mean {' or '.join(close)}?"] if close else (),
            )
        if matcher.complaint is not None:
            raise Rejected(str(matcher.complaint), matcher.complaint.start, matcher.complaint.end, _forms_note(targets))
        at = min(matcher.furthest, max(len(text.rstrip()) - 1, 0))
        what = f"found '{text[at:].split(',')[0].strip()}'" if matcher.furthest < len(text) else "something is missing"
        raise Rejected(f"the operands do not fit '{word}': {what}", at, at + 1, _forms_note(targets))

    def _targets(self, word: str) -> list[Form | Alias]:
        """Forms whose first word may be this one: mnemonics may go on in a hole, as in `b{cond}`."""
        found = list(self._heads.get(word + " ", ())) + list(self._heads.get(word, ()))
        for length in range(len(word) - 1, -1, -1):
            found += self._heads.get(word[:length], ())
        found.sort(key=lambda target: isinstance(target, Alias))
        return found

    # ------------------------------------------------------------ encoding

    def encode(self, candidate: Candidate, pc: int, environment: Environment) -> bytes:
        """The bytes of a candidate at an address; raises Rejected, or Undefined."""
        if isinstance(candidate.target, Form):
            return self._encode_form(candidate.target, candidate.given, pc, environment)
        return self._encode_alias(candidate.target, candidate.given, pc, environment)

    def _encode_alias(self, alias: Alias, given: Sequence[Given], pc: int, environment: Environment) -> bytes:
        holes = [piece for piece in alias.pieces if isinstance(piece, AliasHole)]
        by_name = {hole.name: value for hole, value in zip(holes, given, strict=True)}
        values: dict[str, int] = {}
        for hole in holes:
            value = by_name[hole.name]
            if isinstance(value.value, RowGiven | Wildcard):
                continue
            number = value.value if isinstance(value.value, int) else _evaluate(value.value, environment)
            values[hole.name] = number
            if hole.limit:
                bits, sign = int(hole.limit.lstrip("su")), hole.limit[0]
                low = 0 if sign == "u" else -(1 << (bits - 1))
                high = (1 << (bits - 1 if sign == "s" else bits)) - 1
                if not low <= number <= high:
                    raise Rejected(f"{number} is out of range {low}..{high}", value.start, value.end)
        inner = _AliasEnvironment(values, pc)
        code = b""
        start, end = (given[-1].start, given[-1].end) if given else (0, 1)
        for step in alias.steps:
            form = self.syntax.by_name[step.form]
            filled: list[Given] = []
            for binding, hole_of_form in zip(step.bindings, form.holes, strict=True):
                if binding.value is not None:
                    value_of_hole = binding.value
                    if hole_of_form.signed:
                        value_of_hole = signed(value_of_hole, hole_of_form.width)
                    filled.append(Given(value_of_hole, start, end))
                elif binding.name:
                    filled.append(by_name[binding.name])
                else:
                    if binding.expression not in self._expressions:
                        self._expressions[binding.expression] = parse(binding.expression, 0, slices=True)[0]
                    number = _evaluate(self._expressions[binding.expression], inner)
                    filled.append(Given(number, start, end))
            code += self._encode_form(form, filled, pc + len(code), environment)
        return code

    def _encode_form(self, form: Form, given: Sequence[Given], pc: int, environment: Environment) -> bytes:
        encoding = form.encoding
        rows = {
            hole.operand: value.value
            for hole, value in zip(form.holes, given, strict=True)
            if isinstance(value.value, RowGiven)
        }
        length = encoding.length + sum(_row_length(row) for row in rows.values())
        known = {**self.modes, PC: pc, NEXT_PC: (pc + length // 8) & ((1 << self.syntax.pc_width) - 1)}
        solver = self._solver(encoding.fields)
        tails: dict[str, int] = {}
        for hole, value in _direct_first(form.holes, given):
            if isinstance(value.value, RowGiven):
                operand = _operand_called(form.operands, hole.operand)
                tails[operand.name] = self._operand(operand, value.value, solver, known, environment, value)
            else:
                self._solve(hole, value, solver, known, environment)
        _fill(encoding, known)
        fetch, at = encoding.insert(known), encoding.length
        for operand in form.operands:
            fetch |= tails.get(operand.name, 0) << at
            at += _row_length(rows[operand.name]) if operand.name in rows else 0
        code = fetch.to_bytes(at // 8, "little")
        self._check(form, code, pc, known)
        return code

    def _operand(
        self,
        operand: Operand,
        given: RowGiven,
        outer: Solver,
        known: dict[str, int],
        environment: Environment,
        at: Given,
    ) -> int:
        """Solves a row, and the outer fields it stands for; returns what it adds to the fetch."""
        row = given.row
        fields = self._row_fields.setdefault(id(row), (*row.head.fields, *row.rest.fields))
        solver = self._solver(fields)
        inner = {**self.modes, PC: known[PC], NEXT_PC: known[NEXT_PC]}
        holes = [piece for piece in row.pieces if isinstance(piece, Hole)]
        after, position = 0, row.rest.length
        tails: dict[str, tuple[int, int]] = {}
        for hole, value in _direct_first(holes, given.holes):
            if isinstance(value.value, RowGiven):
                nested = _operand_called(row.operands, hole.operand)
                tails[nested.name] = (
                    self._operand(nested, value.value, solver, inner, environment, value),
                    _row_length(value.value),
                )
            else:
                self._solve(hole, value, solver, inner, environment)
        _fill(row.head, inner)
        _fill(row.rest, inner)
        for nested in row.operands:
            bits, length = tails.get(nested.name, (0, 0))
            after |= bits << position
            position += length
        if row.guard is not None and not row.guard(inner):
            raise Rejected("this operand is not possible here", at.start, at.end)
        head = row.head.insert(inner)
        place = row.head.length
        for argument in operand.arguments:
            place -= argument.width
            try:
                outer.solve(argument, head >> place & ((1 << argument.width) - 1), known)
            except Unsolvable:
                raise Rejected("this operand is not possible here", at.start, at.end) from None
        return row.rest.insert(inner) | after

    def _solver(self, fields: tuple[Field, ...]) -> Solver:
        found = self._solvers.get(id(fields))
        if found is None:
            found = self._solvers[id(fields)] = Solver(fields, self.modes)
        return found

    def _solve(self, hole: Hole, given: Given, solver: Solver, known: dict[str, int], environment: Environment) -> None:
        value = given.value
        assert not isinstance(value, RowGiven | Wildcard)
        number = value if isinstance(value, int) else _evaluate(value, environment)
        style = style_of(hole)
        if hole.kind == "optional":
            self._solve_optional(hole, bool(number), solver, known, given)
            return
        try:
            if not fits(number, hole.width, style):
                raise Unsolvable(solver.range_of(hole, known, style))
            solver.solve(hole, number % (1 << hole.width), known, style)
        except Unsolvable as error:
            raise Rejected(_explain(hole, number, known[PC], error), given.start, given.end) from None

    def _solve_optional(self, hole: Hole, wanted: bool, solver: Solver, known: dict[str, int], given: Given) -> None:
        """Any value but 0 shows the text; 1 is what is usually meant."""
        for target in (1, (1 << hole.width) - 1) if wanted else (0,):
            try:
                solver.solve(hole, target, known)
                return
            except Unsolvable:
                continue
        raise Rejected(f"'{hole.text}' is not possible here", given.start, given.end)

    def _check(self, form: Form, code: bytes, pc: int, known: Mapping[str, int]) -> None:
        """The decoder has the last word: guards and special cases may make something else of these bits."""
        decoded = self.decoder.decode(code, pc)
        if (
            decoded is not None
            and decoded.length == len(code)
            and (decoded.form is form or decoded.form.pieces == form.pieces)
        ):
            return
        if decoded is None:
            why = f"these operands make an encoding that is not allowed (see {form.source})"
        else:
            why = f"these operands make the encoding of '{decoded.form.name}' ({decoded.form.source})"
        raise Rejected(why, 0, 1)


def _evaluate(expression: Expression, environment: Environment) -> int:
    try:
        return expression.evaluate(environment)
    except BadExpression as error:
        raise Rejected(str(error), error.start, error.end) from None


def _direct_first(holes: Sequence[Hole], given: Sequence[Given]) -> list[tuple[Hole, Given]]:
    """Holes that are fields before those that compute: the latter may share a field with them."""
    return sorted(zip(holes, given, strict=True), key=lambda pair: pair[0].value is not None)


def _fill(encoding: Encoding, known: dict[str, int]) -> None:
    """Fields that the text does not show are 0."""
    for field in encoding.fields:
        known.setdefault(field.name, 0)


def _row_length(given: RowGiven) -> int:
    return given.row.rest.length + sum(
        _row_length(inner.value) for inner in given.holes if isinstance(inner.value, RowGiven)
    )


def _operand_called(operands: Sequence[Operand], name: str) -> Operand:
    return next(operand for operand in operands if operand.name == name)


def _head(pieces: Sequence[Piece | AliasHole]) -> str:
    """The literal a statement starts with, to the end of its first word; with a blank after it if the word is whole."""
    first = pieces[0] if pieces and isinstance(pieces[0], str) else ""
    word, blank, _ = first.partition(" ")
    return word.lower() + (" " if blank or len(pieces) == 1 else "")


def _complete(pieces: Sequence[Piece | AliasHole], word: str) -> bool:
    head = _head(pieces)
    return head == word + " " or not head.endswith(" ")


def describe(pieces: Sequence[Piece | AliasHole]) -> str:
    """A template with the names of fields in its holes, for messages."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        elif isinstance(piece, AliasHole):
            text += f"{{{piece.name}}}"
        elif piece.kind == "optional":
            text += f"[{piece.text}]"
        else:
            text += f"{{{piece.operand or '/'.join(piece.depends)}}}"
    return text


def _forms_note(targets: Sequence[Form | Alias]) -> list[str]:
    shown = list(dict.fromkeys(describe(target.pieces) for target in targets))
    return [f"note: it is written {text}" for text in shown[:4]]


def _explain(hole: Hole, number: int, pc: int, error: Unsolvable) -> str:
    """Why a value cannot stand in a hole."""
    allowed = error.allowed
    if hole.names is not None:
        shown = hole.names.show(number)
        if allowed is None:
            return f"'{shown}' cannot stand here"
        low, high = hole.names.show(allowed.low), hole.names.show(allowed.high)
        return f"'{shown}' cannot stand here, only '{low}'" + (f" to '{high}'" if allowed.high > allowed.low else "")
    if allowed is None:
        return f"{number} cannot be encoded here"
    if allowed.low == allowed.high:
        return f"{number} cannot be encoded here, only {allowed.low}"
    if hole.kind == "address":
        step = f" in steps of {allowed.step}" if allowed.step and allowed.step > 1 else ""
        distance = signed((number - pc) % (1 << hole.width), hole.width)
        return f"the target is {distance} bytes away; it can be {allowed.low - pc}..{allowed.high - pc}{step}"
    if allowed.step and allowed.step > 1 and allowed.low <= number <= allowed.high:
        return f"{number} is no multiple of {allowed.step} (range {allowed})"
    return f"{number} is out of range {allowed}"
