"""`python -m bench [--isa ISA]`: build the workloads, run them natively, under qemu-user and isomorph, print ratios.

isomorph runs three times: tier 0 alone; both tiers with nothing on disk; both with all that is hot compiled before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.guests import GUESTS, guest_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = sorted((HERE / "programs").glob("*.c"))
#: all that any contender gets: what the caller has set, for Python or the loader say, must not tell in the figures
#: (but for where these sources are: an installed command may be of others)
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
COLUMNS = 120
ISAS = tuple(dict.fromkeys(guest.isa for guest in GUESTS.values()))


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of several whole-process runs: by the wall clock, and of processors.

    The latter are the process's own: those of isomorph's compilers, which are nobody's children, are not in them.
    """

    runs: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def figures(self) -> dict[str, float | list[float]]:
        """What --json writes."""
        spread = {"min": min(self.runs), "median": self.median, "max": max(self.runs)}
        return {**spread, "runs": list(self.runs), "processor": list(self.processor)}


#: Linux counts the size of the process that starts another towards the other's peak (getrusage(2), ru_maxrss), and this
#: one is larger than what it measures: so a bare Python, of 8 MiB, starts it and tells its peak in KiB.
_PEAK = """import os, sys
os.dup2(2, 1)
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
os.write(int(sys.argv[1]), str(usage.ru_maxrss).encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""


#: contenders, in the order of the table
WHO = ("native", "qemu", "tier 0", "cold", "warm")
#: runs that fill the cache for the warm one, at most: each compiles what the one before made hot
FILLING = 6
_COMPILED = re.compile(r"regions: ([\d,]+) compiled")


@dataclass(frozen=True, slots=True)
class Contender:
    """A command, and where compiled code is kept: an empty directory each time when `cold`."""

    command: tuple[str, ...]
    cache: str = "off"
    cold: bool = False


def measure(contender: Contender) -> tuple[float, float, bytes]:
    """Seconds by the clock and of processors, and output, of one run; a command that fails ends this one, too."""
    command = contender.command
    if contender.cold:
        shutil.rmtree(contender.cache, ignore_errors=True)
    environment = {**ENVIRONMENT, "ISOMORPH_CACHE": contender.cache}
    used, before = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment, check=False)
    seconds = time.perf_counter() - before
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed with status {done.returncode}")
    processor = after.ru_utime - used.ru_utime + after.ru_stime - used.ru_stime
    return seconds, processor, done.stdout


def peak_memory(contender: Contender) -> int:
    """Peak resident size of one run, in KiB; its worker's is not in it."""
    reading, writing = os.pipe()
    launcher = [sys.executable, "-S", "-I", "-c", _PEAK, str(writing), *contender.command]
    environment = {**ENVIRONMENT, "ISOMORPH_CACHE": contender.cache}
    subprocess.run(launcher, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment, pass_fds=[writing], check=True)
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
    """The command as it is installed, if it is; `python -m` takes a few milliseconds more."""
    installed = Path(sys.executable).with_name("isomorph")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "isomorph"]


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def processor_table(results: dict[str, dict[str, Times]]) -> Table:
    """Least of the seconds of processors of each, which tell more than the clock where other work is done."""
    made = Table(title="processor time of the process alone: least seconds", title_justify="left")
    made.add_column("workload")
    for heading in (*WHO, *(f"qemu\n÷ {who}" for who in WHO[2:])):
        made.add_column(heading, justify="right")
    ratios: list[list[float]] = []
    for name, times in results.items():
        least = {who: max(min(times[who].processor), 1e-4) for who in WHO}  # the kernel may count none
        ratios.append([least["qemu"] / least[who] for who in WHO[2:]])
        made.add_row(name, *(f"{least[who]:.3f}" for who in WHO), *(f"{ratio:.2f}" for ratio in ratios[-1]))
    means = [f"{geometric_mean(column):.2f}" for column in zip(*ratios, strict=True)]
    made.add_row("geometric mean", *[""] * len(WHO), *means)
    return made


def table(isa: str, results: dict[str, dict[str, Times]]) -> Table:
    """Least, median and most of each, and the medians' ratios."""
    made = Table(title=f"{isa}, whole processes: least / median / most seconds", title_justify="left")
    made.add_column("workload")
    for heading in (*WHO, "cold\n÷ native", "warm\n÷ native", "qemu\n÷ tier 0", "qemu\n÷ cold", "qemu\n÷ warm"):
        made.add_column(heading, justify="right")
    ratios: list[list[float]] = []
    for name, times in results.items():
        middle = {who: times[who].median for who in WHO}
        row = [middle["cold"] / middle["native"], middle["warm"] / middle["native"]]
        row += [middle["qemu"] / middle[who] for who in ("tier 0", "cold", "warm")]
        ratios.append(row)
        cells = [f"{min(times[who].runs):.3f}\n{middle[who]:.3f}\n{max(times[who].runs):.3f}" for who in WHO]
        made.add_row(name, *cells, *(f"{ratio:.2f}" for ratio in row))
        made.add_section()
    means = [f"{geometric_mean(column):.2f}" for column in zip(*ratios, strict=True)]
    made.add_row("geometric mean", *[""] * len(WHO), *means)
    return made


