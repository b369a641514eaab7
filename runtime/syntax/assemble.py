"""Assembler: text to a linked image.

Every statement becomes an item of its section.  Items are then placed again and again until no symbol moves: an item
that once grew (a pseudo-instruction whose target turned out to be far) never shrinks, so this ends.
"""

from __future__ import annotations

from bisect import bisect_right
from types import ModuleType

from runtime.syntax.encode import Encoder, Rejected
from runtime.syntax.expressions import BadExpression, Expression, Undefined
from runtime.syntax.image import Image, Section, Symbol
from runtime.syntax.items import Align, Assignment, Bytes, Code, Data, Fault, Item, Label, Space
from runtime.syntax.reading import Part, Reader
from runtime.syntax.tables import Syntax

__all__ = ["TEXT_BASE", "Assembler", "assemble_one", "assemble_text"]

#: where programs start unless told otherwise
TEXT_BASE = 0x10000
_PAGE = 4096
_MOST_ROUNDS = 64
_LARGEST = 1 << 30  # bytes of a section: more is a mistake


class _Place:
    """The environment of one item: symbols, numbered labels around it, and its address."""

    def __init__(self, assembler: Assembler, item: Item, address: int) -> None:
        self.assembler = assembler
        self.item = item
        self.address = address

    def symbol(self, name: str) -> int | None:
        if name[0].isdigit():
            number, count = name[:-1], self.item.locals.get(name[:-1], 0)
            name = f"{number}:{count + 1 if name[-1] == 'f' else count}"
        value = self.assembler.symbols.get(name)
        # In the first round labels further down have no address yet: a near one is assumed.
        return self.address if value is None and self.assembler.guessing else value

    def here(self) -> int:
        return self.address


