"""One guest instruction through translate.py: the builder whose every way out is an exit, and compiled helpers."""

from __future__ import annotations

from gen.native import helper_function
from runtime.core.cpu import Isa
from runtime.core.env import Exit
from runtime.tcg.builder import Builder, Value
from runtime.tcg.ir import Function


class OneInstruction(Builder):
    """Wherever the instruction goes, it exits with that pc and Exit.BUDGET."""

    def finish_next(self) -> None:
        self.finish_goto_ptr(self.next_pc_value)

    def finish_goto(self, slot: int, target: Value) -> None:
        self.finish_goto_ptr(target)

    def finish_goto_ptr(self, target: Value) -> None:
        self.emit("exit", (target, 0), (self.layout.pc_width, 64), offset=Exit.BUDGET)


def helpers(isa: Isa) -> dict[str, Function]:
    """The spec's compiled functions, for the reference executor."""
    return {name: helper_function(isa.layout, helper) for name, helper in isa.module("translate").HELPERS.items()}
