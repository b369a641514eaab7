"""Regions of vector instructions end as tier 0 does: random x86-64 code in a loop, often with reals as operands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.core.env import GUEST_STATE, Exit
from runtime.core.layout import LAZY_ARGUMENTS
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Form
from runtime.tcg.helpers import InlineHelpers
from runtime.tcg.ir import Op, Temp
from tests.conftest import ROOT
from tests.oracles.x86_cases import instruction, name_of, random_lane
from tests.tcg.regions import CODE, DATA, DATA_SIZE, Ending, RegionMachine
from tests.tools import require_build

#: files of the specification that vector instructions are in
_FILES = ("x86_sse", "x86_avx", "x86_fma", "x86_crypto")
#: `sub r15d, 1; jnz` back to the beginning, then an illegal instruction
_LOOP = bytes.fromhex("4183ef01 0f85")
_END = bytes.fromhex("0f0b")
_TURNS = 15  # the register that counts


class Vectors:
    """A machine, and the instructions it is given."""

    def __init__(self, checks: str) -> None:
        self.machine = RegionMachine(ROOT / "build" / "x86_64", checks)
        syntax = self.machine.isa.module("syntax").SYNTAX
        self.decoder = Decoder(syntax)
        self.forms = [form for form in syntax.forms if any(name in form.source for name in _FILES)]
        #: sums, products and the like of all lanes: these are done at once
        self.packed = [form for form in self.forms if re.fullmatch("v?(add|sub|mul|div|sqrt)p[sd]", name_of(form))]

    def code(self, random: Random, forms: list[Form]) -> tuple[bytes, list[str]]:
        """A loop of some of them, and their names."""
        body, names = b"", list[str]()
        count = random.choice((1, 2, 4, 8))
        while len(names) < count:
            code = instruction(random, random.choice(forms), True)
            decoded = self.decoder.decode(code, CODE)
            if decoded is None or not self._wanted(decoded.form):
                continue
            body += code[: decoded.length]
            names.append(name_of(decoded.form))
        distance = -(len(body) + len(_LOOP) + 4)
        return body + _LOOP + distance.to_bytes(4, "little", signed=True) + _END, names

    def _wanted(self, form: Form) -> bool:
        return any(name in form.source for name in _FILES)

    def state(self, random: Random, flags: int) -> bytes:
        """Registers to begin with; those that may be pointers point at data."""
        vcpu = self.machine.vcpu
        vcpu.reset()
        for number in range(16):
            vcpu.set("R", DATA + DATA_SIZE // 2 + 16 * random.randrange(-8, 8) + random.choice((0, 0, 0, 1)), number)
            for name in ("XMM", "YH"):
                vcpu.set(name, random_lane(random) | random_lane(random) << 64, number)
        vcpu.set("R", random.choice((1, 3, 40)), _TURNS)
        vcpu.set("SFLAGS", flags)
        vcpu.set("MXCTL", 0x1F80)
        return bytes(vcpu.octets[GUEST_STATE:])

    def compare(self, random: Random, packed: bool) -> list[str]:
        """What differs between tier 0 and a region."""
        code, names = self.code(random, self.packed if packed else self.forms)
        state = self.state(random, random.choice((0, random.getrandbits(5))))
        data = b"".join(random_lane(random).to_bytes(8, "little") for _ in range(DATA_SIZE // 8))
        endings = []
        for compiled in (False, True):
            self.machine.load(code)
            if compiled:
                request = self.machine.request(code, [0, len(code) - len(_END)])
                self.machine.install(self.machine.compiler.compile(request), CODE)
            endings.append(self._run(state, data))
        differences = endings[0].differences(endings[1])
        return [f"{' '.join(names)}: {code.hex()}: {'; '.join(differences)}"] if differences else []

    def _run(self, state: bytes, data: bytes) -> Ending:
        """To the end; where flags were owed is not compared, for that is nobody's once they are paid."""
        ending = self.machine.run(CODE, state, data, 2000)
        assert ending.reason in (Exit.EXCEPTION, Exit.BUDGET)
        owed = self.machine.isa.layout.owed
        assert owed is not None
        start = owed.rule - GUEST_STATE
        if start < 0:
            return ending
        kept = ending.state[:start] + ending.state[start + 8 * (1 + LAZY_ARGUMENTS) :]
        return replace(ending, state=kept)


@pytest.fixture(scope="module", params=("guard", "byte"))
def vectors(request: pytest.FixtureRequest) -> Iterator[Vectors]:
    require_build("x86_64")
    made = Vectors(request.param)
    yield made
    made.machine.close()


def _sweep(vectors: Vectors, count: int, seed: str, packed: bool = False) -> list[str]:
    return [line for number in range(count) for line in vectors.compare(Random(f"{seed} {number}"), packed)]


def test_regions_of_vector_instructions_agree(vectors: Vectors) -> None:
    wrong = _sweep(vectors, 60, "vectors")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:3]])


def test_regions_of_arithmetic_on_lanes_agree(vectors: Vectors) -> None:
    """Results that are NaNs, and the flags of all lanes, are those of one lane after the other."""
    assert len(vectors.packed) >= 20
    wrong = _sweep(vectors, 60, "lanes", True)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:3]])


@pytest.mark.slow
def test_many_regions_of_vector_instructions_agree(vectors: Vectors) -> None:
    wrong = _sweep(vectors, 3000, "many vectors")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:3]])


def test_what_stands_in_a_region_calls_nothing() -> None:
    """Of a helper whose text is put into regions; all else is called, where the native code has it."""
    isa = load_isa(require_build("x86_64"))
    helpers = isa.module("translate").HELPERS
    inline, found = InlineHelpers(helpers, isa.layout), set[str]()
    for helper in helpers.values():
        arguments = tuple(Temp(number, width) for number, width in enumerate(helper.parameters))
        made = inline.find(Op("call", (), arguments, helper.parameters, symbol=helper.name))
        if made is not None:
            found.add(made.name)
            assert all(name.startswith("llvm.") for name in re.findall(r"@([\w.]+)\(", made.text) if name != made.name)
    assert {"each_128_add_32", "each_256_l_eq_8"} <= found
    assert "l_sad" not in found
