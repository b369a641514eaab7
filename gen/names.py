"""Modules: which declarations a spec has once `extends`, `include`, `override`, `with` and `param` are resolved."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from gen import tree
from gen.errors import Diagnostics
from gen.families import Families
from gen.hooks import HOOKS
from gen.intrinsics import INTRINSICS
from gen.modules import Isa, Item, Loader
from gen.parameters import resolve
from gen.tree import Pos

__all__ = ["Declared", "Module", "Overridden", "load"]

D = TypeVar("D", covariant=True)


@dataclass(frozen=True, slots=True)
class Declared(Generic[D]):
    """A declaration, where it comes from, and how its file numbers bits.

    `name` is "" for what has no name (prefix, reserved, test, asm, sticky, fuse) and for declarations of several names
    at once; tables below that are keyed by name hold the same Declared once per name."""

    name: str
    decl: D
    isa: str  # name of the isa that declares it; an included file's declarations belong to the isa that includes it
    msb0: bool  # `bitorder msb0` in the declaring file: slice bounds, `x[i]` and sub-field bits count from the top


@dataclass(frozen=True, slots=True)
class Overridden:
    """One line of the override table."""

    kind: str  # 'instruction', 'function', 'field', 'constant', 'alias', 'operand', 'hook', 'type'
    name: str
    isa: str  # who overrides
    pos: Pos
    of: str  # whose declaration is replaced


@dataclass(frozen=True, slots=True)
class Module:
    """A spec with all its bases.  Bases come first, overridden declarations are gone, `override` is unwrapped.

    Tables keyed by name keep the declarations' order.  In `instructions`, rows of a table that a later module
    overrides are gone from its `Insns` (the table stays if any row is left).  Mnemonic-like names (instructions, rows)
    may have dots, as `fadd.s`; every other name is an identifier.
    """

    name: str  # the file's stem
    path: str  # as given
    isas: tuple[str, ...]  # names of all isas, bases first, this one last
    files: tuple[str, ...]  # every file read, in that order
    sources: dict[str, str]  # their texts, for messages
    parameters: dict[str, int]  # every `param`, with the value it has in the end
    constants: dict[str, int]  # every `const` (names of parameters are not here)
    order: tuple[Declared[tree.Decl], ...]  # everything but isa, include, bitorder and override lines

    params: dict[str, Declared[tree.ParamDecl]]
    consts: dict[str, Declared[tree.Const]]
    types: dict[str, Declared[tree.TypeDecl]]
    regs: dict[str, Declared[tree.RegDecl]]  # by register; one declaration may declare several
    files_of_regs: dict[str, Declared[tree.RegsDecl]]
    pcs: dict[str, Declared[tree.PcDecl]]  # one, unless there is none
    modes: dict[str, Declared[tree.ModeDecl]]  # by mode
    prefix_state: dict[str, Declared[tree.PrefixesDecl]]  # by name in `prefixes`
    memories: dict[str, Declared[tree.MemoryDecl]]
    inputs: dict[str, Declared[tree.InputDecl]]  # by wire
    spaces: dict[str, Declared[tree.DecodeDecl]]
    fields: dict[str, Declared[tree.FieldDecl]]  # by field
    aliases: dict[str, Declared[tree.AliasDecl]]
    sysregs: dict[str, Declared[tree.SysRegsDecl]]  # by table
    exceptions: dict[str, Declared[tree.ExceptionDecl]]  # by exception
    functions: dict[str, Declared[tree.Fn]]
    hooks: dict[str, Declared[tree.Hook]]  # by reset, exception, interrupt, translate, badaddr
    splits: dict[str, Declared[tree.SplitDecl]]
    lazies: dict[str, Declared[tree.LazyDecl]]
    operands: dict[str, Declared[tree.OperandDecl]]
    sticky: tuple[Declared[tree.Sticky], ...]
    prefixes: tuple[Declared[tree.PrefixDecl], ...]
    instructions: tuple[Declared[tree.Insn | tree.Insns], ...]
    asm: tuple[Declared[tree.AsmAlias], ...]
    reserved: tuple[Declared[tree.Reserved], ...]
    tests: tuple[Declared[tree.TestDecl], ...]
    fused: tuple[Declared[tree.Fuse], ...]
    overrides: tuple[Overridden, ...]


def load(path: Path, search: Sequence[Path] = (), parameters: Mapping[str, int] | None = None) -> Module:
    """Reads a spec and everything it is built on; raises SpecError with all errors found."""
    diagnostics = Diagnostics()
    loader = Loader(search, diagnostics)
    isa = loader.load(path)
    diagnostics.raise_if_any()  # with a file missing or half read, more errors would only confuse
    assert isa is not None
    merge = _Merge(loader.order, diagnostics)
    merge.run()
    fixed = {override.name: override.pos for override in merge.overrides if override.kind == "constant"}
    definitions = [
        declared.decl
        for declared in merge.decls
        if declared is not None and isinstance(declared.decl, (tree.ParamDecl, tree.Const))
    ]
    constants = resolve(isa, loader.order, definitions, fixed, parameters or {}, diagnostics)
    diagnostics.raise_if_any()
    return merge.module(isa, loader.files, constants)


# ---------------------------------------------------------------- one table of all declarations

# Namespaces: a name means one thing in each.  Encodings, parameters of functions and locals have scopes of their own.
_VALUE, _TYPE, _SPACE, _INSTRUCTION, _HOOK, _PC, _ASM = (
    "name",
    "type",
    "decode space",
    "instruction",
    "hook",
    "program counter",
    "asm",
)

_KINDS: dict[type, str] = {
    tree.ParamDecl: "parameter",
    tree.Const: "constant",
    tree.TypeDecl: "type",
    tree.RegDecl: "register",
    tree.RegsDecl: "register file",
    tree.PcDecl: "program counter",
    tree.ModeDecl: "mode",
    tree.PrefixesDecl: "prefix variable",
    tree.MemoryDecl: "memory",
    tree.InputDecl: "input",
    tree.DecodeDecl: "decode space",
    tree.FieldDecl: "field",
    tree.AliasDecl: "alias",
    tree.SysRegsDecl: "table of system registers",
    tree.SysRegRow: "system register",
    tree.ExceptionDecl: "exception",
    tree.Fn: "function",
    tree.Hook: "hook",
    tree.SplitDecl: "split",
    tree.LazyDecl: "lazy group",
    tree.OperandDecl: "operand",
    tree.Insn: "instruction",
    tree.Insns: "instruction",
    tree.Row: "instruction",
    tree.AsmAlias: "asm line",
}
_SPACES: dict[type, str] = {
    tree.TypeDecl: _TYPE,
    tree.DecodeDecl: _SPACE,
    tree.Insn: _INSTRUCTION,
    tree.Insns: _INSTRUCTION,
    tree.Hook: _HOOK,
    tree.AsmAlias: _ASM,
}
BUILT_IN = frozenset(INTRINSICS) | {"sext", "zext", "static", "page", "NEXT", "NPC", "bits", "bit", "fn", "exn"}


def _named(decl: Any) -> Iterator[tuple[str, Pos, type]]:
    """The names a declaration declares: where they stand, and what kind of thing they name."""
    kind = type(decl)
    match decl:
        case tree.RegDecl() | tree.ModeDecl() | tree.InputDecl() | tree.FieldDecl():
            yield from ((name.name, name.pos, kind) for name in decl.names)
        case tree.PrefixesDecl():
            yield from ((name.name, name.pos, kind) for name, _ in decl.names)
        case tree.ExceptionDecl():
            yield from ((name.name, name.pos, kind) for name, _ in decl.items)
        case tree.SysRegsDecl():
            yield decl.name.name, decl.name.pos, kind
            for row in decl.rows:
                yield from ((item.name.name, item.name.pos, tree.SysRegRow) for item in row.names)
        case tree.Insns():
            yield from ((row.name.name, row.name.pos, kind) for row in decl.rows)
        case tree.AsmAlias():
            if decl.when is None:  # of several with one text each may be for modes of its own
                yield decl.syntax.value, decl.syntax.pos, kind
        case tree.Sticky() | tree.PrefixDecl() | tree.Reserved() | tree.TestDecl() | tree.Fuse():
            pass
        case _:
            yield decl.name.name, decl.name.pos, kind


@dataclass(slots=True)
class _Entry:
    """A name as declared last."""

    name: str
    kind: str
    pos: Pos
    isa: Isa
    file: str
    place: int  # in _Merge.decls
    by_override: bool = False


@dataclass(slots=True)
class _Merge:
    """Puts the declarations of all isas into one list, bases first, and resolves `override`."""

    isas: Sequence[Isa]
    diagnostics: Diagnostics
    decls: list[Declared[Any] | None] = field(default_factory=list)
    entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    overrides: list[Overridden] = field(default_factory=list)

    def run(self) -> None:
        families = Families.of((item.decl for isa in self.isas for item in isa.items), self.diagnostics)
        for isa in self.isas:
            ancestors = isa.ancestors()
            visible = {file for other in self.isas if other.real in ancestors for file in other.files}
            for item in isa.items:
                for decl in families.expand(item.decl):
                    self._add(isa, dataclasses.replace(item, decl=decl), ancestors, visible)

    def _add(self, isa: Isa, item: Item, ancestors: set[str], visible: set[str]) -> None:
        decl: Any = item.decl
        override = isinstance(decl, tree.Override)
        if isinstance(decl, tree.Override):
            decl = decl.decl
        if isinstance(decl, tree.SysRegsDecl) and self._continues(decl, isa, item):
            return
        place = len(self.decls)
        names = list(_named(decl))
        self.decls.append(Declared(names[0][0] if len(names) == 1 else "", decl, isa.name, item.msb0))
        for name, pos, kind in names:
            space = _SPACES.get(kind, _VALUE)
            key = (space, name.replace(".", "_") if space is _INSTRUCTION else name)
            entry = _Entry(name, _KINDS[kind], pos, isa, item.file, place, override)
            if name in BUILT_IN and space in {_VALUE, _TYPE}:
                self.diagnostics.error(pos, f"'{name}' is a name of the language itself", help="choose another name")
            before = self.entries.get(key)
            if override:
                if before is None or not self._override(before, entry, ancestors, visible):
                    self._overrides_nothing(entry, before)
            elif before is not None:
                self._twice(before, entry, visible)
                continue
            self.entries[key] = entry
        if isinstance(decl, tree.Hook) and decl.name.name not in HOOKS:
            self.diagnostics.error(
                decl.name.pos, f"there is no hook '{decl.name.name}'", help=f"hooks are {', '.join(HOOKS)}"
            )
        if isinstance(decl, tree.PcDecl):
            self._only_one(decl, isa, item.file, place)

    def _only_one(self, decl: tree.PcDecl, isa: Isa, file: str, place: int) -> None:
        before = self.entries.setdefault((_PC, ""), _Entry(decl.name.name, _PC, decl.name.pos, isa, file, place))
        if before.place != place and before.name != decl.name.name:
            self.diagnostics.error(
                decl.name.pos, "a second program counter", ((before.pos, f"'{before.name}' is the first"),)
            )

    def _twice(self, before: _Entry, entry: _Entry, visible: set[str]) -> None:
        what = entry.kind if entry.kind == before.kind else "name"
        note = f"it is {_article(before.kind)} here" if before.kind != entry.kind else "it is declared here first"
        if before.kind == "asm line":
            self.diagnostics.error(entry.pos, "this asm line is declared already", ((before.pos, "it stands here"),))
            return
        help_text = None
        if entry.file != before.file and entry.kind == before.kind and entry.kind in _OVERRIDABLE:
            help_text = (
                "write `override` in front to replace it"
                if before.file in visible
                else f"'{entry.isa.name}' and '{before.isa.name}' know nothing of each other: rename one of them"
            )
        self.diagnostics.error(
            entry.pos, f"{what} '{entry.name}' is declared already", ((before.pos, note),), help_text
        )

    def _overrides_nothing(self, entry: _Entry, before: _Entry | None) -> None:
        if before is not None:
            return  # has been reported
        self.diagnostics.error(
            entry.pos,
            f"there is no {entry.kind} '{entry.name}' to override",
            help="leave out `override`, or extend the isa that declares it",
        )

    def _override(self, before: _Entry, entry: _Entry, ancestors: set[str], visible: set[str]) -> bool:
        """Takes `before` out of the list; says why not if it must stay."""
        if entry.kind != before.kind and (entry.kind, before.kind) != ("constant", "parameter"):
            self.diagnostics.error(
                entry.pos,
                f"`override` of '{before.name}' as {_article(entry.kind)}",
                ((before.pos, f"it is {_article(before.kind)} here"),),
                f"override it with {_article(before.kind)}",
            )
            return False
        if before.file not in visible and before.isa.real not in ancestors:
            if before.by_override:
                message = f"'{entry.isa.name}' and '{before.isa.name}' both override {entry.kind} '{entry.name}'"
                note, help_text = "overrides it here", "let one of them extend the other"
            else:
                message = f"`override` of {entry.kind} '{entry.name}', which no base of '{entry.isa.name}' declares"
                note, help_text = "declares it here", f"extend '{before.isa.name}'"
            self.diagnostics.error(entry.pos, message, ((before.pos, f"'{before.isa.name}' {note}"),), help_text)
            return False
        if before.isa.real == entry.isa.real and before.file == entry.file:
            self.diagnostics.error(
                entry.pos,
                f"{entry.kind} '{entry.name}' is declared twice in this file",
                ((before.pos, "the other one is here"),),
                "`override` replaces what a base declares",
            )
            return False
        self._remove(before)
        self.overrides.append(Overridden(entry.kind, entry.name, entry.isa.name, entry.pos, before.isa.name))
        return True

    def _remove(self, entry: _Entry) -> None:
        """Drops a name from its declaration, and the declaration when it was the last."""
        declared = self.decls[entry.place]
        if declared is None:
            return
        decl: Any = declared.decl
        match decl:
            case tree.Insns():
                rows = tuple(row for row in decl.rows if row.name.name != entry.name)
                decl = dataclasses.replace(decl, rows=rows) if rows else None
            case tree.FieldDecl():
                names = tuple(name for name in decl.names if name.name != entry.name)
                decl = dataclasses.replace(decl, names=names) if names else None
            case _:
                decl = None
        self.decls[entry.place] = dataclasses.replace(declared, decl=decl) if decl is not None else None

    def _continues(self, decl: tree.SysRegsDecl, isa: Isa, item: Item) -> bool:
        """Adds the rows of a table that is there already, if this is one."""
        before = self.entries.get((_VALUE, decl.name.name))
        declared = self.decls[before.place] if before is not None else None
        if before is None or declared is None or not isinstance(declared.decl, tree.SysRegsDecl):
            return False
        first = declared.decl
        if not (
            _same(first.width, decl.width)
            and _same(first.type, decl.type)
            and _same(first.missing, decl.missing)
            and declared.msb0 == item.msb0
        ):
            self.diagnostics.error(
                decl.pos,
                f"'{decl.name.name}' is declared differently elsewhere",
                ((first.pos, "it is declared here first"),),
                "rows are added to a table under the same first line",
            )
        for name, pos, kind in list(_named(decl))[1:]:
            entry = _Entry(name, _KINDS[kind], pos, isa, item.file, before.place)
            if (other := self.entries.get((_VALUE, name))) is not None:
                self._twice(other, entry, set())
            else:
                self.entries[_VALUE, name] = entry
        self.decls[before.place] = dataclasses.replace(
            declared, decl=dataclasses.replace(first, rows=(*first.rows, *decl.rows))
        )
        return True

    # ------------------------------------------------------------ the result

    def module(self, isa: Isa, files: Sequence[str], constants: Mapping[str, int]) -> Module:
        order = tuple(declared for declared in self.decls if declared is not None)

        def table(kind: type[Any]) -> dict[str, Declared[Any]]:
            return {
                name: declared
                for declared in order
                if isinstance(declared.decl, kind)
                for name, _, what in _named(declared.decl)
                if what is kind
            }

        def listed(*kinds: type[Any]) -> tuple[Declared[Any], ...]:
            return tuple(declared for declared in order if isinstance(declared.decl, kinds))

        params, consts = table(tree.ParamDecl), table(tree.Const)
        sources = self.diagnostics.sources
        return Module(
            name=os.path.splitext(os.path.basename(isa.path))[0],
            path=isa.path,
            isas=tuple(other.name for other in self.isas),
            files=tuple(files),
            sources={file: sources[file] for file in files},
            parameters={name: constants[name] for name in params},
            constants={name: constants[name] for name in consts},
            order=order,
            params=params,
            consts=consts,
            types=table(tree.TypeDecl),
            regs=table(tree.RegDecl),
            files_of_regs=table(tree.RegsDecl),
            pcs=table(tree.PcDecl),
            modes=table(tree.ModeDecl),
            prefix_state=table(tree.PrefixesDecl),
            memories=table(tree.MemoryDecl),
            inputs=table(tree.InputDecl),
            spaces=table(tree.DecodeDecl),
            fields=table(tree.FieldDecl),
            aliases=table(tree.AliasDecl),
            sysregs=table(tree.SysRegsDecl),
            exceptions=table(tree.ExceptionDecl),
            functions=table(tree.Fn),
            hooks=table(tree.Hook),
            splits=table(tree.SplitDecl),
            lazies=table(tree.LazyDecl),
            operands=table(tree.OperandDecl),
            sticky=listed(tree.Sticky),
            prefixes=listed(tree.PrefixDecl),
            instructions=listed(tree.Insn, tree.Insns),
            asm=listed(tree.AsmAlias),
            reserved=listed(tree.Reserved),
            tests=listed(tree.TestDecl),
            fused=listed(tree.Fuse),
            overrides=tuple(self.overrides),
        )


_OVERRIDABLE = {
    _KINDS[kind]
    for kind in (
        tree.Insn,
        tree.Fn,
        tree.FieldDecl,
        tree.Const,
        tree.TypeDecl,
        tree.AliasDecl,
        tree.OperandDecl,
        tree.Hook,
    )
}


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _same(a: Any, b: Any) -> bool:
    """Whether two trees are the same but for their positions."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Pos):
        return True
    if dataclasses.is_dataclass(a):
        return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return bool(a == b)
