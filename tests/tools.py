"""The cross-compilers and oracles tests use: found, or the test is skipped with the reason and the mend."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.conftest import ROOT

#: compiled guest programs, kept between runs by the hash of what made them
CACHE = ROOT / "build" / "tests" / "programs"


def tool(name: str, package: str) -> str:
    """The path of a program, or skip the test, naming the Debian package that holds it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} (Debian package {package})")
    return path


def require_build(isa: str) -> Path:
    """The generated folder of an ISA, or skip."""
    folder = ROOT / "build" / isa
    if not (folder / "native.blob").exists():
        pytest.skip(f"{isa} is not generated (make gen ISA={isa})")
    return folder


def require_machine(isa: str) -> Path:
    """The generated folder of an ISA with what machines need, or skip."""
    folder = require_build(isa)
    if not (folder / "system.blob").exists():
        pytest.skip(f"{isa} is generated without what machines need (make gen ISA={isa})")
    return folder


def compile_c(
    compiler: str, package: str, sources: Sequence[Path], flags: Sequence[str], libraries: Sequence[str] = ()
) -> Path:
    """Compile to an executable under CACHE unless it is there already; skip when there is no compiler."""
    driver = tool(compiler, package)
    digest = hashlib.sha256(repr((compiler, flags, libraries)).encode())
    for source in sources:
        digest.update(source.read_bytes())
        if any(flag.startswith("-g") for flag in flags):  # a debugger looks for the source where it was compiled
            digest.update(str(source).encode())
        for header in sorted(source.parent.glob("*.h")):
            digest.update(header.read_bytes())
    target = CACHE / f"{sources[0].stem}-{digest.hexdigest()[:16]}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}.tmp")
        command = [driver, *flags, *map(str, sources), "-o", str(scratch), *libraries]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        scratch.replace(target)
    return target


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program did, as its parent sees it."""

    status: int
    stdout: bytes
    stderr: bytes


def run(
    command: Sequence[str], stdin: bytes = b"", timeout: float = 120, environment: dict[str, str] | None = None
) -> Outcome:
    """Run to the end; a time-out fails the test that called."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False, env=environment)
    return Outcome(done.returncode, done.stdout, done.stderr)


def lines_executed(action: Callable[..., object], *arguments: object) -> int:
    """How many lines of Python a call executes, each turn of a loop counted: its work, the same on any machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action(*arguments)
    finally:
        sys.settrace(before)
    return count


def isomorph(*arguments: str) -> list[str]:
    """The command line of the `isomorph` command in this Python."""
    return [sys.executable, "-m", "isomorph", *arguments]
