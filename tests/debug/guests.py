"""The programs that the debugger's tests run, and gdb in batch mode over them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.debug.client import debugged
from tests.tools import compile_c, require_build, tool

FOLDER = Path(__file__).parent / "programs"
_SETTINGS = ("set pagination off", "set confirm off", "set style enabled off", "set width 0")

#: what gdb says of `events signal`: stopped by the signal, at the handler, in its backtrace, step by step out of it
SIGNAL_AND_HANDLER = (
    r"Program received signal SIGUSR1",
    r"\$1 = 10",
    r"Breakpoint 1, handler \(number=10\)",
    r"#0  handler",
    r"#1  <signal handler called>",
    r"in main \(argc=2",
    r"count \+= 100;",
    r"\$2 = 110",
    r"exited with code 05",
)


def program(name: str, *flags: str, libraries: Sequence[str] = ("-lm",)) -> Path:
    """One of the programs, static unless the flags say otherwise."""
    require_build("riscv64")
    return compile_c(
        "riscv64-linux-gnu-gcc",
        "gcc-riscv64-linux-gnu",
        [FOLDER / f"{name}.c"],
        ("-g", "-O0", *(flags or ("-static",))),
        libraries,
    )


def gdb(
    folder: Path, guest: Path, commands: Sequence[str], *arguments: str, options: Sequence[str] = ()
) -> tuple[str, bytes, int]:
    """Run commands in gdb over a program: what gdb said, what the program wrote, its exit status."""
    driver = tool("gdb-multiarch", "gdb-multiarch")
    with debugged(folder, guest, *arguments, options=options) as (process, path):
        words = [driver, "-nx", "-batch"]
        for command in (*_SETTINGS, f"target remote {path}", *commands):
            words += ["-ex", command]
        done = subprocess.run(
            [*words, str(guest)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        output, _ = process.communicate(timeout=60)
        return done.stdout.decode("utf-8", "replace"), output, process.returncode
