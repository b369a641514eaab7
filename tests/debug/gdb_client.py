"""A real gdb that is given commands, one after the other, to the end of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.tools import tool

#: seconds for all that is to be done
_PATIENCE = 100
_SETTINGS = (
    "set pagination off",
    "set confirm off",
    "set style enabled off",
    "set width 0",
    # It gives up an answer after two seconds, and takes it for that to its next question when it comes: a host that
    # stood still for a moment would be a failed test, or one that waits for ever.
    f"set remotetimeout {_PATIENCE}",
)


def gdb(*commands: str, program: Path | None = None, patience: float = _PATIENCE) -> str:
    """What gdb-multiarch prints, warnings and all.  One that hangs fails with what it had printed."""
    words = [word for command in (*_SETTINGS, *commands) for word in ("-ex", command)]
    with subprocess.Popen(
        [tool("gdb-multiarch", "gdb-multiarch"), "-nx", "-batch", *words, *([] if program is None else [program])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            said, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            raise AssertionError(f"gdb had not come to an end after {patience} s:\n{said}") from None
    return said
