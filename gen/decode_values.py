"""Values known when an instruction is decoded: trees of pure TCG ops over its fields, pc, index and modes.

While a handler is generated they stand for what is not known yet.  Handlers receive them as operands of the op record;
the generated decoder computes them by replaying the tree (`replay`) through a plain builder.  Equal trees are one
object, so that identity is equality, and `Facts` says what one path through an instruction has decided about them.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.tcg.ir import Deferred, Value
from runtime.tcg.ops import OPS, mask
from runtime.tcg.values import ValueBuilder

#: leaves: not TCG ops but what the decoder is given
FIELD, MODE, PC, NEXT_PC, INDEX = "field", "mode", "pc", "next_pc", "index"

_OPPOSITE = {
    "eq": "ne", "ne": "eq", "ult": "uge", "uge": "ult", "ule": "ugt", "ugt": "ule",
    "slt": "sge", "sge": "slt", "sle": "sgt", "sgt": "sle",
}  # fmt: skip

Part = int | Deferred


class DecodeValue(Deferred):
    """One node.  `args` are ints and DecodeValues; `symbol` names a leaf's field or mode."""

    __slots__ = ("args", "name", "offset", "symbol", "widths")

    def __init__(
        self, name: str, width: int, args: tuple[Part, ...], widths: tuple[int, ...], offset: int, symbol: str
    ) -> None:
        super().__init__(width)
        self.name = name
        self.args = args
        self.widths = widths
        self.offset = offset
        self.symbol = symbol

    def __repr__(self) -> str:
        inside = [self.symbol] if self.symbol else [repr(part) for part in self.args]
        if self.offset:
            inside.append(f"@{self.offset}")
        return f"{self.name}({', '.join(inside)}):{self.width}"


class Pool:
    """Makes the values of one instruction, each distinct tree once, a little simplified."""

    def __init__(self) -> None:
        self._values: dict[tuple[object, ...], DecodeValue] = {}

    def leaf(self, name: str, width: int, symbol: str = "") -> DecodeValue:
        """A field, mode, pc, next pc or index."""
        return self._node(name, width, (), (), 0, symbol)

    def _node(
        self, name: str, width: int, args: tuple[Part, ...], widths: tuple[int, ...], offset: int, symbol: str = ""
    ) -> DecodeValue:
        # A DecodeValue hashes by identity, so an int among the arguments cannot be taken for one.
        key = (name, width, args, widths, offset, symbol)
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = DecodeValue(name, width, args, widths, offset, symbol)
        return found

    def op(self, name: str, width: int, args: tuple[Part, ...], widths: tuple[int, ...], offset: int = 0) -> Part:
        """A pure op; an int when it folds."""
        if all(isinstance(a, int) for a in args):
            evaluate = OPS[name].evaluate
            assert evaluate is not None
            return evaluate(width, args, widths, offset)  # type: ignore[arg-type]  # all are ints here
        if name in {"add", "mul", "and", "or", "xor", "eq", "ne"} and isinstance(args[0], int):
            args = (args[1], args[0])
        first = args[0]
        if isinstance(first, DecodeValue):
            simple = self._simplify(name, width, first, args[1:], widths, offset)
            if simple is not None:
                return simple
        return self._node(name, width, args, widths, offset)

    def _simplify(
        self, name: str, width: int, a: DecodeValue, rest: tuple[Part, ...], widths: tuple[int, ...], offset: int
    ) -> Part | None:
        """A smaller equal of the op, if there is an obvious one."""
        match name:
            case "not" if width == 1 and a.name == "not":
                return a.args[0]
            case "not" if width == 1 and a.name in _OPPOSITE:
                return self.op(_OPPOSITE[a.name], 1, a.args, a.widths)
            case "zext" | "sext" if a.name == name or (a.name == "zext" and a.widths[0] < a.width):
                return self.op(a.name, width, a.args, a.widths)
            case "slice":
                return self._slice(width, a, offset)
            case "eq" | "ne" if isinstance(rest[0], int) and a.name == "zext":
                if rest[0] >> a.widths[0]:
                    return int(name == "ne")
                return self.op(name, 1, (a.args[0], rest[0]), (a.widths[0], a.widths[0]))
            case "eq" | "ne" if isinstance(rest[0], int) and widths[0] == 1:
                return a if (rest[0] == 1) == (name == "eq") else self.op("not", 1, (a,), (1,))
            case "add" if isinstance(rest[0], int) and a.name == "add" and isinstance(a.args[1], int):
                total = (a.args[1] + rest[0]) & mask(width)
                return self.op(name, width, (a.args[0], total), widths) if total else a.args[0]
        return None

    def _slice(self, width: int, a: DecodeValue, offset: int) -> Part | None:
        if a.name == "slice":
            return self.op("slice", width, a.args, a.widths, a.offset + offset)
        if a.name in {"zext", "sext"}:
            inner, inside = a.args[0], a.widths[0]
            if offset + width <= inside:
                if offset == 0 and width == inside:
                    return inner
                return self.op("slice", width, (inner,), (inside,), offset)
            if a.name == "zext" and offset >= inside:
                return 0
        if a.name == "cat":
            low = 0
            for part, part_width in zip(reversed(a.args), reversed(a.widths), strict=True):
                if low <= offset and offset + width <= low + part_width:
                    if isinstance(part, int):
                        return part >> (offset - low) & mask(width)
                    if width == part_width:
                        return part
                    return self.op("slice", width, (part,), (part_width,), offset - low)
                low += part_width
        return None


