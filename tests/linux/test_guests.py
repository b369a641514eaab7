"""C programs about Linux and about C, built by Debian's cross-compilers for each guest but riscv64, which has its own.

Static and dynamic, at -O0 and -O2: they do under isomorph what they do under qemu-user.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests import GUESTS
from tests.linux.outcome import outcome
from tests.linux.test_corpus import VARIANTS, Directives, compile_one
from tests.tools import isomorph, require_build, tool

HERE = Path(__file__).parent
FOLDERS = ("linux/programs", "linux/processes", "linux/corpus", "linux/threads", "programs/c")
#: what qemu-user 7.2 does otherwise than Linux, or what is not to be compared
LEFT_OUT = {
    "forks": "qemu aborts in the children of threads",
    "robust": "qemu knows no robust futexes",
    "memory": "qemu has its own mappings where a program has none",
    "errnos": "qemu has its own mappings where a program has none",
    "sigchld": "qemu tells of stopped children late",
    "code": "its instructions are RISC-V's",
    "linux/programs/signals": "its frames are RISC-V's",
    "machine_code": "its instructions are RISC-V's",
    "leaving": "it is told in which way to leave",
}
#: what one qemu does otherwise, so that the program built for this machine is the oracle
_32_BITS = {
    "directories": "it gives the host's positions in directories, which 32 bits do not hold",
    "trees": "the same",
}
_MIPS = {**_32_BITS, "mutexes": "its waits with priority inheritance time out"}
_I386 = {
    **_32_BITS,
    "signals": "its sigwait misses signals to the process",
    "storms": "the x87 unit is not as it was when its handlers return, or qemu aborts",
}
ON_LINUX = {
    **dict.fromkeys(("armhf", "armel"), _32_BITS),
    "i386": _I386,
    "amd64": {"cancel": "it dies when a thread is cancelled"},
    "mips": _MIPS,
    "mipsel": _MIPS,
}
#: a big-endian guest has no FUTEX_WAKE_OP and no priority inheritance, for the host's kernel would count the other way
MISSING = {("futexes", "mips")}
#: all that qemu knows: libm has other last bits on processors with fused multiply-add, as here
OPTIONS = {"amd64": ["-cpu", "max"]}
BUILDS = tuple(name for name in GUESTS if name != "riscv64")


def named(source: Path) -> str:
    return "/".join((*source.parent.parts[-2:], source.stem))


SOURCES = [
    source
    for folder in FOLDERS
    for source in sorted((HERE.parent / folder).glob("*.c"))
    if LEFT_OUT.keys().isdisjoint((source.stem, named(source))) and Directives.of(source).oracle == "qemu"
]
#: what every run of the tests looks at: signals with floating point, restarted calls, threads, locks, times, processes
OFTEN = {
    ("linux/processes/restarts", "armel", "static-O2"),
    ("linux/processes/clocks", "armhf", "static-O2"),
    ("linux/corpus/contexts", "armhf", "static-O2"),
    ("linux/corpus/faults", "armhf", "static-O2"),
    ("linux/corpus/locking", "armel", "static-O2"),
    ("linux/corpus/dates", "armhf", "dynamic-O0"),
    ("linux/threads/atomics", "armel", "static-O2"),
    ("linux/threads/signals", "armhf", "static-O2"),
    ("linux/threads/cancel", "armhf", "dynamic-O0"),
    ("linux/processes/storms", "mips", "static-O2"),
    ("linux/programs/files", "mips", "dynamic-O0"),
    ("linux/corpus/faults", "mips", "dynamic-O2"),
    ("linux/corpus/contexts", "mipsel", "static-O0"),
    ("linux/threads/mutexes", "mips", "static-O2"),
    ("linux/threads/signals", "mipsel", "dynamic-O2"),
    ("linux/threads/cancel", "mipsel", "static-O0"),
}


def cases() -> list[object]:
    found: list[object] = []
    for source in SOURCES:
        for build in BUILDS:
            for variant in VARIANTS:
                if (source.stem, build) in MISSING:
                    continue
                if Directives.of(source).only in ("", variant.partition("-")[0]):
                    marks = [] if (named(source), build, variant) in OFTEN else [pytest.mark.slow]
                    found.append(
                        pytest.param(source, build, variant, id=f"{named(source)}-{build}-{variant}", marks=marks)
                    )
    return found


@pytest.mark.parametrize(("source", "build", "variant"), cases())
def test_as_under_qemu(source: Path, build: str, variant: str, tmp_path: Path) -> None:
    guest = GUESTS[build]
    require_build(guest.isa)
    flags, arguments = ["-pthread", f"-I{HERE}"], ["0"] if source.parent.name == "threads" else []
    command = ["-L", str(guest.libraries), str(compile_one(source, *VARIANTS[variant], guest, flags)), *arguments]
    if source.stem in ON_LINUX.get(build, {}):
        oracle = [str(compile_one(source, *VARIANTS[variant], GUESTS["amd64"], flags)), *arguments]
    else:
        oracle = [tool(guest.qemu, "qemu-user"), *OPTIONS.get(build, []), *command]
    expected = outcome(tmp_path / "work", oracle)
    assert expected[0] or expected[1], "a program that says nothing proves nothing"
    assert outcome(tmp_path / "work", isomorph("run", *command)) == expected


def test_what_is_looked_at_often_exists() -> None:
    assert {name for name, _, _ in OFTEN} <= {named(source) for source in SOURCES}
    assert len(SOURCES) > 80
