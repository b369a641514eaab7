"""Works out `const` and `param`: plain numbers, of any size, known before anything is generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gen import tree
from gen.errors import Diagnostics, Note
from gen.tree import Pos

__all__ = ["Constants", "Unknown"]

# Wider than any value of the language; it keeps mistakes such as 1 << 1000000 from using up memory.
_LARGEST = 1 << 4096

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>u": lambda a, b: a >> b,
    ">>s": lambda a, b: a >> b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<s": lambda a, b: int(a < b),
    "<=s": lambda a, b: int(a <= b),
    ">s": lambda a, b: int(a > b),
    ">=s": lambda a, b: int(a >= b),
}
for _op in ("<", "<=", ">", ">="):
    _OPERATIONS[_op + "u"] = _OPERATIONS[_op + "s"]


class Unknown(Exception):
    """The value could not be worked out; why has been reported."""


class Constants:
    """Evaluates the expressions behind names, each once, on demand, in whatever order they are declared."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._definitions: dict[str, tuple[tree.Expr, Pos]] = {}
        self._values: dict[str, int] = {}
        self._failed: set[str] = set()
        self._pending: list[str] = []

    def define(self, name: str, value: tree.Expr, pos: Pos) -> None:
        """Gives a name the expression it stands for; a later definition replaces an earlier one."""
        self._definitions[name] = (value, pos)

    def fix(self, name: str, value: int) -> None:
        """Gives a name a value from outside."""
        self._values[name] = value

    def value_of(self, name: str) -> int | None:
        """The value of a defined name; None if that failed, which is reported once."""
        try:
            return self._lookup(name, self._definitions[name][1])
        except Unknown:
            return None

    def evaluate(self, expr: tree.Expr) -> int | None:
        """The value of an expression; None if it has none, which is reported."""
        try:
            return self._evaluate(expr)
        except Unknown:
            return None

    @property
    def values(self) -> Mapping[str, int]:
        return self._values

    def _fail(self, pos: Pos, message: str, notes: tuple[Note, ...] = (), help: str | None = None) -> Unknown:
        self._diagnostics.error(pos, message, notes, help)
        return Unknown()

    def _lookup(self, name: str, pos: Pos) -> int:
        if name in self._values:
            return self._values[name]
        if name in self._failed:
            raise Unknown
        definition = self._definitions.get(name)
        if definition is None:
            raise self._fail(
                pos,
                f"'{name}' is no constant or parameter",
                help="what is known at generation time is made of numbers, const and param",
            )
        if name in self._pending:
            around = self._pending[self._pending.index(name) :]
            notes = tuple((self._definitions[n][1], f"'{n}' is needed for it") for n in around[1:])
            raise self._fail(definition[1], f"'{name}' is defined by itself", notes)
        self._pending.append(name)
        try:
            value = self._evaluate(definition[0])
        except Unknown:
            self._failed.add(name)
            raise
        finally:
            self._pending.pop()
        self._values[name] = value
        return value

    def _evaluate(self, expr: tree.Expr) -> int:
        match expr:
            case tree.Num():
                return expr.value
            case tree.Name():
                return self._lookup(expr.name, expr.pos)
            case tree.Unary():
                value = self._evaluate(expr.operand)
                return -value if expr.op == "-" else ~value
            case tree.Not():
                return int(not self._evaluate(expr.operand))
            case tree.Binary():
                return self._binary(expr)
            case tree.IfExpr():
                for condition, then in expr.arms:
                    if self._evaluate(condition):
                        return self._evaluate(then)
                return self._evaluate(expr.otherwise)
            case _:
                raise self._fail(
                    expr.pos,
                    "this is not known at generation time",
                    help="constants and parameters are made of numbers, names of such, and operators",
                )

    def _binary(self, expr: tree.Binary) -> int:
        left = self._evaluate(expr.left)
        if expr.op == "and":
            return int(bool(left and self._evaluate(expr.right)))
        if expr.op == "or":
            return int(bool(left or self._evaluate(expr.right)))
        right = self._evaluate(expr.right)
        if expr.op[0] in "/%":
            if right == 0:
                raise self._fail(expr.op_pos, "division by zero")
            quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return quotient if expr.op[0] == "/" else left - quotient * right
        if expr.op in {"<<", ">>u", ">>s"} and not 0 <= right <= 4096:
            raise self._fail(expr.op_pos, f"shift by {right}")
        operation = _OPERATIONS.get(expr.op)
        if operation is None:
            raise self._fail(
                expr.op_pos,
                f"'{expr.op}' needs a value of a known width",
                help="constants and parameters are numbers without a width",
            )
        value = operation(left, right)
        if abs(value) >= _LARGEST:
            raise self._fail(expr.pos, "this number has more than 4096 bits")
        return value
