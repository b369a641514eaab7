"""Families and forms: tables multiplied by families, and encodings written once for many instructions.

This happens to the tree, before names are looked up: behind it there are only tables and encodings.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any, TypeVar

from gen import tree
from gen.errors import Diagnostics

_NAME = re.compile(r"[A-Za-z_]\w*")
_HOLE = re.compile(r"\{\s*([A-Za-z_]\w*(?::\.)?)\s*\}")
#: a table has at most so many instructions
_MOST_ROWS = 4096
D = TypeVar("D", tree.FamilyDecl, tree.FormsDecl)


@dataclass(slots=True)
class Families:
    """The families and forms of all files of a spec: rows of a family may stand in several."""

    diagnostics: Diagnostics
    families: dict[str, tree.FamilyDecl]
    forms: dict[str, tree.FormsDecl]

    @classmethod
    def of(cls, decls: Iterable[tree.Decl], diagnostics: Diagnostics) -> Families:
        found = cls(diagnostics, {}, {})
        for decl in decls:
            if isinstance(decl, tree.FamilyDecl):
                found._family(decl)
            elif isinstance(decl, tree.FormsDecl):
                before = found.forms.setdefault(decl.name.name, decl)
                if before is not decl:
                    note = (before.name.pos, "they are declared here first")
                    diagnostics.error(decl.name.pos, f"forms '{decl.name.name}' are declared already", (note,))
        return found

    def _family(self, decl: tree.FamilyDecl) -> None:
        before = self.families.setdefault(decl.name.name, dataclasses.replace(decl, rows=()))
        if [column.name for column in before.columns] != [column.name for column in decl.columns]:
            self.diagnostics.error(
                decl.pos,
                f"family '{decl.name.name}' has other columns elsewhere",
                ((before.pos, "it is declared here first"),),
                "rows are added to a family under the same first line",
            )
            return
        rows = list(before.rows)
        for row in decl.rows:
            other = next((other for other in rows if other.name.name == row.name.name), None)
            if other is not None:
                note = (other.name.pos, "it is here")
                self.diagnostics.error(row.name.pos, f"the family has a row '{row.name.name}' already", (note,))
            elif len(row.args) != len(decl.columns):
                names = ", ".join(column.name for column in decl.columns) or "none"
                cells = f"{len(row.args)} cell{'s' if len(row.args) != 1 else ''}"
                self.diagnostics.error(row.pos, f"row '{row.name.name}' has {cells}; the columns are {names}")
            else:
                rows.append(row)
        self.families[decl.name.name] = dataclasses.replace(before, rows=tuple(rows))

    def expand(self, decl: tree.Decl) -> Iterator[tree.Decl]:
        """What a declaration stands for: declarations without families and forms."""
        if isinstance(decl, tree.Override):
            for inner in self.expand(decl.decl):
                assert isinstance(inner, tree.Insns) or inner is decl.decl
                yield dataclasses.replace(decl, decl=inner)
        elif isinstance(decl, tree.AsmAlias) and decl.families:
            yield from self._lines(decl)
        elif isinstance(decl, tree.Insns):
            encoded = self._with_encodings(decl) if decl.forms else decl
            yield self._multiplied(encoded) if decl.families else encoded
        elif not isinstance(decl, tree.FamilyDecl | tree.FormsDecl):
            yield decl

    # ------------------------------------------------ families

    def _all(self, names: Sequence[tree.Name]) -> list[tree.FamilyDecl]:
        found = (self._find(self.families, name, "family") for name in names)
        return [family for family in found if family is not None]

    def _lines(self, decl: tree.AsmAlias) -> Iterator[tree.AsmAlias]:
        """One line for each row of each family: `{name}` and columns in braces are filled in."""
        families = self._all(decl.families)
        for rows in product(*(family.rows for family in families)):
            name = "".join(row.name.name for row in rows)
            given: dict[str, Any] = {
                "name": tree.Text(name, decl.syntax.pos),
                "name:.": tree.Text(name.replace("_", "."), decl.syntax.pos),
            }
            for family, row in zip(families, rows, strict=True):
                for column, arg in zip(family.columns, row.args, strict=True):
                    given[column.name] = arg.value
            syntax, expansion = self._text(decl.syntax, given), self._text(decl.expansion, given)
            yield dataclasses.replace(decl, syntax=syntax, expansion=expansion, families=())

    def _multiplied(self, decl: tree.Insns) -> tree.Insns:
        """Every row times every row of each family; columns that the table does not name are left out."""
        families = self._all(decl.families)
        used = set(_names((decl.pattern, decl.syntax, decl.options, decl.encodings, decl.body)))
        kept = [[column.name in used for column in family.columns] for family in families]
        columns = [*decl.columns]
        for family, keep in zip(families, kept, strict=True):
            columns += [column for column, is_kept in zip(family.columns, keep, strict=True) if is_kept]
        rows = []
        for row in decl.rows:
            for others in product(*(family.rows for family in families)):
                name = tree.Name("".join([row.name.name, *(other.name.name for other in others)]), row.name.pos)
                args = [*row.args]
                if len(row.args) == len(decl.columns):  # otherwise the table's reader complains
                    for other, keep in zip(others, kept, strict=True):
                        args += [arg for arg, is_kept in zip(other.args, keep, strict=True) if is_kept]
                rows.append(tree.Row(name, tuple(args), row.pos))
        if len(rows) > _MOST_ROWS:
            self.diagnostics.error(decl.pos, f"{len(rows)} instructions in a table; {_MOST_ROWS} are the most")
            rows = rows[:1]
        return dataclasses.replace(decl, columns=tuple(columns), rows=tuple(rows), families=())

    def _find(self, known: Mapping[str, D], name: tree.Name, what: str) -> D | None:
        if name.name not in known:
            close = get_close_matches(name.name, known, 1)
            self.diagnostics.error(
                name.pos, f"no {what} '{name.name}' is declared", help=f"did you mean '{close[0]}'?" if close else None
            )
        return known.get(name.name)

    # ------------------------------------------------ forms

    def _with_encodings(self, decl: tree.Insns) -> tree.Insns:
        """The encodings of the forms, then the declaration's own."""
        found: list[tree.Enc] = []
        for use in decl.forms:
            forms = self._find(self.forms, use.name, "forms")
            if forms is None:
                continue
            if len(use.args) != len(forms.params):
                takes = f": {', '.join(param.name for param in forms.params)}" if forms.params else ""
                count = f"{len(forms.params)} argument{'s' * (len(forms.params) != 1)}"
                self.diagnostics.error(use.pos, f"forms '{use.name.name}' take {count}, not {len(use.args)}{takes}")
                continue
            given = dict(zip((param.name for param in forms.params), use.args, strict=True))
            found += [self._filled(enc, given) for enc in forms.encodings]
        return dataclasses.replace(decl, encodings=(*found, *decl.encodings), forms=())

    def _filled(self, enc: tree.Enc, given: Mapping[str, Any]) -> tree.Enc:
        space = given.get(enc.space.name, enc.space)
        if not isinstance(space, tree.Name):
            self.diagnostics.error(space.pos, "the name of an instruction space is needed here")
            space = enc.space
        return dataclasses.replace(
            enc,
            space=space,
            pattern=self._text(enc.pattern, given),
            syntax=self._text(enc.syntax, given),
            where=self._value(enc.where, given),
            bindings=tuple(
                dataclasses.replace(binding, value=self._value(binding.value, given)) for binding in enc.bindings
            ),
        )

    def _text(self, text: tree.Text, given: Mapping[str, Any]) -> tree.Text:
        """A pattern or syntax in which `{parameter}` is the argument: a string as it stands, or another hole."""

        def filled(hole: re.Match[str]) -> str:
            match given.get(hole[1]):
                case tree.Text() as argument:
                    return argument.value
                case tree.Num() as argument:
                    return argument.digits
                case tree.Name() as argument:
                    return f"{{{argument.name}}}"
            return hole[0]

        return dataclasses.replace(text, value=_HOLE.sub(filled, text.value))

    def _value(self, node: Any, given: Mapping[str, Any]) -> Any:
        """An expression in which parameters are the arguments."""
        if isinstance(node, tree.Name) and node.name in given:
            if isinstance(given[node.name], tree.Text):
                help = "strings fill holes of encodings and syntaxes"
                self.diagnostics.error(given[node.name].pos, f"'{node.name}' is needed as a value", help=help)
                return node
            return given[node.name]
        if isinstance(node, tuple):
            return tuple(self._value(part, given) for part in node)
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            changed = {
                part.name: self._value(getattr(node, part.name), given)
                for part in dataclasses.fields(node)
                if part.name != "pos"
            }
            return dataclasses.replace(node, **changed)
        return node


def _names(node: Any) -> Iterator[str]:
    """Every name in a piece of tree, in holes of texts, too."""
    if isinstance(node, tree.Text):
        yield from _NAME.findall(node.value)
    elif isinstance(node, tree.Name):
        yield node.name
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for part in node:
            yield from _names(part)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for part in dataclasses.fields(node):
            yield from _names(getattr(node, part.name))
