"""`python -m bench.steady [--isa ISA]`: programs whose hot code is compiled, against the same natively; their pauses.

Each workload is repeated within its process (repeat.c), a few times and more often.  The difference is what a turn
takes without start-up, loading of compiled code and tier 0's first steps.  What is compared is processor time of the
process alone, user and system, the least of the runs; contenders take turns.  The cache of compiled code is filled by
runs that wait for their compiler (`--workers 0`), until none finds anything more to compile.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.__main__ import ENVIRONMENT, HERE, ISAS, PROGRAMS, ROOT, fill, geometric_mean, isomorph
from tests.guests import guest_of

#: workloads that have nothing to repeat
_LEFT_OUT = {"startup"}
#: turns in the shorter run, and how many more the longer one has
_FEW, _MORE = 1, 3
_PAUSE = re.compile(r"the longest ([\d.]+) ms, ([\d.]+) ms in all")


@dataclass(frozen=True, slots=True)
class Steady:
    """Seconds of processor time that a turn takes, by contender, and the longest pause of a run, in milliseconds."""

    turns: dict[str, float]
    longest: float
    pauses: float

    @property
    def ratio(self) -> float:
        return self.turns["isomorph"] / self.turns["native"]


def build(compiler: str, flags: Sequence[str], folder: Path, source: Path) -> Path:
    """The workload, repeated as its argument says."""
    target = folder / source.stem
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".o")
    subprocess.run([compiler, "-O2", "-w", "-Dmain=workload", "-c", str(source), "-o", str(part)], check=True)
    command = [compiler, "-O2", *flags, str(HERE / "repeat.c"), str(part), "-o", str(target), "-lm"]
    subprocess.run(command, check=True)
    part.unlink()
    return target


def run(command: Sequence[str], cache: str) -> tuple[float, bytes, str]:
    """Processor time, output and complaints of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**ENVIRONMENT, "ISOMORPH_CACHE": cache}
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)} failed with status {done.returncode}: {done.stderr.decode()}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout, done.stderr.decode()


def measure(programs: Mapping[str, Path], commands: Mapping[str, Sequence[str]], cache: str, runs: int) -> Steady:
    """One workload: what a turn of it takes each contender."""
    least: dict[tuple[str, int], float] = {}
    for _ in range(runs):
        outputs: dict[int, set[bytes]] = {}
        for times in (_FEW, _FEW + _MORE):
            for who, command in commands.items():
                spent, output, _ = run([*command, str(programs[who]), str(times)], cache)
                least[who, times] = min(spent, least.get((who, times), spent))
                outputs.setdefault(times, set()).add(output)
        if any(len(found) != 1 for found in outputs.values()):
            sys.exit(f"bench: {programs['native'].name} prints different things natively and under emulation")
    turns = {who: (least[who, _FEW + _MORE] - least[who, _FEW]) / _MORE for who in commands}
    told = [_PAUSE.search(run([*commands["isomorph"], "--stats", str(programs["isomorph"]), "1"], cache)[2])]
    told += [_PAUSE.search(run([*commands["isomorph"], "--stats", str(programs["isomorph"]), "1"], "off")[2])]
    pauses = [(float(found[1]), float(found[2])) for found in told if found is not None]
    return Steady(turns, max((one for one, _ in pauses), default=0.0), max((both for _, both in pauses), default=0.0))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.steady", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names of bench/programs (default: all)")
    parser.add_argument("--isa", choices=ISAS, default="riscv64", help="the guest (default %(default)s)")
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of each (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the raw figures here")
    options = parser.parse_args()
    known = {path.stem: path for path in PROGRAMS if path.stem not in _LEFT_OUT}
    if unknown := set(options.workloads) - known.keys():
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    made_for = guest_of(options.isa)
    cross, native, qemu = (shutil.which(name) for name in (made_for.compiler, "gcc", made_for.qemu))
    if not (cross and native and qemu):
        sys.exit(f"bench: needs gcc, {made_for.compiler_package} and qemu-user (Debian packages of these names)")
    commands = {"native": (), "qemu": (qemu,), "isomorph": (*isomorph(), "run")}
    results: dict[str, Steady] = {}
    print(f"load {os.getloadavg()[0]:.1f}; seconds of processor time a turn, least of {options.runs}")
    heads = f"{'qemu ÷ native':>15}{'isomorph ÷ native':>19}{'longest pause':>15}"
    print(f"{'workload':12}{'native':>9}{'qemu':>9}{'isomorph':>10}{heads}")
    with TemporaryDirectory(prefix="isomorph-steady-") as scratch:
        for name in options.workloads or known:
            guest = build(cross, ["-static"], ROOT / "build" / "bench" / f"steady-{options.isa}", known[name])
            host = build(native, [], ROOT / "build" / "bench" / "steady-native", known[name])
            cache = f"{scratch}/{name}"
            fill([str(guest), str(_FEW + _MORE)], cache)
            programs = {"native": host, "qemu": guest, "isomorph": guest}
            one = results[name] = measure(programs, commands, cache, options.runs)
            turns = one.turns
            ratios = f"{turns['qemu'] / turns['native']:15.2f}{one.ratio:19.2f}{one.longest:12.1f} ms"
            print(f"{name:12}{turns['native']:9.3f}{turns['qemu']:9.3f}{turns['isomorph']:10.3f}{ratios}", flush=True)
    qemus = [one.turns["qemu"] / one.turns["native"] for one in results.values()]
    ours = [one.ratio for one in results.values()]
    print(f"{'geometric mean':40}{geometric_mean(qemus):15.2f}{geometric_mean(ours):19.2f}")
    if options.json:
        raw = {
            name: {**one.turns, "longest_pause_ms": one.longest, "pauses_ms": one.pauses}
            for name, one in results.items()
        }
        options.json.write_text(json.dumps(raw, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
