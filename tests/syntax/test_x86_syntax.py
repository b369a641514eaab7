"""Texts of i386 and x86-64 that were wrong once, in both directions, and instructions that they show to differ."""

from __future__ import annotations

from random import Random

import pytest

from isomorph import Emulator, InstructionError, Isa
from runtime.core.cpu import load_isa
from runtime.syntax.assemble import assemble_one, assemble_text
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder
from runtime.syntax.errors import AssemblyError
from runtime.syntax.tables import Syntax
from tests.tools import require_build

CODE, DATA, OTHER = 0x1000, 0x20000, 0x30000
#: guest | bytes | text
BOTH_WAYS = """
both   | a4           | movsb
both   | f3a5         | rep movsd
both   | f2ae         | repne scasb
both   | f3a6         | repe cmpsb
x86_64 | 48ab         | stosq
both   | 98           | cwde
both   | 6698         | cbw
x86_64 | 4898         | cdqe
x86_64 | 4899         | cqo
x86_64 | e3fe         | jrcxz 0x1000
x86_64 | 67e3fd       | jecxz 0x1000
i386   | e3fe         | jecxz 0x1000
i386   | 67e3fd       | jcxz 0x1000
x86_64 | da00         | fiadd dword ptr [rax]
x86_64 | d800         | fadd dword ptr [rax]
i386   | de18         | ficomp word ptr [eax]
x86_64 | 678b03       | mov eax, dword ptr [ebx]
i386   | 678b07       | mov eax, dword ptr [bx]
x86_64 | 8b4308       | mov eax, dword ptr [rbx+8]
x86_64 | 8b442408     | mov eax, dword ptr [rsp+8]
x86_64 | 668b03       | mov ax, word ptr [rbx]
both   | 660fc4c001   | pinsrw xmm0, eax, 1
x86_64 | 0fa300       | bt dword ptr [rax], eax
x86_64 | f30f1efa     | endbr64
both   | f390         | pause
both   | 0faee8       | lfence
x86_64 | 0f1808       | prefetcht0 byte ptr [rax]
both   | f20fc2c102   | cmplesd xmm0, xmm1
x86_64 | f30fc20305   | cmpnltss xmm0, dword ptr [rbx]
both   | 669c         | pushfw
i386   | 661e         | pushw ds
i386   | 8edb         | mov ds, ebx
i386   | 660f87fb00   | ja.d16 0x1100
both   | 66ed         | in ax, dx
x86_64 | 4883c480     | add rsp, -128
x86_64 | 4881c4c8000000 | add rsp, 200
both   | 83e1f0       | and ecx, -16
both   | 6aff         | push -1
both   | b8ffffffff   | mov eax, -1
x86_64 | 48c7c0ffffffff | mov rax, -1
both   | 6bc0fd       | imul eax, eax, -3
both   | 3cff         | cmp al, -1
"""
#: what is only read: the form is found by how far the target is, or there are two instructions
READ = [
    ("x86_64", "ja 0x1010", "770e"),
    ("x86_64", "ja 0x2000", "0f87fa0f0000"),
    ("x86_64", "jmp 0x90000", "e9fbef0800"),
    ("x86_64", "push 0x1234567", "6867452301"),
    ("x86_64", "fstcw word ptr [rax]", "9bd938"),
    ("i386", "finit", "9bdbe3"),
    # numbers without their sign, as long as the operand is wide
    ("i386", "and ecx, 0xfffffff0", "83e1f0"),
    ("x86_64", "imul rax, rax, 0xffffffff92492493", "4869c093244992"),
    ("x86_64", "cmp al, 255", "3cff"),
    ("x86_64", "add esp, 0xc8", "81c4c8000000"),
]


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in BOTH_WAYS.strip().splitlines():
        guest, code, text = (part.strip() for part in line.split("|"))
        found += [(each, code, text) for each in (("i386", "x86_64") if guest == "both" else (guest,))]
    return found


def syntax_of(guest: str) -> Syntax:
    found: Syntax = load_isa(require_build(guest)).module("syntax").SYNTAX
    return found


