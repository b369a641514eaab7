"""Random system calls give results or errnos, never a traceback, and leave the host alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def fuzz(folder: Path, seed: int, count: int, abi: str) -> int:
    """How many of `count` random calls succeeded."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.linux.fuzz", str(seed), str(count), abi],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout)


@pytest.mark.parametrize("abi", ["riscv64", "riscv32"])
@pytest.mark.parametrize("seed", range(3))
def test_random_calls(tmp_path: Path, seed: int, abi: str) -> None:
    # Some must succeed, or the fuzzer reaches nothing.
    assert fuzz(tmp_path / "run", seed, 10000, abi) > 500


@pytest.mark.slow
@pytest.mark.parametrize("abi", ["riscv64", "riscv32"])
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_random_calls(tmp_path: Path, seed: int, abi: str) -> None:
    assert fuzz(tmp_path / "run", seed, 300000, abi) > 15000
