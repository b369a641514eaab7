"""Builds model expressions, folding what is constant: the only way the checker makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gen import model

COMPARISONS = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})
SHIFTS = frozenset({"shl", "lshr", "ashr", "rotl", "rotr"})


def const(width: int, value: int) -> model.Const:
    """`value` modulo 2**width."""
    return model.Const(width, value & ((1 << width) - 1))


def signed(value: int, width: int) -> int:
    """The two's complement reading of a value of `width` bits."""
    return value - (1 << width) if value >> (width - 1) else value


def _truncated_division(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


_ARITHMETIC: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda w, a, b: a + b,
    "sub": lambda w, a, b: a - b,
    "mul": lambda w, a, b: a * b,
    "udiv": lambda w, a, b: a // b if b else 0,
    "urem": lambda w, a, b: a % b if b else a,
    "sdiv": lambda w, a, b: _truncated_division(signed(a, w), signed(b, w)) if b else 0,
    "srem": lambda w, a, b: (signed(a, w) - signed(b, w) * _truncated_division(signed(a, w), signed(b, w))) if b else a,
    "and": lambda w, a, b: a & b,
    "or": lambda w, a, b: a | b,
    "xor": lambda w, a, b: a ^ b,
    "shl": lambda w, a, b: a << b if b < w else 0,
    "lshr": lambda w, a, b: a >> b if b < w else 0,
    "ashr": lambda w, a, b: signed(a, w) >> min(b, w - 1),
    "rotl": lambda w, a, b: a << b % w | a >> (w - b % w),
    "rotr": lambda w, a, b: a >> b % w | a << (w - b % w),
    "eq": lambda w, a, b: a == b,
    "ne": lambda w, a, b: a != b,
    "ult": lambda w, a, b: a < b,
    "ule": lambda w, a, b: a <= b,
    "ugt": lambda w, a, b: a > b,
    "uge": lambda w, a, b: a >= b,
    "slt": lambda w, a, b: signed(a, w) < signed(b, w),
    "sle": lambda w, a, b: signed(a, w) <= signed(b, w),
    "sgt": lambda w, a, b: signed(a, w) > signed(b, w),
    "sge": lambda w, a, b: signed(a, w) >= signed(b, w),
}


def binary(op: str, left: model.Expr, right: model.Expr) -> model.Expr:
    """`op` as in model.Binary; operands already agree."""
    width = 1 if op in COMPARISONS else left.width
    if isinstance(left, model.Const) and isinstance(right, model.Const):
        return const(width, int(_ARITHMETIC[op](left.width, left.value, right.value)))
    return model.Binary(width, op, left, right)


def unary(op: str, operand: model.Expr) -> model.Expr:
    """'neg' or 'not'."""
    if isinstance(operand, model.Const):
        return const(operand.width, -operand.value if op == "neg" else ~operand.value)
    return model.Unary(operand.width, op, operand)


def extend(op: str, operand: model.Expr, width: int) -> model.Expr:
    """'sext' or 'zext' to `width`."""
    if operand.width == width:
        return operand
    if isinstance(operand, model.Const):
        return const(width, signed(operand.value, operand.width) if op == "sext" else operand.value)
    return model.Extend(width, op, operand)


def slice_of(operand: model.Expr, low: int, width: int) -> model.Expr:
    """Bits low .. low+width-1."""
    if low == 0 and width == operand.width:
        return operand
    if isinstance(operand, model.Const):
        return const(width, operand.value >> low)
    if isinstance(operand, model.Extend) and low + width <= operand.operand.width:
        return slice_of(operand.operand, low, width)
    if isinstance(operand, model.Slice):
        return model.Slice(width, operand.operand, operand.low + low)
    return model.Slice(width, operand, low)


def dynamic_slice(operand: model.Expr, low: model.Expr, width: int) -> model.Expr:
    """`width` bits from a bit number known later; past the top they are 0."""
    if isinstance(low, model.Const) and low.value + width <= operand.width:
        return slice_of(operand, low.value, width)
    return model.DynSlice(width, operand, low)


def cat(parts: Sequence[model.Expr]) -> model.Expr:
    """First part most significant."""
    merged: list[model.Expr] = []
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, model.Cat) else (part,))]
    for part in flat:
        if merged and isinstance(part, model.Const):
            before = merged[-1]
            if isinstance(before, model.Const):
                merged[-1] = const(before.width + part.width, before.value << part.width | part.value)
                continue
        merged.append(part)
    if len(merged) == 1:
        return merged[0]
    return model.Cat(sum(part.width for part in merged), tuple(merged))


def select(condition: model.Expr, then: model.Expr, otherwise: model.Expr) -> model.Expr:
    """`if condition then … else …`."""
    if isinstance(condition, model.Const):
        return then if condition.value else otherwise
    if then == otherwise and is_simple(then):
        return then
    return model.Select(then.width, condition, then, otherwise)


def insert(old: model.Expr, low: int, value: model.Expr) -> model.Expr:
    """`old` with the bits from `low` on replaced by `value`."""
    parts: list[model.Expr] = []
    high = low + value.width
    if high < old.width:
        parts.append(slice_of(old, high, old.width - high))
    parts.append(value)
    if low:
        parts.append(slice_of(old, 0, low))
    return cat(parts)


def insert_dynamic(old: model.Expr, low: model.Expr, value: model.Expr) -> model.Expr:
    """`old` with `value` put at a bit number known later."""
    if isinstance(low, model.Const):
        return insert(old, low.value, value)
    hole = unary("not", model.Binary(old.width, "shl", const(old.width, (1 << value.width) - 1), low))
    put = model.Binary(old.width, "shl", extend("zext", value, old.width), low)
    return binary("or", binary("and", old, hole), put)


def is_simple(expr: model.Expr) -> bool:
    """Cheap and free of effects, so that it may stand twice."""
    match expr:
        case model.Const() | model.FieldRef() | model.PcRead() | model.NextPc() | model.Local() | model.ModeRead():
            return True
        case model.Slice() | model.Extend() | model.Unary():
            return is_simple(expr.operand)
        case model.Cat():
            return all(is_simple(part) for part in expr.parts)
        case model.Binary():
            return is_simple(expr.left) and isinstance(expr.right, model.Const)
    return False
