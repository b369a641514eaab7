"""Encoder: one statement's text to bytes, once the values of symbols are known.

`read` finds every form and pseudo-instruction a statement may be; `encode` makes bytes of one of them, in a shorter
encoding that does the same if that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property

from runtime.syntax.arithmetic import signed
from runtime.syntax.complaints import explain, forms_note
from runtime.syntax.decode import Decoder
from runtime.syntax.environments import AliasEnvironment, NoSymbols
from runtime.syntax.expressions import (
    BadExpression,
    Call,
    Environment,
    Expression,
    Operation,
    Symbol,
    Undefined,
    parse,
    symbols,
)
from runtime.syntax.matching import Given, Matcher, RowGiven, Wildcard
from runtime.syntax.printing import least_hidden, limits_of, style_of
from runtime.syntax.solve import Solver, Unsolvable, fits
from runtime.syntax.tables import (
    NEXT_PC,
    PC,
    Alias,
    AliasHole,
    Encoding,
    Field,
    Form,
    Hole,
    Names,
    Operand,
    Piece,
    Prefix,
    Row,
    Shorter,
    Step,
    Syntax,
)

__all__ = ["Candidate", "Encoder", "Rejected"]


#: the assembler tries at most so many before one instruction
_MOST_PREFIXES = 3


#: the bytes of prefixes, and the modes they leave
_State = tuple[bytes, Mapping[str, int]]


class Rejected(Exception):
    """Why a statement is no instruction; columns are 0-based places in its text.

    `by_name`: one of its names cannot stand there, whatever its symbols are worth."""

    def __init__(self, message: str, start: int, end: int, notes: Sequence[str] = (), *, by_name: bool = False) -> None:
        super().__init__(message)
        self.by_name = by_name
        self.message, self.start, self.end, self.notes = message, start, max(end, start + 1), tuple(notes)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form, or an alias, with what the text gives for its holes; `never` says why it is none behind any prefixes."""

    target: Form | Alias
    given: tuple[Given, ...]
    never: list[Rejected] = field(default_factory=list, compare=False)


