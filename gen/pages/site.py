"""Reference pages: a static page an instruction set, and an index of them, which need nothing but themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gen import model, names, tree
from gen.elaborate import check_module
from gen.names import Module
from gen.pages.diagram import FIELD_KINDS
from gen.pages.entries import AliasLine, Entry, alias_lines, entries
from gen.pages.excerpts import Excerpt, Sources
from gen.pages.opcode_map import Grid, opcode_maps, share_text
from gen.pages.rendering import render_page, render_text
from gen.pages.roles import Roles

__all__ = ["Page", "index_page", "page_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """The instructions one module declares."""

    name: str
    title: str
    sections: tuple[tuple[str, tuple[Entry, ...]], ...]

    @property
    def count(self) -> int:
        return sum(len(found) for _, found in self.sections)


@dataclass(frozen=True, slots=True)
class Stated:
    """A named thing of the spec with its own lines: a register, a mode, a function, a hook."""

    name: str
    ident: str
    kind: str
    summary: str
    source: Excerpt
    names: tuple[tuple[int, tuple[str, ...]], ...] = ()  # of a register file's entries


@dataclass(frozen=True, slots=True)
class SystemRegister:
    """A row of a table of system registers."""

    table: str
    address: str
    name: str
    fields: str
    source: Excerpt


@dataclass(frozen=True, slots=True)
class Page:
    """A finished page, and what the index says of it."""

    name: str
    title: str
    instructions: int
    modules: tuple[str, ...]
    html: str


def page_of(path: Path, search: Sequence[Path] = ()) -> Page:
    """The page of a spec; SpecError if the spec has errors."""
    module = names.load(path, search)
    spec = check_module(module)
    sources = Sources(module)
    made = entries(spec, sources)
    title = sources.title(spec.sources[0])
    parts = tuple(_parts(spec, sources, made))
    values = {
        "spec": spec,
        "title": title,
        "parts": parts,
        "entries": made,
        "aliases": _once(alias_lines(spec, sources, made)),
        "states": tuple(_states(module, spec, sources)),
        "sysregs": tuple(_sysregs(spec, sources)),
        "exceptions": spec.exceptions,
        "hooks_raising": _hooks_raising(spec),
        "functions": tuple(_functions(module, sources)),
        "maps": tuple(_maps(spec, module)),
        "idents": {entry.name: entry for entry in made},
        "by_encoding": _by_encoding(spec, made),
        "legend": FIELD_KINDS,
        "used": {kind for entry in made for kind in entry.legend},
        "share": share_text,
        "order": "big" if spec.spaces[0].big else "bytes" if spec.spaces[0].units[0] == 8 else "little",
        "style": render_text("style.css.j2"),
        "script": render_text("page.js.j2"),
    }
    html = render_page("reference.html.j2", **values)
    return Page(spec.name, title, len(made), spec.modules, html)


def index_page(pages: Sequence[Page]) -> str:
    """The page that leads to the others."""
    return render_page(
        "index.html.j2",
        pages=sorted(pages, key=lambda page: page.name),
        style=render_text("style.css.j2"),
        script=render_text("page.js.j2"),
    )


def _parts(spec: model.Spec, sources: Sources, made: Sequence[Entry]) -> Iterator[Part]:
    files = {Path(file).stem: file for file in spec.sources}
    for module in spec.modules:
        own = [entry for entry in made if entry.instruction.isa == module]
        if not own:
            continue
        sections: dict[str, list[Entry]] = {}
        for entry in own:
            sections.setdefault(entry.section, []).append(entry)
        title = sources.title(files[module]) if module in files and module != spec.name else ""
        yield Part(module, title, tuple((name, tuple(found)) for name, found in sections.items()))


def _once(lines: Iterable[AliasLine]) -> tuple[AliasLine, ...]:
    return tuple({(line.syntax, line.expansion): line for line in lines}.values())


# ---------------------------------------------------------------- state


def _states(module: Module, spec: model.Spec, sources: Sources) -> Iterator[Stated]:
    for name, pc in module.pcs.items():
        yield _stated(name, "program counter", f"{spec.pc.width} bits", pc.decl, sources)
    for file in spec.files:
        entries = tuple((index, tuple(spelling[index] for spelling in file.names)) for index in range(file.count))
        zero = "" if file.zero is None else f"; {file.name}[{file.zero}] is always 0"
        summary = f"{file.count} registers of {file.width} bits{zero}"
        yield _stated(file.name, "registers", summary, module.files_of_regs[file.name].decl, sources, entries)
    for register in spec.registers:
        if register.name in module.regs:
            declared = module.regs[register.name].decl
            sticky = spec.sticky is not None and spec.sticky.register == register.name
            summary = f"{register.width} bit{'s' if register.width != 1 else ''}{', sticky' if sticky else ''}"
            yield _stated(register.name, "register", summary, declared, sources)
    for name, alias in module.aliases.items():
        yield _stated(name, "view of other state", "", alias.decl, sources)
    for mode in spec.modes:
        found = module.prefix_state[mode.name].decl if mode.prefix else module.modes[mode.name].decl
        bits = f"{mode.width} bit{'s' if mode.width != 1 else ''}, {mode.reset} at reset"
        kind = "set by prefixes" if mode.prefix else "mode: constant within a block of code"
        yield _stated(mode.name, kind, bits, found, sources)
    for memory in spec.memories:
        order = "either byte order"
        if isinstance(memory.big, model.Const):
            order = "big-endian" if memory.big.value else "little-endian"
        summary = f"addresses of {memory.address_width} bits, {order}"
        yield _stated(memory.name, "memory", summary, module.memories[memory.name].decl, sources)
    for wire in spec.inputs:
        yield _stated(wire.name, "input", f"{wire.width} bit", module.inputs[wire.name].decl, sources)
    for name, table in module.sysregs.items():
        count = sum(row.table == name for row in spec.sysregs)
        yield _stated(name, "table of system registers", f"{count} registers", table.decl, sources)


def _stated(
    name: str,
    kind: str,
    summary: str,
    decl: tree.Decl,
    sources: Sources,
    entries: tuple[tuple[int, tuple[str, ...]], ...] = (),
) -> Stated:
    return Stated(name, f"state-{name}", kind, summary, sources.excerpt(decl.pos), entries)


def _sysregs(spec: model.Spec, sources: Sources) -> Iterator[SystemRegister]:
    for row in spec.sysregs:
        fields = ", ".join(
            f"{part.name} {part.low + part.width - 1}:{part.low}" if part.width > 1 else f"{part.name} {part.low}"
            for part in row.fields
        )
        yield SystemRegister(row.table, f"{row.address:#05x}", row.name, fields, sources.row(row.pos))


def _functions(module: Module, sources: Sources) -> Iterator[Stated]:
    for name, operand in module.operands.items():
        yield Stated(name, f"operand-{name}", "operand", "", sources.excerpt(operand.decl.pos))
    for name, function in module.functions.items():
        yield Stated(name, f"fn-{name}", "function", "", sources.excerpt(function.decl.pos))
    for name, hook in module.hooks.items():
        yield Stated(f"on {name}", f"on-{name}", "hook", "", sources.excerpt(hook.decl.pos))


def _hooks_raising(spec: model.Spec) -> dict[str, list[str]]:
    """For each exception the hooks that raise it."""
    roles = Roles(spec)
    found: dict[str, list[str]] = {}
    for name, hook in spec.hooks.items():
        for exception in roles.raised(hook.body):
            found.setdefault(exception, []).append(name)
    return found


# ---------------------------------------------------------------- the opcode map


def _maps(spec: model.Spec, module: Module) -> Iterator[tuple[str, list[Grid]]]:
    for space in spec.spaces:
        yield space.name, opcode_maps(spec, space, module.spaces[space.name].msb0)


def _by_encoding(spec: model.Spec, made: Sequence[Entry]) -> dict[str, Entry]:
    """Any encoding's name, a clone's too, to the entry that tells of it."""
    entries_by_key = {
        (e.instruction.mnemonic, e.instruction.space, e.instruction.pattern.mask, e.instruction.pattern.value): e
        for e in made
    }
    return {
        insn.name: entries_by_key[insn.mnemonic, insn.space, insn.pattern.mask, insn.pattern.value]
        for insn in spec.instructions
    }
