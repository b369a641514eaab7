"""The programs that the debugger's tests run, and gdb in batch mode over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.debug.client import debugged
from tests.debug.gdb_client import gdb as run_gdb
from tests.guests import GUESTS
from tests.tools import compile_c, require_build

FOLDER = Path(__file__).parent / "programs"

#: the frames of `values` at a breakpoint in leaf(5), and the value it returns to where `finish` stops
LEAF = (
    r"Breakpoint 1, leaf \(n=5\)",
    r"#0  leaf \(n=5\)",
    r"#1  .* in work \(n=10\)",
    r"#2  .* in main \(argc=2",
)
LEFT = (r"in work \(n=10\)", r"Value returned is \$1 = 32")


def signal_and_handler(number: int = 10) -> list[str]:
    """What gdb says of `events signal`: stopped by SIGUSR1, at the handler, its backtrace, step by step out of it."""
    return [
        r"Program received signal SIGUSR1",
        rf"\$1 = {number}",
        rf"Breakpoint 1, handler \(number={number}\)",
        r"#0  handler",
        r"#1  <signal handler called>",
        r"in main \(argc=2",
        r"count \+= 100;",
        rf"\$2 = {100 + number}",
        r"exited with code 05",
    ]


def program(name: str, *flags: str, libraries: Sequence[str] = ("-lm",), guest: str = "riscv64") -> Path:
    """One of the programs, static unless the flags say otherwise, for a guest by Debian's name of it."""
    made = GUESTS[guest]
    require_build(made.isa)
    return compile_c(
        made.compiler,
        made.compiler_package,
        [FOLDER / f"{name}.c"],
        ("-g", "-O0", *(flags or ("-static",))),
        libraries,
    )


def gdb(
    folder: Path, guest: Path, commands: Sequence[str], *arguments: str, options: Sequence[str] = ()
) -> tuple[str, bytes, int]:
    """Run commands in gdb over a program: what gdb said, what the program wrote, its exit status."""
    with debugged(folder, guest, *arguments, options=options) as (process, path):
        said = run_gdb(f"target remote {path}", *commands, program=guest)
        output, _ = process.communicate(timeout=60)
        return said, output, process.returncode
