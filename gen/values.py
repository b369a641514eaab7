"""What an expression stands for while it is being checked: sized values, and those that still take their width
from what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gen import model
from gen.names import Declared
from gen.tree import Fn


class Failed(Exception):
    """Something below is wrong and has been reported; whoever catches this goes on with the next statement."""


class NeedsSplit(Exception):
    """A body reads a `split` value that the instruction at hand is not cloned for yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Sized:
    """An expression of known width.  `signed` marks encoding fields declared so: only templates look at it."""

    expr: model.Expr
    signed: bool = False

    @property
    def width(self) -> int:
        return self.expr.width


@dataclass(frozen=True, slots=True)
class Number:
    """A generation-time integer; `digits` is the width of a literal written in base 2 or 16."""

    value: int
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class Ranged:
    """An integer of known range but no width of its own: a loop index and arithmetic on it.  It adapts as literals do.
    `expr` is just wide enough for `high`; `digits` as in Number; `build` makes it at another width when there is a
    better way than extending `expr`."""

    expr: model.Expr
    low: int
    high: int
    digits: int | None = None
    build: Callable[[int], model.Expr] | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Waits for its width: `zext(x)`, `1 << n`.  `build` makes the expression, or reports why it cannot."""

    build: Callable[[int], model.Expr]
    what: str


@dataclass(frozen=True, slots=True)
class Several:
    """A tuple, or what a function with several results returns."""

    expr: model.Tuple | model.Call
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operator:
    """`(+)` as a value."""

    op: str


@dataclass(frozen=True, slots=True)
class UserFunction:
    declared: Declared[Fn]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """An intrinsic, or `sext`, `zext`."""

    name: str


@dataclass(frozen=True, slots=True)
class AnyFunction:
    """Stands for a `fn` parameter when a function nobody calls is checked: its calls are not looked into."""


@dataclass(frozen=True, slots=True)
class ExceptionValue:
    """An exception's name; as a number it is its code."""

    name: str
    code: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """A call of a function without a result."""

    expr: model.Call | model.Intrinsic


FunctionValue = Operator | UserFunction | BuiltIn | AnyFunction
Value = Sized | Number | Ranged | Open | Several | FunctionValue | ExceptionValue | Nothing


def describe(value: Value) -> str:
    """For messages: what kind of thing this is."""
    match value:
        case Sized():
            return f"bits({value.width})"
        case Number():
            return "an integer"
        case Ranged():
            return "a loop index"
        case Open():
            return f"{value.what}, whose width is open"
        case Several():
            return f"{len(value.widths)} values"
        case ExceptionValue():
            return f"the exception {value.name}"
        case Nothing():
            return "nothing: the function has no result"
    return "a function"


def bits_for(high: int) -> int:
    """The least width that holds 0..high; at least 1."""
    return max(1, high.bit_length())
