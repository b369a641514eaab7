"""Lazy groups: rules whose work native code puts off until somebody reads, and the code that does it then.

A handler that runs such a rule stores the rule's number and its arguments in env instead of the registers it sets.  One
that reads or writes such a register begins by asking for the values (`settle_first`, @lazy_sync); so does a compiled
region, and so does the way out to Python.  Fused behind a handler whose rule is known, the second one works out what it
reads from the arguments, which LLVM then finds in registers, and leaves env as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

from gen import model
from gen.walk import nodes
from runtime.core.layout import LAZY_ARGUMENTS, LAZY_SYMBOL, LAZY_SYNC, Layout, LazyLayout
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Local, Op, Value, plain_function
from runtime.tcg.optimize import blocks_of, optimize

#: what a rule may do beside computing from its arguments: set registers of its group
_OTHERWISE = (
    *(model.RegRead, model.RegFileRead, model.InputRead, model.MemRead, model.OperandRead, model.AfterPc),
    *(model.PcRead, model.NextPc, model.ModeRead, model.ToRegFile, model.ToMode, model.ToMem, model.ToOperand),
    *(model.Accrue, model.Atomic, model.Goto, model.Raise, model.Annul),
)
Rule = tuple[Callable[..., None], tuple[int, ...]]


def lazy_rules(spec: model.Spec) -> dict[str, int]:
    """Rules of the spec's (first) lazy group that can be put off, by function, and their numbers, from 1 on.

    They set the whole group, from a few arguments, and look at nothing else."""
    if not spec.lazy:
        return {}
    group = spec.lazy[0]
    names = [name for name in group.rules if name in spec.functions and _can_wait(spec, group, name)]
    return {name: number for number, name in enumerate(names, 1)}


def _can_wait(spec: model.Spec, group: model.LazyGroup, name: str) -> bool:
    rule = spec.functions[name]
    if rule.helper or len(rule.params) > LAZY_ARGUMENTS or any(width > 64 for _, width in rule.params):
        return False
    written: set[str] = set()
    return _computes(spec.functions, rule.body, written) and written == set(group.registers)


def _computes(functions: Mapping[str, model.Function], body: object, written: set[str]) -> bool:
    for node in nodes(body):
        if isinstance(node, _OTHERWISE):
            return False
        if isinstance(node, model.ToReg):
            written.add(node.register)
        elif isinstance(node, model.Call) and not _computes(functions, functions[node.function].body, written):
            return False
    return True


def settle_first(function: Function, layout: Layout) -> None:
    """Have a handler that touches registers of the lazy group get them their values first."""
    owed = layout.owed
    if owed and any(op.symbol in owed.registers for op in function.ops):
        function.settles = owed.rule


class _Known(Builder):
    """Runs a rule whose arguments stand in env; what it sets are locals."""

    def __init__(self, layout: Layout, function: Function, cells: Mapping[str, Local]) -> None:
        super().__init__(layout, function)
        self._cells = cells

    def set_reg(self, name: str, value: Value) -> None:
        cell = self._cells[name]
        self.emit("st_local", (value,), (cell.width,), local=cell)


class LazyRules:
    """The rules of one ISA, as its translator has them."""

    def __init__(self, layout: Layout, rules: Sequence[Rule]) -> None:
        self._layout = layout
        self._rules = rules
        self._behind: dict[tuple[str, int], Function] = {}

    def _run(self, b: Builder, owed: LazyLayout, rule: Rule) -> None:
        body, widths = rule
        arguments = []
        for number, width in enumerate(widths):
            wide = b.emit1("ld_env", (), (), 64, offset=owed.argument(number), symbol=LAZY_SYMBOL)
            arguments.append(b.slice(wide, 64, 0, width))
        body(b, *arguments)

    def sync(self) -> Function:
        """`@lazy_sync(env)`: gives the registers the values they are owed."""
        owed = self._layout.owed
        assert owed is not None
        function = plain_function(LAZY_SYNC, (), (), ("env",))
        b = Builder(self._layout, function)
        number = b.emit1("ld_env", (), (), 64, offset=owed.rule, symbol=LAZY_SYMBOL)
        for at, rule in enumerate(self._rules, 1):
            for same in b.If(b.eq(64, number, at)):
                if same:
                    self._run(b, owed, rule)
                    b.emit("st_env", (0,), (64,), offset=owed.rule, symbol=LAZY_SYMBOL)
                    b.ret(())
        b.ret(())
        return function

    def behind(self, first: Function, second: Function) -> Function:
        """What the second handler does right after the first, if that leaves a rule that is known; else itself."""
        owed = self._layout.owed
        number = _left(first, owed) if owed and second.settles else None
        if owed is None or number is None:
            return second
        if any(op.name == "st_env" and op.symbol in owed.registers for op in second.ops):
            return second
        key = second.name, number
        if key not in self._behind:
            self._behind[key] = self._after(second, owed, number)
        return self._behind[key]

    def _after(self, second: Function, owed: LazyLayout, number: int) -> Function:
        function = Function(f"{second.name}_after_{number}", second.kind, counter=second.counter)
        registers = [self._layout.by_name[name] for name in owed.registers]
        cells = {register.name: function.local(register.width) for register in registers}
        self._run(_Known(self._layout, function, cells), owed, self._rules[number - 1])
        for op in second.ops:
            cell = cells.get(op.symbol) if op.name == "ld_env" else None
            function.ops.append(copy(op) if cell is None else Op("ld_local", op.results, local=cell))
        return optimize(function)


def _left(function: Function, owed: LazyLayout) -> int | None:
    """The number of the rule that a handler has put off wherever it goes on to the next record."""
    found: set[object] = set()
    for block in blocks_of(function.ops):
        if block[-1].name == "next":
            stored = [op.args[0] for op in block if op.name == "st_env" and op.offset == owed.rule]
            found.add(stored[-1] if stored else None)
    number = found.pop() if len(found) == 1 else None
    return number if isinstance(number, int) else None
