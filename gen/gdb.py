"""What gdb calls an ISA's registers: the tables NAME.gdb.toml beside its specs, checked and printed as gdb.py.

The tables of an isa and of all it extends hold together, the bases' first; a feature that is named again goes on, and a
register that is named again in it replaces the earlier one.  An isa without any has one feature of its own with all its
registers.  What registers are made of is gen/gdb_parts.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

from gen import model
from gen.gdb_parts import PartError, known_names, part_of, pc_part, whole_part
from gen.side_tables import SideTable, tables_of
from gen.source import Keyword, call, literal, quoted, statement, tuple_of
from gen.stamp import GDB_SUFFIX
from gen.templates import render
from runtime.core.layout import Layout, RegisterLayout
from runtime.core.register_part import Part

_KEYS = ("architecture", "feature", "union", "vector", "flags")
_FEATURE = ("name", "registers", "bits", "type", "types", "group")
_REGISTER = ("name", "count", "parts", "bits", "type", "group")
#: the GDB manual's "Predefined Target Types"
_TYPE_NAMES = (
    "bool int int8 int16 int32 int64 int128 uint8 uint16 uint32 uint64 uint128 code_ptr data_ptr ieee_half ieee_single "
    "ieee_double i387_ext bfloat16 float long"
)
_PREDEFINED = frozenset(_TYPE_NAMES.split())
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
#: in the name and the parts of a register with a count: which one it is
_NUMBER = "{}"
#: registers with a count, at most
_MOST = 1024


@dataclass(slots=True)
class _Register:
    name: str
    bits: int
    parts: list[Part]  # the lowest first
    type: str
    group: str = ""

    @property
    def width(self) -> int:
        """Bits of its parts."""
        return sum(part.width for part in self.parts)


@dataclass(slots=True)
class _Feature:
    name: str
    registers: list[_Register] = field(default_factory=list)


def module_source(spec: model.Spec, layout: Layout) -> str:
    """The text of build/<isa>/gdb.py; SpecError if a table is wrong."""
    description = _Description(layout)
    for path in tables_of(spec, GDB_SUFFIX):
        _Table(path, description).read()
    if not description.features:
        description.default(spec.name)
    big = spec.memories[0].big if spec.memories else None
    rows = [
        call(
            "WireRegister",
            quoted(register.name),
            str(register.bits),
            tuple_of(literal(part) for part in register.parts),
        )
        for feature in description.features.values()
        for register in feature.registers
    ]
    made = call(
        "Description",
        quoted(spec.name),
        Keyword("big_endian=", str(isinstance(big, model.Const) and bool(big.value))),
        Keyword("xml=", "TARGET_XML"),
        Keyword("registers=", tuple_of(rows)),
    )
    return render("gdb.py.j2", isa=spec.name, xml=description.xml(), lines=statement("DESCRIPTION = ", made))


class _Description:
    """What the tables say together."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.architecture = ""
        self.features: dict[str, _Feature] = {}
        self.types: dict[str, str] = {}  # name -> its element, with %d for a size in bytes if it wants one

    def default(self, isa: str) -> None:
        """One feature with everything."""
        feature = _Feature(f"isomorph.{isa}")
        for register in self.layout.registers:
            feature.registers += self.entries(register)
        pc = _Register("pc", self.bits(self.layout.pc_width), [pc_part(self.layout)], "code_ptr")
        feature.registers.append(pc)
        for mode in self.layout.modes:
            if not mode.prefix:
                bits = self.bits(mode.width)
                part = Part(mode.name, 0, mode.width)
                feature.registers.append(_Register(mode.name, bits, [part], f"uint{bits}"))
        self.features[feature.name] = feature

    def entries(self, register: RegisterLayout) -> Iterator[_Register]:
        """A register, or all entries of a file."""
        bits = self.bits(register.width)
        kind = f"int{bits}" if bits in (8, 16, 32, 64, 128) else "int"
        if register.fields:
            kind = f"{register.name}_fields"
            self.types[kind] = _flags(kind, bits, {f.name: (f.low, f.low + f.width - 1) for f in register.fields})
        for index in range(register.count):
            name = register.names[index][0] if register.names else f"{register.name}{index}"
            name = name if register.is_file else register.name
            yield _Register(name, bits, [Part(register.name, index, register.width)], kind)

    @staticmethod
    def bits(width: int) -> int:
        """Bits on the wire: as C would store it."""
        return next((bits for bits in (8, 16, 32, 64, 128) if width <= bits), -(-width // 8) * 8)

    def xml(self) -> str:
        """target.xml."""
        lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
        if self.architecture:
            lines.append(f"  <architecture>{self.architecture.format(pc=self.layout.pc_width)}</architecture>")
        number = 0
        for feature in self.features.values():
            lines.append(f"  <feature name={quoteattr(feature.name)}>")
            used = list(dict.fromkeys(r.type for r in feature.registers if r.type in self.types))
            lines += [self.types[name] for name in self._with_members(used)]
            for register in feature.registers:
                group = f" group={quoteattr(register.group)}" if register.group else ""
                lines.append(
                    f'    <reg name={quoteattr(register.name)} bitsize="{register.bits}" '
                    f'type={quoteattr(register.type)}{group} regnum="{number}"/>'
                )
                number += 1
            lines.append("  </feature>")
        return "\n".join([*lines, "</target>", ""])

    def _with_members(self, names: list[str]) -> list[str]:
        """Types with those they are made of, which come first."""
        found: list[str] = []

        def add(name: str) -> None:
            if name in found:
                return
            for member in re.findall(r'type="([^"]*)"', self.types[name]):
                if member in self.types and member != name:
                    add(member)
            found.append(name)

        for name in names:
            add(name)
        return found


def _flags(name: str, bits: int, fields: Mapping[str, tuple[int, int]]) -> str:
    rows = [f'    <flags id={quoteattr(name)} size="{bits // 8}">']
    for part, (low, high) in fields.items():
        kind = "bool" if low == high else f"uint{bits}"
        rows.append(f'      <field name={quoteattr(part)} start="{low}" end="{high}" type="{kind}"/>')
    return "\n".join([*rows, "    </flags>"])


class _Table(SideTable):
    """One table, to be added to the description."""

    def __init__(self, path: Path, description: _Description) -> None:
        super().__init__(path)
        self.description = description

    def read(self) -> None:
        """Add what the table says to the description; SpecError."""
        table = self.parse()
        self.known("a table", table, _KEYS)
        if "architecture" in table:
            architecture = table["architecture"]
            if isinstance(architecture, str) and re.fullmatch(r"([\w:.+-]|\{pc\})+", architecture):
                self.description.architecture = architecture
            else:
                self.error("architecture", 'an architecture is what gdb\'s "set architecture" takes: "machine:variant"')
        self._types(table)
        features = table.get("feature", [])
        if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
            self.error("feature", "write [[feature]] on a line, and what it holds on the lines below")
        else:
            for feature in features:
                self._feature(feature)
        self.diagnostics.raise_if_any()

    # ------------------------------------------------------------ types

    def _types(self, table: Mapping[str, object]) -> None:
        for name, vector in self._tables(table, "vector"):
            count, kind = vector.get("count"), vector.get("type")
            self._check_type(name, kind)
            if type(count) is not int or count < 1 or vector.keys() != {"count", "type"}:
                self.error(name, f"vector '{name}' needs a type and a count", 'type = "ieee_single", count = 4')
            self.description.types[name] = f'    <vector id={quoteattr(name)} type="{kind}" count="{count}"/>'
        for name, flags in self._tables(table, "flags"):
            bits = flags.pop("bits", 32)
            good = type(bits) is int and all(type(at) is int and 0 <= at < bits for at in flags.values())
            if not good or bits not in (8, 16, 32, 64):
                self.error(name, f"flags '{name}' need bits = 8, 16, 32 or 64, and a bit number for each flag")
            else:
                places = {flag: (at, at) for flag, at in flags.items() if isinstance(at, int)}
                self.description.types[name] = _flags(name, bits if isinstance(bits, int) else 32, places)
        for name, members in self._tables(table, "union"):
            rows = [f"    <union id={quoteattr(name)}>"]
            for part, kind in members.items():
                self._check_type(name, kind)
                rows.append(f'      <field name={quoteattr(part)} type="{kind}"/>')
            self.description.types[name] = "\n".join([*rows, "    </union>"])

    def _tables(self, table: Mapping[str, object], key: str) -> list[tuple[str, dict[str, object]]]:
        found = table.get(key, {})
        if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
            self.error(key, f"'{key}' is a table of tables", f"write [{key}.NAME] on a line")
            return []
        return [(name, dict(item)) for name, item in found.items()]

    def _check_type(self, word: str, kind: object) -> str:
        """A type's name, if there is such a type."""
        if isinstance(kind, str) and (kind in _PREDEFINED or kind in self.description.types):
            return kind
        known = ", ".join((*sorted(self.description.types), *sorted(_PREDEFINED)))
        shown = kind if isinstance(kind, str) else word
        self.error(shown, f"there is no type {kind!r}", f"types: {known}")
        return "int"

    # ------------------------------------------------------------ registers

    def _feature(self, table: Mapping[str, object]) -> None:
        self.known("a feature", table, _FEATURE)
        name, items = table.get("name"), table.get("registers")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.error("feature", "a feature needs a name", 'name = "org.gnu.gdb.machine.core"')
            return
        if not isinstance(items, list) or not items:
            self.error(name, f"feature '{name}' has no registers", 'registers = ["X", "FFLAGS"]')
            return
        feature = self.description.features.get(name, _Feature(name))
        names = {register.name: register for register in feature.registers}
        for item in items:
            for register in self._registers(item):
                self._shape(register, table, isinstance(item, dict) and "type" in item)
                names[register.name] = register
        feature.registers = list(names.values())
        types = table.get("types", {})
        for key, kind in types.items() if isinstance(types, dict) else ():
            if key in names:
                names[key].type = self._check_type(key, kind)
            else:
                self.error(key, f"feature '{name}' has no register '{key}' to give a type to")
        self.description.features[name] = feature

    def _shape(self, register: _Register, table: Mapping[str, object], typed: bool) -> None:
        """Width, type and group that hold for the whole feature."""
        bits, kind, group = table.get("bits"), table.get("type"), table.get("group")
        if bits is not None:
            register.bits = self._width(register.name, bits, register.width)
        if isinstance(kind, dict):
            kind = kind.get(str(register.bits))
        if kind is not None and not typed:
            register.type = self._check_type("type", kind)
        if isinstance(group, str) and not register.group:
            register.group = group

    def _registers(self, item: object) -> Iterator[_Register]:
        layout = self.description.layout
        if isinstance(item, str):
            file = layout.by_name.get(item)
            part = whole_part(layout, item)
            if file is not None:
                yield from self.description.entries(file)
            elif part is not None:
                yield self._made(item, [part], {})
            else:
                self.error(item, f"the spec has no register {item!r}", f"registers: {', '.join(known_names(layout))}")
            return
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            self.error("registers", "a register is a name of the spec, or a table", '{ name = "pc", parts = ["PC"] }')
            return
        self.known("a register", item, _REGISTER)
        name, count = item["name"], item.get("count")
        if count is None:
            yield from self._one(name, item, None)
        elif type(count) is not int or not 0 < count <= _MOST or _NUMBER not in name:
            self.error(name, f"registers with a count have a number in their name: '{name}'", 'name = "f{}"')
        else:
            for number in range(count):
                yield from self._one(name.replace(_NUMBER, str(number)), item, number)

    def _one(self, name: str, item: Mapping[str, object], number: int | None) -> Iterator[_Register]:
        """A register of the table, or that of such a number."""
        items = item.get("parts")
        if not isinstance(items, list) or not items:
            self.error(name, f"register '{name}' has no parts", 'parts = ["HIGH", "LOW"]')
            return
        try:
            parts = [part_of(self.description.layout, _numbered(part, number)) for part in reversed(items)]
        except PartError as error:
            self.error(error.word, error.message, error.help)
        else:
            yield self._made(name, parts, item)

    def _made(self, name: str, parts: list[Part], item: Mapping[str, object]) -> _Register:
        width = sum(part.width for part in parts)
        bits = self._width(name, item.get("bits", _Description.bits(width)), width)
        kind = item.get("type")
        group = item.get("group", "")
        return _Register(
            name,
            bits,
            parts,
            (f"uint{bits}" if bits <= 128 and bits & (bits - 1) == 0 else "int")
            if kind is None
            else self._check_type(name, kind),
            group if isinstance(group, str) else "",
        )

    def _width(self, name: str, bits: object, least: int) -> int:
        if type(bits) is int and bits % 8 == 0 and bits >= least:
            return bits
        self.error(name, f"register '{name}' has {least} bits: bits = {bits!r} is not a number of bytes that holds it")
        return -(-least // 8) * 8


def _numbered(part: object, number: int | None) -> object:
    """A part of the register of such a number."""
    if isinstance(part, list):
        return [_numbered(item, number) for item in part]
    return part.replace(_NUMBER, str(number)) if isinstance(part, str) and number is not None else part
