"""What the cheap passes remove, and what they must leave."""

from __future__ import annotations

from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Value, plain_function
from runtime.tcg.optimize import optimize
from runtime.tcg.reference import Machine
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT


def names(function: Function) -> list[str]:
    """The ops that are left."""
    return [op.name for op in verify(optimize(verify(function))).ops]


def block() -> Builder:
    """A builder with an instruction begun."""
    b = Builder(LAYOUT, Function("f"))
    b.begin_instruction(0, 4, 0)
    return b


def end(b: Builder) -> Function:
    """Close it."""
    b.end_instruction()
    b.emit("exit", (4, 0), (64, 64))
    return b.function


def test_unused_reads_and_arithmetic_go() -> None:
    b = block()
    b.add(64, b.get_regfile("R", 1), b.get_regfile("R", 2))
    assert names(end(b)) == ["insn_start", "exit"]


def test_equal_ops_are_done_once() -> None:
    b = block()
    x = b.get_regfile("R", 1)
    b.set_regfile("R", 2, b.add(64, x, 5))
    b.set_regfile("R", 3, b.add(64, x, 5))
    assert names(end(b)).count("add") == 1


def test_a_register_read_twice_is_read_once_and_a_written_one_not_at_all() -> None:
    b = block()
    b.set_regfile("R", 2, b.add(64, b.get_regfile("R", 1), b.get_regfile("R", 1)))
    b.set_regfile("R", 3, b.add(64, b.get_regfile("R", 2), 1))
    assert names(end(b)).count("ld_env") == 1


def test_an_overwritten_write_goes() -> None:
    b = block()
    b.set_regfile("R", 1, 5)
    b.set_regfile("R", 1, 6)
    function = end(b)
    assert names(function).count("st_env") == 1
    assert next(op for op in function.ops if op.name == "st_env").args == (6,)


def test_a_write_something_may_see_stays() -> None:
    b = block()
    index = b.slice(b.get_regfile("W", 0), 128, 0, 4)
    b.set_regfile("R", 1, 5)
    b.set_reg("S", b.slice(b.get_regfile("R", index), 64, 0, 32))
    b.set_regfile("R", 1, 6)
    assert names(end(b)).count("st_env") == 3


def test_float_ops_stay_for_their_flags() -> None:
    b = block()
    b.host_add(64, 1, 2)
    assert "host_add" in names(end(b))


def test_branches_on_constants_and_empty_blocks_go() -> None:
    b = block()
    one: Value = b.emit1("ld_env", (), (), 1, offset=LAYOUT.by_name["C"].offset, symbol="C")
    for arm in b.If(one):
        for _ in b.If(one):
            pass
        if arm:
            b.set_reg("C", 0)
    assert names(end(b)).count("brcond") == 1


def test_a_loop_variable_that_never_changes_is_no_parameter() -> None:
    function = plain_function("f", (8,), (8,))
    b = Builder(LAYOUT, function)
    (n,) = function.parameters
    kept, count = b.var(8, n), b.var(8, n)
    for loop in b.While(kept, count):
        loop.test(b.ne(8, count.get(), 0))
        count.set(b.sub(8, count.get(), 1))
    b.ret((b.add(8, kept.get(), count.get()),))
    optimize(verify(function))
    assert [len(op.results) for op in function.ops if op.name == "label" and op.results] == [1]
    assert Machine(bytearray()).run(verify(function), 9).values == (9,)


def test_extending_a_constant_lengthens_it() -> None:
    function = plain_function("f", (32,), (64, 64))
    b = Builder(LAYOUT, function)
    (x,) = function.parameters
    boxed = b.cat(((1, 1), (x, 32)))
    b.ret((b.sext(boxed, 33, 64), b.zext(boxed, 33, 64)))
    assert names(function) == ["cat", "cat", "ret"]
    assert Machine(bytearray()).run(function, 0x89ABCDEF).values == (0xFFFFFFFF89ABCDEF, 0x189ABCDEF)
