"""The parser: the grammar has no conflicts, positions are exact, and any text parses or raises SpecError."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen import tree
from gen.errors import SpecError
from gen.parse import Layout, parse_file, parse_text
from gen.tree import Pos
from tests.tools import lines_executed

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "specs").glob("*.isa"), *(ROOT / "tests/specs/pass").glob("*.isa")])
TEXTS = [path.read_text(encoding="utf-8") for path in SPECS]


def expression(text: str) -> tree.Expr:
    decl = parse_text(f"const A = {text}\n", "test.isa").decls[0]
    assert isinstance(decl, tree.Const)
    return decl.value


def body(*lines: str) -> tuple[tree.Stmt, ...]:
    decl = parse_text("fn f()\n" + "".join(f"    {line}\n" for line in lines), "test.isa").decls[0]
    assert isinstance(decl, tree.Fn)
    return decl.body


def shape(node: Any) -> Any:
    """An expression as nested tuples, to compare without positions."""
    match node:
        case tree.Num():
            return node.digits
        case tree.Name():
            return node.name
        case tree.Binary():
            return node.op, shape(node.left), shape(node.right)
        case tree.Unary():
            return node.op, shape(node.operand)
        case tree.Not():
            return "not", shape(node.operand)
        case tree.Cat():
            return "++", *map(shape, node.parts)
        case tree.IfExpr():
            return "if", *((shape(c), shape(v)) for c, v in node.arms), shape(node.otherwise)
        case tree.Call():
            return "call", shape(node.callee), *map(shape, node.args)
        case tree.Index():
            return "index", shape(node.base), shape(node.index)
        case tree.Slice():
            return "slice", shape(node.base), shape(node.high), shape(node.low)
        case tree.DynSlice():
            return "dynslice", shape(node.base), shape(node.low), shape(node.width)
        case tree.Subscript():
            return "subscript", shape(node.base), *map(shape, node.indices)
        case tree.Field():
            return ".", shape(node.base), node.name
        case tree.TupleExpr():
            return "tuple", *map(shape, node.items)
        case tree.OpSection():
            return f"({node.op})"
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a or b and c", ("or", "a", ("and", "b", "c"))),
        ("not a and b", ("and", ("not", "a"), "b")),
        ("not a == b", ("not", ("==", "a", "b"))),
        ("not not a", ("not", ("not", "a"))),
        ("a and not b == c or d", ("or", ("and", "a", ("not", ("==", "b", "c"))), "d")),
        ("a == b | c", ("==", "a", ("|", "b", "c"))),
        ("a | b ^ c & d", ("|", "a", ("^", "b", ("&", "c", "d")))),
        ("a & b ++ c", ("&", "a", ("++", "b", "c"))),
        ("a ++ b ++ c", ("++", "a", "b", "c")),
        ("(a ++ b) ++ c", ("++", ("++", "a", "b"), "c")),
        ("a ++ b << 2 ++ c", ("++", "a", ("<<", "b", "2"), "c")),
        ("a << b + c", ("<<", "a", ("+", "b", "c"))),
        ("a - b - c", ("-", ("-", "a", "b"), "c")),
        ("a + b * c", ("+", "a", ("*", "b", "c"))),
        ("a /u b %s c", ("%s", ("/u", "a", "b"), "c")),
        ("a rotl 3 rotr b", ("rotr", ("rotl", "a", "3"), "b")),
        ("-a * ~b", ("*", ("-", "a"), ("~", "b"))),
        ("- - a", ("-", ("-", "a"))),
        ("a >>s 1 >>u 2", (">>u", (">>s", "a", "1"), "2")),
        ("a <s b", ("<s", "a", "b")),
        ("a <=u b", ("<=u", "a", "b")),
        ("if a then b elif c then d else e", ("if", ("a", "b"), ("c", "d"), "e")),
        ("if a then if b then c else d else e", ("if", ("a", ("if", ("b", "c"), "d")), "e")),
        ("x[7:0]", ("slice", "x", "7", "0")),
        ("x[i +: 8]", ("dynslice", "x", "i", "8")),
        ("x[i + 1]", ("index", "x", ("+", "i", "1"))),
        ("M[a, 32]", ("subscript", "M", "a", "32")),
        ("a.b.c", (".", (".", "a", "b"), "c")),
        ("f32.add(a, b)", ("call", (".", "f32", "add"), "a", "b")),
        ("V.lanes(w)[i]", ("index", ("call", (".", "V", "lanes"), "w"), "i")),
        ("f()", ("call", "f")),
        ("(a, b)", ("tuple", "a", "b")),
        ("f((+), (<s), (and), (rotl), (-), (|))", ("call", "f", "(+)", "(<s)", "(and)", "(rotl)", "(-)", "(|)")),
        ("0b00_1 ++ 0x0F", ("++", "0b00_1", "0x0F")),
    ],
)
def test_precedence(text: str, expected: Any) -> None:
    assert shape(expression(text)) == expected


@pytest.mark.parametrize(
    ("digits", "value"),
    [("000", 0), ("12", 12), ("1_000", 1000), ("0x0F", 15), ("0xdead_beef", 0xDEADBEEF), ("0b0101", 5)],
)
def test_numbers_keep_their_spelling(digits: str, value: int) -> None:
    number = expression(digits)
    assert isinstance(number, tree.Num)
    assert (number.value, number.digits) == (value, digits)


def test_statements() -> None:
    statements = body(
        "let (x, fl) = f(a)",
        "let y : bits(4) = 1",
        "var z : bit = 0",
        "z = 1; R[i] |= 2",
        "M[a, 8] = v",
        "goto t",
        "raise Bad",
        "raise Worse(1, a)",
        "annul",
        "return",
        "pass",
        "f(x)",
        "while a: break",
        "for i in 0 .. 3: pass",
        "for i in a ..< b:",
        "    pass",
        "atomic:",
        "    let old = M[a, 32]",
        "    M[a, 32] = old",
        "match a:",
        "    0 | 1: pass",
        "    else: pass",
    )
    assert [type(s).__name__ for s in statements] == [
        "Let",
        "Let",
        "Var",
        "Assign",
        "AugAssign",
        "Assign",
        "Goto",
        "Raise",
        "Raise",
        "Annul",
        "Return",
        "Pass",
        "ExprStmt",
        "While",
        "For",
        "For",
        "Atomic",
        "Match",
    ]
    aug = statements[4]
    assert isinstance(aug, tree.AugAssign)
    assert aug.op == "|"
    assert [s.inclusive for s in statements if isinstance(s, tree.For)] == [True, False]
    match = statements[-1]
    assert isinstance(match, tree.Match)
    assert [len(case.values) for case in match.cases] == [2, 0]


@pytest.mark.parametrize(
    "lines",
    [
        ["if a: b()", "elif c: d()", "else: e()"],
        ["if a: b() elif c: d() else: e()"],
        ["if a: b() elif c: d() else:", "    e()"],
        ["if a:", "    b()", "elif c:", "    d()", "else: e()"],
    ],
)
def test_if_in_all_its_layouts(lines: list[str]) -> None:
    (statement,) = body(*lines)
    assert isinstance(statement, tree.If)
    assert [shape(condition) for condition, _ in statement.arms] == ["a", "c"]
    assert all(len(arm) == 1 for _, arm in statement.arms)
    assert len(statement.otherwise) == 1


def test_sticky_forms() -> None:
    decls = parse_text("sticky fcsr.fflags\nsticky fflags\n", "test.isa").decls
    assert [(d.register.name, d.field and d.field.name) for d in decls if isinstance(d, tree.Sticky)] == [
        ("fcsr", "fflags"),
        ("fflags", None),
    ]


def test_isa_header() -> None:
    (header,) = parse_text("isa N extends A, B with P = 64, Q = P / 2\n", "test.isa").decls
    assert isinstance(header, tree.IsaHeader)
    assert [name.name for name in header.extends] == ["A", "B"]
    assert [binding.name.name for binding in header.bindings] == ["P", "Q"]


def test_table_rows() -> None:
    (table,) = parse_text(
        'insns (a, b, c, d, e) "{a}" "{name:.}" delayed in S where a != 0\n'
        '    and   000 0x1F (+) "s" (N + 1)\n'
        "    f.add 1_1 f    (|) (and) x\n"
        "    do pass\n",
        "test.isa",
    ).decls
    assert isinstance(table, tree.Insns)
    assert [row.name.name for row in table.rows] == ["and", "f.add"]
    assert [type(arg.value).__name__ for arg in table.rows[0].args] == ["Num", "Num", "OpSection", "Text", "Binary"]
    assert table.options.delayed
    assert table.options.space is not None


def test_keywords_are_names_where_no_keyword_can_stand() -> None:
    decls = parse_text("reg mask, in, when, read, isa : bit\nfield names : 3\nfn f() -> bit = mask\n", "test.isa").decls
    assert len(decls) == 3


def test_continued_lines() -> None:
    decls = parse_text(
        "reg status : bits(8) {\n    A 0,\n    B 2:1  # two bits\n}\nconst C = 1 + \\\n  2\nconst D = (1 +\n  2)\n",
        "test.isa",
    ).decls
    assert [type(decl).__name__ for decl in decls] == ["RegDecl", "Const", "Const"]


def nodes(value: Any) -> Iterator[Any]:
    """All nodes of a tree."""
    if isinstance(value, tuple):
        for item in value:
            yield from nodes(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, Pos):
        yield value
        for field in dataclasses.fields(value):
            yield from nodes(getattr(value, field.name))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_positions(path: Path) -> None:
    """Names, numbers, strings and operators stand where their position says; parts lie within what they are part of."""
    lines = path.read_text(encoding="utf-8").split("\n")

    def text(pos: Pos) -> str:
        assert pos.line == pos.end_line
        return lines[pos.line - 1][pos.column - 1 : pos.end_column - 1]

    def in_range(node: tree.Num | tree.Name) -> bool:
        """Whether it is one of a range of registers, which stands there as a whole: `0x3B0 pmpaddr0-15`."""
        match = re.fullmatch(r"(?:(0x\w+) +)?([A-Za-z_]\w*?)(\d+)-(\d+)", text(node.pos))
        if match is None:
            return False
        numbers = range(int(match[3]) + 1, int(match[4]) + 1)
        if isinstance(node, tree.Name):
            return node.name in {f"{match[2]}{number}" for number in numbers}
        return node.value - int(match[1], 16) + numbers[0] - 1 in numbers

    for decl in parse_file(path).decls:
        for node in nodes(decl):
            match node:
                case tree.Num() | tree.Name() if in_range(node):
                    pass
                case tree.Num() if text(node.pos) not in {"bit", f"({node.digits})"}:
                    assert text(node.pos) == node.digits
                case tree.Name() if text(node.pos) not in {f"({node.name})", f'"{node.name}"'}:
                    assert text(node.pos) == node.name
                case tree.Text():
                    assert text(node.pos) == f'"{node.value}"'
                case tree.Binary():
                    assert text(node.op_pos) == node.op
                    inner = (node.left.pos.line, node.left.pos.column)
                    assert (node.pos.line, node.pos.column) <= inner < (node.right.pos.line, node.right.pos.column)
                    assert (node.right.pos.end_line, node.right.pos.end_column) <= (
                        node.pos.end_line,
                        node.pos.end_column,
                    )


def test_brackets_belong_to_the_expression() -> None:
    value = expression("(a + b) * c")
    assert isinstance(value, tree.Binary)
    assert (value.left.pos.column, value.left.pos.end_column) == (11, 18)


def test_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    """Lark settles conflicts silently unless it is asked to tell."""
    grammar = (ROOT / "gen" / "grammar.lark").read_text(encoding="utf-8")
    lark.logger.setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
            lark.Lark(
                grammar,
                parser="lalr",
                lexer="contextual",
                start=["item", "expr"],
                postlex=Layout(),
                debug=True,
                keep_all_tokens=True,
            )
    finally:
        lark.logger.setLevel(logging.CRITICAL)
    assert [record.getMessage() for record in caplog.records if "conflict" in record.getMessage().lower()] == []


def test_no_conflicts_would_notice(caplog: pytest.LogCaptureFixture) -> None:
    lark.logger.setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
            lark.Lark('start: "if" start | "if" start "else" start | "x"', parser="lalr", debug=True)
    finally:
        lark.logger.setLevel(logging.CRITICAL)
    assert any("conflict" in record.getMessage().lower() for record in caplog.records)


def test_eight_times_the_text_is_eight_times_the_work() -> None:
    """Counted, not timed: what is quadratic would be 64 times the work."""
    text = (ROOT / "specs" / "riscv_c.isa").read_text(encoding="utf-8")
    parse_text(text, "test.isa")  # builds the parser, once
    once, often = (lines_executed(parse_text, text * times, "test.isa") for times in (1, 8))
    assert once > text.count("\n")
    assert often < 9 * once


def test_three_errors_in_one_run() -> None:
    with pytest.raises(SpecError) as caught:
        parse_text("reg a b : bit\nreg c : bit\nconst D 12\nfn f(\n    x\n", "test.isa")
    assert [d.pos.line for d in caught.value.diagnostics] == [1, 3, 4]


def test_missing_file(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.isa", "there is no such file"), (tmp_path, "is a directory")):
        with pytest.raises(SpecError) as caught:
            parse_file(path)
        assert str(caught.value).startswith(f"{path}: error: {message}")
    with pytest.raises(SpecError):
        parse_file("a\0b")


def test_no_error_speaks_of_the_tools() -> None:
    for text in ("fn f(", "isa", "reg a : bit = ]", "fn f()\n   x\n  y", 'insns (a) "" ""\n  b'):
        with pytest.raises(SpecError) as caught:
            parse_text(text, "test.isa")
        message = str(caught.value)
        assert not any(word in message for word in ("Unexpected", "Token", "_NL", "INDENT", "$END", "lark", "LALR"))


def parses_or_says_why(text: str) -> None:
    try:
        parse_text(text, "test.isa")
    except SpecError as error:
        found = error
    else:
        return
    assert found.diagnostics
    assert "error: " in str(found)
    assert all(diagnostic.pos.line <= text.count("\n") + 1 for diagnostic in found.diagnostics)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    parses_or_says_why(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from('isaregfnifelse :()[]{}\n    =+-|&^~<>"0x1b,.;#\\'), max_size=120))
def test_any_text_of_the_language_s_letters(text: str) -> None:
    parses_or_says_why(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_specs(data: st.DataObject) -> None:
    """A spec with a piece cut out, doubled or replaced."""
    text = data.draw(st.sampled_from(TEXTS))
    at = data.draw(st.integers(0, max(0, len(text) - 400)))
    text = text[at : at + 400]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    piece = data.draw(st.one_of(st.just(""), st.just(text[start:end] * 2), st.text(max_size=10)))
    parses_or_says_why(text[:start] + piece + text[end:])
