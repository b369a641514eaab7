"""Directives that select an instruction set, and instructions that change how the next ones are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.syntax.assemble import assemble_text
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.elf_writer import executable_bytes
from runtime.syntax.errors import AssemblyError
from runtime.syntax.image import Image, Symbol
from runtime.syntax.tables import Syntax, mode_key

Tables = Callable[[str], Syntax]
BASE = 0x1000


def image(tables: Tables, text: str) -> Image:
    return assemble_text(tables("blocks"), text, "test.s", BASE)


def text_of(tables: Tables, text: str) -> str:
    return image(tables, text).section(".text").data.hex()


def symbols(found: Image) -> dict[str, Symbol]:
    return {symbol.name: symbol for symbol in found.symbols}


def test_a_directive_selects_what_follows(tables: Tables) -> None:
    wide, slim = "01000002", "0102"
    assert text_of(tables, "load r2, #1\n.slim\nload r2, #1") == "01000002" + "0102"
    assert text_of(tables, ".slim\nload r2, #1\n.keep\n.wide\nload r2, #1\n.back\nload r2, #1") == (
        slim + "0000" + wide + slim
    )


def test_going_back_aligns_only_where_something_changes(tables: Tables) -> None:
    assert text_of(tables, ".slim\nload r2, #1\n.wide\n.wide\nload r2, #1") == "01020000" + "01000002"
    assert text_of(tables, ".byte 1\n.wide\n.byte 2") == "0102"


def test_what_a_directive_that_ends_in_a_hole_says_is_read_over(tables: Tables) -> None:
    assert text_of(tables, ".note anything, at all\n.note x\nload r2, #1") == "01000002"
    with pytest.raises(AssemblyError, match=r"'\.slim now' is not known"):
        image(tables, ".slim now")


def test_functions_of_odd_code_have_odd_addresses(tables: Tables) -> None:
    found = image(
        tables,
        """
        .word named, named + 2, plain, wide, named - plain
        .2byte 0
        .slim
plain:  load r1, #1
        .type named, @function
named:  load r1, #1
        .slim_func
marked: load r1, #1
after:  load r1, #1
        .wide
        .type wide, @function
wide:   load r1, #1
        .data
        .word marked, 1f
1:
""",
    )
    values = {name: (symbol.value, symbol.kind) for name, symbol in symbols(found).items()}
    assert values == {
        "plain": (0x1016, "label"),
        "named": (0x1019, "function"),
        "marked": (0x101B, "function"),
        "after": (0x101C, "label"),
        "wide": (0x1020, "function"),
    }
    assert words_of(found, ".text")[:5] == [0x1019, 0x101B, 0x1016, 0x1020, 2]
    assert words_of(found, ".data") == [0x101B, found.section(".data").address + 8]


def test_jumps_go_to_where_a_function_is(tables: Tables) -> None:
    """Only what is an address has the bit: a number in an instruction has not."""
    assert text_of(tables, ".slim\n.slim_func\nmarked: load r1, #marked - 0x1000 + 4").startswith("0401")


def test_a_program_starts_in_the_mode_of_its_first_instruction(tables: Tables) -> None:
    assert image(tables, ".slim\n_start: load r1, #1").entry == BASE + 1
    assert image(tables, ".slim\nload r1, #1\n.wide\n_start: load r1, #1").entry == BASE + 4


def test_marks_say_what_begins_where(tables: Tables) -> None:
    found = image(tables, "load r1, #1\n.4byte 1\n.slim\nload r1, #1\n.wide\nload r1, #1")
    marks = [(place - BASE, mark) for _, place, mark in found.marks]
    assert marks == [(0, "$a"), (4, "$d"), (8, "$t"), (10, "$d"), (12, "$a")]
    assert [mark for _, _, mark in image(tables, ".slim\nload r1, #1").marks] == ["$t"]
    assert b"$t\0" in executable_bytes(found, bits=32)


def test_an_instruction_says_how_the_next_ones_are_read(tables: Tables) -> None:
    text = ".slim\nload r1, #1\nquick 2\nloadq r1, #1\nlabel: loadq r1, #1\nload r1, #1\nwave r1\nload r1, #1"
    code = image(tables, text).section(".text").data
    assert code.hex() == "0101" + "0210" + "0101" * 3 + "0031" + "0101"
    shown = Disassembler(tables("blocks"), modes={mode_key("T"): 1}).all(code, BASE)
    assert [f"{instruction.mnemonic} {instruction.op_str}" for instruction in shown] == [
        line.removeprefix("label: ") for line in text.split("\n")[1:]
    ]
    with pytest.raises(AssemblyError, match="4:5: error: 'q' is not possible here"):
        image(tables, ".slim\nquick 1\nloadq r1, #1\nloadq r1, #1")


def words_of(found: Image, section: str) -> list[int]:
    data = found.section(section).data
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data) - 3, 4)]
