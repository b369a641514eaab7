"""A user program's machine: what the program cannot do, what it keeps, and what its level-0 code is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtime.kvm import user_entry_x86_64 as entry
from tests.conftest import ROOT
from tests.kvm.kvm import require_kvm
from tests.kvm.test_programs import require_host
from tests.tools import compile_c, isomorph, run, tool

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.c"))
#: of riscv64's cache control
_NOT_OURS = frozenset(("code",))
THREADS = [path for path in sorted((ROOT / "tests/linux/threads").glob("*.c")) if path.stem not in _NOT_OURS]
_SLOW = [pytest.mark.slow]


def _compare(source: Path, shows: str) -> None:
    require_kvm(shows)
    require_host()
    flags = ["-std=gnu17", "-w", "-O1", "-static", "-no-pie", "-pthread"]
    program = str(compile_c("gcc", "gcc", [source], flags, ["-lm", "-lrt"]))
    expected = run([program])
    actual = run(isomorph("run", "--accel", "kvm", program))
    assert (actual.status, actual.stdout.decode()) == (expected.status, expected.stdout.decode())
    assert expected.stdout or expected.status, "a program that says nothing proves nothing"


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda path: path.stem)
def test_as_natively(source: Path) -> None:
    _compare(source, f"{source.stem} of a program on the processor")


@pytest.mark.parametrize("source", [pytest.param(path, id=path.stem, marks=_SLOW) for path in THREADS])
def test_threads_as_natively(source: Path) -> None:
    _compare(source, f"threads ({source.stem}) on several vCPUs")


def test_entry_code_is_what_as_makes(tmp_path: Path) -> None:
    listing, image = tmp_path / "entry.o", tmp_path / "entry.bin"
    source = Path(entry.__file__).with_suffix(".s")
    subprocess.run([tool("as", "binutils"), "-o", str(listing), str(source)], check=True)
    subprocess.run([tool("objcopy", "binutils"), "-Obinary", "-j.text", str(listing), str(image)], check=True)
    assert image.read_bytes() == entry.CODE
    assert len(entry.CODE) == entry.END


def test_other_machines_programs_are_refused(tmp_path: Path) -> None:
    """With the reason and the mend, in one line; kvm:tcg runs them on TCG."""
    head = bytes.fromhex("7f454c46020101") + bytes(9) + (2).to_bytes(2, "little") + (243).to_bytes(2, "little")
    program = tmp_path / "program"
    program.write_bytes(head + bytes(44))
    done = run(isomorph("run", "--accel", "kvm", str(program)))
    assert done.status == 1
    assert done.stderr.count(b"\n") == 1


def test_wrong_accelerators_are_refused() -> None:
    done = run(isomorph("run", "--accel", "xen", "program"))
    assert done.status == 2
    assert b"tcg, kvm, kvm:tcg" in done.stderr
