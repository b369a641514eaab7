"""Fused handlers: one handler for two instructions that often stand next to each other (`fuse` in a spec).

Leaving a handler is an indirect jump, and on today's hosts that jump, not the work, is most of what a simple
instruction costs.  A fused handler is the first one's code running straight into the second one's; it sits in the
first record and reads the second record's operands where they stand, so no record changes but for that one pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gen.handlers import InstructionHandlers
from runtime.tcg.ir import Function
from runtime.tcg.lower import FunctionLowering, Lowering, fused_name, lower_fused

#: fused handlers in one module
SHARD_PAIRS = 150
_LEAVES = frozenset(("next", "goto_tb", "goto_ptr"))


@dataclass(frozen=True, slots=True)
class Fusion:
    """The pairs of handlers to fuse, and a number (from 1) for each handler in one."""

    #: with each, what the second does behind the first
    pairs: tuple[tuple[Function, Function, Function], ...]
    numbers: dict[str, int]

    def modules(self, lowering: Lowering = FunctionLowering) -> Iterator[tuple[str, str]]:
        """(name, LLVM text) of the fused handlers, then of the table that finds them."""
        for number, start in enumerate(range(0, len(self.pairs), SHARD_PAIRS)):
            yield f"fused_{number}", lower_fused(self.pairs[start : start + SHARD_PAIRS], lowering)
        yield "fusion", self._table()

    def _table(self) -> str:
        """`@fused_handler(first, second)`: the handler of a pair of numbers, or null."""
        side = len(self.numbers) + 1
        cells = ["i32 0"] * (side * side)
        declarations = []
        for first, second, _ in self.pairs:
            name = fused_name(first, second)
            declarations.append(f"declare hidden void @{name}()")
            # Relative to the table, since a blob has no address of its own.
            distance = f"sub (i64 ptrtoint (ptr @{name} to i64), i64 ptrtoint (ptr @fusion_table to i64))"
            cells[self.numbers[first.name] * side + self.numbers[second.name]] = f"i32 trunc (i64 {distance} to i32)"
        return "\n".join(
            [
                *declarations,
                f"@fusion_table = internal constant [{side * side} x i32] [{', '.join(cells)}]",
                "define hidden ptr @fused_handler(i64 %first, i64 %second) nounwind {",
                f"  %row = mul i64 %first, {side}",
                "  %index = add i64 %row, %second",
                "  %cell = getelementptr i32, ptr @fusion_table, i64 %index",
                "  %distance = load i32, ptr %cell",
                "  %none = icmp eq i32 %distance, 0",
                "  %wide = sext i32 %distance to i64",
                "  %handler = getelementptr i8, ptr @fusion_table, i64 %wide",
                "  %found = select i1 %none, ptr null, ptr %handler",
                "  ret ptr %found",
                "}",
                "",
            ]
        )


def _plain(function: Function) -> bool:
    """Worth fusing: it goes on somewhere, and does its work itself."""
    names = {op.name for op in function.ops}
    return "call" not in names and not _LEAVES.isdisjoint(names)


def _goes_on(function: Function) -> bool:
    return any(op.name == "next" for op in function.ops)


def plan(
    fused: Iterable[tuple[str, str]],
    built: Sequence[InstructionHandlers],
    functions: Iterable[Function],
    behind: Callable[[Function, Function], Function],
) -> Fusion:
    """What to fuse for these pairs of mnemonics; instructions that share a handler share its fusions.

    behind: (first, second) -> what the second does when the first was just done"""
    by_name = {function.name: function for function in functions}
    handlers: dict[str, dict[str, Function]] = {}
    for entry in built:
        for variant in entry.variants:
            function = by_name[variant.handler]
            if _plain(function):
                handlers.setdefault(entry.instruction.mnemonic, {})[function.name] = function
    pairs: dict[tuple[str, str], tuple[Function, Function, Function]] = {}
    for one, other in fused:
        for first in handlers.get(one, {}).values():
            if _goes_on(first):
                for second in handlers.get(other, {}).values():
                    if (first.name, second.name) not in pairs:
                        pairs[first.name, second.name] = first, second, behind(first, second)
    numbers: dict[str, int] = {}
    for pair in pairs:
        for name in pair:
            numbers.setdefault(name, len(numbers) + 1)
    return Fusion(tuple(pairs.values()), numbers)
