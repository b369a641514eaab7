"""`python -m bench.neighbours`: which instructions run after one another in compiled programs, for `fuse` in a spec.

Runs programs under qemu-user with its block trace and counts rows of instructions as they were executed, each
program weighing the same.  The programs are those of tests/programs, on purpose none of the benchmark's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from elftools.elf.elffile import ELFFile

from gen.loading import load_source
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "programs" / "c"
_RAN = re.compile(rb"Trace \d+: \S+ \[\w+/(\w+)/")
_COMPILERS = {isa: f"{isa}-linux-gnu-gcc" for isa in ("riscv64", "mips", "mipsel")}
MOST_BLOCKS = 200_000  # of one program

Row = tuple[str, ...]


class Decoder:
    """The mnemonic and length of the instruction at an address of a program."""

    def __init__(self, translate: ModuleType, builder: Builder, program: Path) -> None:
        self._translate = translate
        self._builder = builder
        self.has_slots = builder.layout.slot is not None
        self._known: dict[int, tuple[str, int] | None] = {}
        with program.open("rb") as file:
            self._segments = [
                (segment["p_vaddr"], segment.data())
                for segment in ELFFile(file).iter_segments()
                if segment["p_type"] == "PT_LOAD"
            ]

    def at(self, pc: int) -> tuple[str, int] | None:
        if pc not in self._known:
            self._known[pc] = self._decode(pc)
        return self._known[pc]

    def _decode(self, pc: int) -> tuple[str, int] | None:
        for start, data in self._segments:
            if start <= pc < start + len(data):
                code = data[pc - start : pc - start + 8]
                decoded = self._translate.decode(int.from_bytes(code, "little"), len(code), self._builder)
                return (decoded.instruction.mnemonic, decoded.length) if decoded else None
        return None


def blocks(qemu: str, program: Path, folder: Path) -> Iterator[int]:
    """The pcs of the blocks a program runs, in order."""
    pipe = folder / "trace"
    os.mkfifo(pipe)
    command = [qemu, "-d", "exec,nochain", "-D", str(pipe), str(program)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    with pipe.open("rb") as trace:
        for number, line in enumerate(trace):
            if number == MOST_BLOCKS:
                break
            if ran := _RAN.match(line):
                yield int(ran.group(1), 16)
    process.kill()
    process.wait()
    pipe.unlink()


def straight(decoder: Decoder, pcs: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Start and end of what runs straight on: blocks joined where a branch was not taken."""
    start = end = -1
    for pc in pcs:
        if pc != end:
            if start >= 0:
                yield start, end
            start = end = pc
        while (found := decoder.at(end)) is not None:  # to the end of the block, which qemu ends at every jump
            end += found[1]
            if found[0].removeprefix("c_")[0] in "bj" or found[0] in ("ecall", "syscall"):
                if decoder.has_slots and (slot := decoder.at(end)) is not None:
                    end += slot[1]
                break
        else:
            start = end = -1


def rows(decoder: Decoder, start: int, end: int) -> Row:
    """The mnemonics from start to end."""
    names = []
    while start < end:
        found = decoder.at(start)
        assert found is not None
        names.append(found[0])
        start += found[1]
    return tuple(names)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description=__doc__)
    parser.add_argument("programs", nargs="*", type=Path, help="static programs (default: tests/programs/c)")
    parser.add_argument("--isa", default="riscv64", choices=sorted(_COMPILERS), help="default %(default)s")
    parser.add_argument("-l", "--length", type=int, default=2, help="instructions in a row (default %(default)s)")
    parser.add_argument("-n", "--most", type=int, default=60, help="rows printed (default %(default)s)")
    options = parser.parse_args()
    translate = load_source(ROOT / "build" / options.isa / "translate.py")
    layout = load_source(ROOT / "build" / options.isa / "state.py").LAYOUT
    builder = Builder(layout, Function("decode"))
    builder.modes = {mode.name: 0 for mode in layout.modes}
    shares: Counter[Row] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs: Sequence[Path] = options.programs or build(options.isa, folder)
        for program in programs:
            decoder = Decoder(translate, builder, program)
            shares += count(decoder, blocks(f"qemu-{options.isa}", program, folder), options.length)
    for row, share in shares.most_common(options.most):
        print(f"{100 * share / len(programs):6.2f} %  {' '.join(row)}")
    return 0


def build(isa: str, folder: Path) -> list[Path]:
    """The test programs, compiled."""
    built = []
    for source in sorted(SOURCES.glob("*.c")):
        target = folder / source.stem
        command = [_COMPILERS[isa], "-O2", "-w", "-static", str(source), "-o", str(target), "-lm"]
        # One of them links a library that is given by its own flags: it is left out.
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            built.append(target)
    return built


def count(decoder: Decoder, pcs: Iterator[int], length: int) -> Counter[Row]:
    """Share of each row of `length` instructions among all that the program runs."""
    runs = Counter(straight(decoder, pcs))
    found: Counter[Row] = Counter()
    for (start, end), times in runs.items():
        names = rows(decoder, start, end)
        for at in range(len(names) - length + 1):
            found[names[at : at + length]] += times
    total = sum(found.values()) or 1
    return Counter({row: times / total for row, times in found.items()})


if __name__ == "__main__":
    sys.exit(main())
