"""Damaged sources: the assembler makes a program of them or says what is wrong and where; nothing else happens."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.syntax.assemble import assemble_text
from runtime.syntax.errors import AssemblyError, Message
from runtime.syntax.tables import Syntax
from tests.conftest import ROOT

Tables = Callable[[str], Syntax]
_SOURCES = sorted((ROOT / "examples").glob("*.s"))
_PIECES = r"""
.macro m a, b=1\n addi \a, \a, \b\n.endm | m a0 | m | .endm | .if x | .else | .endif | .rept 3 | .endr | .irp r, a0, a1
li \r, 5 | .option rvc | .option pop | .equ x, 5 | .set y, x * 2 | .byte x, y, 'a', "b" | .word 1f - 1b | 1: | 2: j 1b
.align 3 | .space x | .fill 3, 2, 1 | .org 64 | .comm c, 8, 4 | .section .x,"aw" | .previous | .popsection | la a0, c
.uleb128 300 | lui a0, %hi(c) | addi a0, a0, %lo(c) | lw a0, %pcrel_lo(1b)(a0) | beq a0, a1, 1f | lw a0, c
sd a0, c, t0 | call c@plt | 0x | ( | ) | " | ' | \ | % | %hi( | , | ; | # | /* | */ | -1 | 99999999999999999999
.. | = | == | << | é | { | }
"""
PIECES = [piece.strip().replace(r"\n", "\n") for line in _PIECES.splitlines() for piece in line.split(" | ") if piece]
_WHERE = re.compile(r"t\.s:\d+:\d+: error: ")

edits = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 12), st.sampled_from(["", "\n", " ", *PIECES])), max_size=12
)


def check(tables: Tables, text: str, short: bool) -> None:
    messages: tuple[Message, ...] = ()
    try:
        assemble_text(tables("riscv64"), text, "t.s", short=short)
    except AssemblyError as error:
        messages = error.messages
        if not messages:
            raise
    for message in messages:
        assert _WHERE.match(str(message))
        assert 1 <= message.line <= text.count("\n") + 1
        assert 1 <= message.column < message.end


@pytest.mark.parametrize("source", _SOURCES, ids=lambda path: path.stem)
@settings(derandomize=True, max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=edits, short=st.booleans())
def test_damaged_programs(tables: Tables, source: object, edits: list[tuple[int, int, str]], short: bool) -> None:
    text = ROOT.joinpath(str(source)).read_text()
    for place, removed, added in edits:
        at = place % (len(text) + 1)
        text = text[:at] + added + text[at + removed :]
    check(tables, text, short)


@settings(derandomize=True, max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), max_size=12), short=st.booleans())
def test_lines_of_pieces(tables: Tables, lines: list[list[str]], short: bool) -> None:
    check(tables, "\n".join(" ".join(line) for line in lines), short)


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=60))
def test_any_text(tables: Tables, text: str) -> None:
    check(tables, text, False)
