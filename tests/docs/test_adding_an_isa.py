"""The tour of docs/adding-an-isa.md, taken word for word in an empty folder, and what goes wrong on the way.

A block with `file=NAME` becomes that file; of a `console` block each line behind `$ ` is run, and what follows must be
what it prints, `…` standing for anything within a line.  Blocks marked `shared` are followed in a folder kept between
runs, for generating takes long there.  `isomorph test` may have something to generate or not; what it says of that is
left out.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.linux.abi import MACHINES
from tests.conftest import ROOT
from tests.tools import compile_c

PAGE = ROOT / "docs" / "adding-an-isa.md"
SHARED = ROOT / "build" / "tests" / "adding-an-isa"
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(r"^\w+: (…|\d+ instructions, .*) s$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of the page."""

    line: int
    kind: str
    options: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        return next((option.removeprefix("file=") for option in self.options if option.startswith("file=")), None)

    @property
    def shared(self) -> bool:
        return "shared" in self.options

    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the lines it prints."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def _blocks() -> list[Block]:
    page = PAGE.read_text(encoding="utf-8")
    return [
        Block(page.count("\n", 0, fence.start()) + 1, fence[1], tuple(fence[2].split()), fence[3])
        for fence in _FENCE.finditer(page)
    ]


BLOCKS = _blocks()
FILES = {block.file: block.text for block in BLOCKS if block.file is not None}


class Shell:
    """A folder with the page's files in it, and a shell that knows the command `isomorph`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir(parents=True, exist_ok=True)
        build = folder / "build"
        command = folder / "bin" / "isomorph"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m isomorph "$@"\n')
        command.chmod(0o755)
        self.environment = {
            "PATH": f"{command.parent}:/usr/bin:/bin",
            "ISOMORPH_BUILD": str(build),
            "LC_ALL": "C.UTF-8",
        }

    def write(self, *names: str) -> None:
        """Write files of the page."""
        for name in names:
            (self.folder / name).write_text(FILES[name], encoding="utf-8")

    def run(self, command: str) -> tuple[int, str]:
        """Exit status, and all that was printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def follow(self, blocks: list[Block]) -> int:
        """Do what the blocks say; how many commands that were."""
        count = 0
        for block in blocks:
            if block.file is not None:
                self.write(block.file)
            if block.kind != "console":
                continue
            for command, expected in block.commands():
                printed = self.run(command)[1].splitlines()
                if not command.startswith("isomorph gen"):
                    expected, printed = (
                        [line for line in each if not _GENERATED.match(line)] for each in (expected, printed)
                    )
                assert _same(printed, expected), f"line {block.line}: {command}\n" + "\n".join(printed)
                count += 1
        return count


def _same(printed: list[str], expected: list[str]) -> bool:
    patterns = [re.escape(line).replace("…", ".*") for line in expected]
    return len(printed) == len(patterns) and all(map(re.fullmatch, patterns, printed))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder in which nothing was generated yet."""
    return Shell(tmp_path)


@pytest.fixture
def toy(shell: Shell) -> Shell:
    """A folder with toy generated and its table of system calls."""
    shell.write("toy.isa", "toy.abi.toml")
    status, printed = shell.run("isomorph gen toy.isa")
    assert status == 0, printed
    return shell


def test_toy_is_small() -> None:
    assert len(FILES["toy.isa"].splitlines()) <= 60
    assert len(FILES["custom_instruction.isa"].splitlines()) == 5


def test_the_tour(shell: Shell) -> None:
    """Everything about toy, from nothing."""
    assert shell.follow([block for block in BLOCKS if not block.shared]) >= 12


def test_the_custom_instruction() -> None:
    for name in ("custom_instruction.isa", "custom_instruction.s"):
        assert FILES[name] == (ROOT / "examples" / name).read_text(encoding="utf-8")
    shell = Shell(SHARED)
    assert shell.follow([block for block in BLOCKS if block.shared or (block.file or "").startswith("custom")]) == 3
    # What a stock compiler makes runs on it, too.
    source = shell.folder / "program.c"
    source.write_text(
        "#include <stdio.h>\n"
        "int main(void) {\n"
        "    long sum = 1, six = 6, seven = 7;\n"
        '    asm(".insn r 0x0b, 7, 1, %0, %1, %2" : "+r"(sum) : "r"(six), "r"(seven));\n'
        '    printf("%ld\\n", sum);\n'
        "    return 0;\n"
        "}\n"
    )
    program = compile_c("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], ["-O2", "-static"])
    assert shell.run(f"isomorph run --isa custom_instruction {program}") == (0, "43\n")


def test_the_page_is_numbered() -> None:
    headings = re.findall(r"^## (\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [str(number) for number in range(1, len(headings) + 1)]


def test_the_makefile_takes_a_path() -> None:
    done = subprocess.run(
        ["make", "-n", "gen", "ISA=some/toy.isa"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-m gen some/toy.isa" in done.stdout


def test_all_of_linux_without_numbers(toy: Shell) -> None:
    """Without [system_calls] the numbers are asm-generic's; a change of the table alone is noticed."""
    table = FILES["toy.abi.toml"].partition("[system_calls]")[0]
    (toy.folder / "toy.abi.toml").write_text(table)
    text = FILES["squares.s"].replace("exit, 1", "exit, 93").replace("write, 4", "write, 64")
    (toy.folder / "squares.s").write_text(text)
    status, printed = toy.run("isomorph gen toy.isa && isomorph asm --isa toy squares.s && isomorph run squares")
    assert status == 0
    assert printed.endswith("1\n4\n9\n16\n25\n")


