"""Assembling whole texts: sections, labels, directives, pseudo-instructions that grow, and messages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from runtime.syntax.assemble import assemble_text
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.errors import AssemblyError
from runtime.syntax.image import Image
from runtime.syntax.tables import Syntax, mode_key

Tables = Callable[[str], Syntax]


def assemble(tables: Tables, text: str, guest: str = "riscv64") -> Image:
    return assemble_text(tables(guest), text, "t.s")


def words(image: Image, name: str = ".text") -> list[int]:
    data = image.section(name).data
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def complaint(tables: Tables, text: str, guest: str = "riscv64") -> str:
    with pytest.raises(AssemblyError) as caught:
        assemble(tables, text, guest)
    return str(caught.value)


def test_labels_and_branches(tables: Tables) -> None:
    image = assemble(tables, "start: addi a0, a0, 1\n bne a0, a1, start\n beq a0, a1, end\n j start\nend: ret\n")
    assert words(image) == [0x00150513, 0xFEB51EE3, 0x00B50463, 0xFF5FF06F, 0x00008067]
    assert image.symbol("end") == image.symbol("start") + 16


def test_numbered_labels_name_the_nearest_one(tables: Tables) -> None:
    image = assemble(tables, "1: j 1f\n1: j 1b\n j 1b\n1: nop\n")
    assert words(image) == [0x0040006F, 0x0000006F, 0xFFDFF06F, 0x00000013]


def test_data(tables: Tables) -> None:
    image = assemble(
        tables,
        """
        .data
        .byte 1, -1, 'A'
        .balign 2, 0xEE
x:      .half 0x1234
        .word x, -2
        .dword y - x
        .ascii "hi", "\\n"
y:      .asciz "é"
        .space 2
        .zero 1
        .float 1.5
        .double -2
        .equ n, y - x
        .set m, n*2
k = m + 1
        .byte n, m, k
