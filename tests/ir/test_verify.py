"""The verifier finds each kind of ill-formed function."""

from __future__ import annotations

import pytest

from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Op, Temp
from runtime.tcg.verify import VerifyError, verify
from tests.ir.native import LAYOUT


def _good() -> Function:
    function = Function("good")
    b = Builder(LAYOUT, function)
    b.begin_instruction(0, 4, 0)
    x = b.var(64, 1)
    for arm in b.If(b.get_reg("C"), x):
        x.set(b.get_regfile("R", 1 if arm else 2))
    b.set_regfile("R", 3, b.add(64, x.get(), 5))
    b.goto(0x10)
    b.end_instruction()
    return function


def test_a_good_function_passes() -> None:
    verify(_good())


def _find(function: Function, name: str) -> Op:
    return next(op for op in function.ops if op.name == name)


def _narrow(function: Function) -> None:
    op = _find(function, "add")
    op.widths = (64, 32)


def _too_large(function: Function) -> None:
    op = _find(function, "add")
    op.args = (op.args[0], 1 << 64)


def _unknown(function: Function) -> None:
    _find(function, "add").name = "plus"


def _undefined(function: Function) -> None:
    op = _find(function, "add")
    op.args = (Temp(999, 64), op.args[1])


def _one_way_only(function: Function) -> None:
    loaded = [op.result for op in function.ops if op.name == "ld_env" and op.symbol == "R"]
    op = _find(function, "add")
    op.args = (loaded[0], op.args[1])


def _twice(function: Function) -> None:
    function.ops.insert(0, Op("ld_env", (_find(function, "add").result,), offset=0))


def _falls_off(function: Function) -> None:
    function.ops.pop()


def _nowhere(function: Function) -> None:
    op = _find(function, "brcond")
    op.labels = (function.label(), op.labels[1])


def _other_parameters(function: Function) -> None:
    op = _find(function, "br")
    op.args, op.widths = (), ()


def _not_a_handler(function: Function) -> None:
    function.kind = "plain"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_narrow, "argument 1 has 32 bits where 64 are due"),
        (_too_large, "does not fit 64 bits"),
        (_unknown, "no op plus"),
        (_undefined, "t999 is not defined here"),
        (_one_way_only, "is not defined here"),
        (_twice, "assigned twice"),
        (_falls_off, "falls off its end"),
        (_nowhere, "stands nowhere"),
        (_other_parameters, "takes other parameters"),
        (_not_a_handler, "only in a handler"),
    ],
)
def test_damage_is_found(damage: object, message: str) -> None:
    function = _good()
    assert callable(damage)
    damage(function)
    with pytest.raises(VerifyError, match=message):
        verify(function)
