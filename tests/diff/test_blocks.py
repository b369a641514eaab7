"""Random blocks of instructions, run by the native engine as it likes (fused, chained) and by the translator one at a
time: the same state at the end, and the same exception at the same place if one is raised on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.core.memory import PAGE_SIZE
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Form
from tests.conftest import ROOT
from tests.oracles.riscv_state import CODE, WINDOW, State, random_state
from tests.oracles.subject import NativeSubject, TranslatedSubject
from tests.tools import require_build

_EBREAK = struct.pack("<I", 0x00100073)
#: no straight line goes through these; clocks differ by nature
_LEFT_OUT = ("ecall", "ebreak", "c_ebreak", "jal", "jalr", "c_j", "c_jal", "c_jr", "c_jalr")
_SYSTEM = ("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci")
_BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu", "c_beqz", "c_bnez")
#: pointers: s0, s1 and a0 to a3, the registers that compressed instructions reach; sp too
_POINTERS = (2, 8, 9, 10, 11, 12, 13)


class Blocks:
    """Makes blocks and runs them both ways."""

    def __init__(self, xlen: int) -> None:
        self.xlen = xlen
        syntax = load_isa(ROOT / "build" / f"riscv{xlen}").module("syntax").SYNTAX
        self.decoder = Decoder(syntax)
        self.forms = [form for form in syntax.forms if form.name.partition("__")[0] not in _LEFT_OUT]
        self.native = NativeSubject(xlen)
        self.translated = TranslatedSubject(xlen)

    def close(self) -> None:
        """Free everything."""
        self.native.close()

    def word(self, random: Random, form: Form, left: int) -> bytes:
        """A random word of the form; branches go forward by no more than `left` instructions of four bytes."""
        encoding = form.encoding
        fields = {field.name: field for field in encoding.fields}
        while True:
            word = encoding.value | random.getrandbits(encoding.length) & ~encoding.mask
            if form.name in _SYSTEM:
                word = word & 0xFFFFF | random.choice((1, 2, 3)) << 20
            if form.name in _BRANCHES:
                word &= ~fields["imm"].insert(-1 & (1 << fields["imm"].width) - 1)
                word |= fields["imm"].insert(4 * random.randrange(1, max(2, min(left, 40))))
            for name in ("rd", "rdc"):  # pointers live longer if they are seldom overwritten
                if name in fields and random.random() < 0.8:
                    number = fields[name].extract(word) + (8 if name == "rdc" else 0)
                    if number in _POINTERS and name == "rd":
                        word = word & ~fields[name].insert(31) | fields[name].insert(random.choice((5, 15, 28)))
            data = word.to_bytes(encoding.length // 8, "little")
            decoded = self.decoder.decode(data, CODE)
            if decoded is not None and decoded.form is form:
                return data

    def block(self, random: Random, length: int) -> bytes:
        """Instructions padded to four bytes each, so that branches land between them; ebreak last."""
        code = b""
        for number in range(length):
            data = self.word(random, random.choice(self.forms), length - number)
            if len(data) == 2:
                partner = self.word(random, random.choice(self.compressed), length - number)
                data += partner
            code += data
        return code + _EBREAK

    @property
    def compressed(self) -> list[Form]:
        """Forms of two bytes that are no branches: their distances count from themselves."""
        return [form for form in self.forms if form.encoding.length == 16 and form.name not in _BRANCHES]

    def compare(self, random: Random, length: int) -> list[str]:
        """What differs."""
        code = self.block(random, length)
        state = random_state(random, self.xlen, False, 0.5)
        pointers = random_state(random, self.xlen, True, 0.5).x
        x = tuple(pointers[number] & ~7 if number in _POINTERS else value for number, value in enumerate(state.x))
        state = State(self.xlen, CODE, x, state.f, state.frm, state.fflags, state.memory)
        page = code.ljust(PAGE_SIZE, b"\0")  # a load may hit it: nothing of the block before may be left
        ours, raised = self.native.run(page, state, None)
        theirs, expected = self.translated.run(page, state, None)
        differences = list(ours.differences(theirs))
        if raised != expected:
            differences.append(f"{raised} / {expected}")
        return [f"{code.hex(' ', 4)}: {'; '.join(differences)}"] if differences else []


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def blocks(request: pytest.FixtureRequest) -> Iterator[Blocks]:
    require_build(f"riscv{request.param}")
    made = Blocks(request.param)
    yield made
    made.close()


def _sweep(blocks: Blocks, count: int, seed: str) -> list[str]:
    random = Random(f"{seed} {blocks.xlen}")
    return [line for _ in range(count) for line in blocks.compare(random, random.choice((3, 10, 40)))]


def test_blocks_agree(blocks: Blocks) -> None:
    wrong = _sweep(blocks, 150, "blocks")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:10]])


@pytest.mark.slow
def test_many_blocks_agree(blocks: Blocks) -> None:
    wrong = _sweep(blocks, 4000, "many blocks")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:10]])


def test_most_blocks_reach_their_end(blocks: Blocks) -> None:
    """Otherwise the sweep would compare first instructions only."""
    random = Random(5)
    ends = 0
    for _ in range(40):
        code = blocks.block(random, 10)
        state = random_state(random, blocks.xlen, True, 0.5)
        state = replace(state, x=tuple(value & ~7 for value in state.x), frm=0)
        _, raised = blocks.native.run(code, state, None)
        ends += raised == "Breakpoint"
    assert ends > 10


def test_a_difference_is_caught(blocks: Blocks) -> None:
    """The control: the two do not run the same code."""
    state = random_state(Random(1), blocks.xlen, True, 0.5)
    one, _ = blocks.native.run(struct.pack("<I", 0x00C58533) + _EBREAK, state, None)
    other, _ = blocks.translated.run(struct.pack("<I", 0x40C58533) + _EBREAK, state, None)
    assert [line.split()[0] for line in one.differences(other)] == ["x10"]
    assert one.x[11] < WINDOW + 0x3000
