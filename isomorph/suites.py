"""What build/<isa>/tests/ says of every encoding, checked: both decoders, printing, assembling, and the `test` lines.

The tables are generated (gen/suites.py); this is the one driver for all of them, behind pytest and `isomorph test`.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isomorph.builds import SPECS
from isomorph.coverage import COVERAGE, WHOLE
from runtime.core.cpu import Isa, load_isa
from runtime.core.layout import Layout
from runtime.syntax.assemble import assemble_one
from runtime.syntax.decode import Decoder
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.tables import Space, Syntax, mode_key
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from runtime.tcg.tb import FETCH_BYTES, RECORD_MAX_BYTES

if TYPE_CHECKING:
    from isomorph.spec_tests import SpecTests

__all__ = ["Encoding", "Suite", "Word"]

#: where every word of the tables stands
ADDRESS = 0x1000
_SHOWN = 20
_DECODER = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * 6)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a table: `name` is the encoding it is, "" for none; fields and text only for the table's own."""

    digits: str
    name: str
    fields: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding: its own words, and neighbours that are something else."""

    name: str
    source: str
    modes: dict[str, int]
    fields: tuple[str, ...]
    words: list[Word]
    neighbours: list[Word]

    def wrong(self, word: Word, what: str) -> str:
        """A line of a report."""
        return f"{self.source}: {self.name}: {word.digits}: {what}"


def read_table(path: Path) -> list[Encoding]:
    """The encodings of one table."""
    found: list[Encoding] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            name, source, modes, names = (line + "  ").split("  ", 3)
            pairs = (pair.split("=") for pair in modes.strip("[]").split(",") if pair)
            changed = {mode: int(value) for mode, value in pairs}
            found.append(Encoding(name, source, changed, tuple(names.split()), [], []))
        elif line.startswith("  ! "):
            for pair in line[4:].split():
                digits, _, name = pair.partition("=")
                found[-1].neighbours.append(Word(digits, "" if name == "-" else name))
        else:
            digits, values, text = line.strip().split("  ", 2)
            numbers = tuple(int(value, 16) for value in values.split()) if values != "-" else ()
            found[-1].words.append(Word(digits, found[-1].name, numbers, text))
    return found


def mnemonic(name: str) -> str:
    """The declared name, which an instruction's encodings and clones share."""
    return name.partition("__")[0]


class _Syntax:
    """Decoding, printing and assembling with the modes that some encodings are for."""

    def __init__(self, syntax: Syntax, changed: Mapping[str, int]) -> None:
        modes = {mode_key(name): value for name, value in changed.items()}
        self.space = Decoder(syntax, modes).space
        self.encoder = Encoder(syntax, modes)
        self.disassembler = Disassembler(syntax, False, modes)


