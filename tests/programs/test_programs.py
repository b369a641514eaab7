"""Our C programs, built by Debian's cross-compilers, print and exit exactly as under qemu-user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tools import compile_c, isomorph, require_build, run, tool

HERE = Path(__file__).parent
HOSTED = sorted((HERE / "c").glob("*.c"))
FREESTANDING = sorted(path for path in (HERE / "freestanding").glob("*.c") if path.name != "runtime.c")

#: name -> compiler flags; `bitmanip` adds the bit-manipulation extensions
HOSTED_FLAGS = {
    "O0": ["-O0"],
    "O2": ["-O2"],
    "O3": ["-O3", "-march=rv64gc"],
    "O3-bitmanip": ["-O3", "-march=rv64gc_zba_zbb_zbs"],
    "O2-nocompressed": ["-O2", "-march=rv64g"],
}
FREESTANDING_FLAGS = {
    "O0": ["-O0", "-march=rv32imafdc", "-mabi=ilp32d"],
    "O2": ["-O2", "-march=rv32imafdc", "-mabi=ilp32d"],
    "O2-soft": ["-O2", "-march=rv32imac", "-mabi=ilp32"],
    "O3": ["-O3", "-march=rv32imafd", "-mabi=ilp32d"],
}
STDIN = b"first line\nsecond line\n"
ARGUMENTS = ["one", "two words"]


def same_as_qemu(isa: str, program: Path) -> None:
    require_build(isa)
    qemu = tool(f"qemu-{isa}", "qemu-user")
    environment = dict(os.environ, ISOMORPH_TEST="from outside")
    expected = run([qemu, str(program), *ARGUMENTS], stdin=STDIN, environment=environment)
    actual = run(isomorph("run", str(program), *ARGUMENTS), stdin=STDIN, environment=environment)
    assert actual.stdout == expected.stdout
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)


@pytest.mark.parametrize("flags", HOSTED_FLAGS)
@pytest.mark.parametrize("source", HOSTED, ids=lambda path: path.stem)
def test_hosted(source: Path, flags: str) -> None:
    program = compile_c(
        "riscv64-linux-gnu-gcc",
        "gcc-riscv64-linux-gnu",
        [source],
        ["-std=gnu17", "-w", "-static", *HOSTED_FLAGS[flags]],
        ["-lm", "-latomic"],
    )
    same_as_qemu("riscv64", program)


@pytest.mark.parametrize("flags", FREESTANDING_FLAGS)
@pytest.mark.parametrize("source", FREESTANDING, ids=lambda path: path.stem)
def test_freestanding_32(source: Path, flags: str) -> None:
    program = compile_c(
        "riscv64-unknown-elf-gcc",
        "gcc-riscv64-unknown-elf",
        [source, source.parent / "runtime.c"],
        ["-w", "-ffreestanding", "-fno-math-errno", "-nostdlib", "-static", *FREESTANDING_FLAGS[flags]],
        ["-lgcc"],
    )
    same_as_qemu("riscv32", program)


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """Negative control: two different programs must not compare equal."""
    build = [
        compile_c(
            "riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu", [HERE / "c" / name], ["-w", "-static", "-O1"], ["-lm"]
        )
        for name in ("jumps.c", "bits.c")
    ]
    require_build("riscv64")
    qemu = tool("qemu-riscv64", "qemu-user")
    assert run([qemu, str(build[0])]).stdout != run(isomorph("run", str(build[1]))).stdout
