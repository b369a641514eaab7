"""docs/explain.md tells the truth: its commands and its Python run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tools import isomorph, require_build

PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_commands_run(tmp_path: Path) -> None:
    require_build("riscv64")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert len(COMMANDS) > 5
    for command in COMMANDS:
        name, *words = shlex.split(command)
        assert name == "isomorph"
        done = subprocess.run(
            isomorph(*words),
            cwd=tmp_path,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
    assert (tmp_path / "fadd.html").read_text().startswith("<!doctype html>")
    assert 'id="insn-addi"' in (tmp_path / "site" / "riscv64.html").read_text()
    assert (tmp_path / "site" / "index.html").exists()


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_run(example: str) -> None:
    require_build("riscv64")
    exec(compile(example, "docs/explain.md", "exec"), {"__name__": "example"})
