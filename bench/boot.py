"""`python -m bench.boot`: Debian's riscv64 kernel from power-on to a busybox init that powers off, by turns under
qemu-system, tier 0 alone, both tiers with nothing on disk, and both with what a row of boots has compiled.

What counts is processor time of the process alone; the clock's is printed, too.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.__main__ import COLUMNS, Contender, isomorph, measure, peak_memory
from tests.machine.debian_guest import INIT, initramfs, kernel

#: what the init prints, by whose absence a boot that went wrong is known
_READY = b"busybox is ready"


def arguments(append: str) -> list[str]:
    """What both emulators are told, in QEMU's spelling."""
    ramdisk = initramfs(init=INIT.replace("exec setsid cttyhack sh", "poweroff -f"), target_name="boot")
    devices = ["-display", "none", "-serial", "stdio", "-monitor", "none"]
    return ["-m", "512M", "-kernel", str(kernel()), "-initrd", str(ramdisk), "-append", append, *devices]


def boot(contender: Contender) -> tuple[float, float]:
    """Seconds of processors and by the clock."""
    clock, processor, output = measure(contender)
    if _READY not in output:
        sys.exit(f"bench: {' '.join(contender.command)} did not come to its init")
    return processor, clock


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--filling", type=int, default=12, help="boots that fill the cache (default %(default)s)")
    parser.add_argument("--append", default="console=ttyS0", help="the kernel's command line (default %(default)s)")
    options = parser.parse_args()
    qemu = shutil.which("qemu-system-riscv64")
    if qemu is None:
        sys.exit("bench: needs qemu-system-riscv64 (Debian package qemu-system-misc)")
    told = arguments(options.append)
    ours = (*isomorph(), "machine", "virt", *told)
    with TemporaryDirectory(prefix="isomorph-bench-") as scratch:
        warm = Contender(ours, f"{scratch}/warm")
        contenders = {
            "qemu": Contender((qemu, "-M", "virt", *told)),
            "tier 0": Contender((*ours, "-accel", "tcg,tier1-threshold=0")),
            "first boot": Contender(ours, f"{scratch}/first", cold=True),
            f"after {options.filling} boots": warm,
        }
        for _ in range(options.filling):
            boot(warm)
        rounds = [{name: boot(contender) for name, contender in contenders.items()} for _ in range(options.runs)]
        peaks = {name: peak_memory(contender) for name, contender in contenders.items()}
    made = Table(title="Debian's kernel to power-off", title_justify="left")
    for heading in ("", "least\nprocessor s", "median", "most", "median by\nthe clock", "peak\nMiB"):
        made.add_column(heading, justify="right" if heading else "left")
    for name in contenders:
        processor = [each[name][0] for each in rounds]
        figures = [min(processor), statistics.median(processor), max(processor)]
        figures.append(statistics.median(each[name][1] for each in rounds))
        made.add_row(name, *(f"{figure:.2f}" for figure in figures), f"{peaks[name] >> 10}")
    Console(width=COLUMNS, highlight=False).print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
