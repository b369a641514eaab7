"""`Explanation`: what becomes of some instructions; prints as text, shows itself in a notebook, makes a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gen import checked, model, names, stamp
from gen.elaborate import check_module
from gen.names import Module
from gen.pages.diagram import Cell, cells
from gen.pages.entries import Entry, entries
from gen.pages.excerpts import Sources
from gen.pages.highlight import Token, highlight
from gen.source import identifier
from isomorph.builds import SPECS, NotGenerated
from isomorph.explain.pipeline import HandlerStages, Stages, decode, handler_stages, translation_stages
from isomorph.explain.subject import find_subject
from isomorph.isa import Isa
from runtime.core.cpu import Isa as Generated
from runtime.syntax.disassemble import Disassembler
from runtime.syntax.tables import mode_key
from runtime.tcg.instructions import Decoded

__all__ = ["Explanation", "InstructionReport", "Stage", "explain"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A text on the way to host code."""

    title: str
    note: str
    language: str  # of highlight
    text: str

    @property
    def tokens(self) -> list[Token]:
        return highlight(self.text.rstrip("\n"), self.language)


@dataclass(frozen=True, slots=True)
class InstructionReport:
    """One instruction of those explained."""

    address: int
    bytes: bytes
    word: str
    text: str  # as it is disassembled
    plain: str  # the same without pseudo-instructions
    name: str
    entry: Entry
    rows: list[list[Cell]]
    fields: Mapping[str, int]
    values: Mapping[str, str]
    handler: HandlerStages

    @property
    def picture(self) -> str:
        """Its bits as inline SVG."""
        from gen.pages.diagram import svg

        return svg(self.rows, f"Bits of {self.text}", f"at-{self.address:x}", shown=True)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Of its handler."""
        native = self.handler.stages
        return (
            Stage(
                "TCG, fields not known yet", "as emitted; ld_slot reads an operand by its number", "tcg", native.emitted
            ),
            Stage("TCG, optimised", "ld_slot reads the op record at an offset", "tcg", native.optimised),
            Stage("LLVM IR", "before LLVM's own passes", "llvm", native.llvm),
            Stage("Host assembly, tier 0", f"handler {self.handler.name}", "assembly", native.assembly),
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """Some instructions, explained: `str()` is the page as plain text, `html()` as a page of its own."""

    isa: str
    source: str
    instructions: tuple[InstructionReport, ...]
    translation: Stages

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Of all instructions together, translated with their fields known."""
        native = self.translation
        return (
            Stage("TCG, fields known", "as emitted by the translator", "tcg", native.emitted),
            Stage("TCG of the region", "optimised, with its entry and its test of the budget", "tcg", native.optimised),
            Stage("LLVM IR", "before LLVM's own passes", "llvm", native.llvm),
            Stage(
                "Host assembly, tier 1", "compiled as a region: entered at its first block", "assembly", native.assembly
            ),
        )

    def html(self) -> str:
        """A page that needs nothing else."""
        from isomorph.explain.page import page

        return page(self)

    def _repr_html_(self) -> str:
        from isomorph.explain.page import fragment

        return fragment(self)

    def __str__(self) -> str:
        from isomorph.explain.terminal import plain_text

        return plain_text(self)


def explain(
    isa: Isa,
    what: str | bytes,
    pc: int | None = None,
    count: int | None = None,
    modes: Mapping[str, int] | None = None,
) -> Explanation:
    """Explain instructions: assembly text, hexadecimal, bytes, or `FILE:SYMBOL+OFFSET` of a program.

    `modes` are those that differ from what they are at reset.
    """
    subject = find_subject(isa, what, pc, count, modes or {})
    book = _book(_spec_of(isa.generated), Path(isa.generated.path))
    layout = isa.generated.layout
    flags = layout.flags(subject.modes)
    values = {mode_key(name): value for name, value in subject.modes.items()}
    syntax = isa.generated.module("syntax").SYNTAX
    printers = Disassembler(syntax, True, values), Disassembler(syntax, False, values)
    reports: list[InstructionReport] = []
    at = 0
    while at < len(subject.data):
        rest = subject.data[at : at + layout.max_bytes]
        report = _report(isa, book, printers, rest, subject.pc + at, flags)
        reports.append(report)
        at += len(report.bytes)
    translation = translation_stages(isa.generated, subject.data, subject.pc, flags)
    return Explanation(isa.name, subject.source, tuple(reports), translation)


