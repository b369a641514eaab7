"""Helpers of a spec: as functions that are compiled once, or as definitions that a region has of its own.

A call is much to pay for an operation on lanes, which takes a handful of the host's vector instructions: registers have
to be saved around it, and what it could know of its operands is lost.  Such a helper is put through LLVM's pipeline
once, and where regions are compiled its text stands in for the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.core.layout import Layout
from runtime.core.record import record
from runtime.tcg.builder import Builder
from runtime.tcg.instructions import Helper
from runtime.tcg.ir import Function, Op, Operand, Temp, plain_function
from runtime.tcg.lanes import gather_lanes, gather_parts
from runtime.tcg.llvm import optimized_ir
from runtime.tcg.lower import lower_module
from runtime.tcg.region_vectors import WIDTHS

#: instructions of LLVM's that a helper may have to be put where it is called
_MOST_INLINED = 64
#: operations of one of which LLVM is asked for so few: in use a single one has more, 4801, which took half a second
_MOST_TRIED = 512
#: operations that one may have that works on vectors as on long integers
_MOST_ON_WHOLE = 8
_DECLARED = re.compile(r"^declare .*@([\w.]+)\(", re.MULTILINE)
_ATTRIBUTES = re.compile(r" #\d+\b")


def helper_function(layout: Layout, helper: Helper, known: Mapping[int, int] | None = None, name: str = "") -> Function:
    """A helper's body as a function of its own, with that name or its own; `known` parameters, by their number, have
    values and are none of the function's."""
    known = known or {}
    widths = [width for number, width in enumerate(helper.parameters) if number not in known]
    function = plain_function(name or helper.name, tuple(widths), helper.results)
    parameters = iter(function.parameters)
    b = Builder(layout, function)
    result = helper.body(b, *[known[at] if at in known else next(parameters) for at in range(len(helper.parameters))])
    b.ret(result if isinstance(result, tuple) else () if result is None else (result,))
    gather_lanes(function)
    gather_parts(function)
    return function


@record
class Inlined:
    """The definition of a helper in LLVM IR, and declarations it wants, by name."""

    name: str
    text: str
    declarations: Mapping[str, str]
    special: bool  # made for the numbers that one call passes

    def takes(self, value: Operand) -> bool:
        """Whether an argument is passed."""
        return not self.special or isinstance(value, Temp)


class InlineHelpers:
    """Definitions of the helpers of one ISA, made when they are first asked for."""

    def __init__(self, helpers: Mapping[str, Helper], layout: Layout) -> None:
        self._helpers = helpers
        self._layout = layout
        self._known: dict[tuple[str, tuple[int | None, ...]], Inlined | None] = {}

    def find(self, call: Op) -> Inlined | None:
        """The definition of what is called, if it works on lanes and is short, perhaps for the numbers passed only."""
        helper = self._helpers.get(call.symbol)
        if helper is None or len(helper.results) != 1:
            return None
        found = self._find(helper, {})
        numbers = {at: value for at, value in enumerate(call.args) if isinstance(value, int)}
        return self._find(helper, numbers) if found is None and numbers else found

    def _find(self, helper: Helper, numbers: Mapping[int, int]) -> Inlined | None:
        key = helper.name, tuple(numbers.get(at) for at in range(len(helper.parameters)))
        if key not in self._known:
            self._known[key] = self._make(helper, numbers)
        return self._known[key]

    def _make(self, helper: Helper, numbers: Mapping[int, int]) -> Inlined | None:
        name = ".".join([helper.name, *(f"{at}.{value:x}" for at, value in numbers.items())])
        function = helper_function(self._layout, helper, numbers, name)
        wide = any(temp.width in WIDTHS for temp in function.parameters)
        if len(function.ops) > (_MOST_TRIED if function.lanes else _MOST_ON_WHOLE if wide else 0):
            return None
        return _inlined(name, optimized_ir(lower_module([function])), bool(numbers))


def _inlined(name: str, text: str, special: bool) -> Inlined | None:
    """What a region needs of a module with one function; None if that is long, has branches or calls others."""
    start = text.index("define ")
    end = text.index("\n}", start) + 2
    body = text[start:end]
    if body.count("\n") > _MOST_INLINED or " br " in body or " switch " in body or "!" in body:
        return None
    head, _, rest = _ATTRIBUTES.sub("", body).partition(" {\n")
    head = head.replace("define hidden", "define internal", 1)
    declarations = {
        declared: _ATTRIBUTES.sub("", line) + " #0"
        for line in text.splitlines()
        if line.startswith("declare ")
        for declared in _DECLARED.findall(line)
    }
    if not all(declared.startswith("llvm.") for declared in declarations):  # it calls other helpers
        return None
    return Inlined(name, f"{head} alwaysinline nounwind {{\n{rest}", declarations, special)
