"""Whether KVM is here and what it can do: tests skip with a reason that says what they could not show."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from runtime.kvm.system import unavailable
from tests.tools import CACHE, tool


@cache
def _unavailable() -> str | None:
    return unavailable()


def require_kvm(shows: str) -> None:
    """Skip where KVM cannot be used; `shows` is what then is not shown."""
    reason = _unavailable()
    if reason is not None:
        pytest.skip(f"{reason}; not shown: {shows}")


def assemble(source: str, name: str, origin: int = 0) -> bytes:
    """Bytes of a guest of ours, by GNU as, linked at `origin`."""
    CACHE.mkdir(parents=True, exist_ok=True)
    base = CACHE / f"kvm-{name}"
    text, listing, image = base.with_suffix(".s"), base.with_suffix(".o"), base.with_suffix(".bin")
    text.write_text(source)
    commands = (
        [tool("as", "binutils"), "--64", "-o", str(listing), str(text)],
        [tool("ld", "binutils"), f"-Ttext={origin:#x}", "--oformat=binary", "-e0", "-o", str(image), str(listing)],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return Path(image).read_bytes()
