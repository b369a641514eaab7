"""Debian's lua5.4 for riscv64, over its own shared libraries, runs our Lua scripts as under qemu-user."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.debian import sysroot
from tests.tools import Outcome, isomorph, require_build, run, tool

SCRIPTS = sorted((Path(__file__).parent / "lua").glob("*.lua"))
PACKAGES = ["lua5.4", "libc6", "libreadline8t64", "libtinfo6", "libgcc-s1"]


@pytest.fixture(scope="module")
def root() -> Path:
    require_build("riscv64")
    tool("qemu-riscv64", "qemu-user")
    return sysroot("riscv64", "trixie", PACKAGES)


def run_script(launch: list[str], root: Path, arguments: list[str], stdin: bytes = b"") -> Outcome:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ISOMORPH_TEST": "from outside", "TZ": "UTC"}
    return run([*launch, "-L", str(root), str(root / "usr/bin/lua5.4"), *arguments], stdin, environment=environment)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script(script: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, stdin = [str(script), "one", "two words"], b"a line\n 12 0x1p-1 rest\nof input\n"
    expected = run_script(["qemu-riscv64"], root, arguments, stdin)
    actual = run_script(isomorph("run"), root, arguments, stdin)
    assert without_addresses(actual.stdout) == without_addresses(expected.stdout)
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)
    assert expected.status == (7 if script.stem == "files" else 0), expected.stderr


def without_addresses(output: bytes) -> list[str]:
    """Lines, less the addresses by which Lua names functions, coroutines and files."""
    return re.sub(r"0x[0-9a-f]{8,}", "0x...", output.decode("latin-1")).splitlines()


def test_errors_and_options(root: Path) -> None:
    for arguments in (["-v"], ["-e", "error('oh')"], ["-e", "os.exit(false)"], ["none.lua"], ["-W", "-"], ["-l", "x"]):
        expected = run_script(["qemu-riscv64"], root, arguments, b"print(1, ...)\n")
        assert run_script(isomorph("run"), root, arguments, b"print(1, ...)\n") == expected
