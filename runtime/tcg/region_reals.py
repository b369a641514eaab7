"""Which values of a region live in the host's floating-point registers.

A pattern that floating-point operations make or use, and that is else only loaded, stored and passed on, is a `double`
or `float` for LLVM: moving it to an integer register and back costs more than the operation.  Values passed to one
label parameter are all of one kind, or the parameter is an integer.  What is passed only where an operation's result
was found to be a NaN, or where the specification says that control seldom comes, does not count: there it is moved.
Nor do what a loop is entered with, for what counts is what its turns pass on, and what a way out stores.
"""

from __future__ import annotations

from runtime.core.record import fresh, mutable_record
from runtime.tcg.control import SELDOM
from runtime.tcg.ir import Function, Label, Op, Operand, Temp
from runtime.tcg.ops import OPS, mask
from runtime.tcg.optimize import blocks_of
from runtime.tcg.region_sinking import leaving_labels
from runtime.tcg.region_vectors import WIDTHS

#: ops whose result is a floating-point number, and those whose arguments are
_MAKING = frozenset(
    f"host_{name}"
    for name in ("add", "sub", "mul", "div", "sqrt", "fma", "f32_to_f64", "f64_to_f32", "from_s", "from_u")
) | frozenset(
    f"extended_{name}"
    for name in ("add", "sub", "mul", "div", "sqrt", "neg", "abs", "from_f32", "from_f64", "from_s", "to_f32", "to_f64")
)
_USING = frozenset(
    f"host_{name}"
    for name in ("add", "sub", "mul", "div", "sqrt", "fma", "f32_to_f64", "f64_to_f32", "to_s", "eq", "lt", "le")
) | frozenset(name for name in OPS if name.startswith("extended_") and name != "extended_from_s")
_INDIFFERENT = frozenset(("ld_mem", "ld_env"))
#: bits of the fraction, by the width of a number
_FRACTION = {32: 23, 64: 52}


@mutable_record
class Reals:
    """temps: those kept as floating-point numbers.

    nan_choices: selects that replace a NaN that an operation made by a constant, which seldom happens; by id.
    needless: comparisons only such selects use, by id.
    ordered: comparisons of what an operation made with itself: whether it is no NaN, which raises nothing; by id.
    usual: branches that are taken but where such a comparison fails; by id.
    apart: what says that a result is no NaN, nor of one certain magnitude: the result and that number, by id.
    """

    temps: set[Temp] = fresh(factory=set)
    nan_choices: set[int] = fresh(factory=set)
    needless: set[int] = fresh(factory=set)
    ordered: set[int] = fresh(factory=set)
    usual: set[int] = fresh(factory=set)
    apart: dict[int, tuple[Temp, int]] = fresh(factory=dict)


def find_reals(function: Function) -> Reals:
    """Look through the function."""
    found = Reals()
    if not any(op.name in _MAKING or op.name in _USING for op in function.ops):
        return found
    made = {temp: op for op in function.ops for temp in op.results}
    _find_choices(function, made, found)
    webs = _Webs()
    parameters: dict[Label, tuple[Temp, ...]] = {}
    for op in function.ops:
        if op.name == "label" and op.results:
            parameters[op.labels[0]] = op.results
    wanted: set[Temp] = set()
    seldom = _seldom_jumps(function, made, found) | _entering_jumps(function)
    leaving = leaving_labels(blocks_of(function.ops))
    for op in function.ops:
        if op.name in _MAKING or id(op) in found.nan_choices:
            wanted.add(op.result)
        elif op.name == "br" and id(op) not in seldom and op.labels[0] not in leaving:
            for parameter, value in zip(parameters.get(op.labels[0], ()), op.args, strict=True):
                if isinstance(value, Temp):
                    webs.join(parameter, value)
        if op.name in _USING:
            wanted.update(value for value in op.args if isinstance(value, Temp))
    barred = {webs.of(temp) for temp, op in made.items() if not _neutral(op, found)}
    good = {webs.of(temp) for temp in wanted} - barred
    found.temps = {temp for temp in made if temp.width in (32, 64, 80) and webs.of(temp) in good}
    return found


def _neutral(op: Op, found: Reals) -> bool:
    """Whether the op's results may as well be floating-point numbers."""
    if op.name in _MAKING or op.name == "label" or id(op) in found.nan_choices:
        return True
    if op.name == "slice":  # a vector's lane
        return op.widths[0] in WIDTHS and op.offset % op.result.width == 0
    return op.name in _INDIFFERENT and not op.flag


