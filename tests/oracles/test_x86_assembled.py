"""Instructions of this machine's programs, read by objdump, assembled again: the same, or a table says why not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.oracles.x86_assembled import PROGRAMS, check, of_each_mnemonic
from tests.tools import require_build, tool


@pytest.mark.parametrize(
    ("files", "each", "least"),
    [(PROGRAMS[:1], 2, 100), pytest.param(PROGRAMS, 40, 4000, marks=pytest.mark.slow)],
    ids=["ls", "libraries"],
)
def test_the_same_again(files: tuple[str, ...], each: int, least: int) -> None:
    require_build("x86_64")
    there = [file for file in files if Path(file).exists()]
    if not there:
        pytest.skip(f"the assembler is not compared with programs: no {', '.join(files)} (Debian's places)")
    found = check(of_each_mnemonic(tool("objdump", "binutils"), there, each, Random(1)))
    assert not found.unexplained, str(found)
    assert found.alike > least
