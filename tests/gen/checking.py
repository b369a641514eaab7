"""Checks specs written in the tests: a small head, and what the test adds to it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from gen import model
from gen.elaborate import check
from gen.errors import SpecError
from tests.gen.model_text import body

HEAD = """\
isa tiny
param  SIZE : {32, 64} = 32
type   word = bits(SIZE)
pc     PC : word
regs   X[32] : word  zero 0  names "zero x1-31" or "r0-31"
memory M : word  endian little
exception Illegal = 2, Fault = 5
decode A : 32 little
field  rd, rs1, rs2 : X
field  imm : signed
"""
#: enough of an instruction for bodies that only need fields
FRAME = 'insn probe "imm[11:0] rs1 000 rd 0010011" "probe {rd}, {rs1}, {imm}"'


def spec(text: str, parameters: dict[str, int] | None = None, head: str = HEAD) -> model.Spec:
    """The spec of `head` and `text`; raises SpecError."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.isa"
        path.write_text(head + dedent(text), encoding="utf-8")
        return check(path, (), parameters or {})


def instruction(checked: model.Spec, name: str) -> model.Instruction:
    return next(found for found in checked.instructions if found.name == name)


def probe(statements: str, declarations: str = "", frame: str = FRAME) -> str:
    """The model text of some statements in an instruction with fields rd, rs1 and imm."""
    indented = "".join(f"    {line}\n" for line in dedent(statements).strip().split("\n"))
    checked = spec(f"{dedent(declarations)}\n{frame}\n{indented}")
    return body(instruction(checked, "probe").body)


def errors(text: str, head: str = HEAD) -> list[str]:
    """The messages of a spec that does not check."""
    try:
        spec(text, head=head)
    except SpecError as error:
        return [diagnostic.message for diagnostic in error.diagnostics]
    return []
