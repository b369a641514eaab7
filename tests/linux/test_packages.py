"""Debian's lua5.4, sqlite3 and python3 of every architecture, over their own shared libraries, run as under qemu-user.

bookworm has no big-endian mips; riscv64, which came with trixie, has tests of its own (test_lua.py and so on).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import environment, sysroot
from tests.guests import BOOKWORM, GUESTS
from tests.linux.test_lua import SCRIPTS, without_addresses
from tests.tools import Outcome, isomorph, require_build, run, tool

HERE = Path(__file__).parent
LUA = ["lua5.4", "libc6", "libreadline8", "libtinfo6", "libgcc-s1"]
SQLITE = ["sqlite3", "libsqlite3-0", "libc6", "libreadline8", "libtinfo6", "libgcc-s1", "zlib1g"]
PYTHON = [
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libexpat1",
    "zlib1g",
    "libc6",
    "libgcc-s1",
    "libatomic1",
    "libssl3",
    "libuuid1",
]
#: what every run of the tests looks at; the rest is for the slow sweep
OFTEN = {("lua", "armel"), ("sqlite", "armhf"), ("sqlite", "mipsel"), ("sqlite", "amd64"), ("sqlite", "i386")}


def architectures(kind: str) -> pytest.MarkDecorator:
    """All of them, slow but for those that are looked at often."""
    cases = [
        pytest.param(name, id=name, marks=[] if (kind, name) in OFTEN else [pytest.mark.slow]) for name in BOOKWORM
    ]
    return pytest.mark.parametrize("architecture", cases)


def both(
    architecture: str, packages: list[str], program: str, arguments: list[str], stdin: bytes = b"", made: str = "none"
) -> tuple[Outcome, Outcome]:
    """What a program of these packages does under qemu-user, and here; both begin without the file that it makes."""
    guest = GUESTS[architecture]
    require_build(guest.isa)
    tool(guest.qemu, "qemu-user")
    root = sysroot(architecture, "bookworm", packages)
    command = ["-L", str(root), str(root / program), *arguments]
    expected = run([guest.qemu, *command], stdin, 400, environment())
    Path(made).unlink(missing_ok=True)
    return expected, run(isomorph("run", *command), stdin, 400, environment())


@architectures("lua")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_lua(script: Path, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stdin = b"a line\n 12 0x1p-1 rest\nof input\n"
    expected, actual = both(architecture, LUA, "usr/bin/lua5.4", [str(script), "one", "two words"], stdin)
    assert without_addresses(actual.stdout) == without_addresses(expected.stdout)
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)
    assert expected.status == (7 if script.stem == "files" else 0), expected.stderr


@architectures("sqlite")
def test_sqlite(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = (HERE / "sqlite" / "commands.sql").read_bytes()
    expected, actual = both(architecture, SQLITE, "usr/bin/sqlite3", ["base.db"], commands, "base.db")
    assert len(expected.stdout.splitlines()) > 80
    assert actual == expected


@architectures("python")
def test_python(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = HERE / "python" / "standard.py"
    program = "usr/bin/python3.11"
    expected, actual = both(architecture, PYTHON, program, ["-I", "-B", str(script)])
    assert actual.stdout.splitlines() == expected.stdout.splitlines()
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr) == (4, b"")


def test_what_is_looked_at_often_exists() -> None:
    assert {name for _, name in OFTEN} <= set(BOOKWORM)