class _Book:
    """A spec, checked, and what its reference page says of the instructions asked for."""

    def __init__(self, module: Module, spec: model.Spec) -> None:
        self.module = module
        self.spec = spec
        self.by_name = {insn.name: insn for insn in spec.instructions}
        self._sources = Sources(module)
        self._entries: dict[_Key, Entry] = {}

    def entry(self, insn: model.Instruction) -> Entry:
        """What the page says of an instruction; made when it is first asked for, for a page has many."""
        if _key(insn) not in self._entries:
            made = entries(self.spec, self._sources, {insn.mnemonic})
            self._entries |= {_key(entry.instruction): entry for entry in made}
        return self._entries[_key(insn)]


#: what clones of one encoding have in common
_Key = tuple[str, str, int, int, int]


def _key(insn: model.Instruction) -> _Key:
    return insn.mnemonic, insn.space, insn.pattern.length, insn.pattern.mask, insn.pattern.value


@cache
def _book(path: Path, folder: Path) -> _Book:
    """The spec as it was checked when it was generated, if that is what it still is; else it is checked now."""
    kept = checked.read(folder / checked.CHECKED) if stamp.up_to_date(folder, path, {}) else None
    # Names of files may be from the folder that `gen` ran in.
    if kept is not None and {os.path.realpath(file) for file in kept[0].files} <= set(stamp.sources_of(folder)):
        return _Book(*kept)
    module = names.load(path, (path.parent, Path(SPECS)))
    return _Book(module, check_module(module))


def _spec_of(isa: Generated) -> Path:
    """The spec a folder was generated from."""
    sources = [Path(source) for source in stamp.sources_of(Path(isa.path)) if Path(source).stem == isa.name]
    found = next((path for path in [*sources, Path(SPECS, f"{isa.name}.isa")] if path.is_file()), None)
    if found is None:
        raise NotGenerated(f"the spec of {isa.name} is gone; explaining needs it beside what was generated from it")
    return found


def _report(
    isa: Isa, book: _Book, printers: tuple[Disassembler, Disassembler], data: bytes, pc: int, flags: int
) -> InstructionReport:
    decoded, modes = decode(isa.generated, data, flags)
    data = data[: decoded.length]
    insn = book.by_name.get(decoded.name)
    if insn is None:
        raise NotGenerated(f"what is generated of {isa.name} is older than its spec: run `make gen ISA={isa.name}`")
    entry = book.entry(insn)
    fetch = int.from_bytes(data, "little") >> 8 * _prefix_bytes(decoded, data, insn.pattern)
    own = {layout.name: _field(layout, fetch) for layout in insn.pattern.fields}
    space = next(space for space in book.spec.spaces if space.name == insn.space)
    declared = book.module.spaces[space.name]
    aliased, plain = (" ".join(str(printer.one(data, pc)).split("\t")) for printer in printers)
    word = printers[0].decoder.space.word(data)
    return InstructionReport(
        address=pc,
        bytes=data,
        word=f"0x{word:0{2 * len(data)}x}",
        text=aliased,
        plain=plain,
        name=decoded.name,
        entry=entry,
        rows=cells(insn.pattern, space, entry.kinds, declared.msb0, fetch),
        fields=own,
        values={layout.name: _shown(insn, layout, own[layout.name], pc) for layout in insn.pattern.fields},
        handler=handler_stages(isa.generated, insn, decoded, own, pc, modes),
    )


def _prefix_bytes(decoded: Decoded, data: bytes, pattern: model.Pattern) -> int:
    """How many bytes stand before an instruction's own: as many as are read as the fields that it was decoded to."""
    for count in range(len(data)):
        fetch = int.from_bytes(data[count:], "little")
        values = {identifier(layout.name): _field(layout, fetch) for layout in pattern.fields}
        if fetch & pattern.mask == pattern.value and all(
            getattr(decoded.fields, name) == value for name, value in values.items()
        ):
            return count
    raise AssertionError(f"{decoded.name} is not in {data.hex()}")


def _field(layout: model.FieldLayout, fetch: int) -> int:
    value = 0
    for part in layout.slices:
        value |= (fetch >> part.low & (1 << part.width) - 1) << part.field_low
    return value


def _shown(insn: model.Instruction, layout: model.FieldLayout, value: int, pc: int) -> str:
    """A field's value and what it means: `10 = a0`, `0xffc = -4`."""
    text = str(value) if value < 10 else f"{value:#x}" if value > 64 else str(value)
    for slot in insn.syntax:
        if not isinstance(slot, model.Slot) or slot.expr != model.FieldRef(layout.width, layout.name):
            continue
        if slot.table and value < len(slot.table[0]):
            name = slot.table[0][value].lstrip(",")
            return text if name in ("-", "_", "") else f"{text} = {name}"
        numbers = dict(slot.sysregs)
        if value in numbers:
            return f"{value:#x} = {numbers[value]}"
    signed = value - (1 << layout.width)
    return f"{text} = {signed}" if value >> layout.width - 1 and layout.width > 5 else text
