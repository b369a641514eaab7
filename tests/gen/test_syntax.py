"""Reading syntax templates, and the pseudo-instructions made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gen import model
from gen.elaborate import check
from gen.errors import Diagnostics, SpecError
from gen.model import Binary, Const, FieldRef, Literal, OperandRead, PcRead, Slice, Slot
from gen.source import folded
from gen.syntax import Format, enum_format, parse_template
from gen.syntax_tables import module_source
from gen.tree import Text
from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.tables import mode_key

FILE = Format("file", table=(("zero", "ra", "sp", "gp"), ("x0", "x1", "x2", "x3")))
FIELDS = {"rd": FILE, "imm": Format("number", signed=True), "rm": enum_format(1, [(",rne", "-")])}
EXPRESSIONS: dict[str, model.Expr] = {
    "rd": FieldRef(2, "rd"),
    "imm": FieldRef(12, "imm"),
    "rm": FieldRef(1, "rm"),
    "u": FieldRef(5, "u"),
    "imm[11:4]": Slice(8, FieldRef(12, "imm"), 4),
    "e": OperandRead(32, "e"),
    "R": model.RegRead(32, "R"),
    "PC + imm": Binary(32, "add", PcRead(32), model.Extend(32, "sext", FieldRef(12, "imm"))),
    "imm ++ 0": model.Cat(13, (FieldRef(12, "imm"), Const(1, 0))),
}


def read(parts: Any, text: str, name: str = "beq_l") -> model.Template | None:
    def resolve(inner: Text) -> model.Expr | None:
        found = EXPRESSIONS.get(inner.value.strip())
        if found is None:
            parts.diagnostics.error(inner.pos, f"unknown '{inner.value}'")
        return found

    return parse_template(
        parts.text(text),
        name,
        resolve,
        FIELDS,
        {"X": FILE, "rm": FIELDS["rm"]},
        parts.diagnostics,
        {"suffix": "w", "k": 3},
    )


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("{name} {rd}", (Literal("beq_l "), Slot(EXPRESSIONS["rd"], "file", table=FILE.table))),
        ("{name:.}.{suffix}{k} {imm}", (Literal("beq.l.w3 "), Slot(EXPRESSIONS["imm"], "number", signed=True))),
        ("j {PC + imm}", (Literal("j "), Slot(EXPRESSIONS["PC + imm"], "address"))),
        ("j {imm ++ 0}", (Literal("j "), Slot(EXPRESSIONS["imm ++ 0"], "number", signed=True))),
        ("lui {imm[11:4]:x}", (Literal("lui "), Slot(EXPRESSIONS["imm[11:4]"], "hex"))),
        (
            "a{u:X}{imm:+}{imm:d}",
            (
                Literal("a"),
                Slot(EXPRESSIONS["u"], "file", table=FILE.table),
                Slot(EXPRESSIONS["imm"], "plus", signed=True),
                Slot(EXPRESSIONS["imm"], "number", signed=True),
            ),
        ),
        ("f{rm}", (Literal("f"), Slot(EXPRESSIONS["rm"], "enum", table=((",rne", ""),)))),
        ("b{u?,a}", (Literal("b"), Slot(EXPRESSIONS["u"], "optional", text=",a"))),
        ("add {e}", (Literal("add "), Slot(EXPRESSIONS["e"], "operand", operand="e"))),
        ("ldm {{{u}}}", (Literal("ldm {"), Slot(EXPRESSIONS["u"], "number"), Literal("}"))),
    ],
)
def test_templates(parts: Any, text: str, pieces: tuple[object, ...]) -> None:
    assert read(parts, text) == pieces
    assert not parts.diagnostics


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("add {rd, {imm}", "unknown 'rd, {imm'", 6),
        ("add {rd", "this hole is not closed", 6),
        ("add rd}", "'}' without '{'", 8),
        ("add {}", "an empty hole", 6),
        ("add {rd:}", "no format after ':'", 10),
        ("add {rd:Y}", "'Y' is no format", 10),
        ("add {rd:4}", "'4' is no format", 10),
        ("add {u?}", "no text after '?'", 6),
        ("add {nobody}", "unknown 'nobody'", 6),
        ("add {R}", "the syntax depends on register 'R', which is only known when the program runs", 6),
        ("add {e:x}", "operand 'e' has a syntax of its own", 9),
        ("{name:x}", "'x' is no format of a name", 8),
        ("{u:rm}", "2 names for a value of 5 bits", 2),
        ("", "the syntax is empty", 1),
    ],
)
def test_mistakes(parts: Any, text: str, message: str, column: int) -> None:
    assert read(parts, text) is None
    found = parts.diagnostics.found[0]
    assert (found.message, found.pos.column) == (message, column)


def test_an_expression_stands_where_it_was_written(parts: Any) -> None:
    seen: list[Text] = []

    def resolve(inner: Text) -> model.Expr | None:
        seen.append(inner)
        return EXPRESSIONS["rd"]

    parse_template(parts.text("add {rd}, {u:X}"), "add", resolve, FIELDS, {"X": FILE}, Diagnostics())
    # Column of the character after the quote, as for any Text.
    assert [(text.value, text.pos.column + 1) for text in seen] == [("rd", 7), ("u", 13)]


# ---------------------------------------------------------------- pseudo-instructions

HEADER = """isa toy
pc     PC : bits(32)
regs   X[4] : bits(32)  zero 0  names "zero ra sp gp"
memory M : bits(32)  endian little
exception Illegal = 0
decode S : 16 little
field  rd, rs : X
field  imm : signed
insn addi "imm[7:0] rd rs 0000" "addi {rd}, {rs}, {imm}" : X[rd] = X[rs] + sext(imm)
insn jump "imm[8:1] rd 00 0001" "jump {rd}, {PC + imm}" : X[rd] = NEXT; goto PC + sext(imm)
"""


def tables(folder: Path, text: str) -> Any:
    (folder / "toy.isa").write_text(HEADER + text)
    module = ModuleType("toy")
    exec(module_source(check(folder / "toy.isa")), module.__dict__)
    return module.SYNTAX


def test_what_an_alias_stands_for(tmp_path: Path) -> None:
    syntax = tables(
        tmp_path,
        'asm "nop" = "addi zero, zero, 0"\nasm "mv {rd}, {rs}" = "addi {rd}, {rs}, 0"\n'
        'asm "far {t:s16}" = "addi sp, zero, {t[7:0]}; jump ra, {t}"\n'
        'asm "add {rs}, {rd}" = "addi {rd}, {rs}, {rd - 1}"\n',
    )
    nop, move, far, _ = syntax.aliases
    assert [binding.value for binding in nop.steps[0].bindings] == [0, 0, 0]
    bindings = move.steps[0].bindings
    assert [(binding.name, binding.value) for binding in bindings] == [("rd", None), ("rs", None), ("", 0)]
    assert (nop.printed, move.printed, far.printed) == (True, True, False)
    assert [step.form for step in far.steps] == ["addi", "jump"]
    assert far.pieces[1].limit == "s16"
    assert far.steps[0].bindings[2].expression == "t[7:0]"


def test_an_alias_may_be_one_in_some_modes(tmp_path: Path) -> None:
    """Each of two with one text is for modes of its own: assembler and disassembler take the one for theirs."""
    text = 'mode T : bit\nasm "nop" = "addi zero, zero, 0" when T == 0\nasm "nop" = "addi zero, zero, 1" when T == 1\n'
    syntax = tables(tmp_path, text)
    for mode in (0, 1):
        encoder = Encoder(syntax, {mode_key("T"): mode})
        code = assemble_one(encoder, "nop", 0)
        assert Disassembler(syntax, modes={mode_key("T"): mode}).one(code, 0).mnemonic == "nop"
        assert Disassembler(syntax, modes={mode_key("T"): 1 - mode}).one(code, 0).mnemonic == "addi"


def test_an_alias_may_name_an_address(tmp_path: Path) -> None:
    """Its bits depend on where it stands, so the assembler works them out, and the disassembler does not show it."""
    (alias,) = tables(tmp_path, 'asm "leave" = "jump zero, 64"\n').aliases
    assert (alias.steps[0].bindings[1].expression, alias.printed) == ("64", False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('asm "nop" = "addi zero, zero"', "'addi zero, zero' is no instruction of toy"),
        ('asm "nop" = "addi zero, zero, 300"', "300 does not fit 'addi': -128..127"),
        ('asm "nop" = "addi zero, {rs}, 0"', "'{rs}' is no hole of the pseudo-instruction"),
        ('asm operand "{x:word}" = "{x}"', "there is no kind of hole 'word' here, only term, rest, register"),
        ('asm operand "={x}" = "{y:literal}"', "'{y}' is no hole of '={x}'"),
        ('asm operand "{x}({x})" = "{x}"', "a hole is written twice"),
        ('asm operand "= {x}" = "{x}" in A', "operands are spelled so everywhere: without `in` and `when`"),
        ('asm ".old {x}" = ".new"', "'.new' sets nothing"),
        ('asm "nop {rs}" = "addi zero, zero, 0"', "what stands for '{rs}' is not used"),
        ('asm "mv {rd}, {rd}" = "addi {rd}, {rd}, 0"', "a hole of the pseudo-instruction is written twice"),
        (
            'asm "nop {rs" = "addi zero, zero, 0"',
            "'{rs': a hole is a name in braces, {rd}, perhaps with a limit, {imm:s32}",
        ),
        ('asm "li {k}" = "addi zero, zero, {k[0:7]}"', "in 'k[0:7]': [0:7] is the wrong way round"),
        ('asm "li {k}" = "addi zero, zero, {q + k}"', "'q' is no hole of the pseudo-instruction"),
        ('asm "li {k}" = "addi zero, zero, k"', "'k' is neither a register nor a number"),
        ('asm "nop" = "addi zero, zero, 0" when PC == 0', "a pseudo-instruction is one by modes, not by its address"),
        ('asm ".nop" = "short = 1" when 1 == 1', "`when` is for pseudo-instructions"),
    ],
)
def test_wrong_aliases(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        tables(tmp_path, line + "\n")
    assert caught.value.diagnostics[0].message == message
    assert caught.value.diagnostics[0].pos.line == HEADER.count("\n") + 1


def test_generated_tables_name_their_lines(tmp_path: Path, new_parts: Callable[[], Any]) -> None:
    syntax = tables(tmp_path, "")
    assert [form.source.rpartition("/")[2] for form in syntax.forms] == ["toy.isa:10", "toy.isa:9"]


def test_long_expressions_are_folded() -> None:
    """At the blanks between their parts, in parentheses, and they mean the same."""
    code = " | ".join(f'int(f["field{number}"] == {number})' for number in range(12))
    lines = folded(f"    return {code}")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 120
    assert lines[0] == "    return ("
    assert " ".join(line.strip() for line in lines[1:-1]) == code
    assert folded("    return 1") == ["    return 1"]
