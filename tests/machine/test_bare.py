"""Bare programs on the machine `virt`: what they print is what stands beside them, and what QEMU prints.

They exercise the privileged architecture: registers, traps, interrupts, translation, counters.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.tools import CACHE, isomorph, require_build, require_machine, run, tool

FOLDER = Path(__file__).parent / "bare"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.S"))
FOLDER_32 = Path(__file__).parent / "bare32"
PROGRAMS_32 = sorted(path.stem for path in FOLDER_32.glob("*.S"))
#: programs about what QEMU does against the manual, or not at all
NOT_FOR_QEMU = {"manual"}
_COMPILE = ("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,--no-warn-rwx-segments", f"-I{FOLDER}")
_TARGETS = {64: ("-march=rv64gc", "-mabi=lp64d"), 32: ("-march=rv32gc", "-mabi=ilp32d")}


def image(name: str, bits: int = 64) -> Path:
    """The program as it lies in memory from the start of RAM."""
    compiler = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    copy = tool("riscv64-linux-gnu-objcopy", "binutils-riscv64-linux-gnu")
    sources = [(FOLDER if bits == 64 else FOLDER_32) / f"{name}.S", FOLDER / "bare.h", FOLDER / "bare.ld"]
    words = (*_COMPILE, *_TARGETS[bits])
    digest = hashlib.sha256(repr((compiler, words)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    target = CACHE / f"bare-{name}-{digest.hexdigest()[:16]}.bin"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}.tmp")
        linked = run([compiler, *words, "-T", str(sources[2]), str(sources[0]), "-o", str(scratch)])
        assert linked.status == 0, linked.stderr.decode()
        assert run([copy, "-O", "binary", str(scratch), str(scratch)]).status == 0
        scratch.replace(target)
    return target


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints(name: str) -> None:
    require_build("riscv64")
    outcome = run(isomorph("machine", "virt", "-bios", str(image(name)), "-nographic"))
    expected = FOLDER / f"{name}.txt"
    if os.environ.get("ISOMORPH_UPDATE"):
        expected.write_bytes(outcome.stdout)
    assert outcome.stdout.decode() == expected.read_text(encoding="ascii")
    assert outcome.status == 0, outcome.stderr.decode()


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in NOT_FOR_QEMU])
def test_prints_the_same_under_qemu(name: str) -> None:
    """So that what stands beside the programs is not just our own opinion."""
    qemu = shutil.which("qemu-system-riscv64")
    if qemu is None:
        pytest.skip("no qemu-system-riscv64 (Debian package qemu-system-misc)")
    processor = "rv64,h=off,pmu-num=0"
    outcome = run([qemu, "-M", "virt", "-cpu", processor, "-bios", str(image(name)), "-nographic", "-monitor", "none"])
    assert outcome.stdout.decode() == (FOLDER / f"{name}.txt").read_text(encoding="ascii")


@pytest.mark.parametrize("name", PROGRAMS_32)
def test_a_processor_of_32_bits(name: str) -> None:
    """The machine with -cpu rv32, and qemu-system-riscv32, print what stands beside the program."""
    require_machine("riscv32")
    expected = FOLDER_32 / f"{name}.txt"
    given = ["-bios", str(image(name, 32)), "-nographic", "-monitor", "none"]
    outcome = run(isomorph("machine", "virt", "-cpu", "rv32", *given))
    if os.environ.get("ISOMORPH_UPDATE"):
        expected.write_bytes(outcome.stdout)
    assert outcome.stdout.decode() == expected.read_text(encoding="ascii")
    assert outcome.status == 0, outcome.stderr.decode()
    qemu = tool("qemu-system-riscv32", "qemu-system-misc")
    theirs = run([qemu, "-M", "virt", "-cpu", "rv32,h=off,pmu-num=0", *given])
    assert theirs.stdout.decode() == expected.read_text(encoding="ascii")
