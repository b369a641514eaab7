"""Nodes of gen/tree.py for what is done once for each of several numbers, or while a condition holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gen.tree import Expr, Name, Pos, Stmt


@dataclass(frozen=True, slots=True)
class For:
    """`for i in low .. high` (inclusive) or `low ..< high`."""

    name: Name
    low: Expr
    high: Expr
    inclusive: bool
    body: tuple[Stmt, ...]
    pos: Pos


@dataclass(frozen=True, slots=True)
class Joined:
    """The value `for i in low ..< high: value`: one for each number side by side, the first the least significant."""

    name: Name
    low: Expr
    high: Expr
    inclusive: bool
    value: Expr
    pos: Pos


@dataclass(frozen=True, slots=True)
class While:
    condition: Expr
    body: tuple[Stmt, ...]
    pos: Pos
