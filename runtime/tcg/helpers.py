"""Helpers of a spec: as functions that are compiled once, or as definitions that a region has of its own.

A call is much to pay for an operation on lanes, which takes a handful of the host's vector instructions: registers have
to be saved around it, and what it could know of its operands is lost.  Such a helper is put through LLVM's pipeline
once, and where regions are compiled its text stands in for the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.core.layout import Layout
from runtime.tcg.builder import Builder
from runtime.tcg.instructions import Helper
from runtime.tcg.ir import Function, plain_function
from runtime.tcg.lanes import gather_lanes
from runtime.tcg.llvm import optimized_ir
from runtime.tcg.lower import lower_module

#: instructions of LLVM's that a helper may have to be put where it is called
_MOST_INLINED = 64
_DECLARED = re.compile(r"^declare .*@([\w.]+)\(", re.MULTILINE)
_ATTRIBUTES = re.compile(r" #\d+\b")


def helper_function(layout: Layout, helper: Helper) -> Function:
    """A helper's body as a function of its own."""
    function = plain_function(helper.name, helper.parameters, helper.results)
    b = Builder(layout, function)
    result = helper.body(b, *function.parameters)
    b.ret(result if isinstance(result, tuple) else () if result is None else (result,))
    gather_lanes(function)
    return function


@dataclass(frozen=True, slots=True)
class Inlined:
    """The definition of a helper in LLVM IR, and declarations it wants, by name."""

    text: str
    declarations: Mapping[str, str]


class InlineHelpers:
    """Definitions of the helpers of one ISA, made when they are first asked for."""

    def __init__(self, helpers: Mapping[str, Helper], layout: Layout) -> None:
        self._helpers = helpers
        self._layout = layout
        self._known: dict[str, Inlined | None] = {}

    def find(self, name: str) -> Inlined | None:
        """The helper's definition, if it is one that works on lanes and is short."""
        if name not in self._known:
            helper = self._helpers.get(name)
            self._known[name] = self._make(helper) if helper else None
        return self._known[name]

    def _make(self, helper: Helper) -> Inlined | None:
        function = helper_function(self._layout, helper)
        if not function.lanes:
            return None
        return _inlined(optimized_ir(lower_module([function])))


def _inlined(text: str) -> Inlined | None:
    """What a region needs of a module with one function; None if that is long, or has branches."""
    start = text.index("define ")
    end = text.index("\n}", start) + 2
    body = text[start:end]
    if body.count("\n") > _MOST_INLINED or " br " in body or " switch " in body or "!" in body:
        return None
    head, _, rest = _ATTRIBUTES.sub("", body).partition(" {\n")
    head = head.replace("define hidden", "define internal", 1)
    declarations = {
        name: _ATTRIBUTES.sub("", line) + " #0"
        for line in text.splitlines()
        if line.startswith("declare ")
        for name in _DECLARED.findall(line)
    }
    return Inlined(f"{head} alwaysinline nounwind {{\n{rest}", declarations)
