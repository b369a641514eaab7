"""docs/machine.md and docs/adding-a-device.md do what they say: commands and Python, taken word for word."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for found in _FENCE.finditer((ROOT / "docs" / page).read_text(encoding="utf-8"))]


def test_commands_of_machines(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "isomorph"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m isomorph "$@"\n')
    command.chmod(0o755)
    environment = {"PATH": f"{command.parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    count = 0
    for kind, text in blocks("machine.md"):
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:] if kind == "console" else ():
            line, _, expected = part.partition("\n")
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            assert done.stdout.decode() == expected, line
            count += 1
    assert count >= 5


def test_the_device_of_the_tutorial() -> None:
    printed, expected = io.StringIO(), ""
    names: dict[str, Any] = {"__name__": "example"}
    for kind, text in blocks("adding-a-device.md"):
        if kind == "python":
            with contextlib.redirect_stdout(printed):
                exec(compile(text, "docs/adding-a-device.md", "exec"), names)
        elif kind == "text":
            expected += text
    assert printed.getvalue() == expected != ""
