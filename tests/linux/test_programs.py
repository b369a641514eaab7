"""C programs about system calls, built by Debian's cross-compiler, do under isomorph what they do under qemu-user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tools import Outcome, compile_c, isomorph, require_build, run, tool

PROGRAMS = Path(__file__).parent / "programs"
SOURCES = sorted(PROGRAMS.glob("*.c"))


def build(source: Path, *flags: str) -> Path:
    return compile_c(
        "riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [source], ["-std=gnu17", "-w", "-static", *flags], ["-lm"]
    )


def run_in(folder: Path, command: list[str]) -> Outcome:
    """Run in a folder of its own, so that every run finds the same files."""
    folder.mkdir()
    before = os.getcwd()
    os.chdir(folder)
    try:
        settings = {"ISOMORPH_TEST": "from outside", "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
        return run(command, environment=dict(os.environ, **settings))
    finally:
        os.chdir(before)


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_as_under_qemu(source: Path, level: str, tmp_path: Path) -> None:
    require_build("riscv64")
    program = str(build(source, level))
    qemu = tool("qemu-riscv64", "qemu-user")
    expected = run_in(tmp_path / "qemu", [qemu, program, "one", "two words"])
    actual = run_in(tmp_path / "isomorph", isomorph("run", program, "one", "two words"))
    assert actual.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert actual.status == expected.status
    assert actual.stderr == b""
