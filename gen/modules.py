"""Finds and reads the files a spec is made of: the isas it extends, and the files they include."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gen import tree
from gen.errors import Diagnostics, Note, SpecError, about_file
from gen.parse import parse_text, read_file
from gen.tree import Name, Pos

__all__ = ["Isa", "Item", "Loader"]

_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Item:
    """A declaration as read: from which file (by real path), and how that file numbers bits."""

    decl: tree.Decl
    file: str
    msb0: bool


@dataclass(slots=True)
class Isa:
    """One isa with what it declares itself; included declarations stand where they are included."""

    name: str
    path: str
    real: str
    header: tree.IsaHeader
    bases: list[Isa] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # real paths of this file and those it includes

    def ancestors(self) -> set[str]:
        """Real paths of this isa and everything it extends."""
        found: set[str] = set()
        pending = [self]
        while pending:
            isa = pending.pop()
            if isa.real not in found:
                found.add(isa.real)
                pending.extend(isa.bases)
        return found


class Loader:
    """Reads each file once, by its real path; `order` has the isas read, bases first."""

    def __init__(self, search: Sequence[Path], diagnostics: Diagnostics) -> None:
        self.order: list[Isa] = []
        self.files: list[str] = []
        self._search = tuple(search)
        self._diagnostics = diagnostics
        self._isas: dict[str, Isa | None] = {}
        self._open: list[tuple[str, str, Pos | None]] = []  # real path, path and where it is asked for
        self._included: set[str] = set()

    def load(self, path: Path | str, asked: Pos | None = None) -> Isa | None:
        """The isa in a file, with its bases; None if it cannot be had, which has been reported."""
        name = str(path)
        real = os.path.realpath(name)
        if any(real == other for other, _, _ in self._open):
            self._cycle(real, asked, "extends")
            return None
        if real in self._isas:
            return self._isas[real]
        if self._too_deep(asked):
            return None
        self._isas[real] = None
        spec = self._parse(name, asked)
        header = self._header(spec, asked) if spec is not None else None
        if spec is None or header is None:
            return None
        isa = Isa(header.name.name, name, real, header)
        self._open.append((real, name, asked))
        try:
            self._load_bases(isa)
            self._take(spec, isa, real)
        finally:
            self._open.pop()
        self._isas[real] = isa
        self.order.append(isa)
        return isa

    def _parse(self, name: str, asked: Pos | None) -> tree.SpecFile | None:
        try:
            text = read_file(name)
        except SpecError as error:
            for found in error.diagnostics:
                if asked is not None and not found.pos.line:
                    self._diagnostics.error(asked, f"{found.pos.file} {found.message}", found.notes, found.help)
                else:
                    self._diagnostics.add(error)
            return None
        self._diagnostics.sources[name] = text
        self.files.append(name)
        try:
            return parse_text(text, name)
        except SpecError as error:
            self._diagnostics.add(error)
            return None

    def _header(self, spec: tree.SpecFile, asked: Pos | None) -> tree.IsaHeader | None:
        headers = [decl for decl in spec.decls if isinstance(decl, tree.IsaHeader)]
        if not headers:
            notes: tuple[Note, ...] = ((asked, "it is extended here"),) if asked is not None else ()
            self._diagnostics.error(
                about_file(spec.path),
                "this file declares no isa",
                notes,
                "start it with `isa NAME`, or `include` it"
                if asked is not None
                else f"start it with a line such as `isa {_stem(spec.path)}`",
            )
            return None
        for second in headers[1:]:
            self._diagnostics.error(
                second.pos,
                "a second isa in one file",
                ((headers[0].pos, "the first one is here"),),
                "give each isa a file of its own",
            )
        first = spec.decls[0]
        if first is not headers[0]:
            self._diagnostics.error(
                headers[0].pos, "the isa line comes first in its file", ((first.pos, "this stands before it"),)
            )
        return headers[0]

    def _load_bases(self, isa: Isa) -> None:
        seen: dict[str, Name] = {}
        for name in isa.header.extends:
            if name.name in seen:
                self._diagnostics.error(
                    name.pos, f"'{name.name}' is extended twice", ((seen[name.name].pos, "here, too"),)
                )
                continue
            seen[name.name] = name
            path = self._find(isa, name)
            base = self.load(path, name.pos) if path is not None else None
            if base is None:
                continue
            if base.name.lower() != name.name.lower():
                self._diagnostics.error(
                    name.pos,
                    f"{base.path} declares the isa '{base.name}', not '{name.name}'",
                    ((base.header.name.pos, "it is declared here"),),
                )
            isa.bases.append(base)

    def _find(self, isa: Isa, name: Name) -> str | None:
        """NAME.isa beside the file or on the search path; letters' case is a second choice."""
        wanted = f"{name.name}.isa"
        folders = self._folders(isa.path)
        for folder in folders:
            path = os.path.join(folder, wanted)
            if os.path.isfile(path):
                return path
        for folder in folders:
            try:
                entries = sorted(os.listdir(folder or "."))
            except OSError:
                continue
            for entry in entries:
                if entry.lower() == wanted.lower():
                    return os.path.join(folder, entry)
        self._diagnostics.error(
            name.pos,
            f"there is no isa '{name.name}'",
            help=f"looked for {wanted} in {', '.join(folder or '.' for folder in folders)}",
        )
        return None

    def _folders(self, path: str) -> list[str]:
        """Where what a file names is looked for, each folder once."""
        folders = {os.path.realpath(folder): folder for folder in (os.path.dirname(path), *map(str, self._search))}
        return list(folders.values())

    def _take(self, spec: tree.SpecFile, isa: Isa, real: str) -> None:
        """Adds a file's declarations to its isa, included ones in their place."""
        isa.files.add(real)
        msb0 = self._bit_order(spec)
        for decl in spec.decls:
            match decl:
                case tree.Include():
                    self._include(decl, spec.path, isa)
                case tree.IsaHeader() | tree.BitOrder():
                    pass
                case _:
                    isa.items.append(Item(decl, real, msb0))

    def _bit_order(self, spec: tree.SpecFile) -> bool:
        orders = [decl for decl in spec.decls if isinstance(decl, tree.BitOrder)]
        for second in orders[1:]:
            self._diagnostics.error(
                second.pos, "a second bit order in one file", ((orders[0].pos, "the first one is here"),)
            )
        return bool(orders) and orders[0].order.name == "msb0"

    def _include(self, include: tree.Include, path: str, isa: Isa) -> None:
        asked = include.path.pos
        found = next(
            (
                p
                for p in (os.path.join(folder, include.path.value) for folder in self._folders(path))
                if os.path.isfile(p)
            ),
            None,
        )
        if found is None:
            self._diagnostics.error(
                asked,
                f'there is no file "{include.path.value}"',
                help=f"looked in {', '.join(folder or '.' for folder in self._folders(path))}",
            )
            return
        real = os.path.realpath(found)
        if any(real == other for other, _, _ in self._open):
            self._cycle(real, asked, "includes")
            return
        isa.files.add(real)
        if real in self._included or self._too_deep(asked):
            return
        self._included.add(real)
        spec = self._parse(found, asked)
        if spec is None:
            return
        for decl in spec.decls:
            if isinstance(decl, tree.IsaHeader):
                self._diagnostics.error(
                    asked,
                    f"{found} declares an isa",
                    ((decl.pos, "it is declared here"),),
                    f"an isa is used with `extends {decl.name.name}`",
                )
                return
        self._open.append((real, found, asked))
        try:
            self._take(spec, isa, real)
        finally:
            self._open.pop()

    def _too_deep(self, asked: Pos | None) -> bool:
        if len(self._open) < _DEEPEST or asked is None:
            return False
        self._diagnostics.error(asked, f"more than {_DEEPEST} files are built on each other")
        return True

    def _cycle(self, real: str, asked: Pos | None, verb: str) -> None:
        start = next(i for i, (other, _, _) in enumerate(self._open) if other == real)
        around = self._open[start:]
        names = [_stem(path) for _, path, _ in around]
        assert asked is not None  # the outermost file is not open before it is asked for
        notes = tuple((pos, f"'{_stem(path)}' is asked for here") for _, path, pos in around[1:] if pos is not None)
        self._diagnostics.error(
            asked,
            f"'{names[0]}' {verb} itself"
            if len(names) == 1
            else f"'{names[0]}' {verb} itself, by way of {_and(names[1:])}",
            notes,
        )


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _and(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
