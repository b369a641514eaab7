"""Control flow of the builder: what folds, what unrolls, what becomes a branch."""

from __future__ import annotations

import pytest

from runtime.tcg.builder import Builder
from runtime.tcg.control import Var
from runtime.tcg.ir import Function, InternalError, Temp, Value, plain_function
from runtime.tcg.optimize import optimize
from runtime.tcg.reference import Machine
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT


def plain(parameters: tuple[int, ...], results: tuple[int, ...]) -> tuple[Builder, tuple[Temp, ...]]:
    """A builder of a plain function."""
    function = plain_function("f", parameters, results)
    return Builder(LAYOUT, function), function.parameters


def run(builder: Builder, *arguments: int) -> tuple[int, ...]:
    """Verify and execute, before and after the optimiser."""
    function = verify(builder.function)
    before = Machine(bytearray()).run(function, *arguments).values
    assert Machine(bytearray()).run(verify(optimize(function)), *arguments).values == before
    return before


def test_a_known_condition_takes_one_arm() -> None:
    b, _ = plain((), (8,))
    x = b.var(8, 0)
    arms = []
    for arm in b.If(1, x):
        arms.append(arm)
        x.set(5 if arm else 6)
    assert arms == [True]
    assert x.get() == 5
    assert not b.ops


def test_an_unknown_condition_builds_both_arms() -> None:
    b, (c,) = plain((1,), (8,))
    x = b.var(8, 0)
    for arm in b.If(c, x):
        x.set(5 if arm else 6)
    b.ret((x.get(),))
    assert run(b, 1) == (5,)
    b, (c,) = plain((1,), (8,))
    x = b.var(8, 7)
    for arm in b.If(c, x):
        if arm:
            x.set(5)
    b.ret((x.get(),))
    assert run(b, 0) == (7,)


def test_a_variable_both_arms_leave_alone_needs_no_parameter() -> None:
    b, (c,) = plain((1,), (8,))
    x = b.var(8, 3)
    for _ in b.If(c, x):
        pass
    assert x.get() == 3


def test_an_assignment_the_condition_does_not_name_is_an_error() -> None:
    b, (c,) = plain((1,), ())
    x = b.var(8, 3)
    for _ in b.If(c):
        with pytest.raises(InternalError, match="does not name"):
            x.set(1)


def test_a_raising_arm_leaves_the_other_without_a_join() -> None:
    function = Function("f")
    b = Builder(LAYOUT, function)
    b.begin_instruction(0, 4, 0)
    c = b.get_reg("C")
    x = b.var(8, 0)
    for arm in b.If(c, x):
        if arm:
            b.raise_(5)
        else:
            x.set(9)
    assert x.get() == 9
    assert [op.name for op in b.ops].count("label") == 2


def test_known_bounds_unroll() -> None:
    b, _ = plain((), (8,))
    total = b.var(8, 0)
    for i in b.For(8, 2, 5, total):
        total.set(b.add(8, total.get(), i))
    assert total.get() == 14
    for _ in b.For(8, 5, 2, total):
        total.set(0)
    assert total.get() == 14
    assert not b.ops


def _sum_to(b: Builder, low: Value, high: Value) -> Value:
    total = b.var(8, 0)
    for i in b.For(8, low, high, total):
        total.set(b.add(8, total.get(), i))
    return total.get()


@pytest.mark.parametrize(("low", "high", "total"), [(0, 3, 6), (3, 3, 3), (4, 3, 0), (250, 255, 235), (0, 255, 128)])
def test_unknown_bounds_loop(low: int, high: int, total: int) -> None:
    b, (first, last) = plain((8, 8), (8,))
    b.ret((_sum_to(b, first, last),))
    assert run(b, low, high) == (total,)


def test_many_known_turns_loop() -> None:
    b, _ = plain((), (8,))
    b.ret((_sum_to(b, 0, 200),))
    assert len(b.ops) < 20
    assert run(b) == (sum(range(201)) & 255,)


def test_a_known_while_unrolls() -> None:
    b, _ = plain((), (8,))
    x = b.var(8, 1)
    for loop in b.While(x):
        loop.test(b.ult(8, x.get(), 100))
        x.set(b.mul(8, x.get(), 3))
    assert x.get() == 243
    assert not b.ops


def test_an_unknown_while_loops() -> None:
    b, (n,) = plain((8,), (8, 8))
    x, turns = b.var(8, n), b.var(8, 0)
    for loop in b.While(x, turns):
        loop.test(b.ne(8, x.get(), 0))
        x.set(b.and_(8, x.get(), b.sub(8, x.get(), 1)))
        turns.set(b.add(8, turns.get(), 1))
    b.ret((x.get(), turns.get()))
    assert run(b, 0b10110101) == (0, 5)
    assert [op.name for op in b.ops].count("popcount") == 0


def test_break_under_an_unknown_condition() -> None:
    b, (limit,) = plain((8,), (8,))
    x = b.var(8, 0)
    for loop in b.While(x):
        loop.test(1)
        for arm in b.If(b.ult(8, limit, x.get()), x):
            if arm:
                loop.break_()
        x.set(b.add(8, x.get(), 7))
    b.ret((x.get(),))
    assert run(b, 20) == (21,)
    assert len(b.ops) < 20