def _find_choices(function: Function, made: dict[Temp, Op], found: Reals) -> None:
    uses: dict[Temp, int] = {}
    for op in function.ops:
        for value in op.args:
            if isinstance(value, Temp):
                uses[value] = uses.get(value, 0) + 1
    for op in function.ops:
        if op.name == "host_eq" and op.args[0] == op.args[1]:
            maker = made.get(op.args[0]) if isinstance(op.args[0], Temp) else None
            if maker is not None and maker.name in _MAKING:  # what an operation makes is no signalling NaN
                found.ordered.add(id(op))
    for op in function.ops:
        if op.name == "select" and op.args[2] == 0:
            _find_apart(op, made, found)
        if op.name != "select" or not isinstance(op.args[0], Temp) or not isinstance(op.args[2], int):
            continue
        test = made.get(op.args[0])
        if test is not None and id(test) in found.ordered and test.args[0] == op.args[1]:
            found.nan_choices.add(id(op))
            if uses[test.result] == 1:
                found.needless.add(id(test))


def _find_apart(op: Op, made: dict[Temp, Op], found: Reals) -> None:
    """Note the op if it says that a number is no NaN and has another magnitude than a normal number."""
    test, other = (made.get(value) if isinstance(value, Temp) else None for value in op.args[:2])
    if test is None or id(test) not in found.ordered or other is None or other.name != "ne":
        return
    number, magnitude = test.args[0], other.args[1]
    part = made.get(other.args[0]) if isinstance(other.args[0], Temp) else None
    if part is None or part.name != "slice" or part.args[0] != number or not isinstance(number, Temp):
        return
    width = number.width
    if part.offset or part.result.width != width - 1 or not isinstance(magnitude, int) or width not in _FRACTION:
        return
    fraction = _FRACTION[width]
    if 0 < magnitude >> fraction < mask(width - 1 - fraction):
        found.apart[id(op)] = number, magnitude


def _seldom_jumps(function: Function, made: dict[Temp, Op], found: Reals) -> set[int]:
    """Jumps of code that is seldom come to, by id; notes the branches that tell by what an operation made."""
    ways: dict[Label, int] = {}  # to a label, but for those that are seldom gone
    jumps: set[int] = set()
    for op in function.ops:
        for label in op.labels if op.name != "label" else ():
            ways[label] = ways.get(label, 0) + 1
        if op.name == "brcond" and _says_ordered(op.args[0], made, found):
            found.usual.add(id(op))
            ways[op.labels[1]] -= 1
        elif op.name == "brcond" and op.offset == SELDOM:
            ways[op.labels[0]] -= 1
    here = False
    passing: dict[Label, list[int]] = {}
    for op in function.ops:
        if op.name == "label":
            here = ways.get(op.labels[0], 1) == 0
        elif here and op.name in ("br", "brcond"):
            passing.setdefault(op.labels[0], []).append(id(op))
            for label in op.labels:
                ways[label] -= 1
    for label, found_here in passing.items():
        if ways[label]:  # what is met nowhere else is as it is passed
            jumps.update(found_here)
    return jumps


def _entering_jumps(function: Function) -> set[int]:
    """Jumps to the first blocks of loops from outside, by id: those from before, where others are from behind."""
    heads: set[Label] = set()
    bound: set[Label] = set()
    entering: dict[int, Label] = {}
    for op in function.ops:
        if op.name == "label":
            bound.add(op.labels[0])
        elif op.name == "br":
            if op.labels[0] in bound:
                heads.add(op.labels[0])
            else:
                entering[id(op)] = op.labels[0]
    return {jump for jump, label in entering.items() if label in heads}


def _says_ordered(value: Operand, made: dict[Temp, Op], found: Reals) -> bool:
    """Whether a condition holds only if the result of an operation is no NaN."""
    op = made.get(value) if isinstance(value, Temp) else None
    if op is None:
        return False
    if op.name == "and" or (op.name == "select" and op.args[2] == 0):
        return any(_says_ordered(other, made, found) for other in op.args[:2])
    return id(op) in found.ordered


class _Webs:
    """Temps that must be of one kind: a forest of representatives."""

    def __init__(self) -> None:
        self._parent: dict[Temp, Temp] = {}

    def of(self, temp: Temp) -> Temp:
        """The representative."""
        parent = self._parent
        while (above := parent.get(temp)) is not None:
            temp = above
        return temp

    def join(self, one: Temp, other: Temp) -> None:
        """Have the two be of one kind."""
        first, second = self.of(one), self.of(other)
        if first is not second:
            self._parent[first] = second
