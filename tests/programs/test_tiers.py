"""Our C programs end alike whatever is compiled: tier 0 alone, all hot code at once, some of it early and some late."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs.test_programs import ARGUMENTS, FREESTANDING, FREESTANDING_FLAGS, HOSTED, HOSTED_FLAGS, STDIN
from tests.tools import Outcome, compile_c, isomorph, require_build, run

#: name -> threshold, most instructions in a region
TIERS = {"forced": (2, 24), "small": (30, 12), "large": (300, 200), "late": (3000, 64)}
#: what every test run looks at; the rest is for the slow sweep
FEW = ("jumps", "bits")


def outcome(isa: str, program: Path, threshold: int, size: int = 256) -> Outcome:
    """A run that compiles in its own process, so that it is the same each time."""
    require_build(isa)
    environment = dict(os.environ, ISOMORPH_TEST="from outside", ISOMORPH_REGION_SIZE=str(size))
    options = ("--tier1-threshold", str(threshold), "--workers", "0", "--no-cache")
    return run(isomorph("run", *options, str(program), *ARGUMENTS), STDIN, 3000, environment)


def hosted(source: Path, flags: str) -> Path:
    return compile_c(
        "riscv64-linux-gnu-gcc",
        "gcc-riscv64-linux-gnu",
        [source],
        ["-std=gnu17", "-w", "-static", *HOSTED_FLAGS[flags]],
        ["-lm", "-latomic"],
    )


@pytest.mark.parametrize("tier", ["small", "large"])
@pytest.mark.parametrize("name", FEW)
def test_a_few(name: str, tier: str) -> None:
    (source,) = (path for path in HOSTED if path.stem == name)
    program = hosted(source, "O2")
    assert outcome("riscv64", program, *TIERS[tier]) == outcome("riscv64", program, 0)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("flags", ["O0", "O2", "O3-bitmanip"])
@pytest.mark.parametrize("source", HOSTED, ids=lambda path: path.stem)
def test_all_hosted(source: Path, flags: str, tier: str) -> None:
    program = hosted(source, flags)
    assert outcome("riscv64", program, *TIERS[tier]) == outcome("riscv64", program, 0)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("source", FREESTANDING, ids=lambda path: path.stem)
def test_all_freestanding(source: Path, tier: str) -> None:
    program = compile_c(
        "riscv64-unknown-elf-gcc",
        "gcc-riscv64-unknown-elf",
        [source, source.parent / "runtime.c"],
        ["-w", "-ffreestanding", "-fno-math-errno", "-nostdlib", "-static", *FREESTANDING_FLAGS["O2"]],
        ["-lgcc"],
    )
    assert outcome("riscv32", program, *TIERS[tier]) == outcome("riscv32", program, 0)


@pytest.mark.parametrize("threshold", [0, 2])
def test_the_environment_and_the_options_choose_the_tier(threshold: int) -> None:
    """Negative control: what the tests above force is what runs."""
    require_build("riscv64")
    (source,) = (path for path in HOSTED if path.stem == "bits")
    program = hosted(source, "O2")
    environment = dict(os.environ, ISOMORPH_TIER1_THRESHOLD=str(threshold), ISOMORPH_REGION_SIZE="8")
    done = run(isomorph("run", "--stats", "--workers", "0", "--no-cache", str(program)), b"", 3000, environment)
    assert (b" compiled," in done.stderr) == bool(threshold)
    assert (b"pauses for that: " in done.stderr) == bool(threshold)
    assert (b"second tier is off" in done.stderr) != bool(threshold)
