"""A function of one floating-point op: operands and result in memory, and the host's flags behind them."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Value
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT


def function_of(name: str, op: str, widths: Sequence[int], result: int) -> Function:
    """Operands stand at multiples of 16, the result at 64, the flags accrued since the start at 80."""
    function = Function(name)
    b = Builder(LAYOUT, function)
    operands: list[Value] = [
        b.emit1("ld_mem", (16 * number,), (64,), width, symbol="M") for number, width in enumerate(widths)
    ]
    b.emit("fpflags_clear")
    value = b.emit1(op, tuple(operands), tuple(widths), result)
    whole = max(result, 8)
    b.emit("st_mem", (64, b.zext(value, result, whole)), (64, whole), symbol="M")
    flags = b.emit1("fpflags_get", (), (), 5)
    b.emit("st_mem", (80, b.zext(flags, 5, 8)), (64, 8), symbol="M")
    b.emit("exit", (0, 0), (64, 64))
    return verify(function)