""",
    )
    section = image.section(".data")
    x = section.address + 4
    assert image.symbol("x") == x
    assert section.data == (
        b"\x01\xffA\xee"
        + b"\x34\x12"
        + x.to_bytes(4, "little")
        + b"\xfe\xff\xff\xff"
        + (21).to_bytes(8, "little")
        + b"hi\n"
        + "é".encode()
        + b"\0"
        + bytes(3)
        + b"\0\0\xc0\x3f"
        + b"\0\0\0\0\0\0\0\xc0"
        + bytes([21, 42, 43])
    )


def test_sections_follow_each_other_by_permission(tables: Tables) -> None:
    image = assemble(
        tables,
        '.bss\nb: .space 8\n.data\n.word 1\n.rodata\n.word 2\n.text\n nop\n.data\n.word 3\n.section .mine,"ax"\n nop\n',
    )
    assert [section.name for section in image.sections] == [".text", ".mine", ".rodata", ".data", ".bss"]
    assert [section.address % 4096 for section in image.sections] == [0, 16, 0, 0, 16]
    assert words(image, ".data") == [1, 3]
    bss = image.section(".bss")
    assert (bss.data, bss.size, bss.writable, bss.executable) == (b"", 8, True, False)
    assert image.section(".mine").executable


def test_code_is_aligned_with_nops(tables: Tables) -> None:
    assert words(assemble(tables, "ecall\n.balign 16\necall\n")) == [0x73, 0x13, 0x13, 0x13, 0x73]
    assert words(assemble(tables, "ecall\n.p2align 3\necall\n")) == [0x73, 0x13, 0x73]


def test_comments_and_separators(tables: Tables) -> None:
    image = assemble(tables, 'a: b: nop; nop # ; nop\n/* nop\n nop */ nop // nop\n.data\n.ascii "# ; //"\n')
    assert len(words(image)) == 3
    assert image.section(".data").data == b"# ; //"


def test_spelling_is_free(tables: Tables) -> None:
    image = assemble(tables, "ADDI a0,a1,-1\n addi\tx10 , A1,  -1\nlw a0,(4+4) ( sp )\nlw a0, 4 + 4(sp)\n")
    assert words(image) == [0xFFF58513, 0xFFF58513, 0x00812503, 0x00812503]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 4),
        (-2048, 4),
        (2048, 8),
        (-(2**31), 4),
        (2**31 - 1, 8),
        (0x7FFFF000, 4),
        (2**31, 32),
        (0x123456789ABCDEF0, 32),
        (-(2**63), 32),
    ],
)
def test_li_takes_what_it_needs(tables: Tables, value: int, size: int) -> None:
    assert assemble(tables, f"li a0, {value}").section(".text").size == size


def test_pseudo_instructions_reach_symbols_further_down(tables: Tables) -> None:
    image = assemble(
        tables, "la a0, x\ncall f\nli a1, length\nf: ret\n.data\n.space 0x800\nx: .word 1\n.equ length, f - 0x10000\n"
    )
    code = image.section(".text").data
    shown = [str(instruction) for instruction in Disassembler(tables("riscv64")).all(code, image.entry)]
    assert image.symbol("x") == 0x11800
    # 0x1800 is one page and -0x800, since the low part is signed.
    assert shown == ["auipc\ta0,0x2", "addi\ta0,a0,-2048", "jal\t0x10010", "li\ta1,16", "ret"]


def test_calls_and_branches_grow_with_the_distance(tables: Tables) -> None:
    def shown(space: int, text: str, count: int) -> list[str]:
        image = assemble(tables, f"{text}\n.space {space}\nf: ret\n")
        return list(map(str, islice(Disassembler(tables("riscv64")).all(image.section(".text").data, 0), count)))

    assert shown(0x100, "beqz a0, f\nblt a1, a2, f", 2) == ["beqz\ta0,0x108", "blt\ta1,a2,0x108"]
    far = ["bnez\ta0,0x8", "j\t0x2010", "bge\ta1,a2,0x10", "j\t0x2010"]
    assert shown(0x2000, "beqz a0, f\nblt a1, a2, f", 4) == far
    assert shown(0x2000, "call f\ntail f", 2) == ["jal\t0x2008", "j\t0x2008"]
    assert shown(0x200000, "call f\ntail f", 4) == ["auipc\tra,0x200", "jalr\t16(ra)", "auipc\tt1,0x200", "jr\t8(t1)"]


def test_entry_is_start(tables: Tables) -> None:
    assert assemble(tables, "nop\n_start: nop\n").entry == 0x10004
    assert assemble(tables, "nop\n").entry == 0x10000


def test_labels_have_sizes(tables: Tables) -> None:
    symbols = {
        symbol.name: symbol
        for symbol in assemble(tables, ".globl f\nf: nop\n.Lx: nop\ng: nop\n.data\nd: .space 3\n.equ c, 5\n").symbols
    }
    assert {name: symbol.size for name, symbol in symbols.items()} == {"f": 8, ".Lx": 4, "g": 4, "d": 3, "c": 0}
    assert symbols["f"].is_global
    assert not symbols["g"].is_global
    assert symbols["c"].section is None


def test_big_endian_data_and_operands_with_words_of_their_own(tables: Tables) -> None:
    image = assemble(
        tables,
        "start: move.w (8,a1), d2\n move.w d1, (there)\n bra start\n count d3, 0xa5\nthere: .word 0x12345678\n",
        "words",
    )
    data = image.section(".text").data
    assert data[:4].hex() == "34290008"
    assert data[4:10].hex() == "33c1" + f"{image.symbol('there'):08x}"
    assert data[10:12].hex() == "60f4"
    assert data[12:14].hex() == "765a"
    assert data[14:].hex() == "12345678"


def test_hash_is_no_comment_where_instructions_use_it(tables: Tables) -> None:
    image = assemble(tables, "# a comment\n addeq r1, r2, #0xff000000\n // another\n adds r1, r2, #1\n", "modes")
    assert len(words(image)) == 2


def test_modes_choose_the_space(tables: Tables) -> None:
    syntax = tables("modes")
    disassembler = Disassembler(syntax, modes={mode_key("T"): 1})
    assert str(disassembler.one(bytes.fromhex("d11c"), 0)) == "add\tr1, r2, #3"
    assert disassembler.one(bytes.fromhex("02f10134"), 0).size == 4


# ---------------------------------------------------------------- messages


def test_a_message_shows_the_place(tables: Tables) -> None:
    assert complaint(tables, "nop\n  addi a0, a1, 5000   # too far\n") == (
        "t.s:2:16: error: 5000 is out of range -2048..2047\n"
        "    2 |   addi a0, a1, 5000   # too far\n"
        "      |                ^~~~"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adi a0, a0, 1", "t.s:1:1: error: unknown instruction 'adi'"),
        ("adi a0, a0, 1", "help: did you mean andi or addi"),
        ("add a0, a0", "t.s:1:10: error: the operands do not fit 'add': something is missing"),
        ("add a0, a0", "note: it is written add {rd},{rs1},{rs2}"),
        ("mul a0, a0, 5", "t.s:1:13: error: the operands do not fit 'mul': found '5'"),
        ("add a0, b0, a0", "t.s:1:9: error: the operands do not fit 'add': found 'b0'"),
        ("addi a0, a0, a1", "t.s:1:14: error: 'a1' is a register, not a number"),
        ("addi a0, a0, 1 2", "t.s:1:16: error: the operands do not fit 'addi': found '2'"),
        ("addi a0, a0, (1", "error: ')' is missing"),
        ("lui a0, 0x100000", "error: 1048576 is out of range 0..1048575"),
        ("c.addi4spn a0, sp, 6", "error: 6 is no multiple of 4 (range 0..1020 in steps of 4)"),
        ("c.addi4spn a0, sp, 0", "error: these operands make an encoding that is not allowed (see specs/riscv_c.isa"),
        ("c.lw a0, 0(t0)", "error: 't0' cannot stand here, only 's0' to 'a5'"),
        ("c.j . + 5000", "error: the target is 5000 bytes away; it can be -2048..2046 in steps of 2"),
        ("beq a0, a1, nowhere", "t.s:1:13: error: symbol 'nowhere' is not defined"),
        ("j 1f", "error: symbol '1f' is not defined"),
        ("x: nop\nx: nop", "t.s:2:1: error: 'x' is defined twice\n"),
        ("x: nop\nx: nop", "note: first on line 1"),
        (".byte 256", "t.s:1:7: error: 256 does not fit 1 byte"),
        (".byte 1 2", "t.s:1:9: error: found '2', expected ','"),
        (".byte", "error: a number or a symbol is missing"),
        (".frobnicate", "t.s:1:1: error: unknown directive '.frobnicate'"),
        (".space -1", "error: -1 bytes of space"),
        (".balign 3", "error: 3 is no power of two"),
        (".align 99", "error: an alignment of 2**99 bytes"),
        (".ascii hello", "error: a string in double quotes is missing"),
        (".globl nobody", "error: symbol 'nobody' is not defined"),
        (".equ x", "error: write .equ name, value"),
        (".equ x, y\n.equ y, x", "error: symbol 'y' is not defined"),
        ("li a0, 0x123456789abcdef01", "is out of range"),
        (".word 1/0", "error: division by zero"),
        (".space 8 - (end - start)\nstart: .space 8 - (end - start)\nend:", "error: addresses never settle"),
        (".float 1e99", "error: a number too large for single precision"),
    ],
)
def test_messages(tables: Tables, text: str, message: str) -> None:
    assert message in complaint(tables, text)


def test_all_errors_are_reported(tables: Tables) -> None:
    found = complaint(tables, "adi a0\n nop\n .foo\n addi a0, a0, 1 2\n")
    assert [line.split(":")[1] for line in found.splitlines() if line.startswith("t.s:")] == ["1", "3", "4"]
    found = complaint(tables, "addi a0, a0, 5000\n j nowhere\n .byte 300\n")
    assert found.count("error:") == 3


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "a:", "/*", ";;;", "1:", ".text", ".section .foo"])
def test_next_to_nothing_is_fine(tables: Tables, text: str) -> None:
    assert assemble(tables, text).sections == ()


@pytest.mark.parametrize(
    "text",
    [
        ":",
        "\x00",
        '"',
        "'",
        "= 1",
        "é",
        "(",
        "a0",
        "lw",
        "lw (",
        ".section",
        ".equ",
        "beq a0,a1,((((((",
        "\\",
        "add\ta0",
    ],
)
def test_odd_texts_are_no_accidents(tables: Tables, text: str) -> None:
    assert complaint(tables, text).startswith("t.s:1:")
