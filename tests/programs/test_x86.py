"""Our C programs, built for x86-64 and i386, print and exit as they do on the host itself, or under qemu-user."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.programs.test_programs import ARGUMENTS, HOSTED, STDIN
from tests.tools import compile_c, isomorph, require_build, run, tool

#: glibc has a second libm for processors with FMA, whose last bits differ: the host is to use the first, too
_SAME_LIBRARY = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-AVX2,-AVX,-FMA4"}
SELF_MODIFYING, X87, X87_ARITHMETIC, X87_EXCEPTIONS, STRINGS, VECTORS, PROTECTION, LOCAL_SEGMENTS = (
    Path(__file__).parent / "x86" / f"{name}.c"
    for name in (
        "self_modifying",
        "x87",
        "x87_arithmetic",
        "x87_exceptions",
        "string_instructions",
        "vectors",
        "protection",
        "local_segments",
    )
)
#: what `vectors.c` is compiled for, and what /proc/cpuinfo calls it
_EXTENSIONS = ["-mavx2", "-mfma", "-mbmi", "-mbmi2", "-mlzcnt", "-maes", "-msha", "-mpclmul", "-mf16c", "-mxsave"]
_CALLED = frozenset(["avx2", "fma", "bmi1", "bmi2", "abm", "aes", "sha_ni", "pclmulqdq", "f16c", "xsave"])
#: what processors promise to one unit in the last place
_TO_THE_LAST_PLACE = frozenset((b"f2xm1", b"fyl2x", b"fyl2xp1", b"fpatan", b"fsin", b"fcos", b"fsincos", b"fptan"))
_OFTEN = frozenset(("atomics", "doubles", "integers", "strings"))
#: everything that runs twice is compiled, and the program waits for it
_AT_ONCE = ["--tier1-threshold", "1", "--workers", "0", "--no-cache"]
#: prints what was on the stack: at -O0 the argument that a call fills in is read before the call
_UNORDERED = {("clocks", "-O0")}
#: guest -> compiler and its Debian package
COMPILERS = {"x86_64": ("gcc", "gcc"), "i386": ("i686-linux-gnu-gcc", "gcc-i686-linux-gnu")}
_CASES = [
    pytest.param(
        source,
        guest,
        level,
        id=f"{source.stem}-{guest}{level}",
        marks=[] if source.stem in _OFTEN and level == "-O2" else [pytest.mark.slow],
    )
    for source in HOSTED
    for guest in COMPILERS
    for level in ("-O0", "-O2", "-O3")
    if (source.stem, level) not in _UNORDERED
]


@cache
def _runs_natively(program: Path) -> bool:
    """Whether this kernel executes 32-bit programs."""
    try:
        return subprocess.run([program], capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode >= 0
    except OSError:
        return False


def host(guest: str) -> list[str]:
    """What runs a program of a guest's for comparison."""
    if guest == "x86_64":
        return []
    source = next(path for path in HOSTED if path.stem == "integers")
    if _runs_natively(_compiled(source, guest, ["-O2", "-static"])):
        return [tool("setarch", "util-linux"), "i686"]  # as uname says
    return [tool("qemu-i386", "qemu-user")]


def _compiled(source: Path, guest: str, flags: list[str]) -> Path:
    return compile_c(*COMPILERS[guest], [source], ["-std=gnu17", "-w", *flags], ["-lm", "-latomic"])


