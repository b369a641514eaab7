"""Our C programs, built for x86-64 by the host's compiler, print and exit as they do on the host itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.programs.test_programs import ARGUMENTS, HOSTED, STDIN
from tests.tools import compile_c, isomorph, require_build, run

#: glibc has a second libm for processors with FMA, whose last bits differ: the host is to use the first, too
_SAME_LIBRARY = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-AVX,-FMA4"}
_OFTEN = frozenset(("atomics", "doubles", "integers", "strings"))
#: prints what was on the stack: at -O0 the argument that a call fills in is read before the call
_UNORDERED = {("clocks", "-O0")}
_CASES = [
    pytest.param(
        source,
        level,
        id=f"{source.stem}{level}",
        marks=[] if source.stem in _OFTEN and level == "-O2" else [pytest.mark.slow],
    )
    for source in HOSTED
    for level in ("-O0", "-O2", "-O3")
    if (source.stem, level) not in _UNORDERED
]


@pytest.mark.parametrize(("source", "level"), _CASES)
def test_static(source: Path, level: str) -> None:
    require_build("x86_64")
    flags = ["-std=gnu17", "-w", level, "-static"]
    program = str(compile_c("gcc", "gcc", [source], flags, ["-lm", "-latomic"]))
    environment = dict(os.environ, ISOMORPH_TEST="from outside", **_SAME_LIBRARY)
    expected = run([program, *ARGUMENTS], stdin=STDIN, environment=environment)
    actual = run(isomorph("run", program, *ARGUMENTS), stdin=STDIN, environment=environment)
    assert actual.stdout == expected.stdout
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)
