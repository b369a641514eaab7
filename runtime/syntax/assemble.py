"""Assembler: text to a linked image.

Every statement becomes an item of its section.  Items are then placed again and again until no symbol moves: an item
that once grew (a pseudo-instruction whose target turned out to be far) never shrinks, so this ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from runtime.syntax.directives import MARK
from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.environments import FunctionEnvironment
from runtime.syntax.expressions import BadExpression, Expression, Undefined, address_of
from runtime.syntax.image import Image, Row, Section, Symbol
from runtime.syntax.items import (
    Align,
    Assignment,
    Bytes,
    Code,
    Data,
    Extent,
    Fault,
    Item,
    Label,
    Leb,
    Origin,
    Space,
)
from runtime.syntax.program import Part, key_of
from runtime.syntax.reading import Reader
from runtime.syntax.tables import Syntax

__all__ = ["TEXT_BASE", "Assembler", "assemble_one", "assemble_text", "default_base"]

#: where programs start unless told otherwise; see default_base
TEXT_BASE = 0x10000
_PAGE = 4096
_MOST_ROUNDS = 64
_LARGEST = 1 << 30  # bytes of a section: more is a mistake


def default_base(syntax: Syntax) -> int:
    """Where programs start: TEXT_BASE, or a sixteenth up an address space that is too small for that."""
    return TEXT_BASE if syntax.pc_width > 20 else (1 << syntax.pc_width) >> 4


class _Place:
    """The environment of one item: symbols, numbered labels around it, and its address."""

    def __init__(self, assembler: Assembler, item: Item, address: int) -> None:
        self.assembler = assembler
        self.item = item
        self.address = address

    def key(self, name: str) -> str:
        """What the symbol that is called so here is called inside."""
        assembler, unit = self.assembler, self.item.statement.source.unit
        if name[0].isdigit():
            number = str(int(name[:-1]))
            count = self.item.locals.get(number, 0)
            return key_of(f"{number}:{count + 1 if name[-1] == 'f' else count}", unit)
        key = key_of(name, unit)
        return key if key in assembler.program.where else assembler.program.exported.get(name, key)

    def symbol(self, name: str) -> int | None:
        assembler, key = self.assembler, self.key(name)
        value = assembler.symbols.get(key)
        if value is None and key not in assembler.program.where:
            value = assembler.given.get(name)
            if value is None and key in assembler.program.weak:
                return 0
        # In the first round labels further down have no address yet: a near one is assumed.
        return self.address if value is None and assembler.guessing else value

    def here(self) -> int:
        return self.address

    def call(self, name: str, value: int, addend: int) -> int:
        functions = self.assembler.plain.functions
        found = functions.get(name.lower())
        if found is None:
            raise BadExpression(f"there is no function '{name}'; there are {', '.join(functions) or 'none'}", 0)
        parameter, expression = found
        self.assembler.arguments[self.address] = value
        try:
            arguments = self.assembler.arguments
            return expression.evaluate(FunctionEnvironment(parameter, value, addend, self.address, arguments))
        except BadExpression:
            if self.assembler.guessing:
                return 0
            raise


class Assembler:
    """Reads texts, places what was read, and links it.

    `short` is whether shorter encodings are chosen to begin with; `given` are symbols and their values.
    """

    def __init__(
        self,
        syntax: Syntax,
        texts: Sequence[tuple[str, str]],
        base: int = TEXT_BASE,
        short: bool = False,
        folders: Sequence[Path] = (),
        given: Mapping[str, int] | None = None,
        modes: Mapping[str, int] | None = None,
    ) -> None:
        self.syntax = syntax
        self.base = base
        reader = Reader(syntax, short, folders, modes)
        for unit, (text, file) in enumerate(texts):
            reader.read(text, file, unit)
        self.program = reader.program
        self.plain = reader.encoder_for({})
        self.fixed = dict(given or {})
        self.given = self.fixed
        self.symbols: dict[str, int] = {}
        self.extents: dict[str, int] = {}
        #: what functions had in the instruction at an address
        self.arguments: dict[int, int] = {}
        self.guessing = True

    # ------------------------------------------------------------ placing

    def image(self) -> Image:
        """The linked program; raises AssemblyError with all errors found."""
        self.program.export()
        self.program.raise_if_any()
        for _ in range(_MOST_ROUNDS):
            before = dict(self.symbols), dict(self.arguments)
            self.program.messages.clear()
            self._place()
            stable, self.guessing = before == (self.symbols, self.arguments) and not self.guessing, False
            if stable:
                break
        else:
            last = next(reversed(self.program.where.values())).statement
            self.program.report(last, Fault("addresses never settle: a size depends on what comes after it"))
        self.program.raise_if_any()
        for key, statement in self.program.globals.items():
            name = key.partition("\0")[0]
            if key not in self.program.where and key not in self.program.weak and name not in self.program.exported:
                self.program.report(statement, Fault(f"symbol '{name}' is not defined"))
        self.program.raise_if_any()
        return self._finish()

    def _parts(self) -> list[Part]:
        return sorted(self.program.parts.values(), key=lambda part: part.order)

    def _place(self) -> None:
        """One round: gives every item its address and bytes, as far as symbols are known."""
        address, group = self.base, -1
        self.arguments = {}
        for part in self._parts():
            if not part.items:
                continue
            if not part.loaded:
                address = 0
            else:
                kind = min(part.order, 2)
                if group >= 0:  # the first stands where it is asked to
                    address = _up(address, _PAGE if kind != group else part.alignment)
                group = kind
            part.address, part.data = address, bytearray()
            for item in part.items:
                try:
                    part.data += self._bytes(part, item, address + len(part.data))
                except Fault as fault:
                    self.program.report(item.statement, fault)
                    if isinstance(item, Code):
                        part.data += bytes(item.size)
                if len(part.data) > _LARGEST:
                    self.program.report(item.statement, Fault(f"section {part.name} grows beyond {_LARGEST} bytes"))
                    self.program.raise_if_any()
            address += len(part.data)
        self._marks()

    def _marks(self) -> None:
        """Symbols that linkers define."""
        loaded = [part for part in self._parts() if part.loaded and part.items]
        ends = {0: self.base, 1: self.base, 2: self.base, 3: self.base}
        for part in loaded:
            for order in range(part.order, 4):
                ends[order] = part.address + len(part.data)
        zeros = next((part.address for part in loaded if part.order == 3), ends[2])
        marks = {"_etext": ends[0], "_edata": ends[2], "__bss_start": zeros, "_end": ends[3], "end": ends[3]}
        for kind in ("preinit", "init", "fini"):
            found = self.program.parts.get(f".{kind}_array")
            start = found.address if found else ends[2]
            marks[f"__{kind}_array_start"] = start
            marks[f"__{kind}_array_end"] = start + (len(found.data) if found else 0)
        self.given = {**marks, **self.fixed}

    def _evaluate(self, expression: Expression, place: _Place) -> int:
        try:
            return expression.evaluate(place)
        except Undefined as error:
            raise Fault(str(error), error.start, error.end) from None
        except BadExpression as error:
            raise Fault(str(error), error.start, error.end) from None

    def _bytes(self, part: Part, item: Item, address: int) -> bytes:
        if isinstance(item, Bytes):
            return item.data
        place = _Place(self, item, address)
        match item:
            case Code():
                return self._code(item, place, address)
            case Label():
                self.symbols[item.name] = address
            case Data():
                return b"".join(self._datum(value, item.size, place, start, end) for value, start, end in item.values)
            case Assignment() | Extent():
                # Not a guess, which two symbols that stand for each other would take for a value.
                guessing, self.guessing = self.guessing, False
                table = self.symbols if isinstance(item, Assignment) else self.extents
                try:
                    table[item.name] = self._evaluate(item.value, place)
                finally:
                    self.guessing = guessing
            case Space():
                count, fill = self._evaluate(item.count, place), self._evaluate(item.fill, place)
                if not 0 <= count * item.size <= _LARGEST:
                    raise Fault(f"{count * item.size} bytes of space")
                number = fill & ((1 << 8 * item.size) - 1)
                return number.to_bytes(item.size, "big" if self.syntax.big else "little") * count
            case Origin():
                to, fill = self._evaluate(item.to, place), self._evaluate(item.fill, place)
                to -= part.address if to >= part.address else 0
                if self.guessing and to < len(part.data):
                    return b""
                if not len(part.data) <= to <= _LARGEST:
                    raise Fault(f"cannot go to {to:#x}: the section has {len(part.data)} bytes already")
                return bytes([fill & 0xFF]) * (to - len(part.data))
            case Leb():
                data = _leb(self._evaluate(item.value, place), item.signed, item.size)
                item.size = len(data) if not self.guessing else 1
                return data
            case Align():
                return self._padding(part, item, place, address)
        return b""

    def _odd(self, key: str) -> int:
        """1 for functions whose code is in a mode that an odd address selects."""
        return int(key in self.program.odd and self.program.kinds.get(key) == "function")

    def _datum(self, value: Expression, size: int, place: _Place, start: int, end: int) -> bytes:
        number = self._evaluate(value, place)
        if self.program.odd and 8 * size >= self.syntax.pc_width:
            for name in address_of(value):  # what a linker does with a relocation: of (symbol + number) | 1
                number |= self._odd(place.key(name))
        if not -(1 << (8 * size - 1)) <= number < 1 << 8 * size:
            raise Fault(f"{number} does not fit {size} byte{'s' if size > 1 else ''}", start, end)
        return (number & ((1 << 8 * size) - 1)).to_bytes(size, "big" if self.syntax.big else "little")

    def _padding(self, part: Part, item: Align, place: _Place, address: int) -> bytes:
        boundary = self._evaluate(item.boundary, place)
        if item.power:
            if not 0 <= boundary <= 24:
                raise Fault(f"an alignment of 2**{boundary} bytes")
            boundary = 1 << boundary
        if boundary == 0:
            return b""
        if boundary < 0 or boundary & (boundary - 1) or boundary > 1 << 24:
            raise Fault(f"{boundary} is no power of two")
        part.alignment = max(part.alignment, boundary)
        missing = -address % boundary
        if item.most is not None and missing > self._evaluate(item.most, place):
            return b""
        if item.fill is not None:
            return bytes([self._evaluate(item.fill, place) & 0xFF]) * missing
        return _nops(item, missing) if part.executable else bytes(missing)

    def _code(self, item: Code, place: _Place, address: int) -> bytes:
        first: Rejected | None = None
        unknown: Rejected | None = None
        # From the first one each time: only sizes must not go back, and one of the same size may have become right.
        for candidate in item.candidates:
            for short in (True, False) if item.short else (False,):
                try:
                    code = item.encoder.encode(candidate, address, place, short)
                except Rejected as error:
                    first = first or error
                    break
                except Undefined as error:
                    # Another reading may have no such symbol: in `[rbx+rcx*4+8]` all behind rbx could be a number.
                    unknown = unknown or item.encoder.undefined(error)
                    break
                if len(code) >= item.size:
                    if not self.guessing:
                        item.size = len(code)
                    return code
        first = unknown or first or Rejected("this has no size that stays", 0, 1)
        raise Fault(first.message, first.start, first.end, first.notes)

    # ------------------------------------------------------------ the image

    def _finish(self) -> Image:
        parts = [part for part in self._parts() if part.data]
        parts.sort(key=lambda part: (not part.loaded, part.address))
        sections = tuple(
            Section(
                part.name,
                part.address,
                b"" if part.order == 3 and not any(part.data) else bytes(part.data),
                len(part.data),
                part.writable,
                part.executable,
                part.alignment if part.loaded else 1,
                part.loaded,
            )
            for part in parts
        )
        sizes = {**self._sizes(), **self.extents}
        symbols = tuple(
            Symbol(
                definition.name,
                self.symbols[key] + self._odd(key),
                definition.section,
                key in self.program.globals,
                sizes.get(key, 0),
                self.program.kinds.get(key, "label" if key in self.program.odd else None),
            )
            for key, definition in self.program.where.items()
        )
        text = self.program.parts[".text"]
        start = self.program.exported.get("_start", "_start")
        # Whatever it is called: a program must start in the mode that its first instruction is written for.
        entry = self.symbols.get(start, text.address or self.base) + (start in self.program.odd)
        return Image(sections, symbols, entry, tuple(mark for part in parts for mark in self._marks_of(part)))

    def _marks_of(self, part: Part) -> list[tuple[str, int, str]]:
        """Where instructions end and data begin in a section of both, and instructions of each kind."""
        found: list[tuple[str, int, str]] = []
        if part.executable and part.loaded:
            for row in self._rows(part):
                item = row[0]
                mark = (item.mark if isinstance(item, Code | Align | Bytes) else "") or "$d"
                if row[2] and (not found or found[-1][2] != mark):
                    found.append((part.name, row[1], mark))
        return found if len(found) > 1 or (found and found[0][2] != MARK) else []

    def _rows(self, part: Part) -> Iterator[tuple[Item, int, bytes]]:
        """The items of a section that was placed, with their addresses and bytes."""
        address = part.address
        done, part.data = part.data, bytearray()
        for item in part.items:
            data = self._bytes(part, item, address) if not isinstance(item, Label | Assignment | Extent) else b""
            yield item, address, data
            address += len(data)
            part.data += data
        part.data = done

    def listing(self) -> list[Row]:
        """What every statement became, by section and address."""
        rows = []
        for part in self._parts():
            rows += [Row(item.statement, part.name, address, data) for item, address, data in self._rows(part)]
        return rows

    def _sizes(self) -> dict[str, int]:
        """Bytes from each label to the next one of its section: what a backtrace takes for the symbol's extent."""
        places: dict[str, list[int]] = {}
        for key, definition in self.program.where.items():
            if definition.section is not None and not definition.name.startswith(".L"):
                places.setdefault(definition.section, []).append(self.symbols[key])
        ends = {
            section: sorted({*starts, self.program.parts[section].address + len(self.program.parts[section].data)})
            for section, starts in places.items()
        }
        sizes: dict[str, int] = {}
        for key, definition in self.program.where.items():
            if definition.section in ends:
                after = ends[definition.section]
                at = bisect_right(after, self.symbols[key])
                sizes[key] = after[at] - self.symbols[key] if at < len(after) else 0
        return sizes