def test_break_from_an_unrolled_for() -> None:
    b, (limit,) = plain((8,), (8,))
    x = b.var(8, 99)
    for i in b.For(8, 0, 9, x):
        for arm in b.If(b.eq(8, limit, i), x):
            if arm:
                x.set(i)
                b.break_()
    b.ret((x.get(),))
    assert run(b, 4) == (4,)
    assert Machine(bytearray()).run(b.function, 50).values == (99,)


def _first_set(b: Builder, x: Value) -> Value:
    frame = b.frame(8)
    for i in b.For(8, 0, 7):
        for arm in b.If(b.dynslice(x, 8, i, 8, 1)):
            if arm:
                frame.ret(i)
    frame.ret(8)
    result = frame.result()
    assert not isinstance(result, tuple)
    assert result is not None
    return result


@pytest.mark.parametrize(("x", "first"), [(0, 8), (1, 0), (0x50, 4), (0x80, 7)])
def test_early_returns(x: int, first: int) -> None:
    b, _ = plain((), (8,))
    assert _first_set(b, x) == first
    assert not b.ops
    b, (value,) = plain((8,), (8,))
    b.ret((_first_set(b, value),))
    assert run(b, x) == (first,)


def test_a_frame_of_one_return_needs_no_label() -> None:
    b, (x,) = plain((8,), (8,))
    frame = b.frame(8, 8)
    frame.ret(b.add(8, x, 1), 5)
    result = frame.result()
    assert isinstance(result, tuple)
    assert result[1] == 5
    assert [op.name for op in b.ops] == ["add"]


def test_nothing_is_built_where_control_does_not_come() -> None:
    b = Builder(LAYOUT, Function("f"))
    b.begin_instruction(0, 4, 0)
    b.raise_(5)
    before = len(b.ops)
    x: Var = b.var(8, 0)
    for _ in b.If(b.get_reg("C"), x):
        raise AssertionError
    for _ in b.For(8, 0, b.get_reg("S"), x):
        raise AssertionError
    for _ in b.While(x):
        raise AssertionError
    b.set_reg("S", 1)
    b.store("M", 0, 8, 0, 0)
    assert len(b.ops) == before


def test_goto_in_both_arms_takes_two_slots_and_no_fall_through() -> None:
    function = Function("f")
    b = Builder(LAYOUT, function)
    b.begin_instruction(0, 4, 0)
    for arm in b.If(b.get_reg("C")):
        b.goto(0x100 if arm else 0x200)
    b.end_instruction()
    assert b.targets == [0x100, 0x200]
    assert b.ends_block
    assert [op.offset for op in function.ops if op.name == "goto_tb"] == [b.slot_offset(1), b.slot_offset(0)]
    verify(function)


def test_goto_in_one_arm_falls_through_by_another_slot() -> None:
    function = Function("f")
    b = Builder(LAYOUT, function)
    b.begin_instruction(0, 4, 0)
    for arm in b.If(b.get_reg("C")):
        if arm:
            b.goto(0x100)
    b.set_reg("C", 0)  # the body goes on after a goto
    b.end_instruction()
    assert len([op for op in function.ops if op.name == "goto_tb"]) == 2
    verify(function)


def test_a_mode_written_with_a_known_value_stays_known() -> None:
    b = Builder(LAYOUT, Function("f"))
    b.begin_instruction(0, 4, 0)
    b.set_mode("T", 1)
    assert b.get_mode("T") == 1
    b.end_instruction()
    assert not b.ends_block


def test_a_mode_written_on_one_way_is_a_run_time_value_after() -> None:
    b = Builder(LAYOUT, Function("f"))
    b.begin_instruction(0, 4, 0)
    for arm in b.If(b.get_reg("C")):
        if arm:
            b.set_mode("T", 1)
            assert b.get_mode("T") == 1
    assert isinstance(b.get_mode("T"), Temp)
    b.end_instruction()
    assert b.ends_block
    assert b.ops[-1].name == "goto_ptr"


def test_atomic_uses_one_host_instruction_where_there_is_one() -> None:
    def names(body: str) -> list[str]:
        b = Builder(LAYOUT, Function("f"))
        b.begin_instruction(0, 4, 0)
        v = b.get_regfile("W", 1)
        word = b.slice(v, 128, 0, 32)
        for at in b.atomic("M", b.get_regfile("R", 2), 32, 0):
            if body == "max":
                at.commit(b.select(32, b.ult(32, at.old, word), word, at.old))
            elif body == "swap":
                at.commit(word)
            else:
                at.commit(getattr(b, body)(32, at.old, word))
        b.set_regfile("R", 3, b.zext(at.old, 32, 64))
        b.emit("exit", (0, 0), (64, 64))
        return [op.name for op in verify(b.function).ops if op.name.endswith("_mem") and op.name != "check_mem"]

    assert names("add") == ["add_mem"]
    assert names("xor") == ["xor_mem"]
    assert names("swap") == ["xchg_mem"]
    assert names("max") == ["ld_mem", "cas_mem"]
