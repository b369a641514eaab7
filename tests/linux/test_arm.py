"""C programs about Linux, built for ARM by Debian's cross-compilers, do under isomorph what they do under qemu-arm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import sysroot
from tests.linux.outcome import outcome
from tests.linux.test_corpus import Directives
from tests.tools import compile_c, isomorph, require_build, tool

HERE = Path(__file__).parent
FOLDERS = ("programs", "processes", "corpus", "threads")
#: what qemu-user 7.2 does otherwise than Linux, or what is not to be compared
LEFT_OUT = {
    "forks": "qemu aborts in the children of threads",
    "robust": "qemu knows no robust futexes",
    "memory": "qemu has its own mappings where a program has none",
    "errnos": "qemu has its own mappings where a program has none",
    "sigchld": "qemu tells of stopped children late",
    "code": "its instructions are RISC-V's",
    "programs/signals": "its frames are RISC-V's",
    "machine_code": "its instructions are RISC-V's",
    "leaving": "it is told in which way to leave",
}
SOURCES = [
    source
    for folder in FOLDERS
    for source in sorted((HERE / folder).glob("*.c"))
    if LEFT_OUT.keys().isdisjoint((source.stem, f"{folder}/{source.stem}")) and Directives.of(source) == Directives()
]
#: name -> compiler, its package
BUILDS = {
    "armhf": ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
    "armel": ("arm-linux-gnueabi-gcc", "gcc-arm-linux-gnueabi"),
}
VARIANTS = {"static": ["-static", "-O2"], "dynamic": ["-no-pie", "-fno-pie", "-O0"]}
#: what every run of the tests looks at: signals with floating point, restarted calls, threads, locks, times
OFTEN = {
    ("processes/restarts", "armel", "static"),
    ("processes/clocks", "armhf", "static"),
    ("corpus/contexts", "armhf", "static"),
    ("corpus/faults", "armhf", "static"),
    ("corpus/locking", "armel", "static"),
    ("corpus/dates", "armhf", "dynamic"),
    ("threads/atomics", "armel", "static"),
    ("threads/signals", "armhf", "static"),
    ("threads/cancel", "armhf", "dynamic"),
}


def cases() -> list[object]:
    found: list[object] = []
    for source in SOURCES:
        name = f"{source.parent.name}/{source.stem}"
        for build in BUILDS:
            for variant in VARIANTS:
                marks = [] if (name, build, variant) in OFTEN else [pytest.mark.slow]
                found.append(pytest.param(source, build, variant, id=f"{name}-{build}-{variant}", marks=marks))
    return found


@pytest.mark.parametrize(("source", "build", "variant"), cases())
def test_as_under_qemu(source: Path, build: str, variant: str, tmp_path: Path) -> None:
    require_build("arm")
    compiler, package = BUILDS[build]
    root = f"/usr/{compiler.removesuffix('-gcc')}"
    flags = ["-std=gnu17", "-w", "-pthread", f"-I{HERE}", *VARIANTS[variant]]
    program = str(compile_c(compiler, package, [source], flags, ["-lm", "-lrt", "-latomic"]))
    arguments = ["0"] if source.parent.name == "threads" else []
    expected = outcome(tmp_path / "work", [tool("qemu-arm", "qemu-user"), "-L", root, program, *arguments])
    assert expected[0] or expected[1], "a program that says nothing proves nothing"
    assert outcome(tmp_path / "work", isomorph("run", "-L", root, program, *arguments)) == expected


@pytest.mark.parametrize("mode", ["-marm", "-mthumb"])
def test_signal_frames_and_kernel_helpers(mode: str, tmp_path: Path) -> None:
    require_build("arm")
    flags = ["-std=gnu17", "-w", "-O2", "-fomit-frame-pointer", "-mfpu=neon", "-static", mode]
    program = str(compile_c(*BUILDS["armhf"], [HERE / "arm" / "frames.c"], flags))
    expected = outcome(tmp_path / "work", [tool("qemu-arm", "qemu-user"), program])
    assert "seen 1, flags a, modes 3, 0" in expected[1]
    assert outcome(tmp_path / "work", isomorph("run", program)) == expected


PACKAGES = ["lua5.4", "libc6", "libreadline8", "libtinfo6", "sqlite3", "libsqlite3-0", "zlib1g"]
DEBIAN = {
    "lua5.4": [
        "-e",
        "local t = {} for i = 1, 3000 do t[i] = math.sin(i) * i end table.sort(t) print(#t, t[1], t[3000]) "
        "print(string.format('%.14g', t[7]), os.date('!%Y', 0), string.pack('>d', 1.5):byte(1, 8)) "
        "print(pcall(error, 'e')) print(2^53|0, 7//2, -7%3, 1e300*1e10)",
    ],
    "sqlite3": [
        ":memory:",
        "create table t(a integer primary key, b text, c real); "
        "with recursive n(i) as (select 1 union all select i+1 from n where i < 2000) "
        "insert into t select i, hex(i*7), i/3.0 from n; select count(*), sum(c), max(b), avg(a) from t; "
        "select b, c from t where a%333 = 0 order by c desc; select printf('%.10f', sqrt(2.0));",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", BUILDS)
@pytest.mark.parametrize("name", DEBIAN)
def test_debian_programs(name: str, architecture: str, tmp_path: Path) -> None:
    require_build("arm")
    root = sysroot(architecture, "bookworm", PACKAGES)
    command = ["-L", str(root), str(root / "usr/bin" / name), *DEBIAN[name]]
    expected = outcome(tmp_path / "work", [tool("qemu-arm", "qemu-user"), *command])
    assert expected[0] == 0
    assert outcome(tmp_path / "work", isomorph("run", *command)) == expected


def test_what_is_looked_at_often_exists() -> None:
    names = {f"{source.parent.name}/{source.stem}" for source in SOURCES}
    assert {name for name, _, _ in OFTEN} <= names
    assert len(SOURCES) > 50
