"""`isomorph asm`: assemble a program into a static ELF executable, without a cross-compiler."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from isomorph.builds import NotGenerated, find_build
from isomorph.cli.main import complain
from isomorph.cli.numbers import address
from runtime.core.cpu import Isa, load_isa
from runtime.linux.abi import EM_NONE, AbiError, abi_of

DEFAULT_ISA = "riscv64"
_EPILOG = """\
examples:
  isomorph asm examples/hello.s -o hello
  isomorph asm --isa riscv32 start.s prog.s -o prog
  isomorph asm --raw -l --base 0x80000000 boot.s -o boot.bin
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph asm",
        description="Assemble a program into a static ELF executable.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", metavar="FILE.s", nargs="+", help="assembly text; - reads standard input")
    parser.add_argument("-o", dest="output", metavar="FILE", help="the executable; default: the source without .s")
    parser.add_argument("--isa", default=DEFAULT_ISA, metavar="NAME", help=f"instruction set; default: {DEFAULT_ISA}")
    parser.add_argument("--base", type=address, metavar="ADDRESS", help="where .text begins")
    parser.add_argument("--raw", action="store_true", help="write the bytes alone, without ELF headers")
    parser.add_argument(
        "-l",
        dest="listing",
        metavar="FILE",
        nargs="?",
        const="-",
        help="write a listing; to standard output by default",
    )
    parser.add_argument("-I", dest="folders", metavar="DIR", action="append", default=[], help="look here for .include")
    parser.add_argument("--defsym", metavar="NAME=VALUE", action="append", default=[], help="give a symbol a value")
    return parser


def main(words: list[str]) -> int:
    """Assemble; 0, or 1 if the text has errors."""
    options = make_parser().parse_args(words)
    try:
        return _assemble(options)
    except (NotGenerated, AbiError) as error:
        complain(str(error))
    except UnicodeDecodeError:
        complain("standard input: not UTF-8 text")
    except ValueError as error:
        complain(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 1


def _assemble(options: argparse.Namespace) -> int:
    isa = load_isa(find_build(options.isa))
    from runtime.syntax.assemble import Assembler, default_base
    from runtime.syntax.elf_writer import write_executable, write_file
    from runtime.syntax.errors import AssemblyError
    from runtime.syntax.listing import listing, raw_bytes

    texts = []
    for source in options.sources:
        if source == "-":
            texts.append((sys.stdin.read(), "standard input"))
        else:
            texts.append((_text_of(source), source))
    syntax = isa.module("syntax").SYNTAX
    base = default_base(syntax) if options.base is None else options.base
    folders = [Path(folder) for folder in options.folders]
    try:
        given = dict(map(_definition, options.defsym))
        assembler = Assembler(syntax, texts, base, True, folders, given)
        image = assembler.image()
        rows = assembler.listing() if options.listing else []
    except AssemblyError as error:
        print(error, file=sys.stderr)
        return 1
    for section in image.sections:
        if section.loaded and section.address + section.size > 1 << syntax.pc_width:
            end = f"{section.address + section.size:#x}"
            raise ValueError(f"{section.name}: its end, {end}, is no address of {syntax.pc_width} bits; see --base")
    first = options.sources[0]
    if options.listing == "-":
        print(listing(rows), end="")
    elif options.listing:
        Path(options.listing).write_text(listing(rows), encoding="utf-8")
    if options.raw:
        write_file(raw_bytes(image), options.output or (Path(first).stem + ".bin" if first.endswith(".s") else "a.bin"))
        return 0
    output = options.output or (Path(first).stem if first.endswith(".s") else "a.out")
    machine, bits, big_endian = header_of(isa)
    write_executable(image, output, machine, bits, big_endian, isa=isa.name)
    return 0


def _text_of(source: str) -> str:
    try:
        return Path(source).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{source}: not UTF-8 text") from None


def _definition(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        if re.fullmatch(r"[A-Za-z_.$][\w.$]*", name):
            return name, int(value, 0)
    except ValueError:
        pass
    raise ValueError(f"--defsym {text}: it is written NAME=VALUE, with a number")


def header_of(isa: Isa) -> tuple[int, int, bool]:
    """What an ELF header says of programs for an instruction set: machine, word size, byte order."""
    abi = abi_of(isa)
    if abi is not None:
        return abi.elf_machine, abi.bits, abi.big_endian
    memory = isa.layout.memories[0]
    return EM_NONE, 32 if memory.address_width <= 32 else 64, isa.module("syntax").SYNTAX.big
