"""Our C programs, built for ARM by Debian's cross-compilers, print and exit exactly as under qemu-arm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.test_programs import ARGUMENTS, HOSTED, STDIN
from tests.tools import compile_c, isomorph, require_build, run, tool

#: name -> compiler, its Debian package, flags: Thumb-2 and A32 with VFP, and ARMv5's A32 without (kernel helpers)
_HARD = ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf")
_SOFT = ("arm-linux-gnueabi-gcc", "gcc-arm-linux-gnueabi")
BUILDS = {
    "thumb": (*_HARD, ["-mthumb"]),
    "a32": (*_HARD, ["-marm"]),
    "soft": (*_SOFT, []),
}
_OFTEN = frozenset(("atomics", "doubles", "integers", "strings"))
_CASES = [
    pytest.param(
        source,
        build,
        level,
        id=f"{source.stem}-{build}{level}",
        marks=[] if source.stem in _OFTEN and level == "-O2" else [pytest.mark.slow],
    )
    for source in HOSTED
    for build in BUILDS
    for level in ("-O0", "-O2")
]


def _compiled(source: Path, build: str, level: str, more: list[str]) -> Path:
    compiler, package, flags = BUILDS[build]
    return compile_c(compiler, package, [source], ["-std=gnu17", "-w", level, *flags, *more], ["-lm", "-latomic"])


@pytest.mark.parametrize(("source", "build", "level"), _CASES)
def test_static(source: Path, build: str, level: str) -> None:
    require_build("arm")
    program = str(_compiled(source, build, level, ["-static"]))
    expected = run([tool("qemu-arm", "qemu-user"), program, *ARGUMENTS], stdin=STDIN)
    actual = run(isomorph("run", program, *ARGUMENTS), stdin=STDIN)
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


@pytest.mark.parametrize("build", ["thumb", "a32"])
@pytest.mark.parametrize("name", ["neon", "estimates", "modes", "endian"])
def test_what_is_arms_own(name: str, build: str) -> None:
    """NEON's intrinsics and what the compiler makes of loops; its estimates; VFP in all modes; big-endian data."""
    require_build("arm")
    source = Path(__file__).parent / "arm" / f"{name}.c"
    program = str(_compiled(source, build, "-O3", ["-static", "-mfpu=neon-vfpv4"]))
    expected = run([tool("qemu-arm", "qemu-user"), program])
    actual = run(isomorph("run", program))
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


@pytest.mark.parametrize(
    ("source", "build"),
    [
        pytest.param(source, build, id=f"{source.stem}-{build}", marks=[] if often else [pytest.mark.slow])
        for source in HOSTED
        if source.stem in _OFTEN
        for build in BUILDS
        for often in [(source.stem, build) == ("integers", "thumb")]
    ],
)
def test_compiled_at_once(source: Path, build: str) -> None:
    """All that runs is compiled before it runs, by the second tier."""
    require_build("arm")
    program = str(_compiled(source, build, "-O2", ["-static"]))
    expected = run([tool("qemu-arm", "qemu-user"), program, *ARGUMENTS], stdin=STDIN)
    settings = ["--tier1-threshold", "1", "--workers", "0", "--no-cache"]
    actual = run(isomorph("run", *settings, program, *ARGUMENTS), stdin=STDIN, timeout=400)
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("build", ["thumb", "soft"])
@pytest.mark.parametrize("source", [path for path in HOSTED if path.stem in _OFTEN], ids=lambda path: path.stem)
def test_dynamic(source: Path, build: str) -> None:
    require_build("arm")
    root = f"/usr/{BUILDS[build][0].removesuffix('-gcc')}"
    program = str(_compiled(source, build, "-O2", []))
    expected = run([tool("qemu-arm", "qemu-user"), "-L", root, program, *ARGUMENTS], stdin=STDIN)
    actual = run(isomorph("run", "-L", root, program, *ARGUMENTS), stdin=STDIN)
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)
