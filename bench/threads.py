"""`python -m bench.threads`: two guest threads that compute, one after the other and at once, and what that gains."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCE = HERE / "threads.c"


def build(compiler: str, flags: Sequence[str]) -> str:
    """The program by one compiler."""
    if shutil.which(compiler) is None:
        sys.exit(f"bench: needs {compiler} (Debian packages gcc and gcc-riscv64-linux-gnu)")
    target = ROOT / "build" / "bench" / f"threads-{compiler}"
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-pthread", *flags, str(SOURCE), "-o", str(target)], check=True)
    return str(target)


def seconds(command: Sequence[str]) -> float:
    """Of one run; exits if it fails."""
    before = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, cwd=ROOT, check=False)
    spent = time.perf_counter() - before
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed with status {done.returncode}")
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.threads", description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=5, help="runs of each, of which the best counts")
    parser.add_argument("--option", action="append", default=[], help="an option for isomorph run, like --workers=0")
    options = parser.parse_args()
    guest = build("riscv64-linux-gnu-gcc", ["-static"])
    extra = [word for option in options.option for word in option.split("=", 1)]
    contenders = {
        "native": [build("gcc", [])],
        "isomorph": [sys.executable, "-m", "isomorph", "run", *extra, guest],
    }
    if shutil.which("qemu-riscv64"):
        contenders["qemu"] = ["qemu-riscv64", guest]
    print(f"{len(os.sched_getaffinity(0))} processors; best of {options.runs}, seconds")
    for name, command in contenders.items():
        best = {"1": float("inf"), "2": float("inf")}
        for _ in range(options.runs):
            for way in best:
                best[way] = min(best[way], seconds([*command, way]))
        gain = best["1"] / best["2"]
        print(f"{name:9} one after the other {best['1']:.3f}, at once {best['2']:.3f}: {gain:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
