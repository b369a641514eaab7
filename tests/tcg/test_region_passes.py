"""Passes over a region's TCG: what they are to bring about is brought about, and what it computes stays the same."""

from __future__ import annotations

import re

import pytest

from runtime.core.env import GUEST_STATE
from runtime.core.layout import LAZY_SYNC
from runtime.tcg.ir import Function, Label, Op, Temp
from runtime.tcg.optimize import remove_dead
from runtime.tcg.region import RegionBlock, RegionRequest
from runtime.tcg.region_builder import DEOPT
from runtime.tcg.region_carrying import carry_less
from runtime.tcg.region_compiler import RegionCompiler
from runtime.tcg.region_narrowing import narrow_registers
from runtime.tcg.region_packing import find_packs
from runtime.tcg.region_sinking import sink_into_exits
from runtime.tcg.region_weights import branch_weights
from runtime.tcg.verify import verify
from tests.conftest import ROOT
from tests.tcg.test_regions import Regions, checks, regions  # noqa: F401  the fixtures
from tests.tools import require_build

#: registers that code of these tests reads and writes
FIRST, SECOND = GUEST_STATE, GUEST_STATE + 8


class _Writer:
    """Ops of a region, one after the other."""

    def __init__(self) -> None:
        self.function = Function("region")

    def op(self, name: str, width: int, *args: Temp | int, widths: tuple[int, ...] = (), offset: int = 0) -> Temp:
        temp = self.function.temp(width)
        symbol = "X" if name.endswith("_env") else ""
        given = widths or tuple([width] * len(args))
        self.function.ops.append(Op(name, (temp,), args, given, offset=offset, symbol=symbol))
        return temp

    def label(self, label: Label, *parameters: Temp) -> None:
        self.function.ops.append(Op("label", parameters, labels=(label,)))

    def br(self, label: Label, *args: Temp | int) -> None:
        self.function.ops.append(Op("br", (), args, (64,) * len(args), labels=(label,)))

    def branch(self, condition: Temp, then: Label, otherwise: Label, weight: int = 0) -> None:
        self.function.ops.append(Op("brcond", (), (condition,), (1,), offset=weight, labels=(then, otherwise)))

    def leave(self, label: Label, stored: dict[int, Temp], budget: Temp | int = 0) -> None:
        """A way out that stores registers."""
        self.label(label)
        for offset, value in stored.items():
            self.function.ops.append(Op("st_env", (), (value,), (64,), offset=offset, symbol="X"))
        self.function.ops.append(Op("exit", (), (0x1000, budget), (64, 64), offset=DEOPT))

    def names(self, start: Label, end: Label | None) -> list[str]:
        """Names of the ops between two labels."""
        ops = self.function.ops
        places = {op.labels[0]: at for at, op in enumerate(ops) if op.name == "label"}
        return [op.name for op in ops[places[start] + 1 : places[end] if end else len(ops)]]


def _loop(writer: _Writer, both: bool) -> tuple[Label, Label]:
    """A loop that adds in 32 bits, where an exit stores the sum and a product of it that nobody else reads."""
    head, out, again = (writer.function.label() for _ in range(3))
    found = writer.op("ld_env", 64, offset=FIRST)
    other = writer.op("ld_env", 64, offset=SECOND)
    writer.br(head, found)
    parameter = writer.function.temp(64)
    writer.label(head, parameter)
    low = writer.op("slice", 32, parameter, widths=(64,))
    more = writer.op("add", 32, low, 3)
    whole = writer.op("sext", 64, more, widths=(32,))
    unread = writer.op("shl", 64, whole, 7, widths=(64, 8))
    condition = writer.op("ult", 1, low, 100, widths=(32, 32))
    writer.branch(condition, again, out)
    writer.label(again)
    writer.br(head, writer.op("xor", 64, whole, other) if both else whole)
    writer.leave(out, {FIRST: parameter, SECOND: unread})
    return head, out


def test_what_only_exits_want_is_computed_there() -> None:
    writer = _Writer()
    head, out = _loop(writer, False)
    assert "shl" in writer.names(head, out)
    sink_into_exits(writer.function)
    verify(writer.function)
    assert "shl" not in writer.names(head, out)
    assert writer.names(out, None).count("shl") == 1


