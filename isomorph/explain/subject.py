"""What is to be explained: instructions as text, as bytes or words in hexadecimal, or by their place in a program."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from isomorph.errors import InstructionError, ProgramError
from isomorph.isa import Isa
from runtime.linux.abi import abi_of
from runtime.syntax.decode import Decoder
from runtime.syntax.tables import Encoding, Space, mode_key

__all__ = ["ADDRESS", "Subject", "find_subject"]

#: where instructions stand that come without an address
ADDRESS = 0x1000
_PLACE = re.compile(r"(?P<file>.+):(?P<at>[^:\s]+)\Z")
_AT = re.compile(r"(?P<base>0[xX][0-9a-fA-F]+|[0-9]+|[^+\s]+?)(?:\+(?P<more>0[xX][0-9a-fA-F]+|[0-9]+))?\Z")


@dataclass(frozen=True, slots=True)
class Subject:
    """Instructions and where they stand; `source` says where they come from, `modes` how they are to be read."""

    data: bytes
    pc: int
    source: str
    modes: Mapping[str, int]


def find_subject(isa: Isa, what: str | bytes, pc: int | None, count: int | None, modes: Mapping[str, int]) -> Subject:
    """The instructions `what` means: bytes, assembly text, hexadecimal, or FILE:SYMBOL+OFFSET.

    `count` is how many to take; everything, if it is not given, and one of a program.  `modes` are those that are not
    as at reset; a program's symbols say of its functions which they are in.
    """
    address = ADDRESS if pc is None else pc
    if isinstance(what, bytes):
        return _cut(isa, Subject(what, address, what.hex(" "), modes), count)
    text = what.strip()
    place = _PLACE.match(text)
    if place and os.path.exists(place["file"]):
        return _cut(isa, _from_program(isa, place["file"], place["at"], modes), count or 1)
    if not text:
        raise InstructionError("there is nothing to explain: give instructions, hexadecimal, or FILE:SYMBOL")
    if place and (os.sep in place["file"] or place["file"].endswith((".elf", ".so"))):
        raise ProgramError(f"{place['file']}: there is no such file")
    data = _hexadecimal(isa, text, modes)
    if data is not None:
        return _cut(isa, Subject(data, address, text, modes), count)
    code = isa.assemble(text.replace(";", "\n"), address, modes=modes)
    if not code:
        raise InstructionError(f"'{text}' holds no instruction")
    return _cut(isa, Subject(code, address, text, modes), count)


# ---------------------------------------------------------------- hexadecimal


def _decoder(isa: Isa, modes: Mapping[str, int]) -> Decoder:
    return Decoder(isa.generated.module("syntax").SYNTAX, {mode_key(name): value for name, value in modes.items()})


def _hexadecimal(isa: Isa, text: str, modes: Mapping[str, int]) -> bytes | None:
    """Words as people write them, or bytes in memory's order; None if this is no hexadecimal number."""
    space = _decoder(isa, modes).space
    unit = space.units[0] // 8
    words = text.split()
    digits = [word.lower().removeprefix("0x") for word in words]
    if not all(re.fullmatch(r"[0-9a-f]+", word) for word in digits):
        return None
    marked = any(word.lower().startswith("0x") for word in words)
    if not marked and digits[0] in _mnemonics(isa):
        return None
    if unit > 1 and len(digits) > 1 and all(len(word) == 2 for word in digits):
        return bytes.fromhex("".join(digits))
    for shown, word in zip(words, digits, strict=True):
        if len(word) % (2 * unit):
            if not marked and len(words) == 1 and len(word) % 2:
                return None
            raise InstructionError(
                f"{shown}: instructions of {isa.name} have a multiple of {2 * unit} hexadecimal digits"
            )
    return b"".join(map(space.bytes_of, digits))


def _mnemonics(isa: Isa) -> set[str]:
    """First words of instructions and pseudo-instructions."""
    syntax = isa.generated.module("syntax").SYNTAX
    first = [item.pieces[0] for item in (*syntax.forms, *syntax.aliases) if item.pieces]
    return {piece.split(" ")[0].lower() for piece in first if isinstance(piece, str)}


def _cut(isa: Isa, subject: Subject, count: int | None) -> Subject:
    """The first `count` instructions, every one of which must be one."""
    at, taken = 0, 0
    while at < len(subject.data) and (count is None or taken < count):
        decoded = isa.decode(subject.data[at : at + isa.generated.layout.max_bytes], subject.pc + at, subject.modes)
        if decoded is None:
            raise InstructionError(_undecodable(isa, subject, at))
        at += decoded.size
        taken += 1
    return replace(subject, data=subject.data[:at])


