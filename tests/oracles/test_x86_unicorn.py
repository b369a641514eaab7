"""i386's and x86-64's instructions against Unicorn: every one that it knows, with random prefixes, operands and flags.

What it does not know, and where it is wrong, stands in tables beside the specs (specs/x86_core.oracle.toml); flags that
the manual leaves open are those that the spec calls `undefined`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest

pytest.importorskip("unicorn", reason="no unicorn (pip install unicorn)")

from isomorph.coverage import ran
from isomorph.fuzz.case import Case
from isomorph.fuzz.engines import compare, make_engine
from isomorph.fuzz.sequences import Sequences, mnemonic
from isomorph.fuzz.state import CODE, WINDOW, WINDOW_SIZE, empty_state, random_state
from runtime.core.cpu import load_isa
from runtime.syntax.tables import Form
from tests.oracles.subject import with_registers
from tests.tools import require_build

#: where jumps may lead to
_WAY = (b"\x90",) * 200
#: words of a form that are made, at most, for each that can be compared
_TRIES = 60


class Pair:
    """Both machines, and cases that can be compared."""

    def __init__(self, name: str) -> None:
        self.isa = load_isa(require_build(name))
        self.sequences = Sequences(self.isa, "unicorn")
        self.ours = make_engine("steps", self.isa)
        self.theirs = make_engine("unicorn", self.isa)

    def close(self) -> None:
        self.ours.close()
        self.sequences.close()

    def cases(self, form: Form, random: Random, tries: int) -> Iterator[Case]:
        """An instruction of a form, in random states."""
        for _ in range(tries):
            word = self.sequences.word(random, form, [random.getrandbits(8)])
            if word is None:
                continue
            state = random_state(random, self.isa.layout, self.sequences.oracle, random.choice((0.1, 0.95)))
            state = self.sequences.with_reset(with_registers(state, "R", {4: WINDOW + WINDOW_SIZE // 2}))
            case = self.sequences.judged(Case((word,), state, {}))
            if case is not None and self.ours.run(case).state.pc not in (CODE, case.end):
                case = self.sequences.judged(Case((word, *_WAY), state, {}))  # what it jumps over leads to the end
            if case is not None:
                yield case

    def differences(self, case: Case) -> list[str]:
        """What differs in a case."""
        return compare(case, self.ours, self.ours.run(case), self.theirs, self.theirs.run(case))

    def case(self, *words: str) -> Case | None:
        """Instructions in the state after a reset, if they can be compared."""
        state = self.sequences.with_reset(empty_state(self.isa.layout))
        return self.sequences.judged(Case(tuple(map(bytes.fromhex, words)), state, {}))


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    yield made
    made.close()


def _sweep(pair: Pair, count: int) -> list[str]:
    """Up to so many cases of every form: what differs."""
    wrong: list[str] = []
    for form in pair.sequences.forms:
        random = Random(f"{pair.isa.name} {form.name}")
        for case in islice(pair.cases(form, random, _TRIES * count), count):
            ran(pair.isa.name, mnemonic(form))
            wrong += [f"{form.name} {case.bytes.hex()}: {line}" for line in pair.differences(case)]
    return wrong


def test_every_instruction(pair: Pair) -> None:
    assert _sweep(pair, 2) == []


@pytest.mark.slow
def test_every_instruction_often(pair: Pair) -> None:
    assert _sweep(pair, 20) == []


def test_the_tables_leave_something_to_compare(pair: Pair) -> None:
    names = {mnemonic(form) for form in pair.sequences.forms}
    assert {"add", "shld", "cmpxchg", "movs", "pshufb", "cvtps2dq", "unpcklps", "jcc8", "enter"} - names == {"enter"}
    assert len(names) > 300


def test_what_is_undefined_is_not_compared_nor_read(pair: Pair) -> None:
    """mul leaves SF, ZF, AF and PF open: sete would show one of them, cmp gives them values again."""
    multiply, compared, shown = "f7e1", "39d8", "0f94c0"
    alone, defined = pair.case(multiply), pair.case(multiply, compared, shown)
    assert alone is not None
    assert set(alone.masks) == {("SF", 0), ("ZF", 0), ("AF", 0), ("PF", 0)}
    assert defined is not None
    assert not defined.masks
    assert pair.case(multiply, shown) is None


def test_the_comparison_can_fail(pair: Pair) -> None:
    """The control: told to run another instruction than Unicorn, it says so."""
    state = with_registers(pair.sequences.with_reset(empty_state(pair.isa.layout)), "R", {0: 5, 3: 3})
    add, sub = (Case((bytes.fromhex(word),), state, {}) for word in ("01d8", "29d8"))
    assert pair.differences(add) == []
    found = compare(add, pair.ours, pair.ours.run(add), pair.theirs, pair.theirs.run(sub))
    assert "R[0]: 0x8 / 0x2" in found