def test_what_others_want_stays() -> None:
    """Nor is anything moved that would keep two values alive for one."""
    writer = _Writer()
    other, out, on = (writer.function.label() for _ in range(3))
    one, two = writer.op("ld_env", 64, offset=FIRST), writer.op("ld_env", 64, offset=SECOND)
    both = writer.op("add", 64, one, two)
    used = writer.op("not", 64, one)
    writer.branch(writer.op("eq", 1, used, 0, widths=(64, 64)), out, on)
    writer.label(on)
    writer.br(other)
    writer.leave(out, {FIRST: both, SECOND: used})
    writer.leave(other, {})
    before = [op.name for op in writer.function.ops]
    sink_into_exits(writer.function)
    assert [op.name for op in writer.function.ops] == before


def test_a_32_bit_sum_is_carried_as_32_bits() -> None:
    """The exit extends it, or takes what the region found from env while that is what it is."""
    writer = _Writer()
    head, out = _loop(writer, False)
    assert narrow_registers(writer.function)
    verify(writer.function)
    (label,) = (op for op in writer.function.ops if op.name == "label" and op.labels[0] == head)
    assert [temp.width for temp in label.results] == [32, 1]
    assert writer.names(out, None)[:3] == ["sext", "ld_env", "select"]


def test_a_register_that_needs_its_upper_half_keeps_it() -> None:
    """One bit of it comes from another register, of which nothing is known."""
    writer = _Writer()
    _loop(writer, True)
    assert not narrow_registers(writer.function)


def _carrying(writer: _Writer, passed_on: bool) -> tuple[Label, Label]:
    """A loop that counts, whose exit stores eight times the number and its opposite as the turn before left them."""
    head, out, again = (writer.function.label() for _ in range(3))
    before = [writer.op("ld_env", 64, offset=FIRST + 8 * number) for number in range(3)]
    writer.br(head, *before)
    number, eight, turned = (writer.function.temp(64) for _ in range(3))
    writer.label(head, number, eight, turned)
    writer.branch(writer.op("eq", 1, eight if passed_on else number, 100, widths=(64, 64)), out, again)
    writer.label(again)
    following = writer.op("add", 64, number, 1)
    writer.br(head, following, writer.op("shl", 64, following, 3), writer.op("not", 64, following))
    writer.leave(out, {FIRST + 8: eight, FIRST + 16: turned})
    return head, out


def test_what_a_loop_carries_for_exits_is_made_there() -> None:
    """Of what it carries anyway; in the first turn it is what env holds."""
    writer = _Writer()
    head, out = _carrying(writer, False)
    assert carry_less(writer.function)
    remove_dead(writer.function)
    verify(writer.function)
    (label,) = (op for op in writer.function.ops if op.name == "label" and op.labels[0] == head)
    assert [temp.width for temp in label.results] == [64, 1]
    assert {"shl", "not"}.isdisjoint(writer.names(head, out))
    assert sorted(writer.names(out, None)) == sorted(["shl", "not", *["ld_env", "select", "st_env"] * 2, "exit"])


def test_what_the_loop_looks_at_is_carried() -> None:
    """Then there is one value left that exits alone want, and nothing is gained."""
    writer = _Writer()
    _carrying(writer, True)
    assert not carry_less(writer.function)


def test_the_innermost_of_loops_with_one_header_is_the_hottest() -> None:
    writer = _Writer()
    head, inner, outer, out, rest = (writer.function.label() for _ in range(5))
    writer.br(head)
    writer.label(head)
    writer.branch(writer.op("ld_env", 1, offset=FIRST), inner, outer)
    writer.label(inner)
    writer.br(head)
    writer.label(outer)
    writer.branch(writer.op("ld_env", 1, offset=SECOND), rest, out)
    writer.label(rest)
    writer.br(head)
    writer.leave(out, {})
    weights = branch_weights(writer.function)
    first, second = (weights[id(op)] for op in writer.function.ops if op.name == "brcond")
    assert first[0] > first[1]
    assert second[0] > second[1]


