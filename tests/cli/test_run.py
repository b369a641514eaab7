"""`isomorph run`: options, exit statuses, bad programs, crashes, logs, signals from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isomorph.cli.run import UsageError, parse
from tests.cli.test_main import command
from tests.conftest import ROOT
from tests.linux.test_elf import executable, segment
from tests.tools import isomorph, require_build

Assemble = Callable[[str], str]


@pytest.fixture
def assemble(tmp_path: Path) -> Assemble:
    """A program from assembly text; no cross-compiler is needed."""
    require_build("riscv64")

    def make(text: str) -> str:
        source, program = tmp_path / "program.s", tmp_path / "program"
        source.write_text(f"        .globl _start\n_start:\n{text}\n")
        done = command("asm", str(source), "-o", str(program))
        assert done.returncode == 0, done.stderr
        return str(program)

    return make


EXIT = """
        li a7, 93
        ecall
"""
WRITE = """
        li a0, 1
        la a1, text
        li a2, 6
        li a7, 64
        ecall
"""
TEXT = """
        .data
text:   .ascii "hello\\n"
"""


# ------------------------------------------------------------ options


def test_options_end_where_the_program_begins() -> None:
    options, program = parse(["-E", "A=1", "-strace", "-s", "64K", "prog", "-strace", "--", "-E"])
    assert (options.set, options.strace, options.stack) == (["A=1"], True, 65536)
    assert program == ["prog", "-strace", "--", "-E"]
    assert parse(["--", "-odd-name", "x"])[1] == ["-odd-name", "x"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x"], "there is no option -x"),
        (["-E"], "-E needs a value: -E VAR=VALUE"),
        (["-E", "A", "prog"], "-E A: not VAR=VALUE"),
        (["-s", "big", "prog"], "-s big: not a number of bytes such as 4096, 64K or 8M"),
        (["-s", "-5", "prog"], "-s -5: not a number of bytes such as 4096, 64K or 8M"),
        (["-tb-size", "0", "prog"], "-tb-size 0: not a number of bytes such as 4096, 64K or 8M"),
    ],
)
def test_wrong_options(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value) == message
    done = command("run", *words)
    assert done.returncode == 2
    assert done.stderr == f"isomorph: run: {message}; `isomorph run --help` lists the options\n"


def test_no_program() -> None:
    done = command("run")
    assert (done.returncode, done.stderr) == (
        2,
        "isomorph: run: no program given; `isomorph run --help` lists the options\n",
    )


def test_help_texts() -> None:
    assert "in_asm" in command("run", "-d", "help").stdout
    require_build("riscv64")
    assert "riscv64" in command("run", "-cpu", "help").stdout.split()


# ------------------------------------------------------------ programs that cannot be run


def test_bad_programs(tmp_path: Path) -> None:
    """The loader's message, exit status 1, no traceback (test_elf.py has the kinds)."""
    path = tmp_path / "program"
    for data in (b"", b"\x7fELF", executable(segment(memory_bytes=1 << 63)), executable(segment(kind=3), segment())):
        path.write_bytes(data)
        done = command("run", str(path))
        assert done.returncode == 1
        assert done.stderr.startswith(f"isomorph: {path}: ")
        assert done.stderr.count("\n") == 1