def test_an_extension_calls_linux_as_its_base_does(toy: Shell) -> None:
    (toy.folder / "more.isa").write_text(
        'isa more extends toy\ninsn twice "1011 d a 0000 0000000000000000" "twice {d}, {a}" : R[d] = R[a] + R[a]\n'
    )
    (toy.folder / "more.s").write_text("_start: set r2, 21\n twice r1, r2\n set r7, 1\n call\n")
    status, _ = toy.run("isomorph gen more.isa && isomorph asm --isa more more.s && isomorph run more")
    assert status == 42
    # A table that goes away is noticed as well: the program runs bare then.
    (toy.folder / "toy.abi.toml").unlink()
    status, printed = toy.run("isomorph gen more.isa && isomorph run more")
    assert (status, "stopped by exception Call at 0x1000c" in printed) == (1, True)


def test_faults_are_signals(toy: Shell) -> None:
    (toy.folder / "fault.s").write_text("_start: high r1, 0x7000\n load r2, 4(r1)\n")
    status, printed = toy.run("isomorph asm --isa toy fault.s && isomorph run fault")
    assert status == 128 + 11
    assert "killed by signal 11, SIGSEGV" in printed
    assert "SEGV_MAPERR at address 0x70000004\n" in printed
    assert "=> 0x10004 <_start+0x4>:            42100004         load r2, 4(r1)\n" in printed


def test_faults_stop_a_bare_program(shell: Shell) -> None:
    shell.write("toy.isa")
    (shell.folder / "fault.s").write_text("_start: high r1, 0x7000\n load r2, 4(r1)\n")
    status, printed = shell.run("isomorph gen toy.isa && isomorph asm --isa toy fault.s && isomorph run fault")
    assert status == 1
    assert "isomorph: fault: stopped by exception BadAddress at 0x10004 <_start+0x4>\n  arguments 0x70000004" in printed


def test_a_program_nobody_knows(toy: Shell) -> None:
    """The file says which instruction set it is for, or the user; if neither can be had, that is said."""
    toy.write("sum.s")
    assert toy.run("isomorph asm --isa toy sum.s")[0] == 0
    program = toy.folder / "sum"
    data = bytearray(program.read_bytes())
    (toy.folder / "other").write_bytes(data.replace(b"Isomorph\0\0\0\0toy\0", b"Isomorph\0\0\0\0abc\0"))
    (toy.folder / "mute").write_bytes(data.replace(b"Isomorph\0", b"Anything\0"))
    struct.pack_into("<H", data, 18, 62)
    (toy.folder / "foreign").write_bytes(data.replace(b"Isomorph\0", b"Anything\0"))
    unnamed = "isomorph: mute: the file does not name its machine; say which it is: --isa NAME (generated: toy)\n"
    expected = {
        "run other": "isomorph: there is no instruction set 'abc' (generated: toy); `isomorph list` shows all\n",
        "run mute": unnamed,
        "disasm mute": unnamed,
        "run foreign": "isomorph: foreign: a program for x86_64, 32-bit, little-endian; programs can be run for "
        f"{', '.join(sorted(set(MACHINES.values())))}; --isa NAME takes another instruction set (generated: toy)\n",
    }
    assert {command: toy.run(f"isomorph {command}") for command in expected} == {
        command: (1, message) for command, message in expected.items()
    }
    assert "IN: _start" in toy.run("isomorph run --isa toy -d in_asm mute")[1]
    toy.environment["ISOMORPH_BUILD"] = str(toy.folder / "nothing")
    assert toy.run("isomorph run sum") == (
        1,
        "isomorph: there is no instruction set 'toy' (generated: none); `isomorph list` shows all\n",
    )


def test_a_table_with_mistakes(toy: Shell) -> None:
    table = (
        FILES["toy.abi.toml"].replace('"r7"', '"r16"').replace("Call  ", "Cull  ").replace("write = 4", "write = -4")
    )
    (toy.folder / "toy.abi.toml").write_text(table)
    status, printed = toy.run("isomorph gen toy.isa")
    assert status == 1
    assert [line for line in printed.splitlines() if "error:" in line] == [
        "toy.abi.toml:1:1: error: 'number': 'r16' is no 32-bit register that can be written",
        "toy.abi.toml:7:1: error: the spec has no exception 'Cull'",
        "toy.abi.toml:13:1: error: the number of 'write' is -4",
    ]
    (toy.folder / "toy.abi.toml").write_text("number = r7\n")
    assert toy.run("isomorph gen toy.isa") == (
        1,
        "toy.abi.toml:1:10: error: this is not TOML: Invalid value\n    1 | number = r7\n      |          ^\n",
    )


def test_a_table_with_a_signal_that_does_not_exist(toy: Shell) -> None:
    toy.write("sum.s")
    assert toy.run("isomorph asm --isa toy sum.s")[0] == 0
    for old, new, message in (
        ("SIGSEGV", "SIGBOOM", "there is no signal SIGBOOM"),
        ('"SEGV"', '"SEGV_BOOM"', "there is no code SEGV_BOOM; codes: SI_USER"),
    ):
        (toy.folder / "toy.abi.toml").write_text(FILES["toy.abi.toml"].replace(old, new))
        assert toy.run("isomorph gen toy.isa")[0] == 0
        for command in ("isomorph run sum", "isomorph asm --isa toy sum.s"):
            status, printed = toy.run(command)
            assert status == 1
            assert printed.startswith(
                f"isomorph: toy: its table of system calls (.abi.toml): exception BadAddress: {message}"
            )


def test_it_is_listed(toy: Shell) -> None:
    status, printed = toy.run("isomorph list toy")
    assert status == 0
    assert f"  spec          {toy.folder / 'toy.isa'}\n" in printed
    assert "  instructions  17\n" in printed
