"""The width rules: operands agree, literals adapt when they fit, narrowing is written out (LANGUAGE §2)."""

from __future__ import annotations

from collections.abc import Callable

from gen import fold, model, tree
from gen.scope import Body
from gen.tree import Pos
from gen.values import (
    ExceptionValue,
    Failed,
    Nothing,
    Number,
    Open,
    Ranged,
    Several,
    Sized,
    Value,
    bits_for,
    describe,
)

ARITHMETIC = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/u": "udiv",
    "/s": "sdiv",
    "%u": "urem",
    "%s": "srem",
    "/": "udiv",
    "%": "urem",
    "&": "and",
    "|": "or",
    "^": "xor",
}
COMPARISONS = {
    "==": "eq",
    "!=": "ne",
    "<u": "ult",
    "<=u": "ule",
    ">u": "ugt",
    ">=u": "uge",
    "<s": "slt",
    "<=s": "sle",
    ">s": "sgt",
    ">=s": "sge",
}
SHIFTS = {"<<": "shl", ">>u": "lshr", ">>s": "ashr", "rotl": "rotl", "rotr": "rotr"}

_ON_NUMBERS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
    "/u": lambda a, b: a // b,
    "/s": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "%u": lambda a, b: a % b,
    "%s": lambda a, b: a % b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>u": lambda a, b: a >> b,
    ">>s": lambda a, b: a >> b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<u": lambda a, b: a < b,
    "<s": lambda a, b: a < b,
    "<=u": lambda a, b: a <= b,
    "<=s": lambda a, b: a <= b,
    ">u": lambda a, b: a > b,
    ">s": lambda a, b: a > b,
    ">=u": lambda a, b: a >= b,
    ">=s": lambda a, b: a >= b,
}
#: wider values than this are surely a mistake
WIDEST = 4096


def simplify(value: Value) -> Value:
    """An exception's name stands for its code in arithmetic."""
    return Number(value.code) if isinstance(value, ExceptionValue) else value


def widen_help(body: Body, node: tree.Expr) -> str:
    if isinstance(node, tree.Joined):
        return "name it first: let joined = for …, then sext(joined) or zext(joined)"
    text = body.program.text(node)
    return "write sext(…) or zext(…) around the narrower side" if text == "…" else f"write sext({text}) or zext({text})"


def narrow_help(body: Body, node: tree.Expr, width: int) -> str:
    text = body.program.text(node)
    if text == "…" or not isinstance(node, tree.Name | tree.Index | tree.Field | tree.Subscript):
        text = "x"
    bounds = "0" if width == 1 else f"0:{width - 1}" if body.msb0 else f"{width - 1}:0"
    return f"narrow it with a slice, e.g. {text}[{bounds}]"


def fit(body: Body, value: Value, width: int, node: tree.Expr, wanted: str | None = None) -> model.Expr:
    """The value at `width` bits.  `wanted` says what needs that width, e.g. "'x' is bits(32)"."""
    value = simplify(value)
    if isinstance(value, Sized):
        if value.width == width:
            return value.expr
        hint = widen_help(body, node) if value.width < width else narrow_help(body, node, width)
        where = wanted or f"bits({width}) is needed here"
        body.fail(node.pos, f"{where}, the value is bits({value.width})", help=hint)
    if isinstance(value, Number):
        if not -(1 << width >> 1) <= value.value < 1 << width:
            body.fail(node.pos, f"{shown(value.value)} does not fit in bits({width})")
        return fold.const(width, value.value)
    if isinstance(value, Ranged):
        if value.high >> width:
            body.fail(node.pos, f"this runs up to {shown(value.high)}, which does not fit in bits({width})")
        if value.build is not None:
            return value.build(width)
        if value.expr.width > width:
            return fold.slice_of(value.expr, 0, width)
        return fold.extend("zext", value.expr, width)
    if isinstance(value, Open):
        return value.build(width)
    body.fail(node.pos, f"this is {describe(value)}; {wanted or f'bits({width}) is needed here'}")


def natural(value: Value) -> model.Expr | None:
    """The expression at a width of its own, for places where any width will do (shift amounts)."""
    value = simplify(value)
    if isinstance(value, Sized | Ranged):
        return value.expr
    if isinstance(value, Number) and value.value >= 0:
        return fold.const(bits_for(value.value), value.value)
    return None


def ranged(value: Value) -> Ranged | None:
    """The value as an integer of known range, if it has no width of its own."""
    if isinstance(value, Ranged):
        return value
    if isinstance(value, Number) and value.value >= 0:
        return Ranged(fold.const(bits_for(value.value), value.value), value.value, value.value, value.digits)
    return None


