"""Checks `for i in a ..< b: value` where a value stands: one value for each number, side by side."""

from __future__ import annotations

from gen import expressions, fold, model, tree, widths
from gen.scope import Body, Local
from gen.values import Number, Ranged, Sized, Value, bits_for


def joined(body: Body, node: tree.Joined) -> Value:
    """A variable that a loop fills; the syntax has such values only where nothing was computed before them."""
    low = expressions.number_of(body, node.low, "the first number of a joined value")
    high = expressions.number_of(body, node.high, "the last number of a joined value") - (not node.inclusive)
    if not 0 <= low <= high:
        body.fail(node.pos, "there is no number in this range, so no value to join")
    index_width = bits_for(high)
    chosen = body.fresh(node.name.name)
    index = Ranged(model.Local(index_width, chosen, model.Time.T), low, high)
    with body.block() as made:
        body.declare(node.name.name, Local("index", index, node.name.pos, chosen))
        element = expressions.with_own_width(body, node.value, "one of the values joined").expr
    count = high - low + 1
    width = count * element.width
    if width > widths.WIDEST:
        body.fail(node.pos, f"{count} values of {element.width} bits are more than {widths.WIDEST}")
    whole = body.fresh("joined")
    body.emit(model.Var(whole, width, fold.const(width, 0), node.pos))
    body.variables.add(whole)
    value = model.Local(width, whole, model.Time.R)
    at = fold.binary("shl", fold.extend("zext", element, width), _amount(body, index, low, element.width, node))
    made.append(model.Assign(model.ToLocal(width, whole), fold.binary("or", value, at), node.pos))
    first, last = fold.const(index_width, low), fold.const(index_width, high)
    body.emit(model.For(chosen, index_width, first, last, tuple(made), node.pos))
    return Sized(value)


def _amount(body: Body, index: Ranged, low: int, width: int, node: tree.Joined) -> model.Expr:
    """Where the value for an index stands."""
    sides = (node.value, node.value)
    place: Value = index
    if low:
        place = widths.apply(body, "-", place, Number(low), sides, node.pos)
    if width > 1:
        place = widths.apply(body, "*", place, Number(width), sides, node.pos)
    made = widths.natural(place)
    assert made is not None
    return made