# ---------------------------------------------------------------- what is no instruction


def _undecodable(isa: Isa, subject: Subject, at: int) -> str:
    """What a word is not, and which encoding it comes nearest to."""
    data, pc = subject.data[at:], subject.pc + at
    decoder = _decoder(isa, subject.modes)
    syntax, space = decoder.syntax, decoder.space
    length = min(decoder.length_of_undefined(data), len(data))
    word = f"0x{space.word(data[:length]):0{2 * length}x}"
    fetch = int.from_bytes(data[: space.max_bytes], "little")
    forms = [form for form in syntax.forms if form.space == space.name and form.encoding.length == 8 * length]
    if not forms:
        return f"{word} at {pc:#x} is no instruction of {isa.name}"
    nearest = min(forms, key=lambda form: (_wrong(form.encoding, fetch).bit_count(), -form.encoding.mask.bit_count()))
    wrong = _wrong(nearest.encoding, fetch)
    if not wrong:
        reason = f"it would be {nearest.name} ({_file(nearest.source)}), whose condition on the fields does not hold"
    else:
        bits = _bits(wrong, 8 * length, space)
        reason = f"the nearest encoding, {nearest.name} ({_file(nearest.source)}), differs in {bits}"
    return f"{word} at {pc:#x} is no instruction of {isa.name}: {reason}"


def _file(source: str) -> str:
    path, _, line = source.rpartition(":")
    return f"{os.path.basename(path)}:{line}"


def _wrong(encoding: Encoding, fetch: int) -> int:
    return (fetch ^ encoding.value) & encoding.mask


def _bits(mask: int, length: int, space: Space) -> str:
    """`bits 6:4, 0`, numbered as a word is written."""
    numbers = []
    for bit in range(length):
        if mask >> bit & 1:
            numbers.append(length - 8 - bit // 8 * 8 + bit % 8 if space.big else bit)
    runs: list[list[int]] = []
    for number in sorted(numbers, reverse=True):
        if runs and runs[-1][-1] == number + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1]}" for run in runs)
    return f"bit{'' if len(numbers) == 1 else 's'} {text}"


# ---------------------------------------------------------------- programs


def _from_program(isa: Isa, path: str, place: str, modes: Mapping[str, int]) -> Subject:
    from isomorph.programs import isa_of
    from runtime.linux.elf import PF_X, ElfError, open_executable, read_image
    from runtime.linux.symbols import Symbols

    try:
        descriptor = open_executable(path)
        try:
            image = read_image(path, descriptor)
            whole = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        finally:
            os.close(descriptor)
        native = isa_of(image, None).name
    except (ElfError, OSError) as error:
        raise ProgramError(str(error)) from None
    if native != isa.name:
        raise ProgramError(f"{path} is a program for {native}, not for {isa.name}")
    abi = abi_of(isa.generated)
    mode = abi.address_mode if abi is not None else None
    symbols = Symbols(path, image.bits, image.big_endian)
    address = _address(path, place, symbols)
    for segment in image.segments:
        offset = address - segment.address
        if segment.flags & PF_X and 0 <= offset < segment.file_bytes:
            data = whole[segment.offset + offset : segment.offset + segment.file_bytes]
            name = symbols.describe(address)
            own = {mode: 1} if mode is not None and symbols.is_odd(address) else {}
            return Subject(data, address, f"{path}:{address:#x}{f' <{name}>' if name else ''}", {**own, **modes})
    raise ProgramError(f"{path} has no code at {address:#x}")


def _address(path: str, place: str, symbols: object) -> int:
    from runtime.linux.symbols import Symbols

    assert isinstance(symbols, Symbols)
    match = _AT.match(place)
    if match is None:
        raise ProgramError(f"'{place}' is no place in a program: write SYMBOL, SYMBOL+8 or 0x10400")
    base, more = match["base"], int(match["more"] or "0", 0)
    if base[0].isdigit():
        return int(base, 0) + more
    found = symbols.named(base)
    if found is None:
        names = [symbols.describe(address) for address in symbols.addresses()]
        close = get_close_matches(base, names, 1)
        raise ProgramError(f"{path}: there is no symbol {base}{f' (did you mean {close[0]}?)' if close else ''}")
    return found[0] + more
