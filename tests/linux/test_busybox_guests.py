"""Debian's busybox of other architectures: commands of test_busybox.py as under qemu-user, its scripts as natively."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import sysroot
from tests.guests import BOOKWORM, GUESTS
from tests.linux.test_busybox import SCRIPTS, SUITES, root_with_shell, run_all
from tests.tools import isomorph, require_build, tool

#: a division of 64-bit numbers takes these machines, and qemu-user, minutes
TOO_LONG = "18446744073709551557"
#: what every run of the tests looks at: one shell script of a hundred lines
OFTEN = {("builtins", "armhf"), ("builtins", "mipsel")}


def program(architecture: str) -> str:
    require_build(GUESTS[architecture].isa)
    return str(sysroot(architecture, "bookworm", ["busybox-static"]) / "bin/busybox")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", BOOKWORM)
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_applets(suite: Path, architecture: str, tmp_path: Path) -> None:
    busybox = program(architecture)
    qemu = tool(GUESTS[architecture].qemu, "qemu-user")
    lines = [line for line in suite.read_text().splitlines() if TOO_LONG not in line]
    folder = tmp_path / "work"
    expected, files_expected = run_all([qemu, busybox], lines, folder)
    actual, files = run_all(isomorph("run", busybox), lines, folder)
    differing = [
        (line, wanted, got) for line, wanted, got in zip(lines, expected, actual, strict=True) if wanted != got
    ]
    assert differing == []
    assert files == files_expected
    assert sum(outcome.status == 0 for outcome in expected) > 0.8 * len(lines)


@pytest.mark.parametrize(
    ("script", "architecture"),
    [
        pytest.param(
            script,
            name,
            id=f"{script.stem}-{name}",
            marks=[] if (script.stem, name) in OFTEN else [pytest.mark.slow],
        )
        for script in SCRIPTS
        for name in BOOKWORM
    ],
)
def test_scripts(script: Path, architecture: str, tmp_path: Path) -> None:
    """The oracle is the same version for this machine: under qemu-user a guest cannot execute its likes."""
    busybox = program(architecture)
    native = str(sysroot("amd64", "bookworm", ["busybox-static"]) / "bin/busybox")
    folder = tmp_path / "work"
    expected, files_expected = run_all([native], [f"sh {script}"], folder)
    root = root_with_shell(tmp_path, busybox)
    actual, files = run_all(isomorph("run", "-L", str(root), busybox), [f"sh {script}"], folder)
    assert actual[0].stdout.decode().splitlines() == expected[0].stdout.decode().splitlines()
    assert actual[0].stderr.decode().splitlines() == expected[0].stderr.decode().splitlines()
    assert actual[0].status == expected[0].status == 7, expected[0].stderr
    assert files == files_expected


def test_what_is_looked_at_often_exists() -> None:
    assert {(script.stem, name) for script in SCRIPTS for name in BOOKWORM} >= OFTEN
