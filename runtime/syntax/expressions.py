"""Expressions in assembly text: numbers, symbols, `.`, 1f and 1b, C's operators.

Functions such as `%hi(x)` are the ISA's.  Expansions of aliases may also take slices, `x[31:12]`, extend their sign,
`sext(x[11:0])`, and ask for `argument(x)`, what a function had in the instruction that x names, plus what is added to
that name, and for `origin(x)`, where that instruction stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runtime.syntax.arithmetic import signed

__all__ = [
    "BadExpression",
    "Call",
    "Environment",
    "Expression",
    "Number",
    "Symbol",
    "Undefined",
    "address_of",
    "floats",
    "parse",
    "parse_operand",
    "strings",
    "symbols",
    "unescape",
]


class Undefined(Exception):
    """A symbol without a value."""

    def __init__(self, name: str, start: int, end: int) -> None:
        super().__init__(f"symbol '{name}' is not defined")
        self.name, self.start, self.end = name, start, end


class BadExpression(Exception):
    """Not an expression, at this place of the text."""

    def __init__(self, message: str, start: int, end: int | None = None) -> None:
        super().__init__(message)
        self.start, self.end = start, start + 1 if end is None else end


class Environment(Protocol):
    """What symbols stand for."""

    def symbol(self, name: str) -> int | None:
        """None when the symbol has no value."""

    def here(self) -> int:
        """The address of the statement."""

    def call(self, name: str, value: int, addend: int) -> int:
        """What a function gives for a value, of which `addend` was a number added to a symbol;

        Raises BadExpression if there is none of that name, Undefined if it has no value.
        """


@dataclass(frozen=True, slots=True)
class Number:
    value: int

    def evaluate(self, environment: Environment) -> int:
        return self.value


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol, a local label such as `1f`, or `.`."""

    name: str
    start: int
    end: int

    def evaluate(self, environment: Environment) -> int:
        value = environment.here() if self.name == "." else environment.symbol(self.name)
        if value is None:
            raise Undefined(self.name, self.start, self.end)
        return value


@dataclass(frozen=True, slots=True)
class Operation:
    """One or two operands; `start` is where the operator stands."""

    operator: str
    operands: tuple[Expression, ...]
    start: int

    def evaluate(self, environment: Environment) -> int:
        values = [operand.evaluate(environment) for operand in self.operands]
        if self.operator in "/%" and values[1] == 0:
            raise BadExpression("division by zero", self.start)
        if self.operator in ("<<", ">>") and not 0 <= values[1] <= 4096:
            raise BadExpression(f"a shift by {values[1]}", self.start)
        return _OPERATORS[self.operator, len(values)](*values)


@dataclass(frozen=True, slots=True)
class Bits:
    """`x[high:low]`, as a signed number when `sign` is set."""

    operand: Expression
    high: int
    low: int
    sign: bool

    def evaluate(self, environment: Environment) -> int:
        width = self.high - self.low + 1
        value = self.operand.evaluate(environment) >> self.low & ((1 << width) - 1)
        return signed(value, width) if self.sign else value


@dataclass(frozen=True, slots=True)
class Call:
    """`%hi(x)`; `start` is where it stands."""

    name: str
    operand: Expression
    start: int
    end: int

    def evaluate(self, environment: Environment) -> int:
        value = self.operand.evaluate(environment)
        try:
            return environment.call(self.name, value, _addend(self.operand))
        except BadExpression as error:
            raise BadExpression(str(error), self.start, self.end) from None
        except Undefined as error:
            raise Undefined(error.name, self.start, self.end) from None


def _addend(expression: Expression) -> int:
    """The 8 of `x + 8`."""
    match expression:
        case Operation("+" | "-", (left, Number(value))):
            return _addend(left) + (value if expression.operator == "+" else -value)
    return 0


Expression = Number | Symbol | Operation | Bits | Call


def address_of(expression: Expression) -> Iterator[str]:
    """The symbol whose address an expression is, perhaps with a number added; nothing if it is anything else."""
    match expression:
        case Symbol(name) if name != ".":
            yield name
        case Operation("+" | "-", (left, Number())):
            yield from address_of(left)