class Suite:
    """The tables of one folder build/<isa>/tests, checked module by module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = sorted(path.stem for path in (folder / "encodings").glob("*.txt"))
        rows = [line.split("  ")[0] for line in _lines_of(folder / "lines.txt")]
        self._syntaxes: dict[tuple[tuple[str, int], ...], _Syntax] = {}
        self.line_files = list(dict.fromkeys(source.rpartition(":")[0] for source in rows))

    @staticmethod
    def report(wrong: Iterator[str]) -> str:
        """All that is wrong, as text; "" if nothing is."""
        lines = list(wrong)
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        return "\n".join([*lines[:_SHOWN], *more])

    # ------------------------------------------------------------ what is tested

    @cached_property
    def isa(self) -> Isa:
        return load_isa(self.folder.parent)

    @property
    def layout(self) -> Layout:
        return self.isa.layout

    @cached_property
    def translate(self) -> Any:
        return self.isa.module("translate")

    def encodings(self, module: str) -> list[Encoding]:
        """One table."""
        return read_table(self.folder / "encodings" / f"{module}.txt")

    def _syntax(self, encoding: Encoding) -> _Syntax:
        key = tuple(encoding.modes.items())
        if key not in self._syntaxes:
            self._syntaxes[key] = _Syntax(self.isa.module("syntax").SYNTAX, encoding.modes)
        return self._syntaxes[key]

    def space(self, encoding: Encoding) -> Space:
        """The space of an encoding."""
        return self._syntax(encoding).space

    def code(self, encoding: Encoding, word: Word) -> bytes:
        """A word in the order of memory."""
        space = self.space(encoding)
        code = bytes.fromhex(word.digits)
        if space.big or space.units[0] == 8:
            return code
        size = len(code) if 8 * len(code) in space.units else space.units[0] // 8
        return b"".join(code[at : at + size][::-1] for at in range(0, len(code), size))

    def _all_words(self, module: str) -> Iterator[tuple[Encoding, Word, bytes]]:
        for encoding in self.encodings(module):
            for word in (*encoding.words, *encoding.neighbours):
                yield encoding, word, self.code(encoding, word)

    # ------------------------------------------------------------ decoders

    def translated(self, module: str) -> Iterator[str]:
        """translate.py's decoder: which encoding a word is, and the values of its fields."""
        for encoding, word, code in self._all_words(module):
            builder = Builder(self.layout, Function("test"))
            builder.modes.update({mode.name: mode.reset for mode in self.layout.modes} | encoding.modes)
            size = self.layout.max_bytes
            decoded = self.translate.decode(int.from_bytes(code.ljust(size, b"\0"), "little"), size, builder)
            name = "" if decoded is None else decoded.name
            if name != word.name:
                yield encoding.wrong(word, f"translate.py says {name or 'nothing'}, the table {word.name or 'nothing'}")
            elif word.text:
                values = tuple(getattr(decoded.fields, field.name) for field in fields(decoded.fields))
                if values != word.fields:
                    yield encoding.wrong(word, f"translate.py has fields {values}, the table {word.fields}")

    def native(self, module: str) -> Iterator[str]:
        """The native decoder: the same op record as the decoder of just that encoding makes."""
        native = _NativeDecoder(self.isa, self.translate)
        for encoding, word, code in self._all_words(module):
            modes = {mode.name: mode.reset for mode in self.layout.modes} | encoding.modes
            flags = sum(modes[mode.name] << mode.shift for mode in self.layout.modes)
            expected = native.record(code, flags, f"dec_{native.names[word.name]}")
            if native.record(code, flags, "decode_insn") != expected:
                yield encoding.wrong(word, f"the native decoder does not make a record of {word.name or 'nothing'}")

    # ------------------------------------------------------------ text

    def printed(self, module: str) -> Iterator[str]:
        """The disassembler: the text in the table, or where it has none to offer what means the word; else data."""
        for encoding, word, code in self._all_words(module):
            shown = self._syntax(encoding).disassembler.one(code.ljust(self.layout.max_bytes, b"\0"), ADDRESS)
            if shown.name and mnemonic(shown.name) != mnemonic(word.name):
                yield encoding.wrong(word, f"printed as {shown}; it is {word.name or 'nothing'}")
                continue
            text = f"{shown.mnemonic} {shown.op_str}".strip()
            if word.text == "?" and shown.name:
                if self._assemble(encoding, text) != code:
                    yield encoding.wrong(word, f"printed as {shown}, which means something else")
            elif word.text and shown.name and text != word.text:
                yield encoding.wrong(word, f"printed as {shown}, not as {word.text}")
            elif word.text and not shown.name and word.text != "?" and self._assemble(encoding, word.text) == code:
                yield encoding.wrong(word, f"printed as data; it is {word.text}")

    def assembled(self, module: str) -> Iterator[str]:
        """The assembler: the table's text gives the word; or else the text means another word, and is not printed."""
        for encoding in self.encodings(module):
            disassembler = self._syntax(encoding).disassembler
            for word in encoding.words:
                code = self.code(encoding, word)
                if word.text == "?" or self._assemble(encoding, word.text) == code:
                    continue
                if disassembler.one(code, ADDRESS).name:
                    yield encoding.wrong(word, f"'{word.text}' assembles to something else")

    def _assemble(self, encoding: Encoding, text: str) -> bytes | None:
        try:
            return assemble_one(self._syntax(encoding).encoder, text, ADDRESS)
        except Rejected:
            return None

    # ------------------------------------------------------------ the spec's own lines

    @cached_property
    def spec_tests(self) -> SpecTests:
        """The spec, read again: what a line means is in no generated file."""
        from gen.elaborate import check
        from isomorph.spec_tests import SpecTests

        sources = json.loads((self.folder.parent / "STAMP").read_text(encoding="utf-8"))["sources"]
        path = next(Path(source) for source in sources if Path(source).stem == self.layout.isa)
        return SpecTests(check(path, (path.parent, Path(SPECS))), self.isa)

    def lines(self, file: str, way: str) -> Iterator[str]:
        """The `test` lines of one file, their instructions "translated" or "native"."""
        tests = self.spec_tests
        WHOLE.add(self.layout.isa)
        for found in tests.failures(tests.translated if way == "translated" else tests.native, file):
            yield f"{found.pos.file}:{found.pos.line}: {found.message}"


def check_all(folder: Path) -> Iterator[str]:
    """Everything but the `test` lines."""
    suite = Suite(folder)
    for module in suite.modules:
        for check in (suite.translated, suite.native, suite.printed, suite.assembled):
            yield from check(module)


def words_of(folder: Path) -> int:
    """How many words the tables of a folder hold."""
    tables = [read_table(path) for path in (folder / "encodings").glob("*.txt")]
    return sum(len(encoding.words) + len(encoding.neighbours) for table in tables for encoding in table)


def never_run(isa: Isa) -> list[str]:
    """Instructions that nothing ran so far, with their lines in the spec, in order."""
    entries: Sequence[Any] = list(isa.module("translate").INSTRUCTIONS.values())
    ran = COVERAGE.get(isa.layout.isa, set())
    return list(dict.fromkeys(f"{entry.mnemonic}  {entry.source}" for entry in entries if entry.mnemonic not in ran))


def _lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


class _NativeDecoder:
    """Calls functions of native.blob that write op records."""

    def __init__(self, isa: Isa, translate: Any) -> None:
        from runtime.tcg.blobs import map_blob

        self._blob = map_blob(isa.blob_path)
        self._addresses = self._blob.symbols
        self._code = ctypes.create_string_buffer(FETCH_BYTES)
        self._record = ctypes.create_string_buffer(2 * RECORD_MAX_BYTES)  # a guard before it, too
        symbols = {name.removeprefix("dec_") for name in self._addresses if name.startswith("dec_")}
        self.names = {"": "illegal"}
        for name in translate.INSTRUCTIONS:  # a keyword has an underscore behind it in generated names
            plain = "".join(sign if sign.isalnum() else "_" for sign in name)
            self.names[name] = plain if plain in symbols else plain + "_"
        self._functions: dict[str, Any] = {}

    def record(self, code: bytes, flags: int, function: str) -> tuple[int, bytes]:
        """What a decoder returns for the instruction at ADDRESS, and the record it writes."""
        if function not in self._functions:
            self._functions[function] = _DECODER(self._blob.base + self._addresses[function])
        ctypes.memset(self._record, 0, len(self._record))
        ctypes.memmove(self._code, code.ljust(FETCH_BYTES, b"\0"), FETCH_BYTES)
        places = ctypes.addressof(self._code), ADDRESS, flags, ctypes.addressof(self._record), 0, 0
        described: int = self._functions[function](*places)
        return described, self._record.raw
