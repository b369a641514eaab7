"""Assembly text of x86, ARM and MIPS as people and GCC write it does what GNU's assembler and linker make of it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from runtime.core.cpu import load_isa
from runtime.syntax.assemble import assemble_text
from runtime.syntax.errors import AssemblyError
from tests.conftest import ROOT
from tests.tools import Outcome, isomorph, require_build, run, tool

HERE = Path(__file__).parent
FREESTANDING = ROOT / "tests" / "programs" / "freestanding"


@dataclass(frozen=True)
class Guest:
    """flags: what GCC is told besides; programs: those of FREESTANDING that need no library of the compiler's."""

    isa: str
    compiler: str
    package: str
    qemu: str
    flags: tuple[str, ...]
    programs: tuple[str, ...] = ("sort", "floats")


_INTEL = ("-masm=intel", "-fno-pic", "-no-pie", "-fno-stack-protector")
_ARM = ("-fno-pic", "-no-pie", "-fomit-frame-pointer")
_MIPS = ("-mno-abicalls", "-fno-pic", "-G0", "-Wl,-e,_start")
GUESTS = {
    "x86_64": Guest("x86_64", "gcc", "gcc", "", (*_INTEL, "-mno-red-zone"), ("sort", "floats", "arithmetic")),
    "i386": Guest("i386", "i686-linux-gnu-gcc", "gcc-i686-linux-gnu", "qemu-i386", _INTEL),
    "mips": Guest("mips", "mips-linux-gnu-gcc", "gcc-mips-linux-gnu", "qemu-mips", _MIPS),
    "mipsel": Guest("mipsel", "mipsel-linux-gnu-gcc", "gcc-mipsel-linux-gnu", "qemu-mipsel", _MIPS),
    "arm": Guest("arm", "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf", "qemu-arm", ("-marm", *_ARM), ("sort",)),
    "thumb": Guest(
        "arm", "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf", "qemu-arm", ("-mthumb", *_ARM), ("sort",)
    ),
}
#: guests whose text of people's is another's, and what is put before it
WRITTEN = {"mipsel": ("mips", ""), "thumb": ("arm", ".set THUMB, 1\n")}


def same(guest: Guest, sources: list[str], folder: Path) -> Outcome:
    """What ours does under this machine's or qemu's eyes and in isomorph, which must be what GNU's does."""
    require_build(guest.isa)
    gcc = tool(guest.compiler, guest.package)
    ours, theirs = str(folder / "ours"), str(folder / "theirs")
    done = run(isomorph("asm", "--isa", guest.isa, *sources, "-o", ours))
    assert done.status == 0, done.stderr.decode()
    subprocess.run([gcc, "-nostdlib", "-static", *guest.flags, *sources, "-o", theirs], check=True)
    machine = [tool(guest.qemu, "qemu-user")] if guest.qemu else []
    expected = run([*machine, theirs])
    assert expected.stdout
    for command in ([*machine, ours], isomorph("run", ours)):
        actual = run(command)
        assert (actual.stdout, actual.status) == (expected.stdout, expected.status)
    return expected


@pytest.mark.parametrize("name", GUESTS)
def test_written_by_hand(name: str, tmp_path: Path) -> None:
    file, before = WRITTEN.get(name, (name, ""))
    source = tmp_path / "source.s"
    source.write_text(before + (HERE / "programs" / f"{file}.s").read_text())
    assert same(GUESTS[name], [str(source)], tmp_path).status == 42


@pytest.mark.parametrize("isa", ["arm", "i386", "mips", "x86_64"])
def test_damaged_text_ends_in_a_message(isa: str) -> None:
    syntax = load_isa(require_build(isa)).module("syntax").SYNTAX
    text, random = (HERE / "programs" / f"{isa}.s").read_text(), Random(5)
    complaints = 0
    for _ in range(60):
        damaged = text
        for _ in range(random.randrange(1, 6)):
            at, put = random.randrange(len(damaged)), random.choice("[]{}=#:%()+-*,.@'\" \n0x$rax")
            damaged = damaged[:at] + random.choice(["", put, put * 3]) + damaged[at + random.randrange(3) :]
        try:
            assemble_text(syntax, damaged, "damaged.s", short=True)
        except AssemblyError as error:
            complaints += bool(error.messages)
    assert complaints > 20


@pytest.mark.parametrize(
    ("name", "program", "level"),
    [
        pytest.param(name, program, level, marks=[] if level == "-O2" else [pytest.mark.slow])
        for name, guest in GUESTS.items()
        for program in guest.programs
        for level in ("-O0", "-O1", "-O2", "-Os")
        if (name, level) != ("thumb", "-O0")  # ldrd r0, [sp]: one register for two is not read
    ],
)
def test_written_by_gcc(name: str, program: str, level: str, tmp_path: Path) -> None:
    guest, texts = GUESTS[name], []
    gcc = tool(guest.compiler, guest.package)
    for source in (program, "runtime"):
        texts.append(str(tmp_path / f"{source}.s"))
        command = [gcc, "-S", "-w", "-ffreestanding", "-fno-math-errno", level, *guest.flags]
        subprocess.run([*command, str(FREESTANDING / f"{source}.c"), "-o", texts[-1]], check=True)
    same(guest, texts, tmp_path)
