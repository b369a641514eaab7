"""Every instruction that Unicorn knows, on random operands from fixed seeds: the whole architectural state agrees.

What Unicorn does not know, and where it is wrong, stands in the tables beside the specs (specs/*.oracle.toml).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")

from isomorph.fuzz.case import Case
from isomorph.fuzz.engine import Engine
from isomorph.fuzz.engines import compare, make_engine
from isomorph.fuzz.sequences import Sequences, mnemonic
from isomorph.fuzz.state import State, empty_state, random_state
from runtime.core.cpu import Isa, load_isa
from runtime.syntax.tables import Form
from tests.oracles.subject import SUBJECTS, with_registers
from tests.tools import require_build


class Pair:
    """An engine of ours and Unicorn, and the forms of the instructions both know."""

    def __init__(self, isa: Isa, name: str) -> None:
        self.isa = isa
        self.ours: Engine = make_engine(name, isa)
        self.theirs: Engine = make_engine("unicorn", isa)
        self.sequences = Sequences(isa, "unicorn")

    def close(self) -> None:
        """Free everything."""
        self.ours.close()
        self.sequences.close()

    def differences(self, case: Case) -> list[str]:
        """What differs in a case."""
        return compare(case, self.ours, self.ours.run(case), self.theirs, self.theirs.run(case))

    def state(self, random: Random) -> State:
        """Addresses in few registers, or in nearly all."""
        return random_state(random, self.isa.layout, self.sequences.oracle, random.choice((0.1, 0.95)))

    def one(self, form: Form, random: Random) -> Case | None:
        """A random word of a form in a random state; None if Unicorn cannot be asked about it."""
        pool = [random.getrandbits(8) for _ in range(6)]
        word = next(word for word in (self.sequences.word(random, form, pool) for _ in range(500)) if word is not None)
        if form.name.startswith("csr") and 0xC03 <= int.from_bytes(word, "little") >> 20 <= 0xC1F:
            return None  # event counters: Unicorn's RV32 gives a program those that mcounteren withholds
        return self.sequences.judged(Case((word,), self.state(random), {}))


@pytest.fixture(scope="module", params=SUBJECTS, ids="rv{0[0]}-{0[1]}".format)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    xlen, name = request.param
    made = Pair(load_isa(require_build(f"riscv{xlen}")), name)
    yield made
    made.close()


def _sweep(pair: Pair, count: int) -> None:
    """`count` words of every form."""
    wrong: list[str] = []
    for form in pair.sequences.forms:
        random = Random(f"{pair.isa.name} {form.name}")
        tried = (pair.one(form, random) for _ in range(30 * count))
        cases = list(islice((case for case in tried if case is not None), count))
        assert len(cases) == count, f"{form.name} can hardly be compared"
        wrong += [f"{form.name} {case.bytes.hex()}: {line}" for case in cases for line in pair.differences(case)]
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


def test_state_agrees(pair: Pair) -> None:
    _sweep(pair, 20)


@pytest.mark.slow
def test_state_agrees_on_many_operands(pair: Pair) -> None:
    _sweep(pair, 200)


def test_every_instruction_is_compared(pair: Pair) -> None:
    """The sweep means something only if it reaches the instructions, and the tables leave something to compare."""
    names = {mnemonic(form) for form in pair.sequences.forms}
    assert {"add", "jalr", "amoadd_w", "fmadd_d", "fcvt_w_s", "c_addi16sp", "csrrw"} <= names
    assert len(names) >= (185 if pair.isa.name == "riscv64" else 145)


@pytest.mark.parametrize("width", [32, 64])
def test_reservations_agree(pair: Pair, width: int) -> None:
    """lr a0,(a1) then sc a2,a3,(a4): stores if the addresses are the same, and only then."""
    if width > pair.isa.layout.pc_width:
        return
    place = (2 if width == 32 else 3) << 12
    code = tuple(word.to_bytes(4, "little") for word in (0x1005852F | place, 0x18D7062F | place))
    random = Random(width)
    for _ in range(50):
        state = random_state(random, pair.isa.layout, pair.sequences.oracle, 1.0)
        first, second = (0x21800 + 8 * random.randrange(-64, 64) for _ in range(2))
        second = first if random.random() < 0.7 else second
        case = Case(code, with_registers(state, "X", {11: first, 14: second}), {})
        assert not pair.differences(case)
        assert pair.ours.run(case).state.registers["X"][12] == (first != second)


def test_a_wrong_expectation_is_caught(pair: Pair) -> None:
    """The control: told to run another instruction than Unicorn, the comparison says so."""
    state = with_registers(empty_state(pair.isa.layout), "X", {11: 5, 12: 3})
    add, sub = (Case((word.to_bytes(4, "little"),), state, {}) for word in (0x00C58533, 0x40C58533))
    found = compare(add, pair.ours, pair.ours.run(add), pair.theirs, pair.theirs.run(sub))
    assert found == ["X[10]: 0x8 / 0x2"]
    changed = replace(state, memory=state.memory[:-1] + b"\x01")
    assert list(state.differences(changed)) == ["[0x22fff]: 0x00 / 0x01"]