@pytest.mark.parametrize("guest", ["i386", "x86_64"])
def test_both_ways(guest: str) -> None:
    """In whatever order they come: what is known of one expression must not be taken for another prefix's."""
    syntax = syntax_of(guest)
    table = [(code, text) for each, code, text in rows() if each == guest]
    for seed in range(5):
        Random(seed).shuffle(table)
        disassembler, encoder = Disassembler(syntax), Encoder(syntax)
        for code, text in table:
            shown = disassembler.one(bytes.fromhex(code).ljust(15, b"\x90"), CODE)
            assert f"{shown.mnemonic} {shown.op_str}".strip() == text
            assert shown.size == len(code) // 2
            assert assemble_one(encoder, text, CODE).hex() == code


@pytest.mark.parametrize(("guest", "text", "code"), READ)
def test_read(guest: str, text: str, code: str) -> None:
    assert assemble_one(Encoder(syntax_of(guest)), text, CODE).hex() == code


@pytest.mark.parametrize(
    ("prefixes", "place"), [("64", DATA), ("643e", DATA), ("2e64", DATA), ("6465", OTHER), ("36", 0)]
)
def test_segments_without_a_base_leave_the_others(prefixes: str, place: int) -> None:
    """In 64-bit mode CS, DS, ES and SS before memory mean nothing (SDM volume 1, 3.4.2.1)."""
    require_build("x86_64")
    emulator = Emulator("x86_64")
    for page in (0, CODE, DATA, OTHER):
        emulator.mem.map(page, 4096)
        emulator.mem.write(page + 0x80, page.to_bytes(4, "little"))
    code = bytes.fromhex(prefixes + "8b042580000000")  # mov eax, [0x80]
    emulator.mem.write(CODE, code)
    emulator.regs.FSBASE, emulator.regs.GSBASE = DATA, OTHER
    emulator.run(CODE, until=CODE + len(code))
    assert emulator.regs.rax == place


def test_near_branches_of_16_bits() -> None:
    """66 before a near branch of i386: the offset has 16 bits, and so has the target."""
    require_build("i386")
    emulator = Emulator("i386")
    for page in (0x1000, 0x21000, 0x30000):
        emulator.mem.map(page, 4096)
    emulator.mem.write(0x21000, bytes.fromhex("66e80400"))  # call to 21008, of which 1008 is left
    emulator.mem.write(0x1008, bytes.fromhex("66e92000"))  # jmp to 102c
    emulator.regs.esp = 0x30100
    emulator.run(0x21000, until=0x102C)
    assert emulator.regs.esp == 0x300FE
    assert emulator.mem.read(0x300FE, 2) == bytes.fromhex("0410")


def test_an_operand_that_is_cut_off() -> None:
    """Without the byte that says which operand it is, it is not another one."""
    disassembler = Disassembler(syntax_of("x86_64"))
    assert disassembler.one(bytes.fromhex("8b442408"), CODE).name
    for code in ("8b4424", "8b44", "8b04", "8b"):
        assert not disassembler.one(bytes.fromhex(code), CODE).name


def test_the_opcode_82() -> None:
    assert Disassembler(syntax_of("i386")).one(bytes.fromhex("82c00590"), CODE).op_str == "al, 5"
    assert not Disassembler(syntax_of("x86_64")).one(bytes.fromhex("82c00590"), CODE).name


def test_an_index_is_no_symbol() -> None:
    """Behind a base register a displacement may stand, and so may an index: a name that is no symbol is the latter."""
    text = "_start: mov eax, dword ptr [rbx+rcx*4+8]\n mov eax, dword ptr [rbx+there+8]\n .equ there, 4\n"
    image = assemble_text(syntax_of("x86_64"), text, "t.s", CODE)
    assert image.section(".text").data.hex() == "8b448b08" + "8b430c"
    with pytest.raises(AssemblyError, match="symbol 'nowhere' is not defined"):
        assemble_text(syntax_of("x86_64"), "mov eax, dword ptr [nowhere]", "t.s", CODE)


@pytest.mark.parametrize(
    ("text", "message"),
    [("frob", "unknown instruction 'frob'"), ("rep movsq rax", "the operands do not fit 'rep'")],
)
def test_a_form_that_begins_with_a_hole_is_not_what_every_word_is_taken_for(text: str, message: str) -> None:
    require_build("x86_64")
    with pytest.raises(InstructionError, match=message):
        Isa("x86_64").assemble(text)