def symbols(expression: Expression) -> Iterator[Symbol]:
    """The symbols an expression names."""
    match expression:
        case Symbol():
            yield expression
        case Operation():
            for operand in expression.operands:
                yield from symbols(operand)
        case Bits() | Call():
            yield from symbols(expression.operand)


def _divide(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


_OPERATORS: dict[tuple[str, int], Callable[..., int]] = {
    ("||", 2): lambda a, b: int(bool(a or b)),
    ("&&", 2): lambda a, b: int(bool(a and b)),
    ("==", 2): lambda a, b: -(a == b),  # -1 when true, as GNU as has it
    ("!=", 2): lambda a, b: -(a != b),
    ("<=", 2): lambda a, b: -(a <= b),
    (">=", 2): lambda a, b: -(a >= b),
    ("<", 2): lambda a, b: -(a < b),
    (">", 2): lambda a, b: -(a > b),
    ("|", 2): lambda a, b: a | b,
    ("^", 2): lambda a, b: a ^ b,
    ("&", 2): lambda a, b: a & b,
    ("<<", 2): lambda a, b: a << b,
    (">>", 2): lambda a, b: a >> b,
    ("+", 2): lambda a, b: a + b,
    ("-", 2): lambda a, b: a - b,
    ("*", 2): lambda a, b: a * b,
    ("/", 2): _divide,
    ("%", 2): lambda a, b: a - b * _divide(a, b),
    ("-", 1): lambda a: -a,
    ("+", 1): lambda a: a,
    ("~", 1): lambda a: ~a,
    ("!", 1): lambda a: int(not a),
}
#: loosest first, as in C; `(?!…)` keeps `<` from being half of `<<`
_LEVELS: tuple[re.Pattern[str], ...] = tuple(
    map(
        re.compile,
        (
            r"\|\|",
            r"&&",
            r"\|(?!\|)",
            r"\^",
            r"&(?!&)",
            r"==|!=",
            r"<=|>=|<(?!<)|>(?!>)",
            r"<<|>>",
            r"[+-]",
            r"[*/]|%(?![A-Za-z_]\w*\s*\()",
        ),
    )
)

_BLANK = re.compile(r"[ \t]*")
_LOCAL = re.compile(r"(\d+)([fb])(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"0[xX]([0-9A-Fa-f_]+)|0[bB]([01_]+)|(\d[\d_]*)(?![A-Za-z])")
_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$]*")
_CHARACTER = re.compile(r"'(\\x[0-9A-Fa-f]{1,2}|\\[0-7]{1,3}|\\.|[^\\'])'")
_BITS = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*\]")
_SEXT = re.compile(r"sext\s*\(")
_CALL = re.compile(r"(%[A-Za-z_]\w*)\s*\(")
_ARGUMENT = re.compile(r"(argument|origin)\s*\(")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "b": 8, "f": 12, "v": 11, "a": 7, "e": 27}
_DEEPEST = 60


def parse(text: str, at: int, slices: bool = False) -> tuple[Expression, int]:
    """The longest expression at a place, and where it ends; raises BadExpression."""
    return _Parser(text, slices).level(0, at)


def parse_operand(text: str, at: int) -> tuple[Expression, int]:
    """A number, a symbol or a parenthesised expression, perhaps with a sign; raises BadExpression."""
    return _Parser(text, False).level(len(_LEVELS), at)