_RECURSIVE = """
b0: li a0, 9
    jal ra, f
b1: add t1, t1, a0
    addi t0, t0, -1
    bnez t0, b0
b2: ebreak
f:  addi sp, sp, -16
    sw ra, 0(sp)
    sw a0, 8(sp)
    li t2, 2
    blt a0, t2, b4
b3: addi a0, a0, -1
    jal ra, f
b5: lw t3, 8(sp)
    sw a0, 8(sp)
    addi a0, t3, -2
    jal ra, f
b6: lw t3, 8(sp)
    add a0, a0, t3
b4: lw ra, 0(sp)
    addi sp, sp, 16
    jr ra
"""


@pytest.mark.parametrize("starts", ["b0 f b1 b3 b4 b5 b6", "f b3 b4 b5 b6", "b0 f b1", "f b6 b3", "f b4"])
@pytest.mark.parametrize("budget", [40, 333, 1_000_000])
def test_recursion(regions: Regions, starts: str, budget: int) -> None:  # noqa: F811  a fixture
    """Calls inside calls, deeper than there are copies for, to return addresses that went by way of memory."""
    names = tuple(starts.split())
    places = regions.places(_RECURSIVE)[1]
    registers = {2: 0x40000 + 2048, 5: 20, 1: places["b2"], 10: 9}
    plain, compiled = regions.both(_RECURSIVE, names, registers, budget)
    if budget == 1_000_000:
        assert not plain.differences(compiled)
        assert compiled.executed > 100
    else:
        assert compiled.reason == plain.reason


def test_what_is_called_is_there_for_each_call(regions: Regions) -> None:  # noqa: F811  a fixture
    """A region of two calls of one function is longer than the three blocks, and one without the calls is not."""
    text = "b0: jal ra, f\nb1: jal ra, f\nb2: bnez a0, b0\nebreak\nf: addi a0, a0, -1\naddi a1, a1, 3\njr ra\n"
    code, places = regions.places(text)
    starts = [places[name] - 0x10000 for name in ("b0", "b1", "b2", "f")]
    compile_ = regions.machine.compiler.compile
    assert compile_(regions.machine.request(code, starts)).instructions == 4 + 2 * 3
    alone = compile_(regions.machine.request(code, starts[3:]))
    assert alone.instructions == 3


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        pytest.param("4801d8 4839c8 7cf8", False, id="add, cmp, jl: flags are set before they are read"),
        pytest.param("7204 4801d8 c3", True, id="jb: the carry of whatever came before"),
        pytest.param("48ffc0 4839c8 7cf8", False, id="inc, cmp, jl: the carry that inc keeps is set again"),
    ],
)
def test_flags_that_nobody_reads_stay_owed(code: str, asked: bool) -> None:
    """A region runs the rule that was owed at its entry only if some result of it is used."""
    require_build("x86_64")
    request = RegionRequest(0x1000, 0, (RegionBlock(0x1000, bytes.fromhex(code), 1),))
    function = RegionCompiler("x86_64", ROOT / "build").compile(request).optimized
    assert function is not None
    assert asked == any(op.name == "call_env" and op.symbol == LAZY_SYNC for op in function.ops)


@pytest.mark.parametrize(
    ("code", "packs"),
    [
        pytest.param("660f58c1 660f59c2 c3", [2, 2], id="addpd, mulpd"),
        pytest.param("0f51c1 c3", [4], id="sqrtps"),
        pytest.param("660f7cc1 c3", [2], id="haddpd: lanes of one register"),
        pytest.param("f20f58c1 c3", [], id="addsd: one lane"),
    ],
)
def test_lanes_are_computed_at_once(code: str, packs: list[int]) -> None:
    """Operations on all lanes of two registers stand side by side, and are one instruction."""
    require_build("x86_64")
    request = RegionRequest(0x1000, 0, (RegionBlock(0x1000, bytes.fromhex(code), 1),))
    compiled = RegionCompiler("x86_64", ROOT / "build").compile(request)
    assert compiled.optimized is not None
    assert [len(operations) for operations, _ in find_packs(compiled.optimized)] == packs
    assert len(re.findall(r"= call <\d x \w+> @llvm.experimental.constrained", compiled.ir)) == len(packs)
