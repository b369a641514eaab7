"""Debian's python3 for riscv64: the largest dynamic program here, run as under qemu-user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import environment, sysroot
from tests.tools import isomorph, require_build, run, tool

SCRIPT = Path(__file__).parent / "python" / "standard.py"
PACKAGES = [
    "python3.13-minimal",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libexpat1",
    "zlib1g",
    "libc6",
    "libssl3t64",
    "libzstd1",
    "libgcc-s1",
]


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_build("riscv64")
    tool("qemu-riscv64", "qemu-user")
    monkeypatch.chdir(tmp_path)
    root = sysroot("riscv64", "trixie", PACKAGES)
    program = str(root / "usr/bin/python3.13")
    command = ["-L", str(root), program, "-I", "-B", str(SCRIPT)]
    expected = run(["qemu-riscv64", *command], environment=environment())
    actual = run(isomorph("run", *command, program), environment=environment())
    lines = actual.stdout.decode().splitlines()
    assert lines[:-1] == expected.stdout.decode().splitlines()
    # Under qemu-user a guest cannot execute its likes.
    assert lines[-1] == "0 b'42\\n'"
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr) == (4, b"")