def apply(body: Body, op: str, left: Value, right: Value, nodes: tuple[tree.Expr, tree.Expr], pos: Pos) -> Value:
    """A binary operator, `and` and `or` excepted."""
    left, right = simplify(left), simplify(right)
    for value, node in zip((left, right), nodes, strict=True):
        if not isinstance(value, Sized | Number | Ranged | Open):
            body.fail(node.pos, f"'{op}' needs a value; this is {describe(value)}")
    if op in SHIFTS:
        return _shift(body, op, left, right, nodes, pos)
    if isinstance(left, Number) and isinstance(right, Number):
        return _numbers(body, op, left, right, nodes)
    if op in {"/", "%"} and not isinstance(right, Number):
        body.fail(pos, f"'{op}' does not say whether it is signed", help=f"write {op}u or {op}s")
    if op in COMPARISONS:
        return _compare(body, op, left, right, nodes, pos)
    if isinstance(left, Sized) or isinstance(right, Sized):
        a, b = _agree(body, op, left, right, nodes, pos)
        marked = any(isinstance(value, Sized) and value.signed for value in (left, right))
        return Sized(fold.binary(ARITHMETIC[op], a, b), marked)
    first, second = ranged(left), ranged(right)
    if first is not None and second is not None:
        exact = _on_ranges(op, first, second)
        if exact is not None:
            return exact
    return Open(
        lambda width: fold.binary(ARITHMETIC[op], fit(body, left, width, nodes[0]), fit(body, right, width, nodes[1])),
        f"'{op}'",
    )


def _numbers(body: Body, op: str, left: Number, right: Number, nodes: tuple[tree.Expr, tree.Expr]) -> Value:
    if op[0] in "/%" and right.value == 0:
        body.fail(nodes[1].pos, "division by zero")
    result = _ON_NUMBERS[op](left.value, right.value)
    if op in COMPARISONS:
        return Sized(fold.const(1, int(result)))
    return limited(body, int(result), nodes[0].pos)


def limited(body: Body, value: int, pos: Pos) -> Number:
    """A generation-time number no value could hold is a mistake, and could grow without end."""
    if value.bit_length() > WIDEST:
        body.fail(pos, f"this number has more than {WIDEST} bits")
    return Number(value)


def shown(value: int) -> str:
    """A number in a message."""
    return str(value) if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"


def _shift(body: Body, op: str, left: Value, right: Value, nodes: tuple[tree.Expr, tree.Expr], pos: Pos) -> Value:
    if isinstance(left, Number) and isinstance(right, Number) and op in _ON_NUMBERS:
        if not 0 <= right.value <= WIDEST:
            body.fail(nodes[1].pos, f"a shift by {shown(right.value)}")
        return limited(body, _ON_NUMBERS[op](left.value, right.value), nodes[0].pos)
    amount = natural(right)
    if amount is None:
        body.fail(nodes[1].pos, "the width of this shift amount is not known here")
    if isinstance(left, Sized):
        return Sized(fold.binary(SHIFTS[op], left.expr, amount), left.signed)
    return Open(lambda width: fold.binary(SHIFTS[op], fit(body, left, width, nodes[0]), amount), f"'{op}'")


def _compare(body: Body, op: str, left: Value, right: Value, nodes: tuple[tree.Expr, tree.Expr], pos: Pos) -> Value:
    if isinstance(left, Sized) or isinstance(right, Sized):
        a, b = _agree(body, op, left, right, nodes, pos)
        return Sized(fold.binary(COMPARISONS[op], a, b))
    first, second = ranged(left), ranged(right)
    if first is None or second is None:
        body.fail(pos, f"'{op}': neither side has a width", help="give one: zext(x, 32)")
    width = max(first.expr.width, second.expr.width)
    signed = op.endswith("s")
    return Sized(
        fold.binary(COMPARISONS[op], *(fold.extend("zext", side.expr, width + signed) for side in (first, second)))
    )


