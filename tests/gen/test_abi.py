"""The table of system calls beside a spec: what it becomes, which one holds, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gen import abi, stamp, state
from gen.elaborate import check
from gen.errors import SpecError

SPEC = """\
isa toy
pc     PC : bits(32)
regs   R[8] : bits(32)  zero 0  names "r0-7"
regs   W[2] : bits(64)  names "w0-1"
reg    LR : bits(32)
memory M : bits(32)  endian big
decode WORD : 32 big
exception Illegal = 0, Call = 1
insn call "00000000000000000000000000000001" "call" : raise Call
"""
TABLE = """\
number    = "r7"
arguments = ["r1", "r2", "r3", "r4", "r5", "r6"]
result    = "r1"
stack     = "r6"
link      = "LR"

[exceptions]
Call    = 4
Illegal = { signal = "SIGILL", code = "ILL_ILLOPC" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy.isa").write_text(SPEC)
    (tmp_path / "more.isa").write_text("isa more extends toy\n")
    return tmp_path


def source(folder: Path, table: str | None, name: str = "toy") -> str | None:
    if table is not None:
        (folder / "toy.abi.toml").write_text(table)
    spec = check(folder / f"{name}.isa")
    return abi.module_source(spec, state.layout_of(spec))


@pytest.mark.parametrize("name", ["toy", "more"])
def test_a_table_becomes_a_module(folder: Path, name: str) -> None:
    text = source(folder, TABLE, name)
    assert text is not None
    made: dict[str, object] = {}
    exec(text, made)
    table = made["ABI"]
    assert (table.name, table.bits, table.big_endian, table.elf_machine) == (name, 32, True, 0)
    assert (table.number, table.result, table.stack) == (("R", 7), ("R", 1), ("R", 6))
    assert table.signal_frame.return_address == ("LR", 0)


def test_without_a_table_there_is_no_module(folder: Path) -> None:
    assert source(folder, None) is None


def test_the_nearest_table_holds(folder: Path) -> None:
    (folder / "more.abi.toml").write_text(TABLE.replace('"r7"', '"r5"'))
    assert 'number=("R", 5)' in str(source(folder, TABLE, "more"))
    assert 'number=("R", 7)' in str(source(folder, TABLE, "toy"))


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ('number    = "r7"', "", ["toy.abi.toml: error: 'number' is missing: it names a register"]),
        ('"r7"', "7", ["toy.abi.toml:1:1: error: 'number': 7 is no 32-bit register that can be written"]),
        ('"r7"', '"r0"', ["toy.abi.toml:1:1: error: 'number': 'r0' is no 32-bit register that can be written"]),
        ('"r7"', '"w0"', ["toy.abi.toml:1:1: error: 'number': 'w0' is no 32-bit register that can be written"]),
        (', "r6"]', "]", ["toy.abi.toml:2:1: error: 'arguments' names 6 registers: system calls have up to so many"]),
        ("link ", "lonk ", ["toy.abi.toml:5:1: error: a table has no 'lonk'"]),
        ("Call    = 4", "", ["toy.abi.toml:7:2: error: no exception is a system call"]),
        ("Call    = 4", "Call = 4\nBall = 4", ["toy.abi.toml:9:1: error: the spec has no exception 'Ball'"]),
        (
            "= 4",
            "= true",
            [
                "toy.abi.toml:7:2: error: no exception is a system call",
                "toy.abi.toml:8:1: error: 'Call' is neither a system call nor a signal",
            ],
        ),
        ("= 4", "= 5", ["toy.abi.toml:8:1: error: 'Call' is neither a system call nor a signal"]),
        (', code = "ILL_ILLOPC"', "", ["toy.abi.toml:9:1: error: 'Illegal' is neither a system call nor a signal"]),
        ('"ILL_ILLOPC"', "3", ["toy.abi.toml:9:1: error: 'Illegal' is neither a system call nor a signal"]),
        ("[exceptions]", "[exceptions", ["toy.abi.toml:7:12: error: this is not "]),
        (
            "[exceptions]\nCall    = 4",
            "exceptions = 3\nsystem_calls = [4]\n[x]",
            [
                "toy.abi.toml:7:1: error: 'exceptions' is a table",
                "toy.abi.toml:7:1: error: no exception is a system call",
                "toy.abi.toml:8:1: error: 'system_calls' is a table",
                "toy.abi.toml:9:2: error: a table has no 'x'",
            ],
        ),
    ],
)
def test_mistakes(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, messages: list[str]) -> None:
    monkeypatch.chdir(folder)
    assert old in TABLE
    with pytest.raises(SpecError) as caught:
        source(Path(), TABLE.replace(old, new))
    found = [line for line in str(caught.value).splitlines() if ": error: " in line]
    assert sorted(line.partition("TOML: ")[0] for line in found) == sorted(messages)


def test_the_stamp_knows_the_table(folder: Path) -> None:
    spec = folder / "toy.isa"

    def digest() -> str | None:
        return stamp.spec_digest([str(spec)], {})

    without = digest()
    (folder / "toy.abi.toml").write_text(TABLE)
    with_table = digest()
    (folder / "toy.abi.toml").write_text(TABLE + "\n")
    assert len({without, with_table, digest()}) == 3
    (folder / "toy.abi.toml").unlink()
    assert digest() == without
