"""Shrinking: the smallest case that still shows a difference, by trying simpler ones until none does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from isomorph.fuzz.case import Case
from isomorph.fuzz.state import CODE, WINDOW_SIZE
from runtime.core.layout import Layout
from runtime.syntax.decode import Decoder

__all__ = ["shrink"]

#: cases tried at most
_MOST = 3000
_PIECE = 256  # bytes of memory cleared at a time, at first


def shrink(
    case: Case,
    layout: Layout,
    decoder: Decoder,
    still: Callable[[Case], bool],
    kept: tuple[str, int, int] | None = None,
) -> Case:
    """The smallest case found for which `still` holds, as it does for `case`; `kept`: a register left as it is."""
    left = _MOST

    def better(candidates: Iterator[Case]) -> bool:
        """Take the first candidate that still differs."""
        nonlocal case, left
        for candidate in candidates:
            if left <= 0:
                return False
            left -= 1
            if still(candidate):
                case = candidate
                return True
        return False

    # Each is asked anew after every step: what is simpler depends on the case as it is then.
    simpler: tuple[Callable[[], Iterator[Case]], ...] = (
        lambda: _fewer_instructions(case),
        lambda: _plainer_state(case, layout, kept),
        lambda: _less_memory(case),
        lambda: _plainer_operands(case, decoder),
        lambda: _smaller_registers(case, kept),
    )
    changed = True
    while changed and left > 0:
        changed = False
        for candidates in simpler:
            while better(candidates()):
                changed = True
    return case


def _fewer_instructions(case: Case) -> Iterator[Case]:
    """Without a half of the instructions, a quarter, … one."""
    size = len(case.code) // 2 or 1
    while len(case.code) > 1:
        for at in range(0, len(case.code), size):
            code = case.code[:at] + case.code[at + size :]
            if code:
                yield replace(case, code=code)
        if size == 1:
            return
        size //= 2


def _plainer_state(case: Case, layout: Layout, kept: tuple[str, int, int] | None) -> Iterator[Case]:
    """With modes as after a reset; without the contents of a register file; of a register."""
    state = case.state
    reset = {mode.name: mode.reset for mode in layout.modes}
    if state.modes != reset:
        yield replace(case, state=replace(state, modes=reset))
    for name, values in state.registers.items():
        zeros = tuple(kept[2] if kept and kept[:2] == (name, number) else 0 for number in range(len(values)))
        if values != zeros:
            yield replace(case, state=replace(state, registers={**state.registers, name: zeros}))
    for name, values in state.registers.items():
        for number, value in enumerate(values):
            if value and (kept is None or kept[:2] != (name, number)):
                yield case.with_register(name, number, 0)


def _less_memory(case: Case) -> Iterator[Case]:
    """All zeros; zeros in a piece; in smaller pieces of what is left."""
    memory = case.state.memory
    if not any(memory):
        return
    yield replace(case, state=replace(case.state, memory=bytes(WINDOW_SIZE)))
    size = _PIECE
    while size:
        for at in range(0, WINDOW_SIZE, size):
            if any(memory[at : at + size]):
                cleared = memory[:at] + bytes(size) + memory[at + size :]
                yield replace(case, state=replace(case.state, memory=cleared))
        size //= 4
        if memory.count(0) < WINDOW_SIZE - _PIECE:
            return  # most of it is needed: not byte by byte


def _plainer_operands(case: Case, decoder: Decoder) -> Iterator[Case]:
    """Each field 0, or with less bits set, as long as it stays the same instruction."""
    for number, word in enumerate(case.code):
        decoded = decoder.decode(word, CODE)
        if decoded is None:
            continue
        encoding = decoded.form.encoding
        values = {field.name: decoded.values[field.name] for field in encoding.fields}
        for field in encoding.fields:
            value = values[field.name]
            for other in _simpler(value):
                fetch = encoding.insert({**values, field.name: other})
                plainer = fetch.to_bytes(len(word), "little")
                found = decoder.decode(plainer, CODE)
                if plainer != word and found is not None and found.form is decoded.form:
                    yield replace(case, code=(*case.code[:number], plainer, *case.code[number + 1 :]))


def _smaller_registers(case: Case, kept: tuple[str, int, int] | None) -> Iterator[Case]:
    for name, values in case.state.registers.items():
        for number, value in enumerate(values):
            if value and (kept is None or kept[:2] != (name, number)):
                for other in _simpler(value):
                    yield case.with_register(name, number, other)


def _simpler(value: int) -> Iterator[int]:
    """Numbers with fewer bits than this one, the simplest first."""
    if value == 0:
        return
    yield 0
    if value != 1:
        yield 1
    seen = {0, 1, value}
    top = 1 << value.bit_length() - 1
    for other in (top, value & -value, value ^ top, value & value - 1, value >> 1):
        if other not in seen and other.bit_count() <= value.bit_count() and other < value:
            seen.add(other)
            yield other
