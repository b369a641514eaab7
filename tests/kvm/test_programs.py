"""x86-64 Linux programs under `run --accel kvm` print and exit as they do natively: the C programs and the corpus."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.kvm.kvm import require_kvm
from tests.linux.outcome import outcome
from tests.linux.test_corpus import HERE as LINUX
from tests.linux.test_corpus import OTHERS, SOURCES, Directives
from tests.programs.test_programs import ARGUMENTS, HOSTED, STDIN
from tests.tools import compile_c, isomorph, run, tool

_OFTEN = frozenset(("integers", "doubles", "signals", "faults", "exceptions"))
_EXTRA = ["-lm", "-lrt", "-latomic"]
#: what they print is of the machine they run on, or of dynamic linking; or they hand bad pointers to calls that the C
#: library makes through the vDSO natively, which then crashes where the system call says EFAULT, or to a read at a
#: file's end, where Linux does not look at them and the Linux layer does
_OF_THE_MACHINE = frozenset(("machine_code", "dlopens", "errnos", "signals", "files"))
_OTHERS = [
    path
    for folder in ("linux/programs", "linux/processes")
    for path in sorted((LINUX.parent / folder).glob("*.c"))
    if path.stem not in _OF_THE_MACHINE
]


def _mark(source: Path) -> list[pytest.MarkDecorator]:
    return [] if source.stem in _OFTEN else [pytest.mark.slow]


def require_host() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("this machine is no x86-64: its compiler makes no x86-64 programs")
    tool("gcc", "gcc")


@pytest.mark.parametrize("source", [pytest.param(path, id=path.stem, marks=_mark(path)) for path in HOSTED])
def test_c_programs(source: Path) -> None:
    require_kvm(f"{source.name} on the processor")
    require_host()
    program = str(compile_c("gcc", "gcc", [source], ["-std=gnu17", "-w", "-O2", "-static"], ["-lm", "-latomic"]))
    expected = run([program, *ARGUMENTS], stdin=STDIN)
    actual = run(isomorph("run", "--accel", "kvm", program, *ARGUMENTS), stdin=STDIN)
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(path, id=path.stem, marks=_mark(path))
        for path in SOURCES
        if Directives.of(path).only != "dynamic" and path.stem not in _OF_THE_MACHINE
    ],
)
def test_corpus(source: Path, tmp_path: Path) -> None:
    _compare(source, [], tmp_path)


@pytest.mark.parametrize("source", [pytest.param(path, id=path.stem, marks=_mark(path)) for path in _OTHERS])
def test_processes_and_signals(source: Path, tmp_path: Path) -> None:
    _compare(source, OTHERS["/".join(source.parent.parts[-2:])], tmp_path)


def _compare(source: Path, flags: list[str], tmp_path: Path) -> None:
    require_kvm(f"{source.name} on the processor")
    require_host()
    directives = Directives.of(source)
    cpp = source.suffix == ".cc"
    compiler = tool("g++" if cpp else "gcc", "g++")
    options = [f"-std={directives.std or ('c++17' if cpp else 'gnu17')}", "-w", "-O2", "-static", "-no-pie", *flags]
    sources = [source, source.parent / "parts" / directives.part] if directives.part else [source]
    program = str(compile_c(Path(compiler).name, "g++", sources, options, _EXTRA))
    expected = outcome(tmp_path / "work", [program])
    assert expected[1], "it says nothing, and would be equal by dying alike"
    actual = outcome(tmp_path / "work", isomorph("run", "--accel", "kvm", program))
    assert actual == expected
