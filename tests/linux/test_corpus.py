"""The corpus: C and C++ programs, static and dynamic, -O0 and -O2, do what they do under qemu-user, or on Linux itself.

A program's first line may say how it is judged:

    oracle: linux    by the same source compiled for this machine, where qemu-user 7.2 is wrong
    only: dynamic    it makes no sense without a dynamic linker
    with: NAME       it is linked with corpus/parts/NAME: an object of it when static, a shared library when dynamic
    std: NAME        the language's standard
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guests import GUESTS, Guest
from tests.linux.outcome import outcome
from tests.tools import compile_c, isomorph, require_build, tool

HERE = Path(__file__).parent
SYSROOT = Path("/usr/riscv64-linux-gnu")
SOURCES = sorted([*(HERE / "corpus").glob("*.c"), *(HERE / "corpus").glob("*.cc")])
#: programs of the other folders, for the whole matrix; folder -> flags
OTHERS = {"linux/programs": [], "linux/processes": [f"-I{HERE}"], "programs/c": []}
OTHER_SOURCES = [path for folder in OTHERS for path in sorted((HERE.parent / folder).glob("*.c"))]
#: those that have a reason not to be compared with qemu-user (tests/linux/test_processes.py says which)
OTHERS_ON_LINUX = ("sigchld", "statuses")
VARIANTS = {
    "static-O0": ("-static", "-O0"),
    "static-O2": ("-static", "-O2"),
    "dynamic-O0": ("-dynamic", "-O0"),
    "dynamic-O2": ("-dynamic", "-O2"),
}


@dataclass(frozen=True)
class Directives:
    """What a program's first line says."""

    oracle: str = "qemu"
    only: str = ""
    part: str = ""
    std: str = ""

    @classmethod
    def of(cls, source: Path) -> Directives:
        line = source.read_text().partition("\n")[0]
        words = dict(re.findall(r"\b(oracle|only|with|std): (\S+)", line))
        return cls(words.get("oracle", "qemu"), words.get("only", ""), words.get("with", ""), words.get("std", ""))


def compile_one(
    source: Path, linking: str, level: str, guest: Guest = GUESTS["riscv64"], flags: list[str] | None = None
) -> Path:
    """A program of the corpus for a guest, or for this machine."""
    directives = Directives.of(source)
    cpp = source.suffix == ".cc"
    compiler, package = guest.compiler, guest.compiler_package
    if cpp:
        compiler, package = f"{compiler.removesuffix('gcc')}g++", f"g++{package.removeprefix('gcc')}"
    options = [f"-std={directives.std or ('c++17' if cpp else 'gnu17')}", "-w", level, *(flags or [])]
    sources, libraries = [source], ["-lm", "-lrt", "-latomic"]
    if directives.part:
        part = source.parent / "parts" / directives.part
        if linking == "-static":
            sources.append(part)
        else:
            libraries.insert(0, str(compile_c(compiler, package, [part], [*options, "-shared", "-fPIC"])))
    # Not position-independent, for some print addresses of their own.
    place = ["-static"] if linking == "-static" else ["-no-pie", "-fno-pie"]
    return compile_c(compiler, package, sources, [*options, *place], libraries)


def compare(source: Path, variant: str, folder: Path, on_linux: bool = False, flags: list[str] | None = None) -> None:
    """Run one program both ways."""
    require_build("riscv64")
    linking, level = VARIANTS[variant]
    if linking == "-dynamic" and not (SYSROOT / "lib/ld-linux-riscv64-lp64d.so.1").exists():
        pytest.skip(f"no {SYSROOT}/lib (Debian package libc6-riscv64-cross)")
    program = str(compile_one(source, linking, level, flags=flags))
    if on_linux or Directives.of(source).oracle == "linux":
        command = [str(compile_one(source, "-dynamic", level, GUESTS["amd64"], flags))]
    else:
        command = [tool("qemu-riscv64", "qemu-user"), "-L", str(SYSROOT), program]
    expected = outcome(folder / "work", command)
    assert expected[1] or expected[0], "a program that says nothing proves nothing"
    assert outcome(folder / "work", isomorph("run", "-L", str(SYSROOT), program)) == expected


def variants_of(source: Path) -> list[str]:
    return [name for name in VARIANTS if Directives.of(source).only in ("", name.partition("-")[0])]


def chosen(source: Path) -> str:
    """The one variant that every run of the tests looks at: by turns."""
    variants = variants_of(source)
    return variants[SOURCES.index(source) % len(variants)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_as_elsewhere(source: Path, tmp_path: Path) -> None:
    compare(source, chosen(source), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_matrix(source: Path, variant: str, tmp_path: Path) -> None:
    if variant in variants_of(source):
        compare(source, variant, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("source", OTHER_SOURCES, ids=lambda path: path.stem)
def test_matrix_of_the_others(source: Path, variant: str, tmp_path: Path) -> None:
    flags = OTHERS["/".join(source.parent.parts[-2:])]
    compare(source, variant, tmp_path, source.stem in OTHERS_ON_LINUX, flags)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(SOURCES) >= 40
    assert sum(source.suffix == ".cc" for source in SOURCES) >= 10
