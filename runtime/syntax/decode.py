"""Which form a fetched word is, for the disassembler and for the assembler's check of its own work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime.syntax.tables import NEXT_PC, PC, Encoding, Form, Operand, Prefix, Row, Space, Syntax, Values

__all__ = ["BoundRow", "Decoded", "Decoder"]


@dataclass(frozen=True, slots=True)
class BoundRow:
    """The row an operand took, with the values of its fields and of its own operands."""

    row: Row
    values: dict[str, int]
    operands: dict[str, BoundRow]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A form with the values of its fields; `length` is in bytes and counts the operands' own words."""

    form: Form
    values: dict[str, int]
    operands: dict[str, BoundRow]
    length: int


class _Bucket:
    """Forms by the bits that most of them fix, so that few are tried on a word."""

    def __init__(self, forms: Sequence[Form], tested: int = 0) -> None:
        self.forms = forms
        self.mask = 0
        self.cases: dict[int, _Bucket] = {}
        self.loose: _Bucket | None = None
        if len(forms) <= 4:
            return
        shortest = min(form.encoding.length for form in forms)
        mask = ((1 << shortest) - 1) & ~tested
        for form in forms:
            mask &= form.encoding.mask
        if not mask:
            mask = self._majority(forms, tested, shortest)
        if not mask:
            return
        values = {form.encoding.value & mask for form in forms if form.encoding.mask & mask == mask}
        loose = [form for form in forms if form.encoding.mask & mask != mask]
        if len(values) < 2 and not loose:
            # All agree: nothing is learnt from these bits, others may tell them apart.
            inner = _Bucket(forms, tested | mask)
            self.mask, self.cases, self.loose = inner.mask, inner.cases, inner.loose
            return
        self.mask = mask
        for value in values:
            case = [form for form in forms if not (form.encoding.value ^ value) & form.encoding.mask & mask]
            self.cases[value] = _Bucket(case, tested | mask)
        if loose:
            self.loose = _Bucket(loose, tested | mask)

    @staticmethod
    def _majority(forms: Sequence[Form], tested: int, shortest: int) -> int:
        """A bit that more than half of the forms fix."""
        best, most = 0, len(forms) // 2
        for bit in range(shortest):
            if not tested >> bit & 1:
                count = sum(form.encoding.mask >> bit & 1 for form in forms)
                if count > most:
                    best, most = 1 << bit, count
        return best

    def candidates(self, fetch: int) -> Sequence[Form]:
        bucket = self
        while bucket.mask:
            found = bucket.cases.get(fetch & bucket.mask, bucket.loose)
            if found is None:
                return ()
            bucket = found
        return bucket.forms


