"""docs/fuzzing.md tells the truth: its commands and its Python run, and its tables and rows are as generated."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from isomorph.cli.fuzz import main
from isomorph.fuzz.case import read_case
from runtime.core.cpu import load_isa
from tests.tools import require_build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fuzzing.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^isomorph fuzz (.*)$", PAGE, re.MULTILINE)


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for isa in ("riscv32", "riscv64"):
        require_build(isa)
    if "unicorn" in command or "replay" in command:
        pytest.importorskip("unicorn", reason="unicorn is not installed (pip install unicorn)")
    if "qemu" in command and shutil.which("qemu-riscv32") is None:
        pytest.skip("no qemu-riscv32 (Debian package qemu-user)")
    if "--cluster" in command:
        pytest.importorskip("distributed", reason="Dask is not installed (pip install 'isomorph[cluster]')")
    monkeypatch.chdir(ROOT)
    output = [] if "--replay" in command else ["--output", str(tmp_path)]
    assert main([*command.split(), *output]) == 0


def test_python_runs() -> None:
    require_build("riscv64")
    for text in fences("python"):
        names: dict[str, Any] = {}
        exec(compile(text, "docs/fuzzing.md", "exec"), names)


def test_rows_are_as_generated() -> None:
    generated = (require_build("riscv64") / "tests" / "encodings" / "riscv_i.txt").read_text()
    rows, case = fences("text")
    header, *words = rows.splitlines()
    assert f"\n{header}\n" in generated
    for line in words:
        for part in line.split("  ! ")[-1].split("  ") if "!" in line else [line]:
            assert part in generated, part
    assert read_case(case, load_isa(require_build("riscv64")).layout).code == (bytes.fromhex("93200080"),)
