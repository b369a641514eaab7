"""GCC's own execution tests (self-checking C programs): all that pass under qemu-user pass here."""

from __future__ import annotations

import re
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import CACHE, isomorph, require_build, tool

ARCHIVES = sorted(Path("/usr/src").glob("gcc-*/gcc-*.tar.*"))
OPTIONS = re.compile(r"dg-(?:additional-)?options\s+\"([^\"]*)\"(?!\s*\{\s*target)")
#: these tests are about other targets, or need a library or a host feature
UNSUITABLE = re.compile(r"dg-require|dg-skip-if|dg-do\s+(compile|link)|\{ dg-do run \{ target")


def torture_sources() -> list[Path]:
    """The test programs, unpacked once from Debian's gcc source package."""
    if not ARCHIVES:
        pytest.skip("no gcc test-suite (Debian package gcc-12-source)")
    folder = CACHE / "torture"
    if not (folder / "unpacked").exists():
        with tarfile.open(ARCHIVES[0]) as archive:
            for member in archive:
                parts = Path(member.name).parts
                if "gcc.c-torture" in parts and "execute" in parts and member.isfile():
                    target = folder.joinpath(*parts[parts.index("execute") :])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = archive.extractfile(member)
                    assert source is not None
                    target.write_bytes(source.read())
        (folder / "unpacked").touch()
    plain = sorted((folder / "execute").glob("*.c"))
    return plain + sorted((folder / "execute" / "ieee").glob("*.c"))


def outcome(command: list[str]) -> int | None:
    """Exit status, or None when it took too long."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_torture(level: str) -> None:
    require_build("riscv64")
    compiler = tool("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
    qemu = tool("qemu-riscv64", "qemu-user")
    folder = CACHE / f"torture{level}"
    folder.mkdir(parents=True, exist_ok=True)

    def one(source: Path) -> tuple[str, int | None] | None:
        """(name, status here) when it passes under qemu, else None."""
        text = source.read_text(errors="replace")
        if UNSUITABLE.search(text):
            return None
        flags = " ".join(OPTIONS.findall(text)).split()
        program = folder / source.stem
        if not program.exists():
            command = [compiler, level, "-static", "-w", *flags, str(source), "-o", str(program), "-lm"]
            if subprocess.run(command, capture_output=True, check=False).returncode != 0:
                return None
        if outcome([qemu, str(program)]) != 0:
            return None
        return source.name, outcome(isomorph("run", str(program)))

    with ThreadPoolExecutor(2) as pool:
        results = [result for result in pool.map(one, torture_sources()) if result]
    failed = [f"{name}: {'timeout' if status is None else status}" for name, status in results if status != 0]
    assert len(results) > 1000, f"only {len(results)} programs could be compared"
    assert not failed, f"{len(failed)} of {len(results)} fail: {failed}"
