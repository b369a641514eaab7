"""Macros, conditions, repetitions, sections, relocation functions, options, several files, listings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.syntax.assemble import Assembler, assemble_text
from runtime.syntax.errors import AssemblyError
from runtime.syntax.image import Image
from runtime.syntax.listing import listing, raw_bytes
from runtime.syntax.tables import Syntax

Tables = Callable[[str], Syntax]


def assemble(tables: Tables, text: str, short: bool = False) -> Image:
    return assemble_text(tables("riscv64"), text, "t.s", short=short)


def data(tables: Tables, text: str) -> bytes:
    return assemble(tables, f".data\n{text}\n").section(".data").data


def code(tables: Tables, text: str, short: bool = False) -> bytes:
    return assemble(tables, text, short).section(".text").data


def complaint(tables: Tables, text: str) -> str:
    with pytest.raises(AssemblyError) as caught:
        assemble(tables, text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".macro two a, b=7\n.byte \\a, \\b\n.endm\ntwo 1\ntwo 2, 3\ntwo b=5, a=4", b"\1\7\2\3\4\5"),
        (".macro two a b\n.byte \\a, \\b\n.endm\ntwo 1 2", b"\1\2"),
        (
            ".macro all first, rest:vararg\n.byte \\first\n.ifnb \\rest\nall \\rest\n.endif\n.endm\nall 1, 2, 3",
            b"\1\2\3",
        ),
        (".macro m\nx\\@: .byte \\@ - \\@\n.endm\nm\nm", b"\0\0"),
        (".macro cat a\nv\\a\\(): .byte 1\n.endm\ncat 1\ncat 2\n.byte v2 - v1", b"\1\1\1"),
        (".macro outer\n.macro inner\n.byte 9\n.endm\ninner\n.endm\nouter\ninner", b"\x09\x09"),
        (".rept 3\n.byte 1\n.endr", b"\1\1\1"),
        (".equ n, 2\n.rept n*2\n.byte n\n.endr", b"\2\2\2\2"),
        (".irp x, 1, 2, 3\n.byte \\x\n.endr", b"\1\2\3"),
        (".irpc c, 123\n.byte \\c\n.endr", b"\1\2\3"),
        (".if 1\n.byte 1\n.else\n.byte 2\n.endif", b"\1"),
        (".if 0\n.byte 1\n.elseif 2 > 1\n.byte 2\n.else\n.byte 3\n.endif", b"\2"),
        (".if 0\n.if 1\n.byte 1\n.endif\nnonsense here\n.else\n.byte 3\n.endif", b"\3"),
        (".ifdef x\n.byte 1\n.endif\nx = 1\n.ifdef x\n.byte 2\n.endif\n.ifndef x\n.byte 3\n.endif", b"\2"),
        (".ifc a, a\n.byte 1\n.endif\n.ifeq 1-1\n.byte 2\n.endif", b"\1\2"),
        (".set i, 0\n.rept 3\n.byte i\n.set i, i + 1\n.endr", b"\0\1\2"),
        (".fill 2, 2, 0x102\n.fill 1", b"\2\1\2\1\0"),
        (".byte 1\n.org 4\n.byte 2", b"\1\0\0\0\2"),
        (".uleb128 300, 5\n.sleb128 -2", b"\xac\x02\x05\x7e"),
        (".byte 1\n.p2align 2, 0xff\n.byte 2\n.p2align 4,,2\n.byte 3", b"\1\xff\xff\xff\2\3"),
        (".octa 1", b"\1" + bytes(15)),
        (".byte 1 == 1, (2 < 1) + 3, 1 && 0, !0, 3 != 3", b"\xff\3\0\1\0"),
        (".byte 1\n.end\n.byte 2", b"\1"),
    ],
)
def test_data(tables: Tables, text: str, expected: bytes) -> None:
    assert data(tables, text) == expected


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("lui a0, %hi(0x12345fff)\naddi a0, a0, %lo(0x12345fff)", "lui a0, 0x12346\naddi a0, a0, -1"),
        ("1: auipc a0, %pcrel_hi(x)\nlw a1, %pcrel_lo(1b)(a0)\nx: nop", "auipc a0, 0\nlw a1, 8(a0)\nnop"),
        ("1: auipc a0, %pcrel_hi(x)\nlw a1, %pcrel_lo(1b + 4)(a0)\nx: nop", "auipc a0, 0\nlw a1, 12(a0)\nnop"),
        ("lw a0, x\nsw a0, x, t0\nx: nop", "auipc a0, 0\nlw a0, 16(a0)\nauipc t0, 0\nsw a0, 8(t0)\nnop"),
        ("add a0, a0, 5\nsll a1, a1, 3\nlw a0, (sp)", "addi a0, a0, 5\nslli a1, a1, 3\nlw a0, 0(sp)"),
        ("call f1\nf1: ret", "jal ra, . + 4\nret"),
        ("li a0, 0x12345000", "lui a0, 0x12345"),
        (".option rvc\naddi a0, a0, 1\n.option norvc\naddi a0, a0, 1", "c.addi a0, 1\naddi a0, a0, 1"),
        (".option push\n.option rvc\nnop\n.option pop\nnop", "c.nop\nnop"),
        (".option rvc\nli a0, 0x12000\nret\nld a0, 8(sp)", "c.lui a0, 0x12\nc.jr ra\nc.ldsp a0, 8(sp)"),
        (".option rvc\nbeqz a0, 1f\nnop\n1: j 1b", "c.beqz a0, . + 4\nc.nop\nc.j ."),
        (".option rvc\nnop\n.balign 8\nret", "c.nop\nc.nop\nnop\nc.jr ra"),
    ],
)
def test_code(tables: Tables, text: str, same: str) -> None:
    assert code(tables, text).hex() == code(tables, same).hex()


def test_sections_and_symbols(tables: Tables) -> None:
    image = assemble(
        tables,
        ".globl f\n.type f, @function\nf: nop\n.size f, . - f\n.comm shared, 24, 16\n.local own\n.comm own, 4, 4\n"
        '.section .rodata.str1.8,"aMS",@progbits,1\n.string "x"\n.section .note.GNU-stack,"",@progbits\n.byte 1\n'
        ".pushsection .data\n.word _end - __bss_start\n.popsection\n.byte 2\n.previous\n"
        ".weak nowhere\n.dword nowhere\n",
    )
    symbols = {symbol.name: symbol for symbol in image.symbols}
    assert (symbols["f"].size, symbols["f"].kind, symbols["shared"].value % 16) == (4, "function", 0)
    assert image.section(".data").data[:4] == (28).to_bytes(4, "little")
    aside = image.section(".note.GNU-stack")
    assert (aside.loaded, aside.data) == (False, b"\1\2")
    assert not image.section(".rodata.str1.8").writable


def test_several_files(tables: Tables) -> None:
    """Global symbols are shared; others are a file's own."""
    first = ".globl _start\n_start: call f\n.L1: j .L1\nx: .word 1\n"
    second = ".globl f\nf: ret\n.L1: j .L1\nx: .word 2\n"
    image = Assembler(tables("riscv64"), [(first, "a.s"), (second, "b.s")]).image()
    assert [symbol.name for symbol in image.symbols].count("x") == 2
    with pytest.raises(AssemblyError, match="'f' is defined twice"):
        Assembler(tables("riscv64"), [(second, "a.s"), (second, "b.s")]).image()
    with pytest.raises(AssemblyError, match="symbol 'x' is not defined"):
        Assembler(tables("riscv64"), [("j x\n", "a.s"), (second, "b.s")]).image()