class Encoder:
    """Encodes statements of one instruction space."""

    def __init__(self, syntax: Syntax, modes: Mapping[str, int] | None = None) -> None:
        self.syntax = syntax
        self.decoder = Decoder(syntax, modes)
        self.modes = self.decoder.modes
        self._suffixes = [
            spelling.text
            for spelling in syntax.spellings
            if spelling.kind == "suffix" and spelling.space in ("", self.decoder.space.name)
        ]
        self._heads: dict[str, list[Form | Alias]] = {}
        self._solvers: dict[tuple[int, int], Solver] = {}
        self._expressions: dict[str, Expression] = {}
        self._row_fields: dict[int, tuple[Field, ...]] = {}
        self._shorter: dict[str, list[Shorter]] = {}
        self._read: dict[str, list[Candidate]] = {}
        self._fixed: dict[tuple[str, bool], bytes | None] = {}
        self._fitting: dict[str, list[_State]] = {}
        self.functions = {
            function.name.lower(): (function.parameter, parse(function.expression, 0, slices=True)[0])
            for function in syntax.functions
        }
        for rule in syntax.shorter:
            self._shorter.setdefault(rule.long.form, []).append(rule)
        # Prefixes may lead to other spaces.
        spaces = {space.name for space in syntax.spaces} if syntax.prefixes else {self.decoder.space.name}
        forms = [form for form in syntax.forms if form.space in spaces]
        # Short encodings are tried first, and real instructions before pseudo-instructions.
        for form in sorted(forms, key=_length):
            self._heads.setdefault(_head(form.pieces), []).append(form)
        names = {form.name for form in forms}
        for alias in syntax.aliases:
            if not all(step.form in names for step in alias.steps) or not alias.holds(self.modes):
                continue
            self._heads.setdefault(_head(alias.pieces), []).append(alias)

    # ------------------------------------------------------------ reading

    def read(self, text: str) -> list[Candidate]:
        """Everything the statement may be, best first; raises Rejected."""
        known = self._read.get(text)
        if known is None:
            known = self._read[text] = self._candidates(text)
        return known

    def is_delayed(self, candidate: Candidate) -> bool:
        """Whether the instruction behind this one is run first."""
        target = candidate.target
        return target.delayed if isinstance(target, Form) else self.syntax.by_name[target.steps[-1].form].delayed

    def _candidates(self, text: str) -> list[Candidate]:
        try:
            found, first = self._readings(text), None
        except Rejected as error:
            found, first = [], error
        word, at = text.split(None, 1)[0] if text.strip() else "", len(text) - len(text.lstrip())
        for suffix in self._suffixes:
            if word and not word.lower().endswith(suffix):
                end = at + len(word)
                try:
                    longer = self._readings(text[:end] + suffix + text[end:])
                except Rejected:
                    continue
                found += [_moved(candidate, end, -len(suffix)) for candidate in longer]
        if not found and first is not None:
            raise first
        return found

    def _readings(self, text: str) -> list[Candidate]:
        """What a text may be as it is written."""
        word = text.split(None, 1)[0].lower() if text.strip() else ""
        matcher = Matcher(text, modes=self.modes)
        targets = self._targets(word)
        found = [
            Candidate(target, given)
            for target in targets
            for given in matcher.match(target.pieces, self._operands_of(target))
        ]
        if found:
            # A symbol may be called as a register is, where no register can stand.
            plain = [candidate for candidate in found if not any(map(self._names_register, candidate.given))]
            return plain or found
        if not any(_may_be(target.pieces, word, text) for target in targets):
            close = get_close_matches(word, [head.strip() for head in self._heads if len(head) > 1], 3)
            raise Rejected(
                f"unknown instruction '{word}'",
                0,
                len(word),
                [f"help: did you mean {' or '.join(close)}?"] if close else (),
            )
        # Of what may stand in any mnemonic, such as a prefix's hole, no example is of use.
        targets = [target for target in targets if _head(target.pieces)] or targets
        if matcher.complaint is not None:
            raise Rejected(str(matcher.complaint), matcher.complaint.start, matcher.complaint.end, forms_note(targets))
        at = min(matcher.furthest, max(len(text.rstrip()) - 1, 0))
        what = f"found '{text[at:].split(',')[0].strip()}'" if matcher.furthest < len(text) else "something is missing"
        raise Rejected(f"the operands do not fit '{word}': {what}", at, at + 1, forms_note(targets))

    def _operands_of(self, target: Form | Alias) -> Sequence[Operand]:
        """The sub-tables that a template's holes name."""
        if isinstance(target, Form):
            return target.operands
        return [operand for step in target.steps for operand in self.syntax.by_name[step.form].operands]

    def _names_register(self, given: Given) -> bool:
        match given.value:
            case RowGiven():
                return any(map(self._names_register, given.value.holes))
            case int() | Wildcard():
                return False
            case expression:
                return any(symbol.name.lower() in self.syntax.register_names for symbol in symbols(expression))

    def undefined(self, error: Undefined) -> Rejected:
        """What to say of a symbol without a value."""
        if error.name.lower() in self.syntax.register_names:
            return Rejected(f"'{error.name}' is a register, not a number", error.start, error.end)
        return Rejected(str(error), error.start, error.end)

    def _targets(self, word: str) -> list[Form | Alias]:
        """Forms whose first word may be this one: mnemonics may go on in a hole, as in `b{cond}`."""
        found = list(self._heads.get(word + " ", ())) + list(self._heads.get(word, ()))
        for length in range(len(word) - 1, -1, -1):
            found += self._heads.get(word[:length], ())
        found.sort(key=lambda target: isinstance(target, Alias))
        return found

    # ------------------------------------------------------------ encoding

    def fixed(self, text: str, short: bool) -> bytes | None:
        """The bytes of a statement that are the same wherever it stands; None if they are not.  Raises Rejected."""
        key = text, short
        if key not in self._fixed:
            candidates = self.read(text)
            if not all(self._stays(candidate) for candidate in candidates):
                self._fixed[key] = None
            else:
                self._fixed[key] = self._first(candidates, short)
        return self._fixed[key]

    def _first(self, candidates: Sequence[Candidate], short: bool) -> bytes:
        first: Rejected | None = None
        for candidate in candidates:
            try:
                return self.encode(candidate, 0, NoSymbols(), short)
            except Rejected as error:
                first = first or error
        assert first is not None
        raise first

    def _stays(self, candidate: Candidate) -> bool:
        """Whether a candidate's bytes depend on neither symbols nor its address."""
        target = candidate.target
        if any(_moves(given) for given in candidate.given):
            return False
        if isinstance(target, Form):
            return not _relative(target)
        return not any(
            "." in binding.expression or _relative(self.syntax.by_name[step.form])
            for step in target.steps
            for binding in step.bindings
        )

    def encode(self, candidate: Candidate, pc: int, environment: Environment, short: bool = False) -> bytes:
        """The bytes of a candidate at an address; raises Rejected, or Undefined."""
        if isinstance(candidate.target, Form):
            if candidate.never:
                raise candidate.never[0]
            try:
                return self._encode_form(candidate.target, candidate.given, pc, environment, short)
            except Rejected as error:
                if error.by_name:
                    candidate.never.append(error)
                raise
        return self._encode_alias(candidate.target, candidate.given, pc, environment, short)

    def _encode_alias(
        self, alias: Alias, given: Sequence[Given], pc: int, environment: Environment, short: bool
    ) -> bytes:
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
                _check_limit(hole.limit, number, value)
        ends = any(".end" in binding.expression for step in alias.steps for binding in step.bindings)
        end = pc
        while True:
            inner = AliasEnvironment(values, pc, end, environment)
            code = b""
            for step in alias.steps:
                form = self.syntax.by_name[step.form]
                filled = self._filled(step, form, by_name, given, inner)
                code += self._encode_form(form, filled, pc + len(code), environment, short)
            if not ends or end == pc + len(code):
                return code
            # The end moves by what the steps take; if that changes what they take, they are written at full length.
            short = short and end == pc
            end = pc + len(code)

    def _filled(
        self,
        step: Step,
        form: Form,
        by_name: Mapping[str, Given],
        given: Sequence[Given],
        inner: AliasEnvironment,
    ) -> list[Given]:
        """What stands in the holes of one instruction of an alias."""
        start, end = (given[-1].start, given[-1].end) if given else (0, 1)
        filled: list[Given] = []
        for binding, hole in zip(step.bindings, form.holes, strict=True):
            if binding.value is not None:
                filled.append(Given(_meant(binding.value, hole), start, end))
            elif binding.name:
                filled.append(by_name[binding.name])
            else:
                if binding.expression not in self._expressions:
                    self._expressions[binding.expression] = parse(binding.expression, 0, slices=True)[0]
                filled.append(Given(_evaluate(self._expressions[binding.expression], inner), start, end))
        return filled

    def _shortened(self, form: Form, given: Sequence[Given], pc: int, environment: Environment) -> bytes | None:
        """The same in the first of the shorter encodings that can say it."""
        for rule in self._shorter.get(form.name, ()):
            found: dict[str, int] = {}
            for binding, hole, value in zip(rule.long.bindings, form.holes, given, strict=True):
                number = value.value
                if not isinstance(number, int):
                    break
                if binding.value is not None:
                    if number % (1 << hole.width) != binding.value:
                        break
                elif found.setdefault(binding.name, number) != number:
                    break
            else:
                short_form = self.syntax.by_name[rule.short.form]
                place = given[-1] if given else Given(0, 0, 1)
                filled = [
                    Given(
                        found[binding.name] if binding.value is None else _meant(binding.value, hole),
                        place.start,
                        place.end,
                    )
                    for binding, hole in zip(rule.short.bindings, short_form.holes, strict=True)
                ]
                try:
                    for name, limit in rule.limits:
                        _check_limit(limit, found[name], place)
                    return self._encode_form(short_form, filled, pc, environment, False)
                except Rejected:
                    continue
        return None

    def _encode_form(self, form: Form, given: Sequence[Given], pc: int, environment: Environment, short: bool) -> bytes:
        if short and form.name in self._shorter:
            given = [_evaluated(value, environment) for value in given]
            code = self._shortened(form, given, pc, environment)
            if code is not None:
                return code
        failure: Rejected | None = None
        by_name = True
        for prefix, modes in self._states_of(form):
            try:
                return self._encode_behind(form, given, pc, environment, prefix, modes)
            except Rejected as error:
                failure, by_name = failure or error, by_name and error.by_name
        assert failure is not None
        failure.by_name = by_name
        raise failure

    def _states_of(self, form: Form) -> Sequence[_State]:
        """Prefixes that lead to a form's space and may fit its guard, shortest first, and the modes they leave."""
        if form.name not in self._fitting:
            home = form.space == self.decoder.space.name
            states = self._states if home else self._states_elsewhere.get(form.space, [])
            guarded = form.guard is not None and bool(self.syntax.prefixes)
            fitting = [(code, modes) for code, modes in states if not guarded or _may_hold(form, modes)]
            self._fitting[form.name] = fitting or [(b"", self.modes)]
        return self._fitting[form.name]

    @cached_property
    def _leading(self) -> list[Prefix]:
        """Prefixes behind which another space is active."""
        prefixes = [prefix for prefix in self.syntax.prefixes if prefix.space == self.decoder.space.name]
        return [
            prefix
            for prefix in prefixes
            if any(
                after is not None and self.decoder.active(after) is not self.decoder.space
                for after in (prefix.apply(word, self.modes) for word in _words_of(prefix.encoding))
            )
        ]

    @cached_property
    def _states(self) -> list[_State]:
        """What prefixes an instruction of the active space may need leave, shortest first."""
        return self._behind([(b"", self.modes)], _MOST_PREFIXES)

    def _behind(self, pending: list[_State], most: int) -> list[_State]:
        found: dict[tuple[tuple[str, int], ...], _State] = {}
        for _ in range(most + 1):
            following: list[_State] = []
            for code, modes in pending:
                if found.setdefault(tuple(modes.items()), (code, modes))[0] is not code:
                    continue
                for prefix in self.syntax.prefixes:
                    if prefix.space != self.decoder.space.name or prefix in self._leading:
                        continue
                    for word in _words_of(prefix.encoding):
                        after = prefix.apply(word, modes)
                        if after is not None:
                            following.append((code + word.to_bytes(prefix.encoding.length // 8, "little"), after))
            pending = following
        return list(found.values())

    @cached_property
    def _states_elsewhere(self) -> dict[str, list[_State]]:
        """By the space they lead to: one prefix that does, and at most one before it."""
        found: dict[str, list[_State]] = {}
        for code, modes in self._behind([(b"", self.modes)], 1):
            for prefix in self._leading:
                for word in _words_of(prefix.encoding):
                    after = prefix.apply(word, modes)
                    if after is not None:
                        whole = code + word.to_bytes(prefix.encoding.length // 8, "little")
                        found.setdefault(self.decoder.active(after).name, []).append((whole, after))
        return {space: sorted(states, key=lambda state: len(state[0])) for space, states in found.items()}

    def _encode_behind(
        self,
        form: Form,
        given: Sequence[Given],
        pc: int,
        environment: Environment,
        prefix: bytes,
        modes: Mapping[str, int],
    ) -> bytes:
        """The bytes of a form behind these prefixes; raises Rejected."""
        encoding = form.encoding
        rows = {
            hole.operand: value.value
            for hole, value in zip(form.holes, given, strict=True)
            if isinstance(value.value, RowGiven)
        }
        length = 8 * len(prefix) + encoding.length + sum(_row_length(row) for row in rows.values())
        length += sum(tail.length for tail in form.tails)
        known = {**modes, PC: pc, NEXT_PC: (pc + length // 8) & ((1 << self.syntax.pc_width) - 1)}
        if form.guard is not None and self.syntax.prefixes and not _may_hold(form, known):
            raise Rejected(f"no prefixes make this an instruction (see {form.source})", 0, 1, by_name=True)
        solver = self._solver(form.fields, modes)
        tails: dict[str, int] = {}
        for hole, value in _direct_first(form.holes, given):
            if isinstance(value.value, RowGiven):
                operand = _operand_called(form.operands, hole.operand)
                tails[operand.name] = self._operand(operand, value.value, solver, known, environment, value, modes)
            else:
                self._solve(hole, value, solver, known, environment)
        known |= least_hidden(form, [field.name for field in form.fields if field.name not in known], known)
        fetch, at = encoding.insert(known), encoding.length
        for number, operand in enumerate(form.operands):
            fetch |= tails.get(operand.name, 0) << at
            at += _row_length(rows[operand.name]) if operand.name in rows else 0
            if number < len(form.tails):
                fetch |= form.tails[number].insert(known) << at
                at += form.tails[number].length
        code = prefix + fetch.to_bytes(at // 8, "little")
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
        modes: Mapping[str, int],
    ) -> int:
        """Solves a row, and the outer fields it stands for; returns what it adds to the fetch."""
        row = given.row
        fields = self._row_fields.setdefault(id(row), (*row.head.fields, *row.rest.fields))
        solver = self._solver(fields, modes)
        inner = {**modes, PC: known[PC], NEXT_PC: known[NEXT_PC]}
        holes = [piece for piece in row.pieces if isinstance(piece, Hole)]
        after, position = 0, row.rest.length
        tails: dict[str, tuple[int, int]] = {}
        for hole, value in _direct_first(holes, given.holes):
            if isinstance(value.value, RowGiven):
                nested = _operand_called(row.operands, hole.operand)
                tails[nested.name] = (
                    self._operand(nested, value.value, solver, inner, environment, value, modes),
                    _row_length(value.value),
                )
            else:
                self._solve(hole, value, solver, inner, environment)
        _fill(fields, inner)
        for nested in row.operands:
            bits, length = tails.get(nested.name, (0, 0))
            after |= bits << position
            position += length
        if row.guard is not None and not row.guard(inner):
            raise Rejected("this operand is not possible here", at.start, at.end)
        head, rest = row.head.insert(inner), row.rest.insert(inner) | after
        if any(_takes(other, head, rest, modes) for other in operand.rows[: operand.rows.index(row)]):
            raise Rejected("this operand is not possible here", at.start, at.end)
        place = row.head.length
        for argument in operand.arguments:
            place -= argument.width
            try:
                outer.solve(argument, head >> place & ((1 << argument.width) - 1), known)
            except Unsolvable:
                raise Rejected("this operand is not possible here", at.start, at.end) from None
        return rest

    def _solver(self, fields: tuple[Field, ...], modes: Mapping[str, int]) -> Solver:
        key = id(fields), id(modes)
        found = self._solvers.get(key)
        if found is None:
            found = self._solvers[key] = Solver(fields, modes)
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
            if hole.names is not None and hole.kind == "names":
                self._solve_name(hole, hole.names, number, solver, known)
            else:
                solver.solve(hole, number % (1 << hole.width), known, style)
        except Unsolvable as error:
            by_name = hole.kind == "names" and isinstance(value, int)
            raise Rejected(explain(hole, number, known[PC], error), given.start, given.end, by_name=by_name) from None

    def _solve_name(self, hole: Hole, names: Names, number: int, solver: Solver, known: dict[str, int]) -> None:
        """A name may stand for several values, of which one is possible here."""
        values = [value for value in names.synonyms(number) if value < 1 << hole.width] or [number]
        for value in values[:-1]:
            try:
                solver.solve(hole, value, known)
                return
            except Unsolvable:
                continue
        solver.solve(hole, values[-1], known)

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


def _moved(candidate: Candidate, start: int, by: int) -> Candidate:
    """With other places of what stands behind `start`."""
    given = [
        replace(one, start=one.start + by, end=one.end + by) if one.start > start else one for one in candidate.given
    ]
    return Candidate(candidate.target, tuple(given))


def _moves(given: Given) -> bool:
    """Whether a value depends on a symbol or the address."""
    match given.value:
        case RowGiven():
            return True
        case int() | Wildcard():
            return False
        case expression:
            return _symbolic(expression)


def _symbolic(expression: Expression) -> bool:
    match expression:
        case Symbol() | Call():
            return True
        case Operation():
            return any(map(_symbolic, expression.operands))
    return False


def _relative(form: Form) -> bool:
    return bool(form.operands) or any(hole.kind == "address" for hole in form.holes)


def _evaluated(given: Given, environment: Environment) -> Given:
    """With a number for an expression."""
    if isinstance(given.value, int | RowGiven | Wildcard):
        return given
    return Given(_evaluate(given.value, environment), given.start, given.end)


def _meant(bits: int, hole: Hole) -> int:
    return signed(bits, hole.width) if hole.signed else bits


def _check_limit(limit: str, number: int, given: Given) -> None:
    if limit == "!0":
        if number == 0:
            raise Rejected("0 cannot stand here", given.start, given.end)
        return
    low, high = limits_of(limit)
    if not low <= number <= high:
        raise Rejected(f"{number} is out of range {low}..{high}", given.start, given.end)


def _evaluate(expression: Expression, environment: Environment) -> int:
    try:
        return expression.evaluate(environment)
    except BadExpression as error:
        raise Rejected(str(error), error.start, error.end) from None


def _direct_first(holes: Sequence[Hole], given: Sequence[Given]) -> list[tuple[Hole, Given]]:
    """Holes that are fields before those that compute, for they may share a field; last those that only say whether
    something holds, the less the more fields they ask, and then whether it does not: there are more ways not to.  What
    asks for no field is decided already, and soonest."""

    def key(pair: tuple[Hole, Given]) -> tuple[bool, bool, int, bool]:
        hole, given = pair
        whether = hole.kind == "optional"
        if hole.value is not None and not hole.fields and hole.kind != "address":
            return False, False, -1, False
        return hole.value is not None, whether, len(hole.fields) if whether else 0, whether and given.value == 0

    return sorted(zip(holes, given, strict=True), key=key)


def _words_of(encoding: Encoding) -> Iterator[int]:
    """Every word of a prefix."""
    free = [1 << bit for bit in range(encoding.length) if not encoding.mask >> bit & 1]
    for chosen in range(1 << len(free)):
        yield encoding.value | sum(bit for number, bit in enumerate(free) if chosen >> number & 1)


def _may_hold(form: Form, known: Mapping[str, int]) -> bool:
    """Whether a form's guard holds with these modes, as far as that can be said before its fields are known."""
    assert form.guard is not None
    try:
        return bool(form.guard(known))
    except KeyError:
        return True


def _fill(fields: Sequence[Field], known: dict[str, int]) -> None:
    """Fields that the text does not show are 0."""
    for one in fields:
        known.setdefault(one.name, 0)


def _length(form: Form) -> int:
    """Bits of a form, of each operand's own the fewest that a row of it takes."""
    own = sum(min((row.rest.length for row in operand.rows), default=0) for operand in form.operands)
    return form.encoding.length + own + sum(tail.length for tail in form.tails)


def _row_length(given: RowGiven) -> int:
    return given.row.rest.length + sum(
        _row_length(inner.value) for inner in given.holes if isinstance(inner.value, RowGiven)
    )


def _takes(row: Row, head: int, rest: int, modes: Mapping[str, int]) -> bool:
    """Whether a row fits these bits."""
    if not (row.head.matches(head) and row.rest.matches(rest)):
        return False
    return row.guard is None or bool(row.guard({**modes, **row.head.extract(head), **row.rest.extract(rest)}))


def _operand_called(operands: Sequence[Operand], name: str) -> Operand:
    return next(operand for operand in operands if operand.name == name)


def _head(pieces: Sequence[Piece | AliasHole]) -> str:
    """The literal a statement starts with, to the end of its first word; with a blank after it if the word is whole."""
    first = pieces[0] if pieces and isinstance(pieces[0], str) else ""
    word, blank, _ = first.partition(" ")
    return word.lower() + (" " if blank or len(pieces) == 1 else "")


def _may_be(pieces: Sequence[Piece | AliasHole], word: str, text: str) -> bool:
    """Whether a text with this first word is meant to be such a statement."""
    head = _head(pieces)
    if head:
        return head == word + " " or not head.endswith(" ")
    # It begins with a hole, as what may stand behind `rep` does: its first literal tells.
    literals = next((piece.split() for piece in pieces if isinstance(piece, str)), [])
    return not literals or literals[0].lower() in text.lower()
