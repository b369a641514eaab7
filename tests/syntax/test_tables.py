"""build/<isa>/syntax.py is code to be read: formatted, typed, lint-free, each entry with its line in the spec."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gen.model import Spec
from gen.syntax_tables import module_source

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", ["riscv64", "bytes", "words", "modes"])
def test_style(spec: Callable[[str], Spec], name: str, tmp_path: Path) -> None:
    path = tmp_path / "syntax.py"
    path.write_text(module_source(spec(name)))
    for command in (
        ["ruff", "format", "--check", "--line-length", "120", "--isolated"],
        ["ruff", "check", "--select", "E,F,I,UP,B", "--line-length", "120", "--isolated"],
    ):
        ran = subprocess.run([sys.executable, "-m", *command, str(path)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_types(spec: Callable[[str], Spec], tmp_path: Path) -> None:
    paths = []
    for name in ("riscv32", "bytes", "modes"):
        paths.append(tmp_path / f"syntax_{name}.py")
        paths[-1].write_text(module_source(spec(name)))
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout


def test_entries_name_their_lines(spec: Callable[[str], Spec]) -> None:
    text = module_source(spec("bytes"))
    lines = (Path(__file__).parent / "specs" / "bytes.isa").read_text().splitlines()
    found = re.findall(r'Form\(\s*"(\w+)",\s*"specs/bytes.isa:(\d+)"', text)
    assert sorted(name for name, _ in found) == ["add", "addi", "bra", "load", "nop"]
    for name, number in found:
        assert lines[int(number) - 1].startswith(f"insn {name}")