class Facts:
    """What is known about decode values on one path."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.equal: dict[DecodeValue, int] = dict(facts.equal) if facts else {}
        self._not_equal: dict[DecodeValue, set[int]] = (
            {value: set(excluded) for value, excluded in facts._not_equal.items()} if facts else {}
        )
        #: what evaluation has found since the last thing was learnt
        self._found: dict[DecodeValue, int | None] = {}

    def assume(self, condition: Part, truth: bool) -> None:
        """From here on the condition (of one bit) is known."""
        if isinstance(condition, int):
            return
        assert isinstance(condition, DecodeValue)
        self.equal[condition] = int(truth)
        self._found.clear()
        args = condition.args
        match condition.name:
            case "not":
                self.assume(args[0], not truth)
            case "eq" | "ne" if isinstance(args[1], int) and isinstance(args[0], DecodeValue):
                if (condition.name == "eq") == truth:
                    self._set(args[0], args[1])
                else:
                    self._exclude(args[0], args[1])
            case "ule" | "ugt" if (condition.name == "ule") == truth and args[1] == 0:
                assert isinstance(args[0], DecodeValue)
                self._set(args[0], 0)
            case "and" if truth:
                self.assume(args[0], True)
                self.assume(args[1], True)
            case "or" if not truth:
                self.assume(args[0], False)
                self.assume(args[1], False)
            case "select" if truth and args[2] == 0:
                self.assume(args[0], True)
                self.assume(args[1], True)
            case "select" if not truth and args[1] == 1:
                self.assume(args[0], False)
                self.assume(args[2], False)

    def _set(self, value: DecodeValue, number: int) -> None:
        self.equal[value] = number
        if value.name in {"sext", "zext"} and isinstance(value.args[0], DecodeValue):
            self._set(value.args[0], number & mask(value.widths[0]))

    def _exclude(self, value: DecodeValue, number: int) -> None:
        excluded = self._not_equal.setdefault(value, set())
        excluded.add(number)
        if len(excluded) == (1 << value.width) - 1:
            self._set(value, next(n for n in range(1 << value.width) if n not in excluded))

    def value(self, part: Part) -> int | None:
        """The number it is known to be."""
        if isinstance(part, int):
            return part
        assert isinstance(part, DecodeValue)
        return self._evaluate(part)

    def _evaluate(self, value: DecodeValue) -> int | None:
        known = self.equal.get(value)
        if known is not None or not value.args:
            return known
        if value in self._found:
            return self._found[value]
        parts = [self.value(part) for part in value.args]
        self._found[value] = result = self._combine(value, parts)
        return result

    def _may_be(self, value: DecodeValue, number: int) -> bool:
        """Whether nothing known, of the value or of bits of it, speaks against this number."""
        if number in self._not_equal.get(value, ()):
            return False
        for part, known in self.equal.items():
            if part.name == "slice" and part.args[0] is value and known != number >> part.offset & mask(part.width):
                return False
        return True

    def _combine(self, value: DecodeValue, parts: list[int | None]) -> int | None:
        numbers = tuple([part for part in parts if part is not None])
        if len(numbers) == len(parts):
            evaluate = OPS[value.name].evaluate
            assert evaluate is not None
            return evaluate(value.width, numbers, value.widths, value.offset)
        match value.name:
            case "select" if parts[0] is not None:
                return parts[1] if parts[0] else parts[2]
            case "and" | "mul" if 0 in parts:
                return 0
            case "or" if mask(value.width) in parts:
                return mask(value.width)
            case "eq" | "ne":
                a, b = value.args[0], value.args[1]
                if isinstance(b, int) and isinstance(a, DecodeValue) and not self._may_be(a, b):
                    return int(value.name == "ne")
        return None


def replay(value: Part, builder: ValueBuilder, leaf: Callable[[DecodeValue], Value], done: dict[Part, Value]) -> Value:
    """The value computed by a builder; `leaf` gives the leaves, `done` remembers what has been computed."""
    if isinstance(value, int):
        return value
    if value in done:
        return done[value]
    assert isinstance(value, DecodeValue)
    if value.args:
        args = tuple([replay(part, builder, leaf, done) for part in value.args])
        result = builder.pure(value.name, value.width, args, value.widths, value.offset)
    else:
        result = leaf(value)
    done[value] = result
    return result
