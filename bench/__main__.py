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
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = sorted((HERE / "programs").glob("*.c"))
#: all that any contender gets: what the caller has set, for Python or the loader say, must not tell in the figures
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8"}
COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Times:
    """Wall-clock seconds of several whole-process runs."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def figures(self) -> dict[str, float | list[float]]:
        """What --json writes."""
        spread = {"min": min(self.runs), "median": self.median, "max": max(self.runs)}
        return {**spread, "runs": list(self.runs)}


#: Linux counts the size of the process that starts another towards the other's peak (getrusage(2), ru_maxrss), and this
#: one is larger than what it measures: so a bare Python, of 8 MiB, starts it and tells its peak in KiB.
_PEAK = """import os, sys
os.dup2(2, 1)
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(int(sys.argv[1]), str(usage.ru_maxrss).encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(command: Sequence[str]) -> tuple[float, bytes]:
    """Seconds and output of one run; exits with the command's own complaint if it fails."""
    before = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT, check=False)
    seconds = time.perf_counter() - before
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed with status {done.returncode}")
    return seconds, done.stdout


def peak_memory(command: Sequence[str]) -> int:
    """Peak resident size of one run, in KiB."""
    reading, writing = os.pipe()
    launcher = [sys.executable, "-S", "-I", "-c", _PEAK, str(writing), *command]
    subprocess.run(launcher, stderr=subprocess.DEVNULL, cwd=ROOT, env=ENVIRONMENT, pass_fds=[writing], check=True)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return int(pipe.read())


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


def isomorph() -> list[str]:
    """The command as it is installed, if it is."""
    installed = Path(sys.executable).with_name("isomorph")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "isomorph"]


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(results: dict[str, dict[str, Times]]) -> Table:
    """Medians and their ratios."""
    made = Table(title="whole processes: median seconds and ratios", title_justify="left")
    made.add_column("workload")
    for heading in (
        "native",
        "qemu",
        "isomorph",
        "qemu\n÷ native",
        "isomorph\n÷ native",
        "speed of isomorph\nagainst qemu",
    ):
        made.add_column(heading, justify="right")
    ratios = []
    for name, times in results.items():
        native, qemu, ours = (times[who].median for who in ("native", "qemu", "isomorph"))
        ratios.append(qemu / ours)
        cells = [f"{seconds:.3f}" for seconds in (native, qemu, ours)]
        made.add_row(name, *cells, f"{qemu / native:.1f}", f"{ours / native:.1f}", f"{ratios[-1]:.2f}")
    made.add_section()
    made.add_row("geometric mean", *[""] * 5, f"{geometric_mean(ratios):.2f}")
    return made


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
    peaks: dict[str, int] = {}
    console = Console(width=min(COLUMNS, Console().width) if sys.stdout.isatty() else COLUMNS, highlight=False)
    with console.status("") as status:
        for source in sources:
            name = source.stem
            contenders = {
                "native": [str(hosts[name])],
                "qemu": [qemu, str(guests[name])],
                "isomorph": [*isomorph(), "run", str(guests[name])],
            }
            runs: dict[str, list[float]] = {who: [] for who in contenders}
            outputs = set()
            for count in range(options.runs + 1):  # the first round warms caches and is not counted
                for who, command in contenders.items():
                    status.update(f"{name}: {who} {count}/{options.runs}")
                    seconds, output = measure(command)
                    outputs.add(output)
                    if count:
                        runs[who].append(seconds)
            if len(outputs) != 1:
                sys.exit(f"bench: {name} prints different things natively, under qemu and under isomorph")
            results[name] = {who: Times(tuple(runs[who])) for who in contenders}
            peaks[name] = peak_memory(contenders["isomorph"])

    console.print(table(results))
    largest = max(peaks, key=peaks.__getitem__)
    console.print(f"isomorph's largest peak memory: {peaks[largest] / 1024:.0f} MiB ({largest})")
    if options.json:
        raw = {
            name: {"isomorph_peak_kib": peaks[name]} | {who: t.figures() for who, t in times.items()}
            for name, times in results.items()
        }
        options.json.write_text(json.dumps(raw, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
