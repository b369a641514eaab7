"""Bare programs on the machine `virt`: what they print is what stands beside them, and what QEMU prints.

They exercise the privileged architecture: registers, traps, interrupts, translation, counters.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.tools import CACHE, isomorph, require_build, run, tool

FOLDER = Path(__file__).parent / "bare"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.S"))
#: programs about what QEMU does against the manual, or not at all
NOT_FOR_QEMU = {"manual"}
_TARGET = ("-march=rv64gc", "-mabi=lp64d", "-static", "-no-pie")
_COMPILE = ("-nostdlib", *_TARGET, "-Wl,--build-id=none,--no-warn-rwx-segments")


def image(name: str) -> Path:
    """The program as it lies in memory from the start of RAM."""
    compiler = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    copy = tool("riscv64-linux-gnu-objcopy", "binutils-riscv64-linux-gnu")
    sources = [FOLDER / f"{name}.S", FOLDER / "bare.h", FOLDER / "bare.ld"]
    digest = hashlib.sha256(repr((compiler, _COMPILE)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    target = CACHE / f"bare-{name}-{digest.hexdigest()[:16]}.bin"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}.tmp")
        linked = run([compiler, *_COMPILE, "-T", str(sources[2]), str(sources[0]), "-o", str(scratch)])
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
