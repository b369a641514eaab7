"""Nodes of the tree that are about many instructions at once: families, forms, reserved encodings, fused pairs.

gen/tree.py has them, too: whoever reads a tree takes all nodes from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gen.tree import Enc, Expr, Name, Pos, Row, Text


@dataclass(frozen=True, slots=True)
class FamilyDecl:
    """`family f (columns)`: rows by which tables that are `for f` are multiplied."""

    name: Name
    columns: tuple[Name, ...]
    rows: tuple[Row, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class FormsDecl:
    """`forms f (parameters)`: encodings that instructions which are `as f(…)` have."""

    name: Name
    params: tuple[Name, ...]
    encodings: tuple[Enc, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class FormsUse:
    """`as f(…)`."""

    name: Name
    args: tuple[Expr | Text, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Reserved:
    pattern: Text
    pos: Pos


@dataclass(frozen=True, slots=True)
class Fuse:
    """`fuse a, b then c, d`: pairs of instructions worth a handler of their own when one follows the other."""

    first: tuple[Name, ...]
    second: tuple[Name, ...]
    pos: Pos
