"""Walking the checked model: every node below one, and the small facts later passes ask of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from gen import model


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.name != "pos")


def nodes(root: object) -> Iterator[Any]:
    """`root` and every model node under it, in evaluation order of the source; tuples are looked through."""
    stack: list[object] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif is_dataclass(node) and not isinstance(node, type):
            yield node
            stack.extend(getattr(node, name) for name in reversed(_field_names(type(node))))


def assigned_locals(statements: Iterable[model.Stmt]) -> tuple[str, ...]:
    """Names of locals assigned anywhere in the statements but not declared there, in order of first assignment."""
    body = tuple(statements)
    declared = {node.name for node in nodes(body) if isinstance(node, model.Var)}
    found = {node.name: None for node in nodes(body) if isinstance(node, model.ToLocal)}
    return tuple(name for name in found if name not in declared)


def size(root: object) -> int:
    """How many nodes there are, not looking into called functions."""
    return sum(1 for _ in nodes(root))
