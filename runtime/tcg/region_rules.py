"""Rewrite rules for values of a region: what LLVM would do if fewer of them were kept for the ways out.

A guest register stays alive after its last use, for an exit may store it; LLVM leaves patterns alone whose parts have
other uses.  Each rule gives an op's equal from what its operands are made of; tests prove each with a solver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.ops import OPS, mask, signed
from runtime.tcg.region_flow import Flow

Made = Mapping[Operand, Op]
#: an op's equal as new ops, of which the last has the op's result; None where the rule does not apply
Rule = Callable[[Function, Op, Made], list[Op] | None]

_BITWISE = ("and", "or", "xor")
_EXTENSIONS = ("sext", "zext")
_BYTE = 8


def bitwise_of_extensions(function: Function, op: Op, made: Made) -> list[Op] | None:
    """and/or/xor of two values extended alike, or of one and a constant that is, is the narrow one extended."""
    if op.name not in _BITWISE:
        return None
    sides = [made.get(value) for value in op.args]
    extension = next((side for side in sides if side is not None and side.name in _EXTENSIONS), None)
    if extension is None:
        return None
    narrow, wide = extension.widths[0], op.result.width
    values: list[Operand] = []
    for value, side in zip(op.args, sides, strict=True):
        if side is not None and side.name == extension.name and side.widths[0] == narrow:
            values.append(side.args[0])
        elif isinstance(value, int) and _extended(value & mask(narrow), extension.name, narrow, wide) == value:
            values.append(value & mask(narrow))
        else:
            return None
    inner = function.temp(narrow)
    return [
        Op(op.name, (inner,), tuple(values), (narrow, narrow)),
        Op(extension.name, op.results, (inner,), (narrow,)),
    ]


def rotation(function: Function, op: Op, made: Made) -> list[Op] | None:
    """x << n | x >> (width - n) is a rotation, with `or`, `xor` or `add`."""
    if op.name not in ("or", "xor", "add"):
        return None
    left, right = made.get(op.args[0]), made.get(op.args[1])
    if left is None or right is None:
        return None
    if left.name == "lshr":
        left, right = right, left
    width, amount, other = op.result.width, left.args[-1], right.args[-1]
    if (left.name, right.name) != ("shl", "lshr") or left.args[0] != right.args[0]:
        return None
    if not isinstance(amount, int) or not isinstance(other, int) or not 0 < amount < width or amount + other != width:
        return None
    if left.widths[1] < (width - 1).bit_length():
        return None
    return [Op("rotl", op.results, (left.args[0], amount), left.widths)]


def extension_of_extension(function: Function, op: Op, made: Made) -> list[Op] | None:
    """A value extended twice is extended once; a sign known to be 0 makes no difference."""
    inner = made.get(op.args[0]) if op.name in _EXTENSIONS else None
    if inner is None or inner.name not in _EXTENSIONS or inner.widths[0] == inner.result.width:
        return None
    if inner.name == "sext" and op.name == "zext":
        return None
    return [Op(inner.name, op.results, inner.args, inner.widths)]


def slice_of_extension(function: Function, op: Op, made: Made) -> list[Op] | None:
    """The low part of an extended value is the value, its low part, or a shorter extension."""
    inner = made.get(op.args[0]) if op.name == "slice" and op.offset == 0 else None
    if inner is None or inner.name not in _EXTENSIONS:
        return None
    narrow, width = inner.widths[0], op.result.width
    if width < narrow:
        return [Op("slice", op.results, inner.args, inner.widths)]
    return [Op(inner.name, op.results, inner.args, inner.widths)]  # of no bits, if the widths are equal


def masked_twice(function: Function, op: Op, made: Made) -> list[Op] | None:
    """Two masks are one, or leave nothing."""
    inner, outer = made.get(op.args[0]), op.args[1]
    if inner is None or inner.name != "and" or not isinstance(outer, int) or not isinstance(inner.args[1], int):
        return None
    both = inner.args[1] & outer
    if not both:
        return [Op("zext", op.results, (0,), (op.result.width,))]
    return [Op("and", op.results, (inner.args[0], both), op.widths)]


def equality_of_extension(function: Function, op: Op, made: Made) -> list[Op] | None:
    """An extended value compared with a constant is the value compared with the constant's low part, or never equal."""
    inner = made.get(op.args[0])
    constant = op.args[1]
    if inner is None or inner.name not in _EXTENSIONS or not isinstance(constant, int):
        return None
    narrow, wide = inner.widths[0], inner.result.width
    part = constant & mask(narrow)
    if _extended(part, inner.name, narrow, wide) == constant:
        return [Op(op.name, op.results, (inner.args[0], part), (narrow, narrow))]
    return [Op("zext", op.results, (int(op.name == "ne"),), (1,))]


def equality_of_bit(function: Function, op: Op, made: Made) -> list[Op] | None:
    """A bit compared with a number is the bit, or what it is not."""
    if op.widths[0] != 1 or not isinstance(op.args[1], int):
        return None
    if op.args[1] == (op.name == "eq"):
        return [Op("zext", op.results, op.args[:1], (1,))]
    return [Op("not", op.results, op.args[:1], (1,))]