def _up(address: int, boundary: int) -> int:
    return -(-address // boundary) * boundary


def _nops(item: Align, missing: int) -> bytes:
    """What fills a gap in code: the ISA's `nop`, if it has one, in its short form where the long one does not fit."""
    filling = b""
    for short in (True, False) if item.short else (False,):
        try:
            nop = item.encoder.fixed("nop", short) or b""
        except Rejected:
            continue
        if nop:
            longest = item.encoder.fixed("nop", False) or nop
            filling += nop * (missing % len(longest) // len(nop) if short else missing // len(nop))
            missing -= len(filling) if short else missing // len(nop) * len(nop)
    return filling if missing == 0 else bytes(len(filling) + missing)


def _leb(number: int, signed: bool, least: int) -> bytes:
    """LEB128 in at least so many bytes."""
    if number < 0 and not signed:
        raise Fault(f"{number} is negative")
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        last = number == (-1 if byte & 0x40 else 0) if signed else number == 0
        if last and len(out) + 1 >= least:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


class _Nothing:
    """No symbols."""

    def __init__(self, pc: int) -> None:
        self.pc = pc

    def symbol(self, name: str) -> int | None:
        return None

    def here(self) -> int:
        return self.pc

    def call(self, name: str, value: int, addend: int) -> int:
        raise BadExpression(f"there is no function '{name}' here", 0)


def assemble_one(encoder: Encoder, text: str, pc: int, short: bool = False) -> bytes:
    """One statement without symbols, at an address; raises Rejected."""
    first: Rejected | None = None
    for candidate in encoder.read(text):
        try:
            return encoder.encode(candidate, pc, _Nothing(pc), short)
        except Rejected as error:
            first = first or error
        except Undefined as error:
            first = first or encoder.undefined(error)
    assert first is not None
    raise first


def assemble_text(
    syntax: Syntax | ModuleType,
    text: str,
    file: str,
    base: int = TEXT_BASE,
    short: bool = False,
    modes: Mapping[str, int] | None = None,
) -> Image:
    """Assembles a whole text with the tables of an ISA (build/<isa>/syntax.py or its SYNTAX); raises AssemblyError.

    `modes`, by their `mode_key`, are those it begins in, if not those at reset.
    """
    tables: Syntax = syntax.SYNTAX if isinstance(syntax, ModuleType) else syntax
    return Assembler(tables, [(text, file)], base, short, modes=modes).image()
