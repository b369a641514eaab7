"""Disassembling: spellings, pseudo-instructions, what is shown as data, and agreement with the emulator's decoder."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from runtime.syntax.assemble import assemble_one
from runtime.syntax.decode import Decoder
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.tables import Syntax

Tables = Callable[[str], Syntax]


def show(disassembler: Disassembler, word: int, size: int = 4, pc: int = 0x1000) -> str:
    return str(disassembler.one(word.to_bytes(size, "little"), pc))


@pytest.mark.parametrize(
    ("word", "text", "plain"),
    [
        (0x00000013, "nop", "addi\tzero,zero,0"),
        (0x00008067, "ret", "jalr\tzero,0(ra)"),
        (0x00058513, "mv\ta0,a1", "addi\ta0,a1,0"),
        (0xFFF00513, "li\ta0,-1", "addi\ta0,zero,-1"),
        (0xFE0508E3, "beqz\ta0,0xff0", "beq\ta0,zero,0xff0"),
        (0x0000006F, "j\t0x1000", "jal\tzero,0x1000"),
        (0x00B50463, "beq\ta0,a1,0x1008", "beq\ta0,a1,0x1008"),
        (0xFFFFF537, "lui\ta0,0xfffff", "lui\ta0,0xfffff"),
        (0x41F5D513, "srai\ta0,a1,0x1f", "srai\ta0,a1,0x1f"),
        (0x30551073, "csrw\tmtvec,a0", "csrrw\tzero,mtvec,a0"),
        (0x06B6252F, "amoadd.w.aqrl\ta0,a1,(a2)", "amoadd.w.aqrl\ta0,a1,(a2)"),
        (0x0FF0000F, "fence", "fence\tiorw,iorw"),
    ],
)
def test_spellings(tables: Tables, word: int, text: str, plain: str) -> None:
    assert show(Disassembler(tables("riscv64")), word) == text
    assert show(Disassembler(tables("riscv64"), aliases=False), word) == plain


@pytest.mark.parametrize(("word", "text"), [(0x0803, "store\tr3"), (0x0404, "store.up\tr4")])
def test_a_hidden_field_is_what_its_guard_makes_of_it(tables: Tables, word: int, text: str) -> None:
    """A bit that is always the opposite of one that is shown, as in Thumb's store multiple."""
    assert show(Disassembler(tables("hidden")), word, 2) == text
    assert assemble_one(Encoder(tables("hidden")), text, 0) == word.to_bytes(2, "little")


def test_an_instruction_says_what_it_is(tables: Tables) -> None:
    instruction = Disassembler(tables("riscv64")).one(bytes.fromhex("13051500ffff"), 0x8000)
    assert (instruction.address, instruction.mnemonic, instruction.op_str) == (0x8000, "addi", "a0,a0,1")
    assert (instruction.bytes, instruction.size, instruction.name) == (bytes.fromhex("13051500"), 4, "addi")


@pytest.mark.parametrize(
    ("data", "text", "size"),
    [
        ("419c", ".2byte\t0x9c41", 2),  # reserved (16.5)
        ("ffffffff", ".4byte\t0xffffffff", 4),
        ("1f", ".byte\t0x1f", 1),
        ("130515", ".2byte\t0x513", 2),  # cut off
        ("8f00f00f", ".4byte\t0xff0008f", 4),  # a fence with rd set: the text would not show it
    ],
)
def test_what_cannot_be_written_is_data(tables: Tables, data: str, text: str, size: int) -> None:
    instruction = Disassembler(tables("riscv64")).one(bytes.fromhex(data), 0)
    assert (str(instruction), instruction.size, instruction.name) == (text, size, "")


def test_operands_of_sub_tables(tables: Tables) -> None:
    disassembler = Disassembler(tables("bytes"))
    texts = {
        "01c1": "add\tr1, r0",
        "0101": "add\t[r1], r0",
        "014901fe": "add\t[r1+1], r1",
        "0149fe": "add\t[r1-2], r1",
        "010705000000": "add\t[pc+5], r0",
        "0106d1": "add\t[r1+r2*3], r0",
        "69c001020304": "add\tr0, 67305985",
        "6906ffffffff07": "add\t[r7+r0*0], 4294967295",
        "72fe": "bra\t0x0",
    }
    for data, text in texts.items():
        assert str(disassembler.one(bytes.fromhex(data), 0)) == text
    assert disassembler.one(bytes.fromhex("6906ffffffff07"), 0).size == 7


def test_all_goes_on_after_data(tables: Tables) -> None:
    data = bytes.fromhex("13051500419c01a073000000")
    assert [str(instruction).split("\t")[0] for instruction in Disassembler(tables("riscv64")).all(data, 0)] == [
        "addi",
        ".2byte",
        "j",
        "ecall",
    ]


@pytest.mark.parametrize("guest", ["riscv32", "riscv64"])
def test_decoder_agrees_with_a_linear_search(tables: Tables, guest: str) -> None:
    syntax = tables(guest)
    decoder, chance = Decoder(syntax), random.Random(11)
    for _ in range(400):
        word = chance.getrandbits(32)
        fetch = word if word & 3 == 3 else word & 0xFFFF
        data = fetch.to_bytes(4 if word & 3 == 3 else 2, "little")
        values = {form.name: {**syntax.modes, **form.encoding.extract(fetch)} for form in syntax.forms}
        expected = next(
            (
                form.name
                for form in syntax.forms
                if form.encoding.matches(fetch)
                and form.encoding.length <= 8 * len(data)
                and (form.guard is None or form.guard(values[form.name]))
            ),
            None,
        )
        found = decoder.decode(data, 0)
        assert (found.form.name if found else None) == expected