@pytest.mark.parametrize(("source", "guest", "level"), _CASES)
def test_static(source: Path, guest: str, level: str) -> None:
    require_build(guest)
    program = str(_compiled(source, guest, [level, "-static"]))
    environment = dict(os.environ, ISOMORPH_TEST="from outside", **_SAME_LIBRARY)
    expected = run([*host(guest), program, *ARGUMENTS], stdin=STDIN, environment=environment)
    actual = run(isomorph("run", program, *ARGUMENTS), stdin=STDIN, environment=environment)
    assert actual.stdout == expected.stdout
    assert (actual.status, actual.stderr) == (expected.status, expected.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("guest", COMPILERS)
@pytest.mark.parametrize("source", [path for path in HOSTED if path.stem in _OFTEN], ids=lambda path: path.stem)
def test_compiled_regions(source: Path, guest: str, tmp_path: Path) -> None:
    """Everything that runs twice is compiled, before it goes on."""
    require_build(guest)
    program = str(_compiled(source, guest, ["-O2", "-static"]))
    environment = dict(os.environ, ISOMORPH_TEST="from outside", ISOMORPH_CACHE=str(tmp_path), **_SAME_LIBRARY)
    expected = run([*host(guest), program, *ARGUMENTS], stdin=STDIN, environment=environment)
    tier1 = ["--tier1-threshold", "1", "--workers", "0"]
    actual = run(isomorph("run", *tier1, program, *ARGUMENTS), stdin=STDIN, timeout=600, environment=environment)
    assert (actual.status, actual.stdout, actual.stderr) == (expected.status, expected.stdout, expected.stderr)


@pytest.mark.parametrize("options", [[], _AT_ONCE], ids=["as usual", "compiled"])
@pytest.mark.parametrize("guest", COMPILERS)
def test_self_modifying_code(guest: str, options: list[str]) -> None:
    """A store into the running block takes effect at once: no fence stands between, and none is needed."""
    require_build(guest)
    program = str(compile_c(*COMPILERS[guest], [SELF_MODIFYING], ["-std=gnu17", "-O2", "-static"]))
    expected = b"7 5050 9\n" * 50
    actual = run(isomorph("run", *options, program), timeout=300)
    assert (actual.status, actual.stdout, actual.stderr) == (0, expected, b"")


@pytest.mark.parametrize("options", [[], pytest.param(_AT_ONCE, marks=pytest.mark.slow)], ids=["as usual", "compiled"])
@pytest.mark.parametrize("level", ["-O1", pytest.param("-O3", marks=pytest.mark.slow)])
def test_vectors(level: str, options: list[str]) -> None:
    """What compilers make of AVX2, FMA, BMI2, AES and SHA; signal frames and XSAVE have all of a register."""
    require_build("x86_64")
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    if not _CALLED.issubset(flags):
        pytest.skip(f"the host's processor has no {', '.join(sorted(_CALLED.difference(flags)))}")
    program = str(compile_c("gcc", "gcc", [VECTORS], ["-std=gnu17", "-w", level, *_EXTENSIONS, "-static"]))
    expected, actual = run([program]), run(isomorph("run", *options, program), timeout=900)
    assert (actual.status, actual.stdout, actual.stderr) == (0, expected.stdout, b"")
    assert expected.stdout.count(b"\n") == 13


def _want_the_processor(guest: str, otherwise: str) -> None:
    """Skip where the guest's programs do not run on the host, and qemu-user is no oracle."""
    if host(guest)[-1:] == ["qemu-i386"]:
        pytest.skip(f"the host executes no 32-bit programs, and qemu-user {otherwise}")


@pytest.mark.parametrize("guest", COMPILERS)
def test_x87(guest: str) -> None:
    """Remainders, decimals, sums in all precisions and roundings exactly; sines and the like to the last place."""
    require_build(guest)
    _want_the_processor(guest, "rounds otherwise")
    program = str(compile_c(*COMPILERS[guest], [X87], ["-std=gnu17", "-O1", "-static", "-w"]))
    expected, actual = run([program]), run(isomorph("run", program), timeout=300)
    assert (actual.status, len(actual.stdout)) == (expected.status, len(expected.stdout))
    for ours, theirs in zip(actual.stdout.splitlines(), expected.stdout.splitlines(), strict=True):
        name, *operands, result, more = ours.split()
        if name in _TO_THE_LAST_PLACE:
            *same, wanted, _ = theirs.split()
            assert abs(int(result, 16) - int(wanted, 16)) <= 1, theirs
            if name == b"fsincos":  # the cosine stands where the others have an operand
                assert abs(int(operands.pop(), 16) - int(same.pop(), 16)) <= 1, theirs
            assert same == [name, *operands]
        else:
            assert ours == theirs, more


@pytest.mark.parametrize("options", [[], pytest.param(_AT_ONCE, marks=pytest.mark.slow)], ids=["as usual", "compiled"])
@pytest.mark.parametrize("guest", COMPILERS)
def test_x87_arithmetic(guest: str, options: list[str]) -> None:
    """Sums, products, comparisons and conversions of all sorts of numbers, all precisions and roundings, and flags."""
    require_build(guest)
    _want_the_processor(guest, "rounds otherwise")
    program = str(compile_c(*COMPILERS[guest], [X87_ARITHMETIC], ["-std=gnu17", "-O1", "-static", "-w"]))
    expected, actual = run([program]), run(isomorph("run", *options, program), timeout=300)
    assert (actual.status, actual.stdout, actual.stderr) == (0, expected.stdout, b"")
    assert expected.stdout.count(b"\n") == 192


@pytest.mark.parametrize("options", [[], _AT_ONCE], ids=["as usual", "compiled"])
@pytest.mark.parametrize("guest", COMPILERS)
def test_x87_exceptions(guest: str, options: list[str]) -> None:
    """What is not masked interrupts the next instruction that waits; a handler finds the unit as a program does."""
    require_build(guest)
    _want_the_processor(guest, "has no such exceptions")
    program = str(compile_c(*COMPILERS[guest], [X87_EXCEPTIONS], ["-std=gnu17", "-O1", "-static", "-w"]))
    expected, actual = run([program]), run(isomorph("run", *options, program))
    assert (actual.status, actual.stdout, actual.stderr) == (0, expected.stdout, b"")
    assert expected.stdout.count(b"signal 8") == 17


@pytest.mark.parametrize("options", [[], pytest.param(_AT_ONCE, marks=pytest.mark.slow)], ids=["as usual", "compiled"])
@pytest.mark.parametrize("guest", COMPILERS)
def test_string_instructions(guest: str, options: list[str]) -> None:
    """Repeated ones do many steps at once where they can: what they leave, also at a fault, is as step by step."""
    require_build(guest)
    program = str(compile_c(*COMPILERS[guest], [STRINGS], ["-std=gnu17", "-O1", "-static", "-w"]))
    expected, actual = run([*host(guest), program]), run(isomorph("run", *options, program), timeout=300)
    assert (actual.status, actual.stdout, actual.stderr) == (0, expected.stdout, b"")
    assert expected.stdout.count(b"\n") == 63


@pytest.mark.parametrize("guest", COMPILERS)
def test_protection(guest: str) -> None:
    """Rights and limits of segments, and which signals come of what a program may not do, and where."""
    require_build(guest)
    _want_the_processor(guest, "has other segments")
    program = str(compile_c(*COMPILERS[guest], [PROTECTION], ["-std=gnu17", "-O1", "-static", "-w"]))
    expected, actual = run([program]), run(isomorph("run", program))
    assert (actual.stdout, actual.status) == (expected.stdout, expected.status)


@pytest.mark.parametrize("options", [[], _AT_ONCE], ids=["as usual", "compiled"])
def test_local_segments(options: list[str]) -> None:
    """16-bit code, data and stack of modify_ldt's, far calls to them and back, and a signal in between."""
    require_build("i386")
    program = str(_compiled(LOCAL_SEGMENTS, "i386", ["-O2", "-static"]))
    expected = run([*host("i386"), program])
    actual = run(isomorph("run", *options, program))
    assert expected.stdout.count(b"\n") == 21
    assert (actual.stdout, actual.stderr, actual.status) == (expected.stdout, b"", 0)