class _Parser:
    def __init__(self, text: str, slices: bool) -> None:
        self.text = text
        self.slices = slices
        self.depth = 0

    def _skip(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def level(self, number: int, at: int) -> tuple[Expression, int]:
        if number == len(_LEVELS):
            return self._unary(at)
        left, at = self.level(number + 1, at)
        while True:
            operator_at = self._skip(at)
            operator = _LEVELS[number].match(self.text, operator_at)
            if operator is None:
                return left, at
            right, at = self.level(number + 1, self._skip(operator.end()))
            left = Operation(operator[0], (left, right), operator_at)

    def _unary(self, at: int) -> tuple[Expression, int]:
        at = self._skip(at)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise BadExpression("nested too deep", at)
        try:
            if self.text[at : at + 1] in ("-", "+", "~", "!") and self.text[at : at + 2] != "!=":
                operand, end = self._unary(at + 1)
                return Operation(self.text[at], (operand,), at), end
            value, end = self._primary(at)
        finally:
            self.depth -= 1
        while self.slices:
            bits = _BITS.match(self.text, end)
            if bits is None:
                break
            high, low = int(bits[1]), int(bits[2])
            if high < low:
                raise BadExpression(f"[{high}:{low}] is the wrong way round", end, bits.end())
            value, end = Bits(value, high, low, False), bits.end()
        return value, end

    def _primary(self, at: int) -> tuple[Expression, int]:
        text = self.text
        if text[at : at + 1] == "(":
            value, end = self.level(0, at + 1)
            end = self._skip(end)
            if text[end : end + 1] != ")":
                raise BadExpression("')' is missing", end)
            return value, end + 1
        if self.slices and (call := _SEXT.match(text, at)):
            value, end = self.level(0, call.end())
            end = self._skip(end)
            if text[end : end + 1] != ")" or not isinstance(value, Bits):
                raise BadExpression("sext takes a slice, as in sext(x[11:0])", at, end)
            return Bits(value.operand, value.high, value.low, True), end + 1
        if call := _CALL.match(text, at) or (_ARGUMENT.match(text, at) if self.slices else None):
            value, end = self.level(0, call.end())
            end = self._skip(end)
            if text[end : end + 1] != ")":
                raise BadExpression("')' is missing", end)
            return Call(call[1], value, at, end + 1), end + 1
        if found := _LOCAL.match(text, at):
            return Symbol(found[0], at, found.end()), found.end()
        if found := _NUMBER.match(text, at):
            return Number(_number(found, at)), found.end()
        if found := _SYMBOL.match(text, at):
            return Symbol(found[0], at, found.end()), found.end()
        if found := _CHARACTER.match(text, at):
            return Number(unescape(found[1])[0]), found.end()
        raise BadExpression(
            "a number or a symbol is missing"
            if at >= len(text.rstrip())
            else f"'{text[at]}' starts no number and no symbol",
            at,
        )


def _number(found: re.Match[str], at: int) -> int:
    if found[1]:
        return int(found[1].replace("_", "") or "0", 16)
    if found[2]:
        return int(found[2].replace("_", "") or "0", 2)
    digits = found[3].replace("_", "")
    if len(digits) > 1 and digits[0] == "0":  # as in C and in GNU as
        if not set(digits) <= set("01234567"):
            raise BadExpression("a number that starts with 0 is octal", at, found.end())
        return int(digits, 8)
    if len(digits) > 1000:
        raise BadExpression("a number of more than 1000 digits", at, found.end())
    return int(digits)


_FLOAT = re.compile(r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf|nan)(?![\w.])", re.IGNORECASE)


def floats(text: str, at: int) -> list[float]:
    """The numbers of `.double 1.5, -2`."""
    found: list[float] = []
    for part in text[at:].split(","):
        start = at + len(part) - len(part.lstrip())
        if not _FLOAT.fullmatch(part.strip()):
            raise BadExpression(f"'{part.strip()}' is no number", start, start + max(1, len(part.strip())))
        found.append(float(part))
        at += len(part) + 1
    return found


_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)


def unescape(text: str) -> bytes:
    """The bytes of a string's inside, UTF-8 with C's escapes."""

    def byte(found: re.Match[bytes]) -> bytes:
        code = found[1].decode("utf-8", "replace")
        if code[0] == "x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        if code[0] in "01234567":
            return bytes([int(code, 8) & 0xFF])
        return bytes([_ESCAPES[code]]) if code in _ESCAPES else found[1]

    return _ESCAPE.sub(byte, text.encode("utf-8"))


def strings(text: str, at: int) -> list[bytes]:
    """The strings of `.ascii "a", "b"`."""
    found: list[bytes] = []
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        string = _STRING.match(text, at)
        if string is None:
            raise BadExpression("a string in double quotes is missing", at)
        found.append(unescape(string[1]))
        at = string.end()
        at += len(text[at:]) - len(text[at:].lstrip())
        if at >= len(text):
            return found
        if text[at] != ",":
            raise BadExpression("',' is missing", at)
        at += 1