class Assembler:
    """Places what was read, and links it."""

    def __init__(self, syntax: Syntax, text: str, file: str, base: int = TEXT_BASE) -> None:
        self.syntax = syntax
        self.base = base
        self.encoder = Encoder(syntax)
        self.program = Reader(self.encoder, text, file).read()
        self.symbols: dict[str, int] = {}
        self.guessing = True
        self._nop: bytes | None = None

    # ------------------------------------------------------------ placing

    def image(self) -> Image:
        """The linked program; raises AssemblyError with all errors found."""
        self.program.raise_if_any()
        for _ in range(_MOST_ROUNDS):
            before = dict(self.symbols)
            self.program.messages.clear()
            self._place()
            stable, self.guessing = before == self.symbols and not self.guessing, False
            if stable:
                break
        else:
            last = next(reversed(self.program.where.values()))[0]
            self.program.report(last, Fault("addresses never settle: a size depends on what comes after it"))
        self.program.raise_if_any()
        for name, statement in self.program.globals.items():
            if name not in self.program.where:
                self.program.report(statement, Fault(f"symbol '{name}' is not defined"))
        self.program.raise_if_any()
        return self._finish()

    def _place(self) -> None:
        """One round: gives every item its address and bytes, as far as symbols are known."""
        address, group = self.base, -1
        for part in sorted(self.program.parts.values(), key=lambda part: part.order):
            if not part.items:
                continue
            kind = min(part.order, 2)
            address = _up(address, _PAGE if kind != group else part.alignment)
            group, part.address, part.data = kind, address, bytearray()
            for item in part.items:
                try:
                    part.data += self._bytes(part, item, address + len(part.data))
                except Fault as fault:
                    self.program.report(item.statement, fault)
                    if isinstance(item, Code):
                        part.data += bytes(item.size)
            address += len(part.data)

    def _evaluate(self, expression: Expression, place: _Place) -> int:
        try:
            return expression.evaluate(place)
        except Undefined as error:
            raise Fault(str(error), error.start, error.end) from None
        except BadExpression as error:
            raise Fault(str(error), error.start, error.end) from None

    def _bytes(self, part: Part, item: Item, address: int) -> bytes:
        place = _Place(self, item, address)
        match item:
            case Label():
                self.symbols[item.name] = address
            case Assignment():
                # Not a guess, which two symbols that stand for each other would take for a value.
                guessing, self.guessing = self.guessing, False
                try:
                    self.symbols[item.name] = self._evaluate(item.value, place)
                finally:
                    self.guessing = guessing
            case Bytes():
                return item.data
            case Data():
                return b"".join(self._datum(value, item.size, place, start, end) for value, start, end in item.values)
            case Space():
                count, fill = self._evaluate(item.count, place), self._evaluate(item.fill, place)
                if not 0 <= count <= _LARGEST:
                    raise Fault(f"{count} bytes of space")
                return bytes([fill & 0xFF]) * count
            case Align():
                return self._padding(part, item, place, address)
            case Code():
                return self._code(item, place, address)
        return b""

    def _datum(self, value: Expression, size: int, place: _Place, start: int, end: int) -> bytes:
        number = self._evaluate(value, place)
        if not -(1 << (8 * size - 1)) <= number < 1 << 8 * size:
            raise Fault(f"{number} does not fit {size} byte{'s' if size > 1 else ''}", start, end)
        return (number & ((1 << 8 * size) - 1)).to_bytes(size, "big" if self.syntax.big else "little")

    def _padding(self, part: Part, item: Align, place: _Place, address: int) -> bytes:
        boundary = self._evaluate(item.boundary, place)
        if item.power:
            if not 0 <= boundary <= 24:
                raise Fault(f"an alignment of 2**{boundary} bytes")
            boundary = 1 << boundary
        if boundary <= 0 or boundary & (boundary - 1) or boundary > 1 << 24:
            raise Fault(f"{boundary} is no power of two")
        part.alignment = max(part.alignment, boundary)
        missing = -address % boundary
        if item.fill is not None:
            return bytes([self._evaluate(item.fill, place) & 0xFF]) * missing
        nop = self._nop_bytes() if part.executable else b""
        return nop * (missing // len(nop)) if nop and missing % len(nop) == 0 else bytes(missing)

    def _nop_bytes(self) -> bytes:
        """What fills gaps in code: the ISA's `nop`, if it has one."""
        if self._nop is None:
            try:
                self._nop = assemble_one(self.encoder, "nop", self.base)
            except Rejected:
                self._nop = b""
        return self._nop

    def _code(self, item: Code, place: _Place, address: int) -> bytes:
        first: Rejected | None = None
        for index in range(item.chosen, len(item.candidates)):
            try:
                code = self.encoder.encode(item.candidates[index], address, place)
            except Rejected as error:
                first = first or error
                continue
            except Undefined as error:
                raise Fault(str(error), error.start, error.end) from None
            if len(code) >= item.size:
                if not self.guessing:
                    item.chosen, item.size = index, len(code)
                return code
        assert first is not None
        raise Fault(first.message, first.start, first.end, first.notes)

    def _finish(self) -> Image:
        parts = sorted((part for part in self.program.parts.values() if part.data), key=lambda part: part.address)
        sections = tuple(
            Section(
                part.name,
                part.address,
                b"" if part.order == 3 and not any(part.data) else bytes(part.data),
                len(part.data),
                part.writable,
                part.executable,
                part.alignment,
            )
            for part in parts
        )
        sizes = self._sizes()
        symbols = tuple(
            Symbol(name, self.symbols[name], section, name in self.program.globals, sizes.get(name, 0))
            for name, (_, section) in self.program.where.items()
        )
        text = self.program.parts[".text"]
        return Image(sections, symbols, self.symbols.get("_start", text.address or self.base))

    def _sizes(self) -> dict[str, int]:
        """Bytes from each label to the next one of its section: what a backtrace takes for the symbol's extent."""
        places: dict[str, list[int]] = {}
        for name, (_, section) in self.program.where.items():
            if section is not None and not name.startswith(".L"):
                places.setdefault(section, []).append(self.symbols[name])
        sizes: dict[str, int] = {}
        for section, starts in places.items():
            part = self.program.parts[section]
            ends = sorted({*starts, part.address + len(part.data)})
            for name, (_, inside) in self.program.where.items():
                if inside == section:
                    at = bisect_right(ends, self.symbols[name])
                    sizes[name] = ends[at] - self.symbols[name] if at < len(ends) else 0
        return sizes


def _up(address: int, boundary: int) -> int:
    return -(-address // boundary) * boundary


class _Nothing:
    """No symbols."""

    def __init__(self, pc: int) -> None:
        self.pc = pc

    def symbol(self, name: str) -> int | None:
        return None

    def here(self) -> int:
        return self.pc


def assemble_one(encoder: Encoder, text: str, pc: int) -> bytes:
    """One statement without symbols, at an address; raises Rejected."""
    first: Rejected | None = None
    for candidate in encoder.read(text):
        try:
            return encoder.encode(candidate, pc, _Nothing(pc))
        except Rejected as error:
            first = first or error
        except Undefined as error:
            first = first or Rejected(str(error), error.start, error.end)
    assert first is not None
    raise first


def assemble_text(syntax: Syntax | ModuleType, text: str, file: str, base: int = TEXT_BASE) -> Image:
    """Assembles a whole text with the tables of an ISA (build/<isa>/syntax.py or its SYNTAX); raises AssemblyError."""
    tables: Syntax = syntax.SYNTAX if isinstance(syntax, ModuleType) else syntax
    return Assembler(tables, text, file, base).image()
