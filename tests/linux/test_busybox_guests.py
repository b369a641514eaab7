"""Debian's busybox of other architectures does what it does under qemu-user: the commands of test_busybox.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import sysroot
from tests.linux.test_busybox import SUITES, run_all
from tests.tools import isomorph, require_build, tool

#: Debian's name of the architecture -> ours, and qemu's
GUESTS = {
    "mipsel": ("mipsel", "qemu-mipsel"),
    "armhf": ("arm", "qemu-arm"),
    "armel": ("arm", "qemu-arm"),
    "i386": ("i386", "qemu-i386"),
    "amd64": ("x86_64", "qemu-x86_64"),
}


#: a division of 64-bit numbers takes these machines, and qemu-user, minutes
TOO_LONG = "18446744073709551557"


@pytest.fixture(scope="module", params=GUESTS)
def busybox(request: pytest.FixtureRequest) -> tuple[str, str]:
    """qemu-user and the program."""
    isa, qemu = GUESTS[request.param]
    require_build(isa)
    tool(qemu, "qemu-user")
    return qemu, str(sysroot(request.param, "bookworm", ["busybox-static"]) / "bin/busybox")


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_applets(suite: Path, busybox: tuple[str, str], tmp_path: Path) -> None:
    qemu, program = busybox
    lines = [line for line in suite.read_text().splitlines() if TOO_LONG not in line]
    folder = tmp_path / "work"
    expected, files_expected = run_all([qemu, program], lines, folder)
    actual, files = run_all(isomorph("run", program), lines, folder)
    differing = [
        (line, wanted, got) for line, wanted, got in zip(lines, expected, actual, strict=True) if wanted != got
    ]
    assert differing == []
    assert files == files_expected
    assert sum(outcome.status == 0 for outcome in expected) > 0.8 * len(lines)
