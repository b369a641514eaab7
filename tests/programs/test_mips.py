"""Our C programs for MIPS, big- and little-endian, static and dynamic, print and exit exactly as under qemu-user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tools import compile_c, isomorph, require_build, run, tool

HERE = Path(__file__).parent
PROCESSES = HERE.parent / "linux" / "processes"
HOSTED = sorted((HERE / "c").glob("*.c"))
STANDING = [PROCESSES / f"{name}.c" for name in ("forks", "jobs", "restarts", "statuses", "tcp", "unixes")]
#: every program is run big- and little-endian; of the rest every test run has one kind, the slow ones all
GUESTS = ("mips", "mipsel")
KINDS = [
    pytest.param("-O2", "-static"),
    *(
        pytest.param(level, link, marks=pytest.mark.slow)
        for level, link in (("-O0", "-static"), ("-O0", "-dynamic"), ("-O2", "-dynamic"))
    ),
]


def same_as_qemu(guest: str, source: Path, level: str, link: str, *more: str) -> None:
    require_build(guest)
    qemu = tool(f"qemu-{guest}", "qemu-user")
    compiler = f"{guest}-linux-gnu-gcc"
    flags = ["-std=gnu17", "-w", level, *(["-static"] if link == "-static" else []), *more]
    program = compile_c(compiler, f"gcc-{guest}-linux-gnu", [source], flags, ["-lm", "-latomic", "-pthread"])
    root = f"/usr/{guest}-linux-gnu"
    environment = dict(os.environ, ISOMORPH_TEST="from outside")
    stdin = b"first line\nsecond line\n"
    expected = run([qemu, "-L", root, str(program), "one", "two words"], stdin=stdin, environment=environment)
    command = isomorph("run", "-L", root, str(program), "one", "two words")
    actual = run(command, stdin=stdin, environment=environment)
    assert actual.stdout.decode(errors="replace") == expected.stdout.decode(errors="replace")
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)


@pytest.mark.parametrize(("level", "link"), KINDS)
@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("source", HOSTED, ids=lambda path: path.stem)
def test_hosted(source: Path, guest: str, level: str, link: str) -> None:
    same_as_qemu(guest, source, level, link)


@pytest.mark.slow
@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("source", STANDING, ids=lambda path: path.stem)
def test_processes(source: Path, guest: str) -> None:
    same_as_qemu(guest, source, "-O2", "-static")


@pytest.mark.parametrize(
    ("name", "guest", "link"),
    [
        pytest.param(name, guest, link, marks=[] if (name, link) == ("doubles", "-static") else [pytest.mark.slow])
        for name in ("doubles", "mathlib", "rounding", "matrix")
        for guest in GUESTS
        for link in ("-static", "-dynamic")
    ],
)
def test_64_bit_registers(name: str, guest: str, link: str) -> None:
    """A program says in its header that floating-point registers shall have 64 bits (FR = 1)."""
    same_as_qemu(guest, HERE / "c" / f"{name}.c", "-O2", link, "-mfp64")


#: what misaligned.c prints by Linux's rules: qemu knows no sysmips, and always raises the signal
MISALIGNED = (
    *(f"at {i}: 1ff, over the pages' border: 1ff" for i in range(8)),
    "wrong in a loop: 0",
    "half behind the end: b01 at the end or behind it 1, stored 4444",
    "ll: a01 at +1",
    "sc: a01 at +2",
    "off: 0",
    "lw: a01 at +3",
    "sh: a01, sdc1: a01, aligned: 1ff",
    "a new thread's: a01, a child's: 10",
    "on: 0, then 0",
    "flush: 0, other words: -1 22, other commands: -1 22",
)


@pytest.mark.parametrize("guest", GUESTS)
def test_misaligned_accesses(guest: str) -> None:
    """As any others are, by default; a signal once the program has asked for that."""
    require_build(guest)
    source = HERE.parent / "linux" / "mips" / "misaligned.c"
    flags = ["-std=gnu17", "-w", "-O2", "-static", "-pthread"]
    program = compile_c(f"{guest}-linux-gnu-gcc", f"gcc-{guest}-linux-gnu", [source], flags, [])
    ran = run(isomorph("run", "--workers", "0", str(program)))
    assert (ran.stdout.decode().splitlines(), ran.stderr, ran.status) == (list(MISALIGNED), b"", 0)


@pytest.mark.parametrize("guest", GUESTS)
def test_signals_from_delay_slots(guest: str) -> None:
    same_as_qemu(guest, HERE.parent / "linux" / "mips" / "slots.c", "-O2", "-static", "-mno-abicalls", "-fno-pic")