def fill(command: Sequence[str], cache: str) -> None:
    """Have all that becomes hot compiled and kept, by runs that wait for their compiler, until one compiles nothing.

    command: words behind isomorph's `run`
    """
    words = [*isomorph(), "run", "--workers", "0", "--stats", *command]
    for _ in range(FILLING):
        done = subprocess.run(
            words, capture_output=True, cwd=ROOT, env={**ENVIRONMENT, "ISOMORPH_CACHE": cache}, check=False
        )
        if done.returncode:
            sys.exit(f"bench: {' '.join(words)} failed with status {done.returncode}: {done.stderr.decode()}")
        found = _COMPILED.search(done.stderr.decode())
        if found is None or found[1] == "0":
            return


def contenders(name: str, host: Path, guest: Path, qemu: str, scratch: str) -> dict[str, Contender]:
    """Who runs a workload, by name; the warm one's cache is filled."""
    ours = (*isomorph(), "run")
    warm = Contender((*ours, str(guest)), f"{scratch}/warm-{name}")
    fill([str(guest)], warm.cache)
    return {
        "native": Contender((str(host),)),
        "qemu": Contender((qemu, str(guest))),
        "tier 0": Contender((*ours, "--tier1-threshold", "0", str(guest))),
        "cold": Contender((*ours, str(guest)), f"{scratch}/cold-{name}", cold=True),
        "warm": warm,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names of bench/programs (default: all)")
    parser.add_argument("--isa", choices=ISAS, default="riscv64", help="the guest (default %(default)s)")
    parser.add_argument("--cflags", default="", metavar="FLAGS", help="the guest compiler's, too: --cflags=-marm")
    parser.add_argument("-n", "--runs", type=int, default=5, help="counted runs of each (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the raw figures here")
    options = parser.parse_args()
    sources = [p for p in PROGRAMS if not options.workloads or p.stem in options.workloads]
    unknown = set(options.workloads) - {p.stem for p in PROGRAMS}
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in PROGRAMS)}")
    guest = guest_of(options.isa)
    wanted = {guest.compiler: guest.compiler_package, "gcc": "gcc", guest.qemu: "qemu-user"}
    if missing := {name: package for name, package in wanted.items() if shutil.which(name) is None}:
        sys.exit(f"bench: needs {', '.join(missing)} (Debian packages {', '.join(missing.values())})")
    if not (ROOT / "build" / options.isa / "native.blob").exists():
        sys.exit(f"bench: {options.isa} is not generated (make gen ISA={options.isa})")

    folder = ROOT / "build" / "bench" / f"{options.isa}{options.cflags.replace(' ', '')}"
    guests = compile_all(guest.compiler, ["-static", *options.cflags.split()], folder, sources)
    hosts = compile_all("gcc", [], ROOT / "build" / "bench" / "native", sources)
    results: dict[str, dict[str, Times]] = {}
    peaks: dict[str, int] = {}
    console = Console(width=min(COLUMNS, Console().width) if sys.stdout.isatty() else COLUMNS, highlight=False)
    with console.status("") as status, TemporaryDirectory(prefix="isomorph-bench-") as scratch:
        for source in sources:
            name = source.stem
            status.update(f"{name}: filling the cache")
            running = contenders(name, hosts[name], guests[name], guest.qemu, scratch)
            runs: dict[str, list[tuple[float, float]]] = {who: [] for who in WHO}
            outputs = set()
            for count in range(options.runs + 1):  # the first round warms the host's caches and is not counted
                for who, contender in running.items():
                    status.update(f"{name}: {who} {count}/{options.runs}")
                    seconds, processor, output = measure(contender)
                    outputs.add(output)
                    if count:
                        runs[who].append((seconds, processor))
            if len(outputs) != 1:
                sys.exit(f"bench: {name} prints different things natively, under qemu and under isomorph")
            results[name] = {
                who: Times(tuple(wall for wall, _ in runs[who]), tuple(used for _, used in runs[who])) for who in WHO
            }
            peaks[name] = peak_memory(running["warm"])

    console.print(table(options.isa, results))
    console.print(processor_table(results))
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
