"""`python -m bench.loading`: how long what is generated for each instruction set takes to load.

Each figure is processor time in a process of its own, after Python's start and the imports that are not generated.
Every run waits for the layout of registers (`state.py`) and the native code; machines load native code of their own,
compilers' processes the translator (`translate.py`), the assembler and the disassembler the syntax (`syntax.py`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
#: milliseconds that what every run waits for may take
LIMIT = 20.0
#: what is loaded, and the words that do it in a process where `isa` stands for the folder or what was loaded of it
PARTS = {
    "registers": "isa = load_isa(isa)",
    "native code": "blob = map_native(isa.blob_path); blob.address('cpu_exec_native'); blob.address('tb_find')",
    "machines' code": "os.path.exists(isa.system_blob_path) and map_native(isa.system_blob_path)",
    "translator": "isa.module('translate')",
    "syntax": "isa.module('syntax')",
}
#: those that every run waits for
WANTED = ("registers", "native code")

_PROGRAM = """import os, sys
from time import process_time
import runtime.core.record
from runtime.core.cpu import load_isa
from runtime.tcg.native import map_native
isa = sys.argv[1]
for words in sys.argv[2:]:
    began = process_time()
    exec(words)
    print(1000 * (process_time() - began))
"""


def measure(folder: Path, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each part, of so many processes after one that is not counted."""
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    for count in range(runs + 1):
        command = [sys.executable, "-c", _PROGRAM, str(folder), *PARTS.values()]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            sys.exit(f"bench: {folder.name} does not load: {done.stderr.strip().splitlines()[-1]}")
        if count:
            for part, line in zip(PARTS, done.stdout.splitlines(), strict=True):
                found[part].append(float(line))
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 if what every run waits for takes longer than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.loading", description=__doc__)
    parser.add_argument("isa", nargs="*", help="generated instruction sets (default: all)")
    parser.add_argument("-n", "--runs", type=int, default=9, help="counted runs of each (default %(default)s)")
    options = parser.parse_args(words)
    built = {path.parent.name: path.parent for path in sorted((ROOT / "build").glob("*/native.blob"))}
    if unknown := set(options.isa) - built.keys():
        parser.error(f"{', '.join(sorted(unknown))}: not generated; there are {', '.join(built) or 'none'}")
    table = Table(title="milliseconds of processor time, least / median", title_justify="left")
    table.add_column("ISA")
    for heading in ("every run", *PARTS):
        table.add_column(heading, justify="right")
    slowest = 0.0
    for name in options.isa or built:
        times = measure(built[name], options.runs)
        every = [sum(parts) for parts in zip(*(times[part] for part in WANTED), strict=True)]
        slowest = max(slowest, statistics.median(every))
        columns = (every, *times.values())
        table.add_row(name, *(f"{min(each):.1f} / {statistics.median(each):.1f}" for each in columns))
    Console(width=120, highlight=False).print(table)
    if slowest > LIMIT:
        print(f"bench: what every run waits for takes {slowest:.1f} ms, more than {LIMIT:.0f}", file=sys.stderr)
    return slowest > LIMIT


if __name__ == "__main__":
    sys.exit(main())
