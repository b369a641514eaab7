"""Debian's busybox for mipsel does under isomorph what it does under qemu-user: the commands of test_busybox.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import sysroot
from tests.linux.test_busybox import SUITES, run_all
from tests.tools import isomorph, require_build, tool


@pytest.fixture(scope="module")
def busybox() -> str:
    require_build("mipsel")
    tool("qemu-mipsel", "qemu-user")
    return str(sysroot("mipsel", "bookworm", ["busybox-static"]) / "bin/busybox")


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_applets(suite: Path, busybox: str, tmp_path: Path) -> None:
    lines = suite.read_text().splitlines()
    folder = tmp_path / "work"
    expected, files_expected = run_all(["qemu-mipsel", busybox], lines, folder)
    actual, files = run_all(isomorph("run", busybox), lines, folder)
    differing = [
        (line, wanted, got) for line, wanted, got in zip(lines, expected, actual, strict=True) if wanted != got
    ]
    assert differing == []
    assert files == files_expected
    assert sum(outcome.status == 0 for outcome in expected) > 0.8 * len(lines)
