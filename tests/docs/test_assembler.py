"""docs/assembler.md does what it says: its files, commands and Python, taken word for word in an empty folder."""

from __future__ import annotations

from pathlib import Path

from tests.docs.pages import blocks, run_consoles, run_python
from tests.tools import require_build

BLOCKS = blocks("assembler.md")


def test_commands(tmp_path: Path) -> None:
    require_build("riscv64")
    assert run_consoles(BLOCKS, tmp_path) >= 8


def test_python() -> None:
    require_build("riscv64")
    run_python(BLOCKS, "docs/assembler.md")
