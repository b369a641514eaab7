"""Commands whose standard streams are closed, or lead to where nothing more can be written."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_main import command
from tests.conftest import ROOT
from tests.tools import isomorph, require_build

#: reads a byte from descriptor 0; the exit status is the error's number, or 0
READ = """
        .globl _start
_start: addi sp, sp, -16
        li a0, 0
        mv a1, sp
        li a2, 1
        li a7, 63
        ecall
        neg a0, a0
        li a7, 93
        ecall
"""


def shell(redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run isomorph in the repository with streams as the shell makes them."""
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", *isomorph(*words)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    environment.pop("PYTHONUNBUFFERED", None)  # what is buffered fails once more when the interpreter ends
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=120)


@pytest.fixture
def reader(tmp_path: Path) -> str:
    require_build("riscv64")
    source, program = tmp_path / "read.s", tmp_path / "read"
    source.write_text(READ)
    assert command("asm", str(source), "-o", str(program)).returncode == 0
    return str(program)


@pytest.mark.parametrize("words", [("--version",), ("list",), ("completion", "bash"), ("machine", "help")])
def test_a_closed_output_is_no_error(words: tuple[str, ...]) -> None:
    done = shell(">&-", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert shell("<&- >&- 2>&-", *words).returncode == 0


@pytest.mark.parametrize("words", [("--version",), ("list",), ("completion", "bash"), ("machine", "help")])
def test_a_full_disk_is_one_line(words: tuple[str, ...]) -> None:
    done = shell(">/dev/full", *words)
    assert (done.returncode, done.stderr) == (1, f"isomorph: {os.strerror(errno.ENOSPC)}\n")
    assert shell(">/dev/full 2>/dev/full", *words).returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_text_can_be_printed(encoding: str) -> None:
    """Also where the terminal has not the characters of the help, and names that are no text."""
    for words in (("machine", "--help"), ("completion", "fish"), ("list", os.fsdecode(b"\xff"))):
        environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONIOENCODING=f"{encoding}:strict")
        done = subprocess.run(isomorph(*words), capture_output=True, check=False, env=environment, timeout=120)
        assert done.returncode == int(words[0] == "list")
        assert done.stderr == b""
        assert done.stdout


def test_what_was_closed_is_closed_for_the_guest(reader: str) -> None:
    """No file of the emulator's may take the place: the guest would read it, or write to it."""
    assert shell("</dev/null", "run", reader).returncode == 0
    for redirection in ("<&-", "<&- >&-", "<&- >&- 2>&-"):
        done = shell(redirection, "run", reader)
        assert (done.returncode, done.stdout, done.stderr) == (errno.EBADF, "", "")


def test_a_closed_input_is_empty() -> None:
    require_build("riscv64")
    done = shell("<&-", "disasm", "--raw", "-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_log_that_is_full_ends_and_the_guest_goes_on(reader: str) -> None:
    done = shell("</dev/null", "run", "-d", "exec,cpu", "-D", "/dev/full", reader)
    assert done.stderr == f"isomorph: -D /dev/full: {os.strerror(errno.ENOSPC)}: the log ends here\n"
    assert done.returncode == 0
    assert shell("</dev/null 2>/dev/full", "run", "-d", "exec,cpu", reader).returncode == 0
