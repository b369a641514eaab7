"""docs/assembler.md does what it says: its files, commands and Python, taken word for word in an empty folder."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.tools import require_build

PAGE = ROOT / "docs" / "assembler.md"
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(found[1], found[2].strip(), found[3]) for found in _FENCE.finditer(PAGE.read_text(encoding="utf-8"))]


def test_commands(tmp_path: Path) -> None:
    require_build("riscv64")
    command = tmp_path / "bin" / "isomorph"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m isomorph "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{command.parent}:/usr/bin:/bin",
        "ISOMORPH_BUILD": str(ROOT / "build"),
        "LC_ALL": "C.UTF-8",
    }
    count = 0
    for kind, option, text in BLOCKS:
        if option.startswith("file="):
            (tmp_path / option.removeprefix("file=")).write_text(text, encoding="utf-8")
        if kind != "console":
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            assert done.stdout.decode() == expected, line
            count += 1
    assert count >= 8


def test_python() -> None:
    require_build("riscv64")
    printed = io.StringIO()
    expected = ""
    for kind, _, text in BLOCKS:
        if kind == "python":
            with contextlib.redirect_stdout(printed):
                exec(compile(text, str(PAGE), "exec"), {})
        elif kind == "text":
            expected += text
    assert printed.getvalue() == expected != ""