def test_include(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "inner.s").write_text(".byte 1\n")
    (tmp_path / "blob").write_bytes(b"\7\7")
    (tmp_path / "again.s").write_text('.include "again.s"\n')
    main = str(tmp_path / "main.s")
    read = assemble_text(tables("riscv64"), '.data\n.include "inner.s"\n.incbin "blob"\n', main)
    assert read.section(".data").data == b"\1\7\7"
    for text, message in (
        ('.include "none.s"', 'no file "none.s" that can be read'),
        ('.include "again.s"', "include each other without end"),
        (".include none", "a file name in double quotes is missing"),
    ):
        with pytest.raises(AssemblyError, match=message):
            assemble_text(tables("riscv64"), text, main)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".macro m\nnop", "t.s:1:1: error: .macro without .endm"),
        (".endm", ".endm without what it ends"),
        (".macro m a\nlw \\a\n.endm\nm a0", "note: in macro 'm', used in t.s:4"),
        (".macro m a\nlw \\a\n.endm\nm a0", "t.s:2:"),
        (".macro m a\n.endm\nm 1, 2", "'m' takes 1 arguments"),
        (".macro m a:req\n.endm\nm", "'m' needs 'a'"),
        (".macro m\nm\n.endm\nm", "macros inside one another without end"),
        (".rept 3000000\nnop\n.endr", "3000000 repetitions are too many"),
        (".if x\n.endif", "'x' has no value yet"),
        (".if 1", "t.s:1:1: error: this condition has no .endif"),
        (".else", ".else without .if"),
        (".if 1\n.else\n.else\n.endif", ".else behind .else"),
        (".option nosuch", "help: there are .option"),
        (".option pop", "nothing was pushed"),
        (".wrod 1", "help: did you mean .word"),
        ("lui a0, %hj(4)", "there is no function '%hj'; there are %hi, %lo, %pcrel_hi, %pcrel_lo"),
        ("lw a0, %pcrel_lo(x)(a0)\nx: nop", "no instruction at 0x10004 has such an operand"),
        ("addi a0, a0, a1", "'a1' is a register, not a number"),
        ('.error "no"', "t.s:1:1: error: no"),
        (".org 1\n.org 0", "cannot go to 0x0"),
        ('.section .tdata,"awT"', "there is no thread-local storage here"),
        (".section x,aw", 'help: as in .section .mine,"aw"'),
    ],
)
def test_messages(tables: Tables, text: str, message: str) -> None:
    assert message in complaint(tables, text)


def test_listing_and_raw(tables: Tables) -> None:
    assembler = Assembler(tables("riscv64"), [("a: li a0, 5\n.rept 2\nnop\n.endr\n.data\n.byte 1\n", "t.s")])
    image = assembler.image()
    assert listing(assembler.listing()) == (
        ".text  t.s\n"
        "    1  00010000                    a:\n"
        "    1  00010000  13055000              li a0, 5\n"
        "    3+ 00010004  13000000              nop\n"
        "    3+ 00010008  13000000              nop\n"
        "\n.data  t.s\n"
        "    6  00011000  01                    .byte 1\n"
    )
    assert raw_bytes(image) == bytes.fromhex("130550001300000013000000").ljust(0x1000, b"\0") + b"\1"


def test_data_among_code_is_marked(tables: Tables) -> None:
    image = assemble(tables, "nop\n.word 5\nnop\n")
    assert [mark for _, _, mark in image.marks] == ["$x", "$d", "$x"]
    assert assemble(tables, "nop\n.balign 16\nnop\n").marks == ()
