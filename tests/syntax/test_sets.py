"""Fields that are sets of names, names that hold blanks or stand for several values, spellings of one space."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.syntax.assemble import assemble_one
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.tables import Syntax, mode_key

Tables = Callable[[str], Syntax]


@pytest.mark.parametrize(
    ("text", "word", "shown"),
    [
        ("push {r1, lr}", 0xA0004002, "push {r1, lr}"),
        ("push { r4-r7,pc }", 0xA00080F0, "push {r4, r5, r6, r7, pc}"),
        ("push {pc, r0}", 0xA0008001, "push {r0, pc}"),
        ("add r1, r2, lsl #3", 0xB0000087, "add r1, r2, lsl #3"),
        ("add r1,r2,lsl #1", 0xB0000085, "add r1, r2, lsl #1"),
        ("copy r1, r2", 0xB0000084, "copy r1, r2"),
        ("be 1, 1", 0xC000000B, "be 1, 1"),
        ("be 0, 0", 0xC0000002, "be 0, 0"),
    ],
)
def test_there_and_back(tables: Tables, text: str, word: int, shown: str) -> None:
    syntax = tables("sets")
    code = assemble_one(Encoder(syntax), text, 0)
    assert int.from_bytes(code, "little") == word
    found = Disassembler(syntax).one(code, 0)
    assert f"{found.mnemonic} {found.op_str}" == shown


@pytest.mark.parametrize("text", ["push {}", "push {r1 r2}", "push {r1,}", "push {r16}", "push {r1-}", "twice r1"])
def test_what_is_no_set(tables: Tables, text: str) -> None:
    with pytest.raises(Rejected):
        assemble_one(Encoder(tables("sets")), text, 0)


def test_a_spelling_of_the_other_space(tables: Tables) -> None:
    slim = {mode_key("T"): 1}
    code = assemble_one(Encoder(tables("sets"), slim), "twice r3", 0)
    assert code == bytes((0x03, 0x10))
    assert str(Disassembler(tables("sets"), True, slim).one(code, 0)) == "twice\tr3"
    with pytest.raises(Rejected):
        assemble_one(Encoder(tables("sets"), slim), "copy r1, r2", 0)