def equality_of_choice(function: Function, op: Op, made: Made) -> list[Op] | None:
    """A choice of two numbers that is compared with a number is what it was chosen by, or not that, or known."""
    inner = made.get(op.args[0])
    constant = op.args[1]
    if inner is None or inner.name != "select" or not isinstance(constant, int):
        return None
    condition, one, other = inner.args
    if not isinstance(one, int) or not isinstance(other, int):
        return None
    then, otherwise = ((value == constant) == (op.name == "eq") for value in (one, other))
    if then == otherwise:
        return [Op("zext", op.results, (int(then),), (1,))]
    return [Op("zext" if then else "not", op.results, (condition,), (1,))]


def slice_of_cat(function: Function, op: Op, made: Made) -> list[Op] | None:
    """Bits of one of several values put together are bits of that."""
    inner = made.get(op.args[0])
    if inner is None or inner.name != "cat":
        return None
    width, offset = op.result.width, op.offset
    for value, size in zip(reversed(inner.args), reversed(inner.widths), strict=True):
        if offset < size:
            if offset + width > size:
                return None
            if isinstance(value, int):
                return [Op("zext", op.results, (value >> offset & mask(width),), (width,))]
            if width == size:
                return [Op("zext", op.results, (value,), (width,))]  # the value itself
            return [Op("slice", op.results, (value,), (size,), offset=offset)]
        offset -= size
    return None


def bytes_of_one_bit(function: Function, op: Op, made: Made) -> list[Op] | None:
    """Bytes that are filled with the top bits of a number's bytes: all at once."""
    width = op.result.width
    if set(op.widths) != {_BYTE} or width not in (32, 64):
        return None
    number: Operand | None = None
    for place, value in zip(range(width - 1, 0, -_BYTE), op.args, strict=True):
        filled = made.get(value)
        if filled is None or filled.name != "sext" or filled.widths[0] != 1:
            return None
        bit = made.get(filled.args[0])
        if bit is None or bit.name != "slice" or bit.offset != place or bit.widths[0] != width:
            return None
        if number is not None and bit.args[0] != number:
            return None
        number = bit.args[0]
    assert number is not None
    tops = sum(1 << place for place in range(_BYTE - 1, width, _BYTE))
    kept, twice, lowest = (function.temp(width) for _ in range(3))
    return [
        Op("and", (kept,), (number, tops), (width, width)),
        Op("shl", (twice,), (kept, 1), (width, _BYTE)),
        Op("lshr", (lowest,), (kept, _BYTE - 1), (width, _BYTE)),
        Op("sub", op.results, (twice, lowest), (width, width)),
    ]


#: the rules for each op
RULES: Mapping[str, tuple[Rule, ...]] = {
    "slice": (slice_of_extension, slice_of_cat),
    "cat": (bytes_of_one_bit,),
    "sext": (extension_of_extension,),
    "zext": (extension_of_extension,),
    "and": (bitwise_of_extensions, masked_twice),
    "or": (bitwise_of_extensions, rotation),
    "xor": (bitwise_of_extensions, rotation),
    "add": (rotation,),
    "eq": (equality_of_bit, equality_of_extension, equality_of_choice),
    "ne": (equality_of_bit, equality_of_extension, equality_of_choice),
}


def _extended(value: int, how: str, narrow: int, wide: int) -> int:
    return signed(value, narrow) & mask(wide) if how == "sext" else value


def apply_rules(function: Function) -> None:
    """Rewrite every value by the first rule that applies, and what that makes likewise; equal values become one."""
    _Rewriting(function).run()


class _Rewriting:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._flow = Flow(function)
        self._made: dict[Operand, Op] = {}
        self._replace: dict[Temp, Operand] = {}
        #: what an op computes -> where that was done first, and its result
        self._seen: dict[tuple[object, ...], tuple[int, Temp]] = {}
        self._inside = self._flow.dominance()

    def run(self) -> None:
        # Whatever dominates a block comes before it in this order, so its operands were rewritten already.
        for at in self._flow.order:
            block = self._flow.blocks[at]
            block[:] = [new for op in block for new in self._rewrite(op, at)]
        ops = [op for at in self._flow.order for op in self._flow.blocks[at]]
        for op in ops:
            op.args = self._resolved(op)  # what a label's parameters are given may have been computed later
        self._function.ops[:] = ops

    def _resolved(self, op: Op) -> tuple[Operand, ...]:
        if not self._replace or not op.args:
            return op.args
        return tuple([self._replace.get(value, value) if isinstance(value, Temp) else value for value in op.args])

    def _rewrite(self, op: Op, at: int) -> list[Op]:
        op.args = self._resolved(op)
        if OPS[op.name].evaluate is None:
            return [op]
        kept: list[Op] = []
        pending = [op]
        while pending:
            now = pending.pop(0)
            now.args = self._resolved(now)
            rewritten = None
            for rule in RULES.get(now.name, ()):
                rewritten = rule(self._function, now, self._made)
                if rewritten is not None:
                    break
            if rewritten is not None:
                pending[:0] = rewritten
            elif now.name in _EXTENSIONS and now.widths[0] == now.result.width:
                self._replace[now.result] = now.args[0]
            else:
                key = (now.name, now.args, now.widths, now.offset, now.result.width)
                known = self._seen.get(key)
                if known is not None and self._inside(known[0], at):
                    self._replace[now.result] = known[1]
                else:
                    self._seen[key] = (at, now.result)
                    self._made[now.result] = now
                    kept.append(now)
        return kept
