"""What a compiler writes assembles: our freestanding programs from GCC's text, and GCC's own execution tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.assemble import Assembler
from runtime.syntax.elf_writer import write_executable
from runtime.syntax.errors import AssemblyError
from runtime.syntax.tables import Syntax
from tests.conftest import ROOT
from tests.programs.test_torture import UNSUITABLE, torture_sources
from tests.tools import isomorph, require_build, run, tool

FREESTANDING = ROOT / "tests" / "programs" / "freestanding"
START = Path(__file__).with_name("start.c")
MACHINE = 243  # EM_RISCV
#: code models, with and without compressed instructions, with debugging information
FLAGS = {
    "O0": ["-O0"],
    "O2": ["-O2"],
    "medlow": ["-O1", "-fno-pic", "-mcmodel=medlow"],
    "medany-debug": ["-O2", "-fno-pic", "-mcmodel=medany", "-g"],
    "explicit-nocompressed": ["-Os", "-fno-pic", "-mcmodel=medany", "-mexplicit-relocs", "-march=rv64g"],
}


def _compile(source: Path, flags: list[str], folder: Path) -> str | None:
    """GCC's assembly text."""
    target = folder / f"{source.stem}.s"
    gcc = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    done = subprocess.run([gcc, "-S", "-w", "-ffreestanding", *flags, str(source), "-o", str(target)], check=False)
    return target.read_text() if done.returncode == 0 else None


def _syntax() -> Syntax:
    require_build("riscv64")
    tables: Syntax = load_isa(ROOT / "build" / "riscv64").module("syntax").SYNTAX
    return tables


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("name", ["arithmetic", "floats", "sort"])
def test_freestanding(name: str, flags: str, tmp_path: Path) -> None:
    """Assembled by the command, run by the command, it prints what GNU's assembler and linker and QEMU make of it."""
    _syntax()
    sources = []
    for source in (FREESTANDING / f"{name}.c", FREESTANDING / "runtime.c"):
        assert _compile(source, ["-fno-math-errno", *FLAGS[flags]], tmp_path) is not None
        sources.append(str(tmp_path / f"{source.stem}.s"))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    done = run(isomorph("asm", "--defsym", "__global_pointer$=0", *sources, "-o", str(ours)))
    assert done.status == 0, done.stderr
    gcc = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    subprocess.run([gcc, "-nostdlib", "-static", *sources, "-o", str(theirs)], check=True)
    qemu = tool("qemu-riscv64", "qemu-user")
    expected = run([qemu, str(theirs)])
    assert expected.stdout
    for command in ([qemu, str(ours)], isomorph("run", str(ours))):
        actual = run(command)
        assert (actual.stdout, actual.status) == (expected.stdout, expected.status)


def _torture(flags: list[str], count: int, folder: Path) -> None:
    """So many of GCC's self-checking programs assemble and succeed, but for those that need a library."""
    sources = [source for source in torture_sources() if not UNSUITABLE.search(source.read_text(errors="replace"))]
    syntax, qemu = _syntax(), tool("qemu-riscv64", "qemu-user")
    start = _compile(START, flags, folder)
    assert start is not None
    passed, wrong = 0, []
    for source in Random(3).sample(sources, min(count, len(sources))):
        text = _compile(source, flags, folder)
        if text is None:
            continue
        try:
            image = Assembler(syntax, [(text, source.name), (start, "start.s")], short=True).image()
        except AssemblyError as error:
            if all(re.fullmatch(r"symbol '\w+' is not defined", message.text) for message in error.messages):
                continue  # printf, or libgcc's long double
            wrong.append(str(error))
            continue
        write_executable(image, folder / "program", MACHINE, 64)
        outcome = run([qemu, str(folder / "program")]).status
        if outcome == 0:
            passed += 1
        elif _gnu_outcome(source, folder, qemu) == 0:
            wrong.append(f"{source.name}: exit status {outcome}")
    assert not wrong, "\n".join(wrong)
    assert passed > 0.6 * min(count, len(sources))


def _gnu_outcome(source: Path, folder: Path, qemu: str) -> int | None:
    """The exit status when GNU's tools do the same; None if they cannot."""
    gcc = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    texts = [str(folder / f"{source.stem}.s"), str(folder / "start.s")]
    done = subprocess.run(
        [gcc, "-nostdlib", "-static", *texts, "-o", str(folder / "g")], capture_output=True, check=False
    )
    return run([qemu, str(folder / "g")]).status if done.returncode == 0 else None


def test_some_of_gccs_tests(tmp_path: Path) -> None:
    _torture(["-O2"], 25, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS)
def test_gccs_tests(flags: str, tmp_path: Path) -> None:
    _torture(FLAGS[flags], 2000, tmp_path)
