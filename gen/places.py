"""Checks what stands left of `=` and rewrites it into writes of whole registers, entries, modes and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gen import expressions, fold, model, parts, tree, widths
from gen.scope import (
    WHAT_IT_IS,
    AliasEntity,
    Body,
    FileEntity,
    ForeignField,
    InputEntity,
    MemoryEntity,
    ModeEntity,
    PcEntity,
    RegisterEntity,
    SysRow,
    SysTableEntity,
)
from gen.tree import Pos
from gen.values import Failed, Number, Sized


class Target(Protocol):
    """Something assignable."""

    @property
    def width(self) -> int: ...

    def read(self, body: Body, pos: Pos) -> model.Expr: ...

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A place the model can write as it is."""

    place: model.Place
    value: model.Expr

    @property
    def width(self) -> int:
        return self.place.width

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return self.value

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        body.emit(model.Assign(self.place, value, pos))


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a target: the rest is read and written back."""

    base: Target
    low: int | model.Expr
    width: int

    def read(self, body: Body, pos: Pos) -> model.Expr:
        base = self.base.read(body, pos)
        if isinstance(self.low, int):
            return fold.slice_of(base, self.low, self.width)
        return fold.dynamic_slice(base, self.low, self.width)

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        if isinstance(self.low, int) and self.width == self.base.width:
            self.base.write(body, value, pos)
            return
        # The value may read what is written here: it is computed before the rest is put around it, in one expression.
        old = self.base.read(body, pos)
        whole = (
            fold.insert(old, self.low, value)
            if isinstance(self.low, int)
            else fold.insert_dynamic(old, self.low, value)
        )
        self.base.write(body, whole, pos)


@dataclass(frozen=True, slots=True)
class Joined:
    """`a ++ b = …`."""

    parts: tuple[Target, ...]

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts)

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return fold.cat([part.read(body, pos) for part in self.parts])

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        value = body.hold(value, "joined", pos)
        low = self.width
        for part in self.parts:
            low -= part.width
            part.write(body, fold.slice_of(value, low, part.width), pos)


@dataclass(frozen=True, slots=True)
class Chosen:
    """`(if c then a else b) = …`, mostly from an alias."""

    condition: model.Expr
    then: Target
    otherwise: Target

    @property
    def width(self) -> int:
        return self.then.width

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return fold.select(self.condition, self.then.read(body, pos), self.otherwise.read(body, pos))

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        value = body.hold(value, "chosen", pos)
        with body.block() as then:
            self.then.write(body, value, pos)
        with body.block() as otherwise:
            self.otherwise.write(body, value, pos)
        body.emit(model.If(self.condition, tuple(then), tuple(otherwise), pos))


@dataclass(frozen=True, slots=True)
class ThroughAlias:
    """An alias with its own get and set, or with an index."""

    alias: AliasEntity
    args: tuple[model.Expr | int, ...]
    width: int

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return body.program.functions.alias_read(body, self.alias, self.args, pos)

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        body.program.functions.alias_set(body, self.alias, self.args, value, pos)


@dataclass(frozen=True, slots=True)
class ThroughTable:
    """An entry of a `sysregs` table, with the rules of its row."""

    table: SysTableEntity
    address: model.Expr

    @property
    def width(self) -> int:
        return self.table.width

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return body.program.functions.table_get(body, self.table, self.address, pos)

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        body.program.functions.table_set(body, self.table, self.address, value, pos)


@dataclass(frozen=True, slots=True)
class ThroughRow:
    """A system register by name that has no storage of its own."""

    row: SysRow

    @property
    def width(self) -> int:
        return self.row.width

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return body.program.functions.row_read(body, self.row, pos)

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        body.program.functions.row_write(body, self.row, value, pos)


@dataclass(frozen=True, slots=True)
class Jump:
    """The pc, in `on reset` and tests."""

    width: int

    def read(self, body: Body, pos: Pos) -> model.Expr:
        return model.PcRead(self.width)

    def write(self, body: Body, value: model.Expr, pos: Pos) -> None:
        body.emit(model.Goto(value, pos))


def target_of(body: Body, node: tree.Expr, twice: bool = False) -> Target:
    """The target an expression stands for.  `twice`: it will be read and then written, so indices are computed once."""
    match node:
        case tree.Name():
            return _name(body, node)
        case tree.Index():
            return _index(body, node, twice)
        case tree.Subscript():
            return _subscript(body, node, twice)
        case tree.Slice():
            base = target_of(body, node.base, True)
            low, width = parts.slice_bounds(body, base.width, node.high, node.low, node.pos)
            return Part(base, low, width)
        case tree.DynSlice():
            base = target_of(body, node.base, True)
            place, width = parts.part_bounds(body, base.width, node)
            return Part(base, place if isinstance(place, int) else body.hold(place, "low", node.pos), width)
        case tree.Field():
            field = parts.register_field(body, node)
            if field is None:
                expressions.value_of(body, node)  # reports what is wrong
                body.fail(node.pos, "this cannot be assigned")
            return Part(target_of(body, node.base, True), field.low, field.width)
        case tree.Cat():
            return Joined(tuple(target_of(body, part, True) for part in node.parts))
        case tree.IfExpr():
            return _chosen(body, node, 0)
        case tree.Call():
            expressions.value_of(body, node)
            body.fail(node.pos, "the result of a call cannot be assigned")
    body.fail(
        node.pos, "this cannot be assigned", help="registers, entries, fields, slices, memory and ++ of those can"
    )


def _chosen(body: Body, node: tree.IfExpr, index: int) -> Target:
    if index == len(node.arms):
        return target_of(body, node.otherwise, True)
    test, branch = node.arms[index]
    condition = expressions.condition(body, test)
    if isinstance(condition, model.Const):
        return target_of(body, branch, True) if condition.value else _chosen(body, node, index + 1)
    condition = body.hold(condition, "choice", test.pos)
    then = target_of(body, branch, True)
    otherwise = _chosen(body, node, index + 1)
    if then.width != otherwise.width:
        body.fail(node.pos, f"'if': one side is bits({then.width}), another is bits({otherwise.width})")
    return Chosen(condition, then, otherwise)


_IMMUTABLE = {
    "let": "'{0}' is a `let` and cannot change",
    "parameter": "'{0}' is a parameter and cannot change",
    "index": "'{0}' is a loop index and cannot change",
    "field": "'{0}' is an encoding field and cannot change",
    "column": "'{0}' is a column of the table and cannot change",
    "binding": "'{0}' is bound by `with` and cannot change",
}


def _name(body: Body, node: tree.Name) -> Target:
    name = node.name
    local = body.local(name)
    if local is not None:
        if local.kind in _IMMUTABLE:
            hint = f"write `var {name} : …` where it is defined" if local.kind == "let" else None
            if local.kind in {"parameter", "field", "binding"}:
                hint = f"copy it: `var x : bits({local.width or 32}) = {name}`"
            notes = ((local.pos, f"'{name}' is defined here"),) if local.kind == "let" else ()
            body.fail(node.pos, _IMMUTABLE[local.kind].format(name), notes, hint)
        value = local.value
        if not isinstance(value, Sized):
            body.fail(node.pos, f"'{name}' cannot be assigned")
        if local.kind == "operand":
            return Whole(model.ToOperand(value.width, local.model_name), value.expr)
        return Whole(model.ToLocal(local.width, local.model_name), value.expr)
    entity = body.entity(name)
    match entity:
        case RegisterEntity():
            width = entity.register.width
            return Whole(model.ToReg(width, name), model.RegRead(width, name))
        case ModeEntity():
            return Whole(model.ToMode(entity.width, name), model.ModeRead(entity.width, name))
        case SysRow():
            return row_target(body, entity)
        case AliasEntity():
            if entity.index_params:
                body.fail(node.pos, f"'{name}' needs an index", help=f"write {name}[…]")
            return _alias(body, entity, (), node.pos, True)
        case PcEntity():
            if body.kind not in {"reset", "test"}:
                body.fail(node.pos, "the pc is changed by `goto`", help="write `goto …`")
            return Jump(entity.pc.width)
        case InputEntity():
            body.fail(node.pos, f"'{name}' is an input: the platform drives it")
        case ForeignField() | Number():
            body.fail(node.pos, f"'{name}' is {WHAT_IT_IS[type(entity)]} and cannot change")
        case FileEntity() | SysTableEntity():
            body.fail(node.pos, f"'{name}' is {WHAT_IT_IS[type(entity)]}: it needs an index", help=f"write {name}[…]")
        case MemoryEntity():
            body.fail(node.pos, f"'{name}' is a memory", help=f"write {name}[address, 32]")
        case None:
            body.unknown(name, node.pos)
    body.fail(node.pos, f"'{name}' is {WHAT_IT_IS.get(type(entity), 'nothing')} that can be assigned")


def row_target(body: Body, row: SysRow) -> Target:
    """A system register by name: its storage, raw; without storage, what its row says."""
    if row.register is not None:
        return Whole(model.ToReg(row.width, row.register), model.RegRead(row.width, row.register))
    return ThroughRow(row)


def _index(body: Body, node: tree.Index, twice: bool) -> Target:
    entity = parts.named_base(body, node.base)
    if isinstance(entity, FileEntity):
        index = parts.file_index(body, entity, node.index)
        return file_entry(body, entity.file, body.hold(index, "index", node.pos) if twice else index)
    if isinstance(entity, AliasEntity):
        return _alias(body, entity, (node.index,), node.pos, twice)
    if isinstance(entity, SysTableEntity):
        address = expressions.sized(
            body, node.index, entity.index_width, f"addresses of '{entity.name}' are bits({entity.index_width})"
        )
        return ThroughTable(entity, body.hold(address, "address", node.pos) if twice else address)
    if isinstance(entity, MemoryEntity):
        body.fail(node.pos, "a memory access names its size", help=f"write {entity.name}[address, 32]")
    lane = parts.lane_of(body, node)
    if lane is not None:
        file, index, low, width = lane
        base = file_entry(body, file, body.hold(index, "index", node.pos))
        held = body.hold(low, "low", node.pos)
        return Part(base, held.value if isinstance(held, model.Const) else held, width)
    base_target = target_of(body, node.base, True)
    bit = parts.bit_number(body, base_target.width, node.index)
    return Part(base_target, bit if isinstance(bit, int) else body.hold(bit, "bit", node.pos), 1)


def file_entry(body: Body, file: model.RegFile, index: model.Expr) -> Whole:
    return Whole(model.ToRegFile(file.width, file.name, index), model.RegFileRead(file.width, file.name, index))


def _subscript(body: Body, node: tree.Subscript, twice: bool) -> Target:
    entity = parts.named_base(body, node.base)
    if isinstance(entity, MemoryEntity):
        address, width = parts.memory_access(body, entity, node)
        if twice:
            address = body.hold(address, "address", node.pos)
        return Whole(model.ToMem(width, entity.name, address), model.MemRead(width, entity.name, address))
    if isinstance(entity, AliasEntity):
        return _alias(body, entity, node.indices, node.pos, twice)
    body.fail(node.pos, "only a memory or an alias takes several indices")


def _alias(body: Body, entity: AliasEntity, args: tuple[tree.Expr, ...], pos: Pos, twice: bool) -> Target:
    decl = entity.declared.decl
    values, width = body.program.functions.alias_arguments(body, entity, args, pos)
    if decl.value is not None and not decl.params:
        inside = body.aside(entity.declared.msb0, {})
        with body.program.functions.inlining(decl.name.name, decl.name.pos):
            target = target_of(inside, decl.value, True)
        if target.width != width:
            body.fail(decl.pos, f"'{decl.name.name}' is declared bits({width}), its value is bits({target.width})")
        return target
    if decl.get is not None and decl.set_name is None:
        body.fail(
            pos,
            f"'{decl.name.name}' has no `set`: it can only be read",
            ((decl.pos, f"'{decl.name.name}' is declared here"),),
        )
    if twice:
        values = [body.hold(value, "index", pos) if not isinstance(value, int) else value for value in values]
    return ThroughAlias(entity, tuple(values), width)


def assign(body: Body, target_node: tree.Expr, value_node: tree.Expr, pos: Pos) -> None:
    """`target = value`."""
    try:
        target = target_of(body, target_node)
    except Failed:
        expressions.value_of(body, value_node)
        raise
    text = body.program.text(target_node)
    wanted = f"{'the left side' if text == '…' else text} is bits({target.width})"
    value = widths.fit(body, expressions.value_of(body, value_node), target.width, value_node, wanted)
    target.write(body, value, pos)
