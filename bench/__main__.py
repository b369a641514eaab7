"""`python -m bench`: build the workloads, run them natively, under qemu-user and under isomorph, print ratios."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = sorted((HERE / "programs").glob("*.c"))


@dataclass(frozen=True, slots=True)
class Times:
    """Wall-clock seconds of several whole-process runs, and the peak resident size in KiB."""

    runs: tuple[float, ...]
    peak: int

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def __str__(self) -> str:
        return f"{min(self.runs):.3f} [b]{self.median:.3f}[/b] {max(self.runs):.3f}"


def measure(command: Sequence[str]) -> tuple[float, int, bytes]:
    """Seconds, peak KiB and output of one run; exits with the command's own complaint if it fails."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed with status {process.returncode}")
    return seconds, usage.ru_maxrss, output


def compile_all(compiler: str, flags: Sequence[str], folder: Path, sources: Sequence[Path]) -> dict[str, Path]:
    """Build every workload with one compiler."""
    folder.mkdir(parents=True, exist_ok=True)
    built = {}
    for source in sources:
        target = folder / source.stem
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-w", *flags, str(source), "-o", str(target), "-lm"], check=True)
        built[source.stem] = target
    return built


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names of bench/programs (default: all)")
    parser.add_argument("-n", "--runs", type=int, default=5, help="counted runs of each (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the raw figures here")
    options = parser.parse_args()
    sources = [p for p in PROGRAMS if not options.workloads or p.stem in options.workloads]
    unknown = set(options.workloads) - {p.stem for p in PROGRAMS}
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in PROGRAMS)}")
    cross, native, qemu = (shutil.which(name) for name in ("riscv64-linux-gnu-gcc", "gcc", "qemu-riscv64"))
    if not (cross and native and qemu):
        sys.exit("bench: needs gcc, gcc-riscv64-linux-gnu and qemu-user (Debian packages of these names)")

    guests = compile_all(cross, ["-static"], ROOT / "build" / "bench" / "riscv64", sources)
    hosts = compile_all(native, [], ROOT / "build" / "bench" / "native", sources)
    results: dict[str, dict[str, Times]] = {}
    console = Console()
    with console.status("") as status:
        for source in sources:
            name = source.stem
            contenders = {
                "native": [str(hosts[name])],
                "qemu": [qemu, str(guests[name])],
                "isomorph": [sys.executable, "-m", "isomorph", "run", str(guests[name])],
            }
            runs: dict[str, list[float]] = {who: [] for who in contenders}
            peaks = dict.fromkeys(contenders, 0)
            outputs = set()
            for count in range(options.runs + 1):  # the first round warms caches and is not counted
                for who, command in contenders.items():
                    status.update(f"{name}: {who} {count}/{options.runs}")
                    seconds, peak, output = measure(command)
                    outputs.add(output)
                    if count:
                        runs[who].append(seconds)
                        peaks[who] = max(peaks[who], peak)
            if len(outputs) != 1:
                sys.exit(f"bench: {name} prints different things natively, under qemu and under isomorph")
            results[name] = {who: Times(tuple(runs[who]), peaks[who]) for who in contenders}

    table = Table(title="seconds, whole process: min [b]median[/b] max")
    for heading in ("workload", "native", "qemu", "isomorph", "isomorph/native", "qemu/native", "speed against qemu"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    ratios = []
    for name, times in results.items():
        against = times["qemu"].median / times["isomorph"].median
        ratios.append(against)
        over = [times[who].median / times["native"].median for who in ("isomorph", "qemu")]
        cells = [str(times[who]) for who in ("native", "qemu", "isomorph")]
        table.add_row(name, *cells, f"{over[0]:.1f}", f"{over[1]:.1f}", f"{against:.2f}×")
    table.add_section()
    table.add_row("geometric mean", *[""] * 5, f"{geometric_mean(ratios):.2f}×")
    console.print(table)
    peak = max(times["isomorph"].peak for times in results.values())
    console.print(f"isomorph's largest peak memory: {peak / 1024:.0f} MiB")
    if options.json:
        raw = {name: {who: asdict(t) for who, t in times.items()} for name, times in results.items()}
        options.json.write_text(json.dumps(raw, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
