"""Other spellings of operands: what is replaced, where, and what a rule may not say."""

from __future__ import annotations

import pytest

from runtime.syntax.spelling import BadSpelling, OperandSpelling
from runtime.syntax.tables import Spelling

REGISTERS = frozenset({"rax", "rbx", "rip"})


def rule(text: str, meaning: str) -> OperandSpelling:
    return OperandSpelling(Spelling("here:1", "operand", text, meaning), REGISTERS)


def applied(text: str, meaning: str, statement: str) -> str:
    return rule(text, meaning).apply(statement, len(statement.split()[0]), lambda value: f"<{value}>")


@pytest.mark.parametrize(
    ("text", "meaning", "statement", "wanted"),
    [
        ("{x}[{y:rest}]", "[{y}+{x}]", "mov a[rax], b+8[rbx*4], 1", "mov [rax+a], [rbx*4+b+8], 1"),
        ("{x}[{y:rest}]", "[{y}+{x}]", "mov ptr [rax], 1", "mov ptr [rax], 1"),  # a blank between is another thing
        ("{x}[{y:rest}]", "[{y}+{x}]", "mov rax[rbx]", "mov rax[rbx]"),  # a register is no symbol
        ("{x}[{y:rest}]", "[{y}+{x}]", "mov a[", "mov a["),
        ("[ {n:term} + {y:rest}]", "[{y}+{n}]", "mov [8+rax*4], [ -4 + rbx ]", "mov [rax*4+8], [rbx+-4]"),
        ("[{b:register}+{x:register}]", "[{b}+{x}*1]", "mov [rax+RBX], [rax+raxy]", "mov [rax+RBX*1], [rax+raxy]"),
        ("offset {x}", "{x}", "push OFFSET  table + 4", "push table + 4"),
        ("offset {x}", "{x}", "push offsets", "push offsets"),
        ("={x}", "{x:literal}", "ldr r0, =table+4", "ldr r0, <table+4>"),
        ("{x}(plt)", "{x}", "bl put(PLT)", "bl put"),
        ("offset {x}", "{x}", 'say "offset a"', 'say "offset a"'),
        ("offset {x}", "{x}", "offset a", "offset a"),  # the mnemonic is none of the operands
    ],
)
def test_what_is_replaced(text: str, meaning: str, statement: str, wanted: str) -> None:
    assert applied(text, meaning, statement) == wanted


@pytest.mark.parametrize(
    ("text", "meaning", "message"),
    [
        ("{x:word}", "{x}", "there is no kind of hole 'word' here, only term, rest, register"),
        ("{x}", "{x:rest}", "there is no kind of hole 'rest' here, only literal"),
        ("{x}", "{y}", r"'\{y\}' is no hole of '\{x\}'"),
        ("{x}, {x}", "{x}", "a hole is written twice"),
        ("", "x", "it has no text"),
    ],
)
def test_what_a_rule_may_not_say(text: str, meaning: str, message: str) -> None:
    with pytest.raises(BadSpelling, match=message):
        rule(text, meaning)
