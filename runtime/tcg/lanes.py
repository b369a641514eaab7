"""Functions that work lane by lane: found in their ops, so that LLVM can make vector instructions of them.

A spec puts the result together with `r | zext(lane) << i * w`, one lane after the other.  LLVM does not see a vector in
such a wide integer; in a `cat` of all the lanes, and in slices that the lowering takes as elements, it does.
"""

from __future__ import annotations

from runtime.tcg.ir import Function, Op, Operand, Temp
from runtime.tcg.optimize import remove_dead

#: stands in a module with such functions
MARK = "; lanes"
#: bits of what is taken for a vector, and of its lanes; a mask has one for each byte of a vector
_VECTORS = frozenset((128, 256, 512))
_LANE_BITS = frozenset((8, 16, 32, 64))
_MASKS = frozenset((16, 32, 64))
#: a lane: where it begins, what it is, how wide that is
_Lane = tuple[int, Operand, int]


def gather_lanes(function: Function) -> None:
    """Make every result that is put together lane by lane a `cat`, and say so in `function.lanes`."""
    made = {temp: op for op in function.ops for temp in op.results if op.name != "label"}
    inner = {value for op in function.ops if op.name == "or" for value in op.args}
    found = False
    for op in function.ops:
        if op.name != "or" or op.result in inner:
            continue
        lanes = _lanes(op.result, made)
        if lanes is not None and _complete(lanes, op.result.width):
            lanes.sort(key=lambda lane: -lane[0])
            op.name = "cat"
            op.args = tuple([value for _, value, _ in lanes])
            op.widths = tuple([width for _, _, width in lanes])
            found = True
    if found:
        function.lanes = True
        remove_dead(function)


def gather_parts(function: Function) -> None:
    """Likewise for results that are a `cat` already, with slices as the elements they are."""
    made = {temp: op for op in function.ops for temp in op.results if op.name != "label"}
    for op in function.ops:
        if op.name == "slice":
            _skip_shift(op, made)
    for op in function.ops:
        if op.name != "cat":
            continue
        parts = _parts(op, made)
        width = parts[0][1]
        if all(other == width for _, other in parts) and is_vector(width, op.result.width):
            op.args, op.widths = tuple([value for value, _ in parts]), tuple([width for _, width in parts])
            function.lanes = True
    remove_dead(function)


def _skip_shift(op: Op, made: dict[Temp, Op]) -> None:
    """A slice of what a shift by a number leaves is one of what was shifted."""
    shift = made.get(op.args[0]) if isinstance(op.args[0], Temp) else None
    if shift is None or shift.name != "lshr" or not isinstance(shift.args[1], int):
        return
    low = op.offset + shift.args[1]
    if low + op.result.width <= op.widths[0]:
        op.args, op.offset = shift.args[:1], low


def _parts(op: Op, made: dict[Temp, Op]) -> list[tuple[Operand, int]]:
    """What a `cat` and those inside it consist of."""
    found: list[tuple[Operand, int]] = []
    for value, width in zip(op.args, op.widths, strict=True):
        inner = made.get(value) if isinstance(value, Temp) else None
        found += _parts(inner, made) if inner is not None and inner.name == "cat" else [(value, width)]
    return found


def _lanes(value: Operand, made: dict[Temp, Op]) -> list[_Lane] | None:
    """What an `or` of values shifted to their places consists of; None if that is not all."""
    found: list[_Lane] = []
    pending = [value]
    while pending:
        part = pending.pop()
        op = made.get(part) if isinstance(part, Temp) else None
        if op is None:
            return None
        if op.name == "or":
            pending += op.args
            continue
        at = 0
        if op.name == "shl" and isinstance(op.args[1], int):
            at = op.args[1]
            shifted = op.args[0]
            op = made.get(shifted) if isinstance(shifted, Temp) else None
        if op is None or op.name != "zext":
            return None
        found.append((at, op.args[0], op.widths[0]))
    return found


def _complete(lanes: list[_Lane], width: int) -> bool:
    """Whether they are all of one width, and each at its place."""
    (lane, *others) = {part for _, _, part in lanes}
    if others or len(lanes) * lane != width or {at for at, _, _ in lanes} != set(range(0, width, lane)):
        return False
    return is_vector(lane, width)


def is_vector(lane: int, width: int) -> bool:
    """Whether values of `width` bits are taken for vectors of such lanes."""
    return (lane in _LANE_BITS and width in _VECTORS) or (lane == 1 and width in _MASKS)


def is_element(width: int, offset: int, part: int) -> bool:
    """Whether a slice of a value of `width` bits is a lane, or a bit of a byte."""
    return width in _VECTORS and (part == 1 or (part in _LANE_BITS and offset % part == 0))
