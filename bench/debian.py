"""`python -m bench.debian`: Debian's own riscv64 programs under qemu, tier 0, and a row of runs of isomorph.

The first of the row finds nothing on disk, each later one what those before it compiled.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.__main__ import COLUMNS, HERE, Contender, isomorph, measure
from tests.debian import sysroot
from tests.linux.test_lua import PACKAGES as LUA
from tests.linux.test_python import PACKAGES as PYTHON


def programs() -> Iterator[tuple[str, Path, tuple[str, ...]]]:
    """Name, root of the file system, command in it."""
    lua = sysroot("riscv64", "trixie", LUA)
    yield "lua5.4", lua, (str(lua / "usr/bin/lua5.4"), str(HERE / "scripts" / "mixed.lua"))
    busybox = sysroot("riscv64", "trixie", ["busybox-static"])
    binary = str(busybox / "usr/bin/busybox")
    yield "busybox sha256sum", busybox, (binary, "sha256sum", binary, binary, binary, binary)
    yield "busybox sort", busybox, (binary, "sort", "-r", str(HERE / "scripts" / "mixed.lua"))
    python = sysroot("riscv64", "trixie", PYTHON)
    yield "python3", python, (str(python / "usr/bin/python3.13"), "-S", str(HERE / "scripts" / "mixed.py"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.debian", description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=3, help="rows of runs; the least counts (%(default)s)")
    parser.add_argument("--length", type=int, default=5, help="runs in a row (default %(default)s)")
    options = parser.parse_args()
    qemu = shutil.which("qemu-riscv64")
    if qemu is None:
        sys.exit("bench: needs qemu-riscv64 (Debian package qemu-user)")
    tables = [
        Table(title=f"least seconds {which}", title_justify="left") for which in ("by the clock", "of processors")
    ]
    for made in tables:
        for heading in ("program", "qemu", "tier 0", *(f"run {number + 1}" for number in range(options.length))):
            made.add_column(heading, justify="left" if heading == "program" else "right")
    with TemporaryDirectory(prefix="isomorph-bench-") as scratch:
        for name, root, command in programs():
            ours = (*isomorph(), "run", "-L", str(root))
            cache = f"{scratch}/{name.replace(' ', '-')}"
            row = [
                Contender((qemu, "-L", str(root), *command)),
                Contender((*ours, "--tier1-threshold", "0", *command)),
                Contender((*ours, *command), cache, cold=True),
                *[Contender((*ours, *command), cache)] * (options.length - 1),
            ]
            rounds = [[measure(contender)[:2] for contender in row] for _ in range(options.runs)]
            for which, made in enumerate(tables):
                made.add_row(name, *(f"{min(each[at][which] for each in rounds):.3f}" for at in range(len(row))))
    console = Console(width=COLUMNS, highlight=False)
    for made in tables:
        console.print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
