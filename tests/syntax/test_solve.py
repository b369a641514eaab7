"""Solving expressions for their field bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.syntax.arithmetic import rotr, sext
from runtime.syntax.solve import Range, Solver, Style, Unsolvable
from runtime.syntax.tables import PC, Evaluate, Field, Hole
from tests.tools import lines_executed

IMM = Field("imm", 13, ((1, 8, 4), (5, 25, 6), (11, 7, 1), (12, 31, 1)))  # an even number of 13 bits
K = Field("k", 12, ((0, 0, 12),))
A = Field("a", 3, ((0, 0, 3),))
B = Field("b", 2, ((0, 3, 2),))


def hole(width: int, value: Evaluate, *fields: str) -> Hole:
    return Hole("number", width, value=value, fields=fields)


BRANCH = hole(32, lambda f: f[PC] + sext(f["imm"], 13, 32) & 0xFFFFFFFF, "imm")
ROTATED = hole(32, lambda f: rotr(f["k"] & 0xFF, (f["k"] >> 8) * 2, 32), "k")
TOGETHER = hole(5, lambda f: f["b"] << 3 | f["a"], "b", "a")
SUM = hole(4, lambda f: f["a"] + f["b"] & 15, "a", "b")


def solve(expression: Hole, target: int, style: Style = "unsigned", **known: int) -> dict[str, int]:
    values = dict(known)
    Solver((IMM, K, A, B), {}).solve(expression, target % (1 << expression.width), values, style)
    return values


@given(st.integers(-2048, 2047), st.integers(0, 2**31))
def test_branches(halves: int, pc: int) -> None:
    solver, values = Solver((IMM,), {}), {PC: pc}
    solver.solve(BRANCH, (pc + 2 * halves) % 2**32, values, "relative")
    assert values["imm"] == 2 * halves % 2**13


def test_branches_wrap_around_the_address_space() -> None:
    values = {PC: 0xFFFFFFFE}
    Solver((IMM,), {}).solve(BRANCH, 2, values, "relative")
    assert values["imm"] == 4


@pytest.mark.parametrize(("target", "style"), [(4096, "relative"), (-4098, "relative"), (3, "relative")])
def test_targets_out_of_reach(target: int, style: Style) -> None:
    values = {PC: 0}
    with pytest.raises(Unsolvable) as caught:
        Solver((IMM,), {}).solve(BRANCH, target % 2**32, values, style)
    assert caught.value.allowed == Range(-4096, 4094, 2)
    assert str(caught.value.allowed) == "-4096..4094 in steps of 2"


def test_a_target_out_of_reach_is_told_without_trying_all() -> None:
    """4096 values would be tried for each address from which somebody looks for one."""

    def refused(pc: int) -> None:
        with pytest.raises(Unsolvable):
            Solver((IMM,), {}).solve(BRANCH, pc + 3, {PC: pc}, "relative")

    assert lines_executed(refused, 0x1000) < 2000


def test_rotated_immediates_are_tabulated() -> None:
    assert solve(ROTATED, 0xFF)["k"] == 0xFF
    assert solve(ROTATED, 0xF000000F)["k"] == 0x2FF  # rotated by 4, the lowest possibility
    with pytest.raises(Unsolvable) as caught:
        solve(ROTATED, 0x101)
    assert caught.value.allowed is not None
    assert caught.value.allowed.step is None


def test_several_fields() -> None:
    values = solve(TOGETHER, 0b10_101)
    assert (values["b"], values["a"]) == (0b10, 0b101)


def test_fields_already_known() -> None:
    assert solve(TOGETHER, 0b10_101, a=5)["b"] == 2
    with pytest.raises(Unsolvable):
        solve(TOGETHER, 0b10_101, a=4)
    with pytest.raises(Unsolvable):
        solve(TOGETHER, 1, a=1, b=1)


def test_a_sum_of_fields() -> None:
    for target in range(11):
        values = solve(SUM, target)
        assert values["a"] + values["b"] == target


@pytest.mark.parametrize(("style", "text"), [("unsigned", "0..4095"), ("signed", "-2048..2047")])
def test_ranges_of_fields(style: Style, text: str) -> None:
    direct = Hole("number", 12, field="k")
    assert str(Solver((K,), {}).range_of(direct, {}, style)) == text


def test_bits_that_a_field_lacks() -> None:
    with pytest.raises(Unsolvable):
        solve(Hole("number", 13, field="imm"), 1)
