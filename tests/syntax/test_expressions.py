"""Expressions in assembly text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.syntax.expressions import BadExpression, Undefined, floats, parse, strings, unescape


class Symbols:
    def symbol(self, name: str) -> int | None:
        return {"a": 7, ".L1": 16, "x$y": 3}.get(name)

    def here(self) -> int:
        return 0x100


def value(text: str, slices: bool = False) -> int:
    expression, end = parse(text, 0, slices)
    assert end == len(text)
    return expression.evaluate(Symbols())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3", 7),
        ("(1 + 2)*3", 9),
        ("0x_ff", 255),
        ("0b1_01", 5),
        ("017", 15),
        ("1_000", 1000),
        ("-a", -7),
        ("~0", -1),
        ("- -3", 3),
        ("+4", 4),
        (".L1 - a", 9),
        ("x$y", 3),
        (". - 0x80", 0x80),
        ("1 << 4 | 3 & 2", 18),
        ("7/2", 3),
        ("-7/2", -3),
        ("-7 % 3", -1),
        ("'a'", 97),
        ("'\\n'", 10),
        ("'\\''", 39),
        ("' '", 32),
        ("'\\x41'", 65),
        ("5 ^ 1", 4),
        ("256 >> 4", 16),
        ("10 - 3 - 2", 5),
    ],
)
def test_values(text: str, expected: int) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[1:0]", 3),
        ("(a << 8)[11:8]", 7),
        ("sext(a[2:0])", -1),
        ("sext((0 - a)[11:0])", -7),
        ("a[2:1][0:0]", 1),
    ],
)
def test_slices_in_aliases(text: str, expected: int) -> None:
    assert value(text, slices=True) == expected


def test_an_expression_ends_where_it_can() -> None:
    assert parse("8(sp)", 0)[1] == 1
    assert parse("8 (sp)", 0)[1] == 1
    assert parse("a[0]", 0)[1] == 1
    assert parse("x, 4", 0)[1] == 1


@pytest.mark.parametrize(
    ("text", "message", "start"),
    [
        ("", "a number or a symbol is missing", 0),
        ("1 +", "a number or a symbol is missing", 3),
        ("(1", "')' is missing", 2),
        ("1 + *", "'*' starts no number and no symbol", 4),
        ("09", "a number that starts with 0 is octal", 0),
        ("(" * 300 + "1", "nested too deep", 60),
    ],
)
def test_what_is_no_expression(text: str, message: str, start: int) -> None:
    with pytest.raises(
        BadExpression, match="^" + message.replace("(", r"\(").replace(")", r"\)").replace("*", r"\*") + "$"
    ) as caught:
        parse(text, 0)
    assert caught.value.start == start


def test_what_has_no_value() -> None:
    with pytest.raises(Undefined) as caught:
        value("a + nobody")
    assert (caught.value.name, caught.value.start, caught.value.end) == ("nobody", 4, 10)
    with pytest.raises(BadExpression, match="division by zero"):
        value("1 / (a - 7)")
    with pytest.raises(BadExpression, match="a shift by 99999"):
        value("1 << 99999")


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.sampled_from("+-*&|^"))
def test_arithmetic_is_exact(left: int, right: int, operator: str) -> None:
    results = {
        "+": left + right,
        "-": left - right,
        "*": left * right,
        "&": left & right,
        "|": left | right,
        "^": left ^ right,
    }
    assert value(f"{left:#x} {operator} {right}") == results[operator]


def test_strings() -> None:
    assert strings(' "a\\n", "\\x41\\101\\0"', 0) == [b"a\n", b"AA\0"]
    assert strings('"é\\""', 0) == ['é"'.encode()]
    assert unescape("\\q") == b"q"
    with pytest.raises(BadExpression, match="',' is missing"):
        strings('"a" "b"', 0)
    with pytest.raises(BadExpression, match="a string in double quotes is missing"):
        strings("a", 0)


def test_floats() -> None:
    assert floats(" 1, -2.5, 1e3, .5, inf", 0) == [1.0, -2.5, 1000.0, 0.5, float("inf")]
    with pytest.raises(BadExpression, match="'x' is no number"):
        floats(" 1, x", 0)
