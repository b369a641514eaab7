"""`isomorph asm` and `isomorph disasm`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_main import command
from tests.tools import require_build

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
    assert command("disasm", "-x", "xyzw").returncode == 2
    assert command("disasm").returncode == 2
