"""`isomorph explain`: what becomes of an instruction, from its bits to host code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from isomorph.cli.main import complain
from isomorph.cli.modes import add_modes, modes_of
from isomorph.cli.numbers import address
from isomorph.errors import IsomorphError

_EPILOG = """\
examples:
  isomorph explain riscv64 "add a0,a1,a2"
  isomorph explain riscv64 "add a0,a1,a2; bnez a0,.-4"     a block
  isomorph explain riscv64 0x00c58533                      a word, as a number
  isomorph explain riscv64 "33 85 c5 00"                   bytes, as they are in memory
  isomorph explain riscv64 ./program:main+8 --count 3      of a program
  isomorph explain riscv64 "ret" --html ret.html           a page for a browser
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph explain",
        description="Explain instructions: bits, fields, the spec's lines, TCG, LLVM IR and host code of both tiers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("isa", metavar="ISA", help="a generated instruction set")
    parser.add_argument("what", metavar="WHAT", nargs="+", help="instructions, hexadecimal, or PROGRAM:SYMBOL+OFFSET")
    parser.add_argument("--at", type=address, metavar="ADDRESS", help="where they stand")
    parser.add_argument("--count", type=int, metavar="N", help="how many; default: all, one of a program")
    add_modes(parser)
    parser.add_argument("--html", metavar="FILE", help="write a page instead")
    return parser


def main(words: Sequence[str]) -> int:
    """Explain; 0, or 1 if there is nothing that can be."""
    parser = make_parser()
    options = parser.parse_args(words)
    if options.count is not None and options.count < 1:
        parser.error("--count must be at least 1")
    from gen.errors import SpecError
    from isomorph.isa import Isa

    try:
        isa = Isa(options.isa)
        from isomorph.explain import explain
        from isomorph.explain.terminal import show

        modes = modes_of(isa.generated, options.modes)
        explanation = explain(isa, " ".join(options.what), options.at, options.count, modes)
        if options.html:
            Path(options.html).write_text(explanation.html(), encoding="utf-8")
        else:
            show(explanation)
    except (IsomorphError, SpecError) as error:
        complain(str(error))
        return 1
    except ValueError as error:
        complain(f"explain: {error}")
        return 2
    except OSError as error:
        if not options.html:
            raise
        complain(f"{options.html}: {error.strerror}")
        return 1
    return 0