def _agree(
    body: Body, op: str, left: Value, right: Value, nodes: tuple[tree.Expr, tree.Expr], pos: Pos
) -> tuple[model.Expr, model.Expr]:
    if isinstance(left, Sized) and isinstance(right, Sized):
        if left.width == right.width:
            return left.expr, right.expr
        if body.kind == "template":  # what is printed is not computed with: offsets are added as they are
            width = max(left.width, right.width)
            how = "sext" if op in {"+", "-"} else "zext"
            return fold.extend(how, left.expr, width), fold.extend(how, right.expr, width)
        narrow = nodes[0] if left.width < right.width else nodes[1]
        body.fail(
            pos,
            f"'{op}': left side is bits({left.width}), right side is bits({right.width})",
            help=widen_help(body, narrow),
        )
    if isinstance(left, Sized):
        return left.expr, fit(body, right, left.width, nodes[1], f"'{op}': left side is bits({left.width})")
    assert isinstance(right, Sized)
    return fit(body, left, right.width, nodes[0], f"'{op}': right side is bits({right.width})"), right.expr


def _on_ranges(op: str, left: Ranged, right: Ranged) -> Ranged | None:
    """Arithmetic that neither wraps nor goes below zero; None when it might."""
    low, high = left.low, left.high
    if op == "+":
        low, high = low + right.low, high + right.high
    elif op == "-":
        low, high = low - right.high, high - right.low
    elif op == "*":
        low, high = low * right.low, high * right.high
    elif op in {"/", "/u"} and right.low == right.high > 0:
        low, high = low // right.low, high // right.low
    elif op in {"%", "%u"} and right.low == right.high > 0:
        low, high = 0, min(high, right.high - 1)
    elif op == "&":
        low, high = 0, min(high, right.high)
    elif op in {"|", "^"}:
        low, high = 0, (1 << max(high, right.high).bit_length()) - 1
    else:
        return None
    if low < 0 or high.bit_length() > WIDEST:
        return None
    # Every intermediate width that holds both sides and the result gives the exact value.
    width = max(bits_for(max(high, left.high, right.high)), 1)
    made = fold.binary(ARITHMETIC[op], fold.extend("zext", left.expr, width), fold.extend("zext", right.expr, width))
    return Ranged(fold.slice_of(made, 0, bits_for(high)), low, high)


def merge(
    body: Body, condition: model.Expr, then: Value, otherwise: Value, nodes: tuple[tree.Expr, tree.Expr]
) -> Value:
    """`if condition then … else …` of one value each."""
    then, otherwise = simplify(then), simplify(otherwise)
    for value, node in zip((then, otherwise), nodes, strict=True):
        if not isinstance(value, Sized | Number | Ranged | Open):
            body.fail(node.pos, f"a value is needed here; this is {describe(value)}")
    if isinstance(then, Sized) and isinstance(otherwise, Sized) and then.width != otherwise.width:
        narrow = nodes[0] if then.width < otherwise.width else nodes[1]
        body.fail(
            nodes[1].pos,
            f"'if': one side is bits({then.width}), this one is bits({otherwise.width})",
            help=widen_help(body, narrow),
        )
    for value in (then, otherwise):
        if isinstance(value, Sized):
            width = value.width
            wanted = f"'if': the other side is bits({width})"
            return Sized(
                fold.select(
                    condition, fit(body, then, width, nodes[0], wanted), fit(body, otherwise, width, nodes[1], wanted)
                ),
                value.signed,
            )

    def build(width: int) -> model.Expr:
        return fold.select(condition, fit(body, then, width, nodes[0]), fit(body, otherwise, width, nodes[1]))

    first, second = ranged(then), ranged(otherwise)
    if first is not None and second is not None:
        high = max(first.high, second.high)
        width = bits_for(high)
        digits = first.digits if first.digits == second.digits else None
        if digits is not None:
            width = digits
        chosen = fold.select(condition, fold.extend("zext", first.expr, width), fold.extend("zext", second.expr, width))
        return Ranged(chosen, min(first.low, second.low), high, digits, build)
    return Open(build, "'if'")


def one_value(body: Body, value: Value, node: tree.Expr) -> Sized | Number | Ranged | Open:
    """Excludes functions, tuples and calls without result."""
    value = simplify(value)
    if isinstance(value, Sized | Number | Ranged | Open):
        return value
    if isinstance(value, Several):
        body.fail(
            node.pos,
            f"this gives {len(value.widths)} values; one is needed here",
            help="bind them first: let (a, b) = …",
        )
    if isinstance(value, Nothing):
        body.fail(node.pos, "this function has no result")
    body.fail(node.pos, f"this is {describe(value)}; a value is needed here")


__all__ = [
    "ARITHMETIC",
    "COMPARISONS",
    "SHIFTS",
    "WIDEST",
    "Failed",
    "apply",
    "fit",
    "merge",
    "narrow_help",
    "natural",
    "one_value",
    "ranged",
    "simplify",
    "widen_help",
]
