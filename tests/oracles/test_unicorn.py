"""Every instruction that Unicorn knows, on random operands from fixed seeds: the whole architectural state agrees."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")

from runtime.core.cpu import load_isa
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Form
from tests.conftest import ROOT
from tests.oracles.riscv_state import CODE, WINDOW, WINDOW_SIZE, State, random_state
from tests.oracles.subject import ALL_SUBJECTS, SUBJECTS, Subject
from tests.oracles.unicorn_differences import Differences
from tests.oracles.unicorn_machine import UnicornMachine
from tests.tools import require_build

#: extensions that came after QEMU 5, by a word of theirs in the file name of the spec
_UNKNOWN = ("zba", "zbb", "zbs", "zicond")
_FCSR = (1, 2, 3)
_SYSTEM = ("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci")
_MEMORY = ("lb", "lh", "lw", "ld", "sb", "sh", "sw", "sd", "flw", "fld", "fsw", "fsd", "amo", "lr", "sc")
_DIFFERENCES = Differences()


def mnemonic(form: Form) -> str:
    """The instruction's declared name, which clones share."""
    return form.name.partition("__")[0]


class Pair:
    """The subject and Unicorn, and the forms of the instructions both know."""

    def __init__(self, xlen: int, subject: Subject) -> None:
        isa = load_isa(ROOT / "build" / f"riscv{xlen}")
        syntax = isa.module("syntax").SYNTAX
        self.xlen = xlen
        self.decoder = Decoder(syntax)
        self.forms: list[Form] = [form for form in syntax.forms if not any(word in form.source for word in _UNKNOWN)]
        self.subject = subject
        self.unicorn = UnicornMachine(xlen)

    def word(self, random: Random, form: Form) -> int:
        """A random word that is this instruction."""
        encoding = form.encoding
        while True:
            word = encoding.value | random.getrandbits(encoding.length) & ~encoding.mask
            if form.name in _SYSTEM:
                word = word & 0xFFFFF | random.choice(_FCSR) << 20
            decoded = self.decoder.decode(word.to_bytes(encoding.length // 8, "little"), CODE)
            if decoded is not None and decoded.form is form:
                return word

    def compare(self, form: Form, random: Random) -> list[str]:
        """What differs after one random word of the form in one random state; nothing for a listed difference."""
        word = self.word(random, form)
        name = mnemonic(form)
        plain = name.removeprefix("c_").removesuffix("sp")
        state = random_state(random, self.xlen, plain.startswith(_MEMORY), 0.95 if name.endswith("_s") else 0.5)
        if plain.startswith("amo"):
            state = replace(state, x=tuple(value & ~7 for value in state.x))
        if random.random() < 0.1:
            state = replace(state, frm=random.randrange(5, 8))
        values = form.encoding.extract(word)
        if _DIFFERENCES.leave_out(name, values, state):
            return []
        code = word.to_bytes(form.encoding.length // 8, "little") + struct.pack("<2I", 0x13, 0x13)
        ours, raised = self.subject.run(code, state)
        theirs, stopped = self.unicorn.run(code, state)
        if stopped and theirs.pc not in (CODE, CODE + form.encoding.length // 8):
            stopped = False  # a jump was taken; it is what stands at its target that cannot be run
        if raised or stopped:
            differences = [] if stopped else [f"we raise {raised}"]
            differences += [] if raised else ["Unicorn raises"]
            differences += [f"changed by a raise: {line}" for line in state.differences(ours)] if raised else []
        else:
            differences = list(ours.differences(_DIFFERENCES.adjusted(name, values, theirs)))
        return [f"{form.name} {word:#x} {values} frm {state.frm}: {'; '.join(differences)}"] if differences else []


@pytest.fixture(scope="module", params=ALL_SUBJECTS, ids="rv{0[0]}-{0[1]}".format)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    xlen, name = request.param
    require_build(f"riscv{xlen}")
    subject = SUBJECTS[name](xlen)
    yield Pair(xlen, subject)
    subject.close()


def _sweep(pair: Pair, count: int) -> list[str]:
    wrong = []
    for form in pair.forms:
        random = Random(f"{pair.xlen} {form.name}")
        for _ in range(count):
            wrong += pair.compare(form, random)
    return wrong


def test_state_agrees(pair: Pair) -> None:
    wrong = _sweep(pair, 20)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


@pytest.mark.slow
def test_state_agrees_on_many_operands(pair: Pair) -> None:
    wrong = _sweep(pair, 200)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


def test_every_instruction_is_compared(pair: Pair) -> None:
    """The sweep means something only if it reaches the instructions, and the table leaves something to compare."""
    names = {mnemonic(form) for form in pair.forms}
    assert {"add", "jalr", "amoadd_w", "fmadd_d", "fcvt_w_s", "c_addi16sp", "csrrw"} <= names
    assert len(names) >= (185 if pair.xlen == 64 else 145)


@pytest.mark.parametrize(("width", "xlens"), [(32, (32, 64)), (64, (64,))])
def test_reservations_agree(pair: Pair, width: int, xlens: tuple[int, ...]) -> None:
    """lr a0,(a1) then sc a2,a3,(a4): stores if the addresses are the same, and only then."""
    if pair.xlen not in xlens:
        return
    place = 2 if width == 32 else 3
    load = 0x1005852F | place << 12
    store = 0x18D7062F | place << 12
    random = Random(width)
    for _ in range(50):
        state = random_state(random, pair.xlen, True, 0.5)
        x = [value & ~7 for value in state.x]
        if random.random() < 0.7:
            x[14] = x[11]
        state = replace(state, x=tuple(x))
        code = struct.pack("<4I", load, store, 0x13, 0x13)
        ours, raised = pair.subject.run(code, state, 2)
        theirs, stopped = pair.unicorn.run(code, state, 2)
        assert not raised
        assert not stopped
        assert not list(ours.differences(theirs))
        assert ours.x[12] == (x[14] != x[11])


def test_a_wrong_expectation_is_caught(pair: Pair) -> None:
    """The control: told to run another instruction than Unicorn, the comparison says so."""
    random = Random(7)
    state = random_state(random, pair.xlen, False, 0.5)
    state = State(pair.xlen, CODE, state.x, state.f, 0, 0, bytes(WINDOW_SIZE))
    ours, _ = pair.subject.run(struct.pack("<2I", 0x00C58533, 0x13), state)  # add a0,a1,a2
    theirs, _ = pair.unicorn.run(struct.pack("<2I", 0x40C58533, 0x13), state)  # sub a0,a1,a2
    assert list(ours.differences(theirs)) == [f"x10 {ours.x[10]:#x} / {theirs.x[10]:#x}"]
    changed = replace(state, memory=state.memory[:-1] + b"\x01")
    assert list(state.differences(changed)) == [f"[{WINDOW + WINDOW_SIZE - 1:#x}] 0x00 / 0x01"]
