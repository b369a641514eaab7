"""Programs with the guest's dynamic linker and shared libraries (-L) do what they do under qemu-user -L."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.debian import sysroot
from tests.tools import Outcome, compile_c, isomorph, require_build, run, tool

SOURCES = Path(__file__).parent / "dynamic"
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(ROOT))
ENVIRONMENT.pop("QEMU_LD_PREFIX", None)


@pytest.fixture(scope="module")
def libraries() -> str:
    """The root with the cross-compiler's libraries."""
    require_build("riscv64")
    tool("qemu-riscv64", "qemu-user")
    path = Path("/usr/riscv64-linux-gnu")
    if not (path / "lib/ld-linux-riscv64-lp64d.so.1").exists():
        pytest.skip(f"no {path}/lib (Debian package libc6-riscv64-cross)")
    return str(path)


def compile_gcc(name: str, flags: list[str], libraries: list[str] | None = None) -> Path:
    compiler, package = ("g++", "g++") if name.endswith(".cc") else ("gcc", "gcc")
    return compile_c(
        f"riscv64-linux-gnu-{compiler}", f"{package}-riscv64-linux-gnu", [SOURCES / name], flags, libraries or []
    )


def both(program: Path, root: str, *arguments: str) -> tuple[Outcome, Outcome]:
    expected = run(["qemu-riscv64", "-L", root, str(program), *arguments], environment=ENVIRONMENT)
    return expected, run(isomorph("run", "-L", root, str(program), *arguments), environment=ENVIRONMENT)


@pytest.mark.parametrize("kind", ["-pie", "-no-pie"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_c_over_shared_libraries(level: str, kind: str, libraries: str) -> None:
    library = compile_gcc("library.c", [level, "-shared", "-fPIC"])
    position = ["-fPIE", "-pie"] if kind == "-pie" else ["-fno-pie", "-no-pie"]
    program = compile_gcc("linked.c", [level, *position], [str(library), "-lm", "-Wl,-z,now"])
    expected, actual = both(program, libraries, "one", "two words")
    assert actual.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert actual == expected
    assert expected.status == 9


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_cpp(level: str, libraries: str) -> None:
    program = compile_gcc("shapes.cc", ["-std=c++17", level])
    expected, actual = both(program, libraries, "an argument")
    assert actual.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert actual == expected
    assert expected.status == 5


def test_the_dynamic_linker_as_a_program(libraries: str) -> None:
    """ld.so itself is position-independent and asks for no other."""
    program = compile_gcc("shapes.cc", ["-std=c++17", "-O2"])
    linker = Path(libraries) / "lib/ld-linux-riscv64-lp64d.so.1"
    expected, actual = both(linker, libraries, str(program), "x")
    assert actual == expected
    expected, actual = both(linker, libraries, "--list", str(program))
    assert [line.split("(")[0] for line in actual.stdout.decode().splitlines()] == [
        line.split("(")[0] for line in expected.stdout.decode().splitlines()
    ]


def test_the_root_may_come_from_the_environment(libraries: str) -> None:
    program = compile_gcc("shapes.cc", ["-std=c++17", "-O2"])
    done = run(isomorph("run", str(program)), environment=dict(ENVIRONMENT, QEMU_LD_PREFIX=libraries))
    assert (done.status, done.stderr) == (5, b"done\n")
    wrong = run(isomorph("run", str(program)), environment=dict(ENVIRONMENT, QEMU_LD_PREFIX="/no/such/root"))
    assert (wrong.status, wrong.stdout) == (1, b"")
    assert b"isomorph: /no/such/root: no such directory; $QEMU_LD_PREFIX names the guest's root\n" in wrong.stderr


def test_without_the_libraries(libraries: str, tmp_path: Path) -> None:
    program = compile_gcc("shapes.cc", ["-std=c++17", "-O2"])
    linker = "/lib/ld-linux-riscv64-lp64d.so.1"
    done = run(isomorph("run", str(program)), environment=ENVIRONMENT)
    assert (done.status, done.stdout) == (1, b"")
    message = f"isomorph: {program}: its dynamic linker {linker} is not here; "
    assert done.stderr.decode() == f"{message}say where the guest's libraries are: -L {libraries}\n"
    (tmp_path / "lib").mkdir()
    shutil.copy("/bin/true", tmp_path / linker[1:])
    done = run(isomorph("run", "-L", str(tmp_path), str(program)), environment=ENVIRONMENT)
    assert f"its dynamic linker {linker} cannot be used: {tmp_path}{linker} is one for x86_64" in done.stderr.decode()
    shutil.copy(program, tmp_path / linker[1:])
    done = run(isomorph("run", "-L", str(tmp_path), str(program)), environment=ENVIRONMENT)
    assert "is no shared object that can be loaded anywhere" in done.stderr.decode()
    (tmp_path / linker[1:]).write_bytes(b"rubbish")
    done = run(isomorph("run", "-L", str(tmp_path), str(program)), environment=ENVIRONMENT)
    assert "cannot be used" in done.stderr.decode()


def test_newer_libraries_than_the_compilers() -> None:
    """Debian trixie's libc under a program linked with bookworm's."""
    require_build("riscv64")
    program = compile_gcc("linked.c", ["-O2"], [str(compile_gcc("library.c", ["-O2", "-shared", "-fPIC"])), "-lm"])
    root = str(sysroot("riscv64", "trixie", ["libc6"]))
    expected, actual = both(program, root)
    assert actual.stdout.decode().splitlines() == expected.stdout.decode().splitlines()
    assert actual == expected