class Decoder:
    """Decodes words in the space that the modes make active."""

    def __init__(self, syntax: Syntax, modes: Mapping[str, int] | None = None) -> None:
        self.syntax = syntax
        self.modes = {**syntax.modes, **(modes or {})}
        self.space = self.active(self.modes)
        forms = [form for form in syntax.forms if form.space == self.space.name]
        self.common = _common_bits(forms)
        #: of the active space, and of those that prefixes lead to
        self.buckets: dict[str, _Bucket] = {}
        self.prefixes: dict[str, list[Prefix]] = {}

    def active(self, modes: Values) -> Space:
        """The space that instructions are taken from in these modes."""
        spaces = self.syntax.spaces
        return next((space for space in spaces if space.when is None or space.when(modes)), spaces[0])

    def candidates(self, space: Space, fetch: int) -> Sequence[Form]:
        """Forms of a space that a word may be."""
        if space.name not in self.buckets:
            self.buckets[space.name] = _Bucket([form for form in self.syntax.forms if form.space == space.name])
        return self.buckets[space.name].candidates(fetch)

    def decode(self, data: bytes, pc: int) -> Decoded | None:
        """The instruction at the start of `data`, or None."""
        fetch = int.from_bytes(data[: self.space.max_bytes], "little")
        available = 8 * min(len(data), self.space.max_bytes)
        modes, before = self._after_prefixes(fetch, available)
        space = self.active(modes) if before else self.space
        fetch >>= before
        available -= before
        for form in self.candidates(space, fetch):
            encoding = form.encoding
            if fetch & encoding.mask == encoding.value and encoding.length <= available:
                found = self.take(form, fetch, available, pc, modes, before)
                if found is not None:
                    return found
        return None

    def _after_prefixes(self, fetch: int, available: int) -> tuple[Mapping[str, int], int]:
        """The modes that the prefixes at the start leave, and how many bits these have."""
        modes, at = self.modes, 0
        while self.syntax.prefixes and at < available:
            for prefix in self._prefixes_in(self.active(modes) if at else self.space):
                found = prefix.apply(fetch >> at, modes)
                if found is not None:
                    modes = found
                    at += prefix.encoding.length
                    break
            else:
                break
        return modes, at

    def _prefixes_in(self, space: Space) -> Sequence[Prefix]:
        if space.name not in self.prefixes:
            self.prefixes[space.name] = [prefix for prefix in self.syntax.prefixes if prefix.space == space.name]
        return self.prefixes[space.name]

    def take(
        self,
        form: Form,
        fetch: int,
        available: int,
        pc: int,
        modes: Mapping[str, int] | None = None,
        before: int = 0,
    ) -> Decoded | None:
        """A word as this form, whose fixed bits it has; None if a guard or an operand does not allow it.

        `before` are the bits of its prefixes, which are not in `fetch`, `modes` what they left."""
        modes = self.modes if modes is None else modes
        values = {**modes, **form.encoding.extract(fetch), PC: pc}
        if form.guard is not None and not form.guard(values):
            return None
        operands: dict[str, BoundRow] = {}
        at = form.encoding.length
        for number, operand in enumerate(form.operands):
            bound = self._bind(operand, values, modes, fetch, at, available)
            if bound is None:
                return None
            operands[operand.name], at = bound
            if number < len(form.tails):
                values.update(form.tails[number].extract(fetch >> at))
                at += form.tails[number].length
        if at > available:
            return None
        length = (at + before) // 8
        values[NEXT_PC] = (pc + length) & ((1 << self.syntax.pc_width) - 1)
        _finish(operands, values[NEXT_PC])
        return Decoded(form, values, operands, length)

    def _bind(
        self, operand: Operand, values: Values, modes: Values, fetch: int, at: int, available: int
    ) -> tuple[BoundRow, int] | None:
        """The first row that matches, and where the fetch goes on after it."""
        head = 0
        for argument in operand.arguments:
            head = head << argument.width | argument.evaluate(values)
        for row in operand.rows:
            rest, after = fetch >> at, at + row.rest.length
            if not row.head.matches(head):
                continue
            # Of bytes that are not there it may be this row or a later one: that is no instruction yet.
            known = row.rest.mask if after <= available else row.rest.mask & ((1 << max(available - at, 0)) - 1)
            if (rest ^ row.rest.value) & known:
                continue
            inner = {**modes, PC: values[PC], **row.head.extract(head), **row.rest.extract(rest)}
            if row.guard is not None and not row.guard(inner):
                continue
            if after > available:
                return None
            operands: dict[str, BoundRow] = {}
            for nested in row.operands:
                bound = self._bind(nested, inner, modes, fetch, after, available)
                if bound is None:
                    break
                operands[nested.name], after = bound
            else:
                return BoundRow(row, inner, operands), after
        return None

    def modes_after(self, code: bytes) -> Mapping[str, int]:
        """The modes that the instruction behind this one is read in."""
        if not self.syntax.following:
            return self.modes
        after = {**self.modes, **{key: value(self.modes) for key, value in self.syntax.following}}
        decoded = self.decode(code, 0)
        return after if decoded is None else after | {key: value(decoded.values) for key, value in decoded.form.leaves}

    def length_of_undefined(self, data: bytes) -> int:
        """Bytes of a word that no form takes: as long as the longest forms whose common bits it has."""
        fetch = int.from_bytes(data[: self.space.max_bytes], "little")
        for length, encoding in self.common.items():
            if encoding.mask and encoding.matches(fetch) and 8 * len(data) >= length:
                return length // 8
        return min(len(data), self.space.units[0] // 8)


def _finish(operands: Mapping[str, BoundRow], next_pc: int) -> None:
    for bound in operands.values():
        bound.values[NEXT_PC] = next_pc
        _finish(bound.operands, next_pc)


def _common_bits(forms: Sequence[Form]) -> dict[int, Encoding]:
    """For each length, longest first, the fixed bits all its forms share."""
    common: dict[int, Encoding] = {}
    for length in sorted({form.encoding.length for form in forms}, reverse=True):
        same = [form.encoding for form in forms if form.encoding.length == length]
        mask = same[0].mask
        for encoding in same:
            mask &= encoding.mask & ~(encoding.value ^ same[0].value)
        common[length] = Encoding(length, mask, same[0].value & mask)
    return common
