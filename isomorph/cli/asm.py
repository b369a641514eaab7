"""`isomorph asm`: assemble a program into a static ELF executable, without a cross-compiler."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from isomorph.builds import NotGenerated, find_build
from isomorph.cli.main import complain
from runtime.core.cpu import Isa, load_isa
from runtime.linux.abi import EM_NONE, AbiError, abi_of

DEFAULT_ISA = "riscv64"
_EPILOG = """\
examples:
  isomorph asm examples/hello.s -o hello
  isomorph asm --isa riscv32 prog.s -o prog
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph asm",
        description="Assemble a program into a static ELF executable.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FILE.s", help="assembly text; - reads standard input")
    parser.add_argument("-o", dest="output", metavar="FILE", help="the executable; default: the source without .s")
    parser.add_argument("--isa", default=DEFAULT_ISA, metavar="NAME", help=f"instruction set; default: {DEFAULT_ISA}")
    parser.add_argument("--base", type=lambda text: int(text, 0), metavar="ADDRESS", help="where .text begins")
    return parser


def main(words: list[str]) -> int:
    """Assemble; 0, or 1 if the text has errors."""
    options = make_parser().parse_args(words)
    try:
        return _assemble(options)
    except (NotGenerated, AbiError) as error:
        complain(str(error))
    except UnicodeDecodeError:
        complain(f"{options.source}: not UTF-8 text")
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 1


def _assemble(options: argparse.Namespace) -> int:
    isa = load_isa(find_build(options.isa))
    from runtime.syntax.assemble import assemble_text
    from runtime.syntax.elf_writer import write_executable
    from runtime.syntax.errors import AssemblyError

    if options.source == "-":
        name, text = "standard input", sys.stdin.read()
    else:
        name, text = options.source, Path(options.source).read_text(encoding="utf-8")
    base = {} if options.base is None else {"base": options.base}
    try:
        image = assemble_text(isa.module("syntax"), text, name, **base)
    except AssemblyError as error:
        print(error, file=sys.stderr)
        return 1
    output = options.output or (Path(name).stem if name.endswith(".s") else "a.out")
    machine, bits, big_endian = header_of(isa)
    write_executable(image, output, machine, bits, big_endian, isa=isa.name)
    return 0


def header_of(isa: Isa) -> tuple[int, int, bool]:
    """What an ELF header says of programs for an instruction set: machine, word size, byte order."""
    abi = abi_of(isa)
    if abi is not None:
        return abi.elf_machine, abi.bits, abi.big_endian
    memory = isa.layout.memories[0]
    return EM_NONE, 32 if memory.address_width <= 32 else 64, isa.module("syntax").SYNTAX.big