def test_programs_for_other_machines(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(executable(segment(), machine=258))
    done = command("run", str(path), ISOMORPH_BUILD=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"isomorph: {path}: a program for loongarch, 64-bit, little-endian; ")
    assert "riscv32, riscv64" in done.stderr
    assert "(generated: none)" in done.stderr
    path.write_bytes(executable(segment(), machine=62))
    done = command("run", str(path), ISOMORPH_BUILD=str(tmp_path))
    assert done.stderr.endswith("; --accel kvm runs it on the processor itself\n")
    path.write_bytes(executable(segment()))
    done = command("run", str(path), ISOMORPH_BUILD=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        "isomorph: riscv64 is not generated (generated: none); run: make gen ISA=riscv64\n",
    )
    done = command("run", "-cpu", "pdp11", str(path), ISOMORPH_BUILD=str(tmp_path))
    assert done.stderr == (
        "isomorph: there is no instruction set 'pdp11' (generated: none); `isomorph list` shows all\n"
    )


def test_a_cpu_that_does_not_fit(assemble: Assemble) -> None:
    require_build("riscv32")
    done = command("run", "-cpu", "riscv32", assemble(EXIT))
    assert done.returncode == 1
    assert "riscv32 does not run programs for riscv64: it has no 64-bit X\n" in done.stderr


def test_a_stack_that_does_not_fit(assemble: Assemble) -> None:
    done = command("run", "-s", "1000G", assemble(EXIT))
    assert done.returncode == 1
    assert "does not fit into the guest's address space; use a smaller -s" in done.stderr


# ------------------------------------------------------------ running


def test_exit_status_and_output(assemble: Assemble) -> None:
    done = command("run", assemble(f"{WRITE} li a0, 300 {EXIT} {TEXT}".replace("li a0, 300", "\n        li a0, 300")))
    assert (done.returncode, done.stdout, done.stderr) == (300 & 0xFF, "hello\n", "")


def test_position_independent_program(tmp_path: Path) -> None:
    """ET_DYN without an interpreter is loaded high up; addi a0, x0, 9; addi a7, x0, 93; ecall."""
    require_build("riscv64")
    path = tmp_path / "program"
    data = bytearray(executable(segment(address=0), kind=3, entry=0x100))
    data[0x100:0x10C] = bytes.fromhex("13059000 9308d005 73000000")
    path.write_bytes(data)
    assert command("run", str(path)).returncode == 9


def test_arguments_and_environment_reach_the_program(assemble: Assemble) -> None:
    """Exit with argc, or with the first letter of argv[0]."""
    assert command("run", assemble(f"        ld a0, 0(sp){EXIT}"), "one", "two").returncode == 3
    program = assemble(f"        ld a1, 8(sp)\n        lbu a0, 0(a1){EXIT}")
    assert command("run", "-0", "xyz", program).returncode == ord("x")
    # argv has one entry: the environment begins at sp + 24.
    program = assemble(f"        ld a1, 24(sp)\n        lbu a0, 0(a1){EXIT}")
    unset = [word for name in os.environ for word in ("-U", name)]
    assert command("run", *unset, "-U", "PYTHONPATH", "-E", "Q=1", program).returncode == ord("Q")


def test_strace(assemble: Assemble) -> None:
    done = command("run", "-strace", assemble(f"{WRITE}\n        li a0, 3{EXIT}{TEXT}"))
    assert done.stderr == 'write(1, "hello\\n", 6) = 6\nexit(3) = ?\n+++ exited with 3 +++\n'
    assert (done.returncode, done.stdout) == (3, "hello\n")


def test_stats(assemble: Assemble) -> None:
    done = command("run", "--stats", assemble(f"        li a0, 0{EXIT}"))
    assert done.returncode == 0
    assert "2 instructions in" in done.stderr
    assert "1 system calls" in done.stderr


def test_log(assemble: Assemble, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = command("run", "-d", "in_asm", "-D", str(log), assemble(f"        li a0, 0{EXIT}"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "IN: _start" in log.read_text()
    assert "ecall" in log.read_text()
    done = command("run", "-d", "everything", "program")
    assert done.returncode == 1
    assert done.stderr.startswith("isomorph: -d everything: there is no such item; there are ")


def test_a_small_code_cache_changes_nothing(assemble: Assemble) -> None:
    loop = "        li t0, 20000\n1:      addi t0, t0, -1\n        bnez t0, 1b\n        li a0, 5"
    assert command("run", "-tb-size", "64K", assemble(f"{loop}{EXIT}")).returncode == 5


# ------------------------------------------------------------ crashes


def test_a_crash_is_told(assemble: Assemble) -> None:
    done = command("run", assemble(f"{WRITE}\n        li a5, 0x10\nstore:  sw a0, 4(a5){EXIT}{TEXT}"))
    assert (done.returncode, done.stdout) == (128 + signal.SIGSEGV, "hello\n")
    lines = done.stderr.splitlines()
    assert lines[0].endswith("program: killed by signal 11, SIGSEGV (Segmentation fault)")
    assert lines[1] == "  SEGV_MAPERR at address 0x14"
    assert lines[2].endswith(" <store>")
    assert any(line.startswith("=> ") and "sw a0,4(a5)" in line for line in lines)
    assert any("a5/x15   0000000000000010" in line for line in lines)
    assert lines[-1] == "  write(1, 0x11000, 6) = 6"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("code", "number", "told"),
    [
        ("        .word 0xffffffff", signal.SIGILL, "ILL_ILLOPC"),
        ("        ebreak", signal.SIGTRAP, "TRAP_BRKPT"),
        ("        jr zero", signal.SIGSEGV, "SEGV_MAPERR at address 0x0"),
        ("        jr sp", signal.SIGSEGV, "SEGV_ACCERR"),
        ("        la a0, _start\n        sw a0, 0(a0)", signal.SIGSEGV, "SEGV_ACCERR"),
        ("        li a0, -8\n        ld a0, 0(a0)", signal.SIGSEGV, "SEGV_MAPERR at address 0xfffffffffffffff8"),
    ],
)
def test_faults(assemble: Assemble, code: str, number: int, told: str) -> None:
    done = command("run", assemble(f"{code}{EXIT}"))
    assert done.returncode == 128 + number
    assert told in done.stderr
    assert ("code:" in done.stderr) == (code != "        jr zero")  # there is none to show
    assert "Traceback" not in done.stderr


def test_stack_overflow(assemble: Assemble) -> None:
    done = command("run", "-s", "64K", assemble("1:      addi sp, sp, -16\n        sd ra, 0(sp)\n        j 1b"))
    assert done.returncode == 128 + signal.SIGSEGV
    assert "SEGV_MAPERR" in done.stderr


def test_death_by_a_plain_signal_is_quiet(assemble: Assemble) -> None:
    kill = "        li a7, 172\n        ecall\n        li a1, 15\n        li a7, 129\n        ecall"
    done = command("run", assemble(f"{kill}{EXIT}"))
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")


# ------------------------------------------------------------ signals and pipes from outside


def start(*words: str) -> subprocess.Popen[bytes]:
    """isomorph in the background, its output in pipes."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.Popen(isomorph(*words), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_control_c_ends_a_busy_guest(assemble: Assemble) -> None:
    process = start("run", assemble(f"{WRITE}1:      j 1b{TEXT}"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"hello\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert errors == b""


def test_a_broken_pipe_ends_the_guest(assemble: Assemble) -> None:
    process = start("run", assemble(f"1:{WRITE}        j 1b{TEXT}"))
    assert process.stdout is not None
    assert process.stdout.readline() == b"hello\n"
    process.stdout.close()
    assert process.wait(timeout=120) == -signal.SIGPIPE
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
