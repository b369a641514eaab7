"""The fenced blocks of a page of docs/, and its `$` commands run in an empty folder: what the tests of pages share."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind that, its text."""

    kind: str
    option: str
    text: str


def blocks(page: str) -> list[Block]:
    """Those of docs/PAGE, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [Block(found[1], found[2].strip(), found[3]) for found in _FENCE.finditer(text)]


def run_consoles(page: Iterable[Block], folder: Path) -> int:
    """Make the files of `file=` blocks and run the commands of console blocks, comparing what they print; how many."""
    command = folder / "bin" / "isomorph"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m isomorph "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{command.parent}:/usr/bin:/bin",
        "ISOMORPH_BUILD": str(ROOT / "build"),
        "LC_ALL": "C.UTF-8",
    }
    count = 0
    for block in page:
        if block.option.startswith("file="):
            (folder / block.option.removeprefix("file=")).write_text(block.text, encoding="utf-8")
        if block.kind != "console":
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            assert done.stdout.decode() == expected, line
            count += 1
    return count


def run_python(page: Iterable[Block], name: str) -> None:
    """Run the Python blocks, one after the other in one module, and compare with the text blocks what they print."""
    printed, expected = io.StringIO(), ""
    names: dict[str, Any] = {"__name__": "example"}
    for block in page:
        if block.kind == "python":
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, name, "exec"), names)
        elif block.kind == "text":
            expected += block.text
    assert printed.getvalue() == expected != ""
