"""Debian's lua5.4, sqlite3 and python3 for amd64 and i386, over their own shared libraries, run as under qemu-user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.debian import sysroot
from tests.linux.test_lua import SCRIPTS, without_addresses
from tests.tools import Outcome, isomorph, require_build, run, tool

HERE = Path(__file__).parent
#: Debian's name of the architecture -> ours, and qemu's
GUESTS = {"amd64": ("x86_64", "qemu-x86_64"), "i386": ("i386", "qemu-i386")}
LUA = ["lua5.4", "libc6", "libreadline8", "libtinfo6"]
SQLITE = ["sqlite3", "libsqlite3-0", "libc6", "libreadline8", "libtinfo6", "zlib1g"]
PYTHON = [
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libexpat1",
    "zlib1g",
    "libc6",
    "libssl3",
    "libuuid1",
]


@pytest.fixture(scope="module", params=GUESTS)
def architecture(request: pytest.FixtureRequest) -> str:
    isa, qemu = GUESTS[request.param]
    require_build(isa)
    tool(qemu, "qemu-user")
    return str(request.param)


def both(
    architecture: str, packages: list[str], program: str, arguments: list[str], stdin: bytes = b""
) -> tuple[Outcome, Outcome]:
    """What a program of these packages does under qemu-user, and here."""
    root = sysroot(architecture, "bookworm", packages)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ISOMORPH_TEST": "from outside",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }
    command = ["-L", str(root), str(root / program), *arguments]
    expected = run([GUESTS[architecture][1], *command], stdin, environment=environment)
    return expected, run(isomorph("run", *command), stdin, environment=environment)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_lua(script: Path, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stdin = b"a line\n 12 0x1p-1 rest\nof input\n"
    expected, actual = both(architecture, LUA, "usr/bin/lua5.4", [str(script), "one", "two words"], stdin)
    assert without_addresses(actual.stdout) == without_addresses(expected.stdout)
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)
    assert expected.status == (7 if script.stem == "files" else 0), expected.stderr


def test_sqlite(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = (HERE / "sqlite" / "commands.sql").read_bytes()
    commands += b".shell rm -f base.db\n"  # each begins with none
    expected, actual = both(architecture, SQLITE, "usr/bin/sqlite3", ["base.db"], commands)
    assert len(expected.stdout.splitlines()) > 80
    assert actual == expected


@pytest.mark.slow
def test_python(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = HERE / "python" / "standard.py"
    program = "usr/bin/python3.11"
    expected, actual = both(architecture, PYTHON, program, ["-I", "-B", str(script)])
    assert actual.stdout.splitlines() == expected.stdout.splitlines()
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr) == (4, b"")
