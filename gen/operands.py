"""Checks `with e = table(…)`: one operand table's rows, instantiated for one use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gen import calls, expressions, model, places, statements, tree
from gen.declarations import field_local, field_width, is_signed, require_translation_time
from gen.encodings import parse_operand_pattern
from gen.names import Declared
from gen.parse import parse_expression
from gen.scope import Body, Local, OperandEntity, Program
from gen.syntax import Format, parse_template
from gen.tree import Pos
from gen.values import Failed, FunctionValue, Number, Sized


@dataclass(frozen=True, slots=True)
class Formats:
    """What templates need to know of declarations."""

    fields: Mapping[str, Format]
    named: Mapping[str, Format]


#: operand tables that use each other deeper than this use themselves
_DEEPEST = 8


def template(
    program: Program,
    text: tree.Text,
    name: str,
    body: Body,
    formats: Formats,
    columns: Mapping[str, str | int],
    renamed: Mapping[str, str] | None = None,
) -> model.Template | None:
    """One syntax template; names in its holes are those of `body`'s outermost scope.

    `renamed` gives the declared names of fields the model knows under another."""
    fields = dict(formats.fields)
    for own, declared_name in (renamed or {}).items():
        if declared_name in formats.fields:
            fields[own] = formats.fields[declared_name]

    def resolve(hole: tree.Text) -> model.Expr | None:
        node = parse_expression(hole, program.diagnostics)
        if node is None:
            return None
        inside = Body(program, body.msb0, "template", body.splits, body.scopes[0])
        try:
            return expressions.with_own_width(inside, node, "a value in the syntax").expr
        except Failed:
            return None

    return parse_template(text, name, resolve, fields, formats.named, program.diagnostics, columns)


def bind(
    program: Program,
    body: Body,
    space: model.Space,
    formats: Formats,
    name: tree.Name,
    call: tree.Call,
    entity: OperandEntity,
    prefix: str = "",
) -> model.BoundOperand:
    """`name = table(args)`; `prefix` keeps the fields of operands within operands apart."""
    declared = entity.declared
    decl = declared.decl
    if prefix.count(".") >= _DEEPEST:
        body.fail(call.pos, f"operand '{decl.name.name}' is made of itself")
    if len(call.args) != len(decl.params):
        body.fail(call.pos, f"operand '{decl.name.name}' takes {len(decl.params)} arguments, not {len(call.args)}")
    body.taken.add("new")
    by_value = all(not alt.pattern.value.split("/")[0].strip() for alt in decl.alternatives)
    outer: dict[str, Local] = {}
    before: list[model.Stmt] = []
    matched: list[model.Expr] = []
    env = Body(program, declared.msb0, "fn", body.splits)
    for param, arg in zip(decl.params, call.args, strict=True):
        if param.function:
            function: FunctionValue = calls.function_value(body, arg)
            outer[param.name.name] = Local("parameter", function, param.name.pos)
        elif param.type is None:
            number = expressions.number_of(body, arg, f"'{param.name.name}'", expressions.SPLIT_HELP)
            outer[param.name.name] = Local("parameter", Number(number), param.name.pos)
            env.scopes[0][param.name.name] = outer[param.name.name]
        else:
            width = expressions.width_of_type(env, param.type)
            wanted = f"'{param.name.name}' of '{decl.name.name}' is bits({width})"
            value = expressions.sized(body, arg, width, wanted)
            if by_value:
                body.blocks.append(before)
                value = body.hold(value, f"{name.name}_{param.name.name}", arg.pos)
                body.blocks.pop()
            else:
                require_translation_time(body, value, arg, "what an operand's rows match")
                matched.append(value)
            outer[param.name.name] = Local("parameter", Sized(value), param.name.pos, "", width)
    width = expressions.width_of_type(env, decl.result)
    numbers = tuple(local.value.value for local in outer.values() if isinstance(local.value, Number))
    key = (decl.name.name, f"{prefix}{name.name}", space.name, tuple(matched), numbers, tuple(body.splits.items()))
    known = program.operands.get(key) if not by_value and len(numbers) + len(matched) == len(outer) else None
    if known is not None:
        return known
    made = []
    errors = len(program.diagnostics)
    for alternative in decl.alternatives:
        try:
            row = _row(
                program, body, space, formats, declared, alternative, outer, matched, width, f"{prefix}{name.name}."
            )
        except Failed:
            continue
        if row is not None:
            made.append(row)
    bound = model.BoundOperand(
        f"{prefix}{name.name}".replace(".", "_"), width, tuple(matched), tuple(made), tuple(before)
    )
    if not by_value and len(program.diagnostics) == errors:
        program.operands[key] = bound
    return bound


def _row(
    program: Program,
    body: Body,
    space: model.Space,
    formats: Formats,
    declared: Declared[tree.OperandDecl],
    alt: tree.Alt,
    outer: Mapping[str, Local],
    matched: Sequence[model.Expr],
    width: int,
    prefix: str,
) -> model.OperandAlt | None:
    declared_widths = {name: field_width(program, name) for name in program.module.fields}
    patterns = parse_operand_pattern(
        alt.pattern, space, sum(expr.width for expr in matched), declared_widths, program.diagnostics, declared.msb0
    )
    if patterns is None:
        raise Failed
    head, rest = (_renamed(pattern, prefix) for pattern in patterns)
    scope = dict(outer)
    renamed: dict[str, str] = {}
    for pattern in patterns:
        for layout in pattern.fields:
            own = _own_name(prefix, layout.name)
            known = program.module.fields.get(layout.name)
            renamed[own] = layout.name
            scope[layout.name] = field_local(
                layout.name, layout.width, known is not None and is_signed(known.decl), alt.pattern.pos, own
            )
    inside = Body(program, declared.msb0, "insn", body.splits, scope)
    inside.taken = body.taken
    where = None
    if alt.where is not None:
        where = expressions.condition(inside, alt.where, "a guard")
        require_translation_time(inside, where, alt.where, "a guard")
        if isinstance(where, model.Const):
            if not where.value:
                return None
            where = None
    operands: list[model.BoundOperand] = []
    for statement in alt.before:
        nested = _nested(program, statement)
        if nested is None:
            statements.check_block(inside, (statement,))
            continue
        name, call, entity = nested
        if inside.blocks[0]:
            inside.fail(
                statement.pos,
                "operands within a row are bound before its other statements",
                help="move this `let` to the front",
            )
        bound = bind(program, inside, space, formats, name, call, entity, prefix)
        operands.append(bound)
        inside.scopes[0][name.name] = operand_local(bound, name.pos)
    value, place, write = _reference(program, inside, alt.value, width)
    syntax = template(program, alt.syntax, declared.decl.name.name, inside, formats, {}, renamed)
    if syntax is None:
        raise Failed
    return model.OperandAlt(
        head, rest, syntax, where, tuple(inside.blocks[0]), value, place, tuple(operands), alt.pos, write
    )


def operand_local(bound: model.BoundOperand, pos: Pos) -> Local:
    """A bound operand in scope."""
    return Local("operand", Sized(model.OperandRead(bound.width, bound.name)), pos, bound.name, bound.width)


def _nested(program: Program, statement: tree.Stmt) -> tuple[tree.Name, tree.Call, OperandEntity] | None:
    """`let e = table(…)` inside a row."""
    if isinstance(statement, tree.Let) and len(statement.names) == 1 and isinstance(statement.value, tree.Call):
        callee = statement.value.callee
        if isinstance(callee, tree.Name):
            entity = program.entities.get(callee.name)
            if isinstance(entity, OperandEntity):
                return statement.names[0], statement.value, entity
    return None


def _reference(
    program: Program, body: Body, node: tree.Expr, width: int
) -> tuple[model.Expr, model.Place | None, tuple[model.Stmt, ...]]:
    """(value, place if it is a plain one, statements that write Local "new" to it)."""
    wanted = f"the operand is bits({width})"
    target: places.Target | None = None
    if isinstance(
        node, tree.Name | tree.Index | tree.Subscript | tree.Slice | tree.DynSlice | tree.Field | tree.Cat | tree.IfExpr
    ):
        before, taken = list(body.blocks[-1]), set(body.taken)
        with program.trial() as attempt:
            try:
                target = places.target_of(body, node, True)
            except Failed:
                target = None
        if attempt or target is None:
            body.blocks[-1][:] = before
            body.taken.clear()
            body.taken.update(taken)
            target = None
    if target is None:
        return expressions.sized(body, node, width, wanted), None, ()
    if target.width != width:
        body.fail(node.pos, f"{wanted}, this is bits({target.width})")
    new = model.Local(width, "new", model.Time.R)
    with body.block() as made:
        target.write(body, new, node.pos)
    if isinstance(target, places.Part) and target.width == target.base.width:
        target = target.base
    place = target.place if isinstance(target, places.Whole) else None
    return target.read(body, node.pos), place, tuple(made)


def _own_name(prefix: str, name: str) -> str:
    return (prefix + name).replace(".", "_")


def _renamed(pattern: model.Pattern, prefix: str) -> model.Pattern:
    return replace(
        pattern, fields=tuple(replace(layout, name=_own_name(prefix, layout.name)) for layout in pattern.fields)
    )
