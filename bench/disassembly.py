"""`python -m bench.disassembly PROGRAM`: instructions a second of `Isa.disassemble` and of Capstone over its code."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable

from elftools.elf.elffile import ELFFile

from isomorph import Isa


def rate(work: Callable[[], Iterable[object]]) -> tuple[int, float]:
    """How many objects one pass gives, and how many a second."""
    before = time.perf_counter()
    count = sum(1 for _ in work())
    return count, count / (time.perf_counter() - before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.disassembly", description=__doc__)
    parser.add_argument("program", help="an ELF program for riscv64")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many rounds counts; default: 3")
    options = parser.parse_args()
    with open(options.program, "rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        data, address = section.data(), section["sh_addr"]
    contenders: dict[str, Callable[[], Iterable[object]]] = {}
    warm = Isa("riscv64")
    contenders["isomorph, first pass"] = lambda: Isa("riscv64").disassemble(data, address)
    contenders["isomorph, later passes"] = lambda: warm.disassemble(data, address)
    try:
        import capstone

        engine = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC)
        engine.skipdata = True
        contenders["capstone"] = lambda: engine.disasm(data, address)
        contenders["capstone, tuples"] = lambda: engine.disasm_lite(data, address)
    except ImportError:
        print("no capstone (pip install capstone)")
    for name, work in contenders.items():
        found = [rate(work) for _ in range(options.rounds)]
        print(f"{name:24} {found[0][0]:9} instructions {max(speed for _, speed in found):12,.0f} a second")


if __name__ == "__main__":
    main()
