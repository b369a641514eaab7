"""`isomorph disasm`: show the instructions of a program, of bytes in a file, or of words in hexadecimal."""

from __future__ import annotations

import argparse
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isomorph.builds import NotGenerated, find_build
from isomorph.cli.asm import DEFAULT_ISA
from isomorph.cli.main import complain
from isomorph.cli.modes import add_modes, modes_of
from isomorph.cli.numbers import address
from isomorph.programs import isa_of
from runtime.core.cpu import Isa, load_isa
from runtime.linux.abi import AbiError, abi_of
from runtime.linux.elf import PF_X, ElfError, open_executable, read_image
from runtime.linux.symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.syntax.disassemble import Disassembler
    from runtime.syntax.printing import Address

_EPILOG = """\
examples:
  isomorph disasm ./hello
  isomorph disasm ./hello --symbol main --no-aliases
  isomorph disasm ./hello -j .plt -j .text
  isomorph disasm --isa riscv64 -x 00a50533 4501
  isomorph disasm --isa riscv64 --raw boot.bin --start 0x80000000
"""


#: the kinds of mapping symbols, by their letter: $d data, $x and $a instructions, $t those of the address mode
_DATA, _CODE, _OTHER_MODE = "d", "x", "t"
_MARKS = {"$d": _DATA, "$x": _CODE, "$a": _CODE, "$t": _OTHER_MODE}


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes at an address, and what in them is data, and what instructions in which mode."""

    address: int
    data: bytes
    marks: tuple[tuple[int, str], ...] = ()  # from this address on: a kind
    kind: str = _CODE  # what stands before the first mark


class _Engines:
    """Disassemblers of one ISA, a kind of mark each.

    address_mode   the mode that an odd address sets (Abi.address_mode), which `$t` marks instructions of
    """

    def __init__(
        self,
        isa: Isa,
        aliases: bool = True,
        modes: Mapping[str, int] | None = None,
        address: Address | None = None,
        address_mode: str | None = None,
    ) -> None:
        from runtime.syntax.disassemble import Disassembler
        from runtime.syntax.printing import plain_address
        from runtime.syntax.tables import mode_key

        syntax = isa.module("syntax").SYNTAX
        values = {mode_key(name): value for name, value in (modes or {}).items()}
        show = address or plain_address
        self.known = {_CODE: Disassembler(syntax, aliases, values, show)}
        if address_mode is not None:
            self.known[_OTHER_MODE] = Disassembler(syntax, aliases, {**values, mode_key(address_mode): 1}, show)

    def of(self, kind: str) -> Disassembler:
        return self.known.get(kind, self.known[_CODE])


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="isomorph disasm",
        description="Disassemble a program, bytes, or instructions given in hexadecimal.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("program", nargs="?", help="an ELF executable")
    parser.add_argument("-x", dest="words", nargs="+", metavar="WORD", help="instructions as hexadecimal numbers")
    parser.add_argument("--raw", metavar="FILE", help="the bytes of this file, which stand at --start; - reads input")
    parser.add_argument("--isa", metavar="NAME", help=f"default: the program's; {DEFAULT_ISA} for words and bytes")
    parser.add_argument("-j", dest="sections", action="append", metavar="SECTION", help="this section; may be repeated")
    parser.add_argument("--symbol", metavar="NAME", help="only this function")
    parser.add_argument("--start", type=address, default=0, metavar="ADDRESS", help="from here on")
    parser.add_argument("--stop", type=address, metavar="ADDRESS", help="up to here")
    parser.add_argument(
        "--no-aliases", action="store_true", help="every instruction by its own name, without pseudo-instructions"
    )
    add_modes(parser)
    return parser


def main(words: Sequence[str]) -> int:
    """Print; 0, or 1 if something cannot be read."""
    parser = make_parser()
    options = parser.parse_args(words)
    if [options.program, options.words, options.raw].count(None) != 2:
        parser.error("give a program, or -x and words, or --raw and a file")
    try:
        if options.program is not None:
            _print_program(options)
        else:
            isa = load_isa(find_build(options.isa or DEFAULT_ISA))
            modes = modes_of(isa, options.modes)
            data = _words(isa, options.words, modes) if options.words else _raw(options.raw)
            if options.stop is not None:
                data = data[: max(options.stop - options.start, 0)]
            for line in lines(isa, data, options.start, not options.no_aliases, modes):
                print(line)
    except (AbiError, ElfError, NotGenerated) as error:
        complain(str(error))
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
        return 1
    except ValueError as error:
        complain(f"disasm: {error}")
        return 2
    return 0


def _raw(name: str) -> bytes:
    if name == "-":
        with os.fdopen(os.dup(0), "rb") as file:
            return file.read()
    return Path(name).read_bytes()


def _words(isa: Isa, words: Sequence[str], modes: Mapping[str, int]) -> bytes:
    space = _Engines(isa, modes=modes).of(_CODE).decoder.space
    unit = space.units[0] // 4
    data = b""
    for word in words:
        digits = word.removeprefix("0x")
        if not digits or len(digits) % unit:
            raise ValueError(f"{word}: instructions of {isa.name} have a multiple of {unit} hexadecimal digits")
        try:
            data += space.bytes_of(digits)
        except ValueError:
            raise ValueError(f"{word}: not a hexadecimal number") from None
    return data


def lines(
    isa: Isa, data: bytes, address: int, aliases: bool = True, modes: Mapping[str, int] | None = None
) -> Iterator[str]:
    """A line an instruction, as objdump lays them out: address, number, text."""
    return _lines(_Engines(isa, aliases, modes), _Part(address, data))


def _lines(engines: _Engines, part: _Part) -> Iterator[str]:
    """The part, instructions and data by its marks."""
    end = part.address + len(part.data)
    cuts = [max(place, part.address) for place, _ in part.marks if place < end]
    kinds = [kind for place, kind in part.marks if place < end]
    for start, stop, kind in zip([part.address, *cuts], [*cuts, end], [part.kind, *kinds], strict=True):
        piece = part.data[start - part.address : stop - part.address]
        engine = engines.of(kind)
        digits = engine.decoder.space.digits
        for instruction in engine.data(piece, start) if kind == _DATA else engine.all(piece, start):
            yield f"{instruction.address:8x}:\t{digits(instruction.bytes):16}\t{instruction}"


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

    def address(value: int) -> str:
        name = symbols.describe(value)
        return f"0x{value:x} <{name}>" if name else f"0x{value:x}"

    start, stop = options.start, options.stop
    if options.symbol:
        found = symbols.named(options.symbol)
        if found is None:
            raise ElfError(f"{image.path}: there is no symbol {options.symbol}")
        start, stop = found
    parts = _sections(options.program, options.sections)
    if not parts:
        executable = [segment for segment in image.segments if segment.flags & PF_X]
        parts = [_Part(s.address, whole[s.offset : s.offset + s.file_bytes]) for s in executable]
    abi = abi_of(isa)
    mode = abi.address_mode if abi is not None else None
    engines = _Engines(isa, not options.no_aliases, modes_of(isa, options.modes), address, mode)
    for part in parts:
        # Without marks, what the program begins in is in the mode that it begins in.
        odd = mode is not None and image.entry & 1 and part.address <= image.entry < part.address + len(part.data)
        kind = _OTHER_MODE if odd and not part.marks and not options.modes else _CODE
        first = min(max(start - part.address, 0), len(part.data))
        last = len(part.data) if stop is None else min(max(stop - part.address, first), len(part.data))
        _print_part(engines, _Part(part.address + first, part.data[first:last], part.marks, kind), symbols)


def _sections(path: str, wanted: Sequence[str] | None) -> list[_Part]:
    """The sections of these names, or all that hold instructions; none if the file has no sections."""
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    found: list[_Part] = []
    names: list[str] = []
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            elf = ELFFile(file)
            sections = list(elf.iter_sections())
            for index, section in enumerate(sections):
                names.append(section.name)
                code = section["sh_type"] == "SHT_PROGBITS" and section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
                if section.name in wanted if wanted else code:
                    if section["sh_type"] != "SHT_NOBITS" and section["sh_offset"] + section["sh_size"] > size:
                        raise ValueError(f"{section.name or index} ends behind the file's end")
                    marks = _marks([s for s in sections if isinstance(s, SymbolTableSection)], index)
                    data = b"" if section["sh_type"] == "SHT_NOBITS" else section.data()
                    found.append(_Part(section["sh_addr"], data, marks))
    except (ELFError, ConstructError, ValueError, AttributeError, UnicodeDecodeError, OverflowError) as error:
        if wanted:
            raise ElfError(f"{path}: its sections cannot be read: {error}") from None
        return []
    for name in wanted or ():
        if name not in names:
            raise ElfError(f"{path}: there is no section {name}; there are {', '.join(filter(None, names)) or 'none'}")
    return found


def _marks(tables: Sequence[object], section: int) -> tuple[tuple[int, str], ...]:
    """Where a section's mapping symbols say that data or instructions begin (RISC-V ELF psABI; Arm's AAELF32 5.5.5)."""
    found: dict[int, str] = {}
    for table in tables:
        for symbol in table.iter_symbols():  # type: ignore[attr-defined]  # elftools has no types
            if symbol["st_shndx"] == section and symbol.name[:2] in _MARKS:
                found[symbol["st_value"]] = _MARKS[symbol.name[:2]]
    return tuple(sorted(found.items()))


def _print_part(engines: _Engines, part: _Part, symbols: Symbols) -> None:
    """Instructions with a heading at every symbol."""
    end = part.address + len(part.data)
    cuts = [place for place in symbols.addresses() if part.address < place < end]
    places = [place for place, _ in part.marks]
    for start, stop in zip([part.address, *cuts], [*cuts, end], strict=True):
        name = symbols.describe(start)
        if start < stop:
            print(f"\n{start:016x}{f' <{name}>' if name else ''}:")
        before = bisect_right(places, start)
        marks = part.marks[max(before - 1, 0) : bisect_right(places, stop)]
        piece = part.data[start - part.address : stop - part.address]
        for line in _lines(engines, _Part(start, piece, marks, part.kind)):
            print(line)
