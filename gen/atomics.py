"""Checks `atomic:`, one read and one write of one memory address, and brings it into the model's shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from gen import fold, model, tree
from gen.expressions import condition
from gen.scope import Body, sized_local

_SHAPE = "write `let old = M[a, w]`, then `M[a, w] = …`"
_Read = model.MemRead | model.OperandRead


_CheckBlock = Callable[[Body, Iterable[tree.Stmt]], None]


def atomic(body: Body, node: tree.Atomic, check_block: _CheckBlock) -> None:
    """Its names stay known afterwards: they hold what was read."""
    when = model.Const(1, 1) if node.when is None else condition(body, node.when)
    if not isinstance(when, model.Const):
        _either(body, node, when, check_block)
    elif when.value:
        _one_step(body, node, check_block)
    else:
        check_block(body, node.body)


def _either(body: Body, node: tree.Atomic, when: model.Expr, check_block: _CheckBlock) -> None:
    """As one step or as plain statements; afterwards only the name of what was read is known."""
    with body.block() as step:
        old = _one_step(body, node, check_block)
        names = [name for name, local in body.scopes[-1].items() if local.model_name == old]
    with body.block() as plain:
        check_block(body, node.body)
        held = [body.scopes[-1][name] for name in names]
    for name, local in zip(names, held, strict=True):
        chosen = body.fresh(name)
        body.emit(model.Var(chosen, local.width, fold.const(local.width, 0), local.pos))
        body.variables.add(chosen)
        for side, own in ((step, old), (plain, local.model_name)):
            read = model.Local(local.width, own, model.Time.R)
            side.append(model.Assign(model.ToLocal(local.width, chosen), read, node.pos))
        body.declare(name, sized_local("let", local.width, chosen, local.pos, model.Time.R))
    body.emit(model.If(when, tuple(step), tuple(plain), node.pos))


def _one_step(body: Body, node: tree.Atomic, check_block: _CheckBlock) -> str:
    """Puts the block there as one statement; the name of what it has read."""
    made: list[model.Stmt] = []
    body.blocks.append(made)
    try:
        check_block(body, node.body)
    finally:
        body.blocks.pop()
    if not made:
        return ""
    reads = [(index, read) for index, statement in enumerate(made) for read in _reads(statement)]
    if len(reads) != 1:
        body.fail(node.pos, f"`atomic` reads memory once; this reads it {len(reads)} times", help=_SHAPE)
    first, read = reads[0]
    place, new = _write(body, node, made[-1], read)
    if not _same_place(place, read):
        body.fail(node.pos, "`atomic` reads and writes one address", help=_SHAPE)
    before, rest = made[:first], made[first:-1]
    for statement in before:
        if not isinstance(statement, model.Let):
            body.fail(node.pos, "only `let` may stand before the read in `atomic`", help=_SHAPE)
        body.emit(statement)
    if rest and isinstance(rest[0], model.Let) and rest[0].value is read and len(rest[0].names) == 1:
        old = rest[0].names[0]
        rest = rest[1:]
    else:
        old = body.fresh("old_value")
    held = model.Local(read.width, old, model.Time.R)
    between = tuple(_replace(statement, read, held) for statement in rest)
    for statement in between:
        if not isinstance(statement, model.Let | model.Var | model.If | model.Assign) or _touches_state(statement):
            body.fail(node.pos, "only values may be computed between the read and the write of `atomic`", help=_SHAPE)
    memory, address = ("", read) if isinstance(read, model.OperandRead) else (read.memory, read.address)
    body.emit(model.Atomic(memory, read.width, address, old, between, _replace(new, read, held), node.pos))
    return old


def _same_place(place: model.ToMem | model.ToOperand, read: _Read) -> bool:
    if isinstance(read, model.OperandRead):
        return isinstance(place, model.ToOperand) and place.operand == read.operand
    return place == model.ToMem(read.width, read.memory, read.address)


def _write(
    body: Body, node: tree.Atomic, last: model.Stmt, read: _Read
) -> tuple[model.ToMem | model.ToOperand, model.Expr]:
    """The place and value of the last statement; a write under a condition writes back what was read otherwise."""
    if isinstance(last, model.Assign) and isinstance(last.place, model.ToMem | model.ToOperand):
        return last.place, last.value
    if isinstance(last, model.If) and len(last.then) == 1 and not last.otherwise:
        place, new = _write(body, node, last.then[0], read)
        return place, fold.select(last.condition, new, read)
    body.fail(node.pos, "`atomic` ends with its write", help=_SHAPE)


def _children(node: Any) -> list[Any]:
    if isinstance(node, tuple):
        return list(node)
    if is_dataclass(node):
        return [getattr(node, field.name) for field in fields(node) if field.name != "pos"]
    return []


def _reads(node: Any) -> list[_Read]:
    found = [node] if isinstance(node, model.MemRead | model.OperandRead) else []
    for child in _children(node):
        found += _reads(child)
    return found


def _touches_state(node: Any) -> bool:
    if isinstance(node, model.ToReg | model.ToRegFile | model.ToMem | model.ToMode | model.ToOperand):
        return True
    return any(_touches_state(child) for child in _children(node))


def _replace(node: Any, old: _Read, new: model.Local) -> Any:
    """The node with one expression put in place of another (by identity, or an equal read that `select` copied)."""
    if node is old:
        return new
    if isinstance(node, tuple):
        return tuple(_replace(item, old, new) for item in node)
    if is_dataclass(node) and not isinstance(node, type):
        changes = {}
        for field in fields(node):
            if field.name != "pos":
                value = getattr(node, field.name)
                changed = _replace(value, old, new)
                if changed is not value:
                    changes[field.name] = changed
        return replace(node, **changes) if changes else node
    return node
