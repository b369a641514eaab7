"""Lowers TCG for machines: their clock is the platform's."""

from __future__ import annotations

from runtime.core.layout import Layout
from runtime.tcg.ir import Function, Op
from runtime.tcg.lower import FunctionLowering


class MachineLowering(FunctionLowering):
    """The text of one function of a machine's."""

    def __init__(
        self, layout: Layout, function: Function, name: str = "", successor: str = "", inlined: bool = False
    ) -> None:
        super().__init__(function, name, successor, inlined)
        self._layout = layout

    def clock(self, op: Op) -> None:
        self.declarations["clock_read"] = "declare hidden i64 @clock_read(ptr, i64)"
        self.define(op, f"call i64 @clock_read(ptr %env, i64 {self.value(op.args[0])})")
