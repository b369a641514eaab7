"""`isomorph disasm`: show the instructions of a program, or of words in hexadecimal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

from isomorph.builds import NotGenerated, find_build
from isomorph.cli.asm import DEFAULT_ISA
from isomorph.cli.main import complain
from isomorph.programs import isa_of
from runtime.core.cpu import Isa, load_isa
from runtime.linux.elf import PF_X, ElfError, open_executable, read_image
from runtime.linux.symbols import Symbols, code_sections

_EPILOG = """\
examples:
  isomorph disasm ./hello
  isomorph disasm ./hello --symbol main
  isomorph disasm --isa riscv64 -x 00a50533 4501
"""


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph disasm",
        description="Disassemble a program, or instructions given in hexadecimal.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("program", nargs="?", help="an ELF executable")
    parser.add_argument("-x", dest="words", nargs="+", metavar="WORD", help="instructions as hexadecimal numbers")
    parser.add_argument("--isa", metavar="NAME", help=f"default: the program's; {DEFAULT_ISA} with -x")
    parser.add_argument("--symbol", metavar="NAME", help="only this function")
    parser.add_argument("--start", type=lambda text: int(text, 0), default=0, metavar="ADDRESS", help="from here on")
    parser.add_argument("--stop", type=lambda text: int(text, 0), metavar="ADDRESS", help="up to here")
    return parser


def main(words: Sequence[str]) -> int:
    """Print; 0, or 1 if something cannot be read."""
    parser = make_parser()
    options = parser.parse_args(words)
    if (options.program is None) == (options.words is None):
        parser.error("give a program, or -x and words")
    try:
        if options.words:
            _print_words(load_isa(find_build(options.isa or DEFAULT_ISA)), options.words, options.start)
        else:
            _print_program(options)
    except (ElfError, NotGenerated, FileNotFoundError) as error:
        complain(str(error))
        return 1
    except ValueError as error:
        complain(f"disasm: {error}")
        return 2
    return 0


def _print_words(isa: Isa, words: Sequence[str], address: int) -> None:
    unit = 2 * isa.layout.unit_bytes
    data = b""
    for word in words:
        digits = word.removeprefix("0x")
        if not digits or len(digits) % unit:
            raise ValueError(f"{word}: instructions of {isa.name} have a multiple of {unit} hexadecimal digits")
        data += int(digits, 16).to_bytes(
            len(digits) // 2, "big" if isa.module("syntax").SYNTAX.spaces[0].big else "little"
        )
    for line in lines(isa, data, address):
        print(line)


def lines(isa: Isa, data: bytes, address: int) -> Iterator[str]:
    """A line an instruction, as objdump lays them out: address, number, text."""
    from runtime.syntax.disassemble import Disassembler

    syntax = isa.module("syntax").SYNTAX
    for instruction in Disassembler(syntax).all(data, address):
        number = instruction.bytes if syntax.spaces[0].big else instruction.bytes[::-1]
        yield f"{instruction.address:8x}:\t{number.hex():16}\t{instruction}"


def _print_program(options: argparse.Namespace) -> None:
    descriptor = open_executable(options.program)
    try:
        image = read_image(options.program, descriptor)
        size = os.fstat(descriptor).st_size
        whole = os.pread(descriptor, size, 0)
    finally:
        os.close(descriptor)
    isa = isa_of(image, options.isa)
    symbols = Symbols(options.program, image.bits, image.big_endian)
    start, stop = options.start, options.stop
    if options.symbol:
        found = symbols.named(options.symbol)
        if found is None:
            raise ElfError(f"{image.path}: there is no symbol {options.symbol}")
        start, stop = found
    parts = code_sections(whole, image.bits, image.big_endian) or [
        (segment.address, segment.offset, segment.file_bytes) for segment in image.segments if segment.flags & PF_X
    ]
    for address, offset, length in parts:
        data = whole[offset : offset + length]
        first = min(max(start - address, 0), len(data))
        last = len(data) if stop is None else min(max(stop - address, first), len(data))
        _print_part(isa, data[first:last], address + first, symbols)


def _print_part(isa: Isa, data: bytes, address: int, symbols: Symbols) -> None:
    """Instructions with a heading at every symbol."""
    cuts = [place for place in symbols.addresses() if address < place < address + len(data)]
    for start, end in zip([address, *cuts], [*cuts, address + len(data)], strict=True):
        name = symbols.describe(start)
        if start < end:
            print(f"\n{start:016x}{f' <{name}>' if name else ''}:")
        for line in lines(isa, data[start - address : end - address], start):
            print(line)
