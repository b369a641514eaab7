"""`isomorph asm` and `isomorph disasm`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from isomorph.cli import bare
from runtime.core.cpu import load_isa
from runtime.core.memory import GuestMemory
from runtime.linux.elf import Image, Segment
from runtime.linux.loader import StartError
from runtime.syntax.assemble import default_base
from tests.cli.test_main import command
from tests.tools import require_build, run, tool

SOURCE = """
        .globl _start
_start: li a0, 7
        li a7, 93
        ecall
"""


@pytest.fixture(autouse=True)
def _build() -> None:
    require_build("riscv64")


def test_assemble_and_disassemble(tmp_path: Path) -> None:
    source, program = tmp_path / "seven.s", tmp_path / "seven"
    source.write_text(SOURCE)
    done = command("asm", str(source), "-o", str(program))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert command("run", str(program)).returncode == 7
    listing = command("disasm", str(program)).stdout
    assert "<_start>:" in listing
    assert [line.split("\t")[-1] for line in listing.splitlines()[-1:]] == ["ecall"]
    assert command("disasm", str(program), "--symbol", "_start").stdout == listing
    assert command("disasm", str(program), "--stop", "0").stdout == ""
    done = command("disasm", str(program), "--symbol", "none")
    assert (done.returncode, done.stderr) == (1, f"isomorph: {program}: there is no symbol none\n")


def test_errors_are_the_assemblers(tmp_path: Path) -> None:
    source = tmp_path / "bad.s"
    source.write_text("_start: addi a0, a1\n        frobnicate x1\n")
    done = command("asm", str(source), "-o", str(tmp_path / "bad"))
    assert done.returncode == 1
    assert f"{source}:1:" in done.stderr
    assert f"{source}:2:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("asm", "/nonexistent.s"), "isomorph: /nonexistent.s: No such file or directory\n"),
        (("disasm", "/nonexistent"), "isomorph: /nonexistent: No such file or directory\n"),
        (("disasm", "/etc/passwd"), "isomorph: /etc/passwd: not an ELF file"),
        (("asm", "--isa", "pdp11", "/dev/null"), "isomorph: there is no instruction set 'pdp11'"),
        (("asm", "examples/hello.s", "-o", "/tmp"), "isomorph: /tmp: Is a directory\n"),
        (("asm", "examples/hello.s", "-o", "/nowhere/hello"), "isomorph: /nowhere/hello: No such file or directory\n"),
        (("asm", "--raw", "examples/hello.s", "-o", "/nowhere/hello"), "isomorph: /nowhere/hello: No such file"),
        (("asm", "examples/hello.s", "--defsym", "a b=1"), "isomorph: --defsym a b=1: it is written NAME=VALUE"),
        (("asm", "examples/hello.s", "--base", "0xfffffffffffff000"), "isomorph: .rodata: its end, 0x1000"),
    ],
)
def test_what_cannot_be_read(words: tuple[str, ...], message: str) -> None:
    done = command(*words)
    assert done.returncode == 1
    assert done.stderr.startswith(message)


def test_words() -> None:
    done = command("disasm", "-x", "0x00a50533", "00000073")
    assert [line.split("\t")[2] for line in done.stdout.splitlines()] == ["add", "ecall"]
    assert command("disasm", "-x", "123").returncode == 2
    done = command("disasm", "-x", "xyzw")
    assert (done.returncode, done.stderr) == (2, "isomorph: disasm: xyzw: not a hexadecimal number\n")
    assert command("disasm").returncode == 2


def test_bytes_stand_in_the_order_they_are_written_in() -> None:
    """Of byte-wise sets in that of memory; a Thumb instruction's first half first."""
    for isa, words, texts in (
        ("x86_64", ("4889e5", "0f0b"), ["4889e5          |mov|rbp, rsp", "0f0b            |ud2"]),
        (
            "arm",
            ("--mode", "T=1", "f04f0b00", "466a"),
            ["f04f0b00        |mov.w|fp, #0", "466a".ljust(16) + "|mov|r2, sp"],
        ),
    ):
        require_build(isa)
        options = words[:2] if words[0] == "--mode" else ()
        done = command("disasm", "--isa", isa, *options, "-x", *words[len(options) :])
        assert [line.partition("\t")[2].replace("\t", "|") for line in done.stdout.splitlines()] == texts
    for mode, message in (("T=2", "a number of 1 bits is wanted"), ("Q=1", "arm has no such mode; it has T, ")):
        done = command("disasm", "--isa", "arm", "--mode", mode, "-x", "466a")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr


def test_a_program_says_what_is_thumb(tmp_path: Path) -> None:
    """Each instruction set is shown where mapping symbols say so; without any, what the entry is in."""
    require_build("arm")
    compiler = tool("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf")
    source, program = tmp_path / "both.s", tmp_path / "both"
    source.write_text(
        ".syntax unified\n.thumb\n.global _start\n.type _start, %function\n_start: movs r0, #1\nblx there\nnop\n"
        ".arm\n.type there, %function\nthere: mov r0, #2\nbx lr\n.word 0x12345678\n"
    )
    assert run([compiler, "-nostdlib", "-static", str(source), "-o", str(program)]).status == 0
    texts = [line.split("\t", 2)[2].replace("\t", " ") for line in _instruction_lines(program)]
    assert texts[:1] + texts[2:] == ["movs r0, #1", "nop", "mov r0, #2", "bx lr", ".word 0x12345678"]
    assert re.fullmatch("blx 0x[0-9a-f]+ <there>", texts[1])
    strip = tool("arm-linux-gnueabihf-strip", "binutils-arm-linux-gnueabihf")
    assert run([strip, str(program)]).status == 0
    assert _instruction_lines(program)[0].endswith("movs\tr0, #1")


def _instruction_lines(program: Path) -> list[str]:
    return [line for line in command("disasm", str(program)).stdout.splitlines() if "\t" in line]


def test_a_program_begins_where_it_is_told_to(tmp_path: Path) -> None:
    source, program = tmp_path / "seven.s", tmp_path / "seven"
    source.write_text(SOURCE)
    assert command("asm", str(source), "-o", str(program), "--base", "0x12346").returncode == 0
    assert "0000000000012346 <_start>:" in command("disasm", str(program)).stdout
    assert command("run", str(program)).returncode == 7


def test_a_section_larger_than_its_file(tmp_path: Path) -> None:
    """It is refused where it is asked for, and otherwise the segments are shown: nobody reads so much."""
    source, program = tmp_path / "seven.s", tmp_path / "seven"
    source.write_text(SOURCE)
    assert command("asm", str(source), "-o", str(program)).returncode == 0
    data = bytearray(program.read_bytes())
    headers = int.from_bytes(data[40:48], "little")
    size_of_text = headers + 64 + 32  # of the section behind the empty first one
    data[size_of_text : size_of_text + 8] = (1 << 60).to_bytes(8, "little")
    program.write_bytes(data)
    done = command("disasm", str(program), "-j", ".text")
    message = f"isomorph: {program}: its sections cannot be read: .text ends behind the file's end\n"
    assert (done.returncode, done.stderr) == (1, message)
    done = command("disasm", str(program))
    assert done.returncode == 0
    assert "ecall" in done.stdout


def test_a_small_address_space_is_not_left() -> None:
    """Where programs begin unless told otherwise is within it; what is linked elsewhere is refused in one line."""
    syntax = load_isa(require_build("riscv64")).module("syntax").SYNTAX
    assert [default_base(replace(syntax, pc_width=width)) for width in (16, 24, 64)] == [0x1000, 0x10000, 0x10000]
    image = Image("program", 0, 32, False)
    image.segments = (Segment(0, 0xF000, 1, 0x2000, 5),)
    vcpu: Any = SimpleNamespace(memory=GuestMemory(16), layout=SimpleNamespace(isa="small"))
    try:
        with pytest.raises(StartError, match="end at 0x11000, the address space of small at 0x10000"):
            bare.load(vcpu, image, -1)
    finally:
        vcpu.memory.close()
