"""Checks expressions: from gen/tree.py's nodes to typed values (gen/values.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from gen import fold, model, tree, widths
from gen.intrinsics import INTRINSICS
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
from gen.values import (
    BuiltIn,
    ExceptionValue,
    Failed,
    Number,
    Open,
    Operator,
    Ranged,
    Several,
    Sized,
    UserFunction,
    Value,
)

EXTENSIONS = ("sext", "zext")


#: by node; gen/parts.py, gen/calls.py and gen/statements.py add theirs
CHECKERS: dict[type[object], Callable[..., Value]] = {}


def value_of(body: Body, node: tree.Expr) -> Value:
    """What an expression stands for; raises Failed after reporting what is wrong with it."""
    return CHECKERS[type(node)](body, node)


def sized(body: Body, node: tree.Expr, width: int, wanted: str | None = None) -> model.Expr:
    """An expression that must have, or take, this width."""
    return widths.fit(body, value_of(body, node), width, node, wanted)


def with_own_width(body: Body, node: tree.Expr, what: str) -> Sized:
    """An expression that must have a width by itself."""
    value = widths.one_value(body, value_of(body, node), node)
    if isinstance(value, Sized):
        return value
    if isinstance(value, Open):
        body.fail(
            node.pos,
            f"{what}: the width of {value.what} is not known here",
            help="give it one: zext(x, 32)" if value.what in {"zext", "sext"} else None,
        )
    body.fail(node.pos, f"{what} needs a width; a bare integer has none", help="give it one: zext(1, 8)")


def condition(body: Body, node: tree.Expr, what: str = "a condition") -> model.Expr:
    value = widths.one_value(body, value_of(body, node), node)
    if isinstance(value, Sized) and value.width != 1:
        text = body.program.text(node)
        body.fail(
            node.pos,
            f"{what} is bits(1); this is bits({value.width})",
            help=f"compare it: {'x' if text == '…' else text} != 0",
        )
    return widths.fit(body, value, 1, node, f"{what} is bits(1)")


def number_of(body: Body, node: tree.Expr, what: str, hint: str | None = None) -> int:
    """A generation-time number."""
    value = widths.simplify(value_of(body, node))
    if isinstance(value, Number):
        return value.value
    if isinstance(value, Sized | Ranged) and isinstance(value.expr, model.Const):
        return value.expr.value
    text = body.program.text(node)
    when = (
        "here"
        if not isinstance(value, Sized | Ranged)
        else ("at translation" if body.time_of(value.expr) == model.Time.T else "at run time")
    )
    name = f"'{text}'" if text != "…" else "this"
    body.fail(node.pos, f"{what} must be known at generation; {name} is known only {when}", help=hint)


def width_of_type(body: Body, node: tree.TypeExpr) -> int:
    """The width of a type that is one value."""
    found = widths_of_type(body, node)
    if len(found) != 1:
        body.fail(node.pos, "one bits type is needed here")
    return found[0]


def widths_of_type(body: Body, node: tree.TypeExpr, within: tuple[str, ...] = ()) -> tuple[int, ...]:
    """The widths of a type; several for a tuple.  `within`: the types whose definitions are being read."""
    if isinstance(node, tree.TypeBits):
        width = number_of(body, node.width, "a width", SPLIT_HELP)
        if not 1 <= width <= widths.WIDEST:
            body.fail(node.pos, f"a value has 1 to {widths.WIDEST} bits; this is bits({width})")
        return (width,)
    if isinstance(node, tree.TypeTuple):
        return tuple(width for item in node.items for width in widths_of_type(body, item, within))
    declared = body.program.module.types.get(node.name)
    if declared is None:
        hint = body.program.suggest(node.name, [*body.program.module.types, "bit", "exn"])
        body.fail(node.pos, f"unknown type '{node.name}'", help=hint)
    if node.name in within:
        body.fail(node.pos, f"type '{node.name}' is made of itself")
    return widths_of_type(body, declared.decl.type, (*within, node.name))


SPLIT_HELP = "make it generation-time: `split w : {8, 16, 32} = …` clones the instruction for each value"

# ---------------------------------------------------------------- atoms


def _number(body: Body, node: tree.Num) -> Value:
    digits = None
    text = node.digits.replace("_", "")
    if text[:2] in {"0b", "0B"}:
        digits = len(text) - 2
    elif text[:2] in {"0x", "0X"}:
        digits = 4 * (len(text) - 2)
    return Number(node.value, digits)


def _name(body: Body, node: tree.Name) -> Value:
    local = body.local(node.name)
    if local is not None:
        if local.value is None:
            raise Failed
        return local.value
    return _global(body, node)


def _global(body: Body, node: tree.Name) -> Value:
    name, program = node.name, body.program
    if name == "NEXT":
        return Sized(model.NextPc(pc_width(body, node.pos)))
    if name == "NPC":
        return Sized(model.AfterPc(pc_width(body, node.pos)))
    entity = body.entity(name)
    if body.kind == "template" and not isinstance(entity, PcEntity | ModeEntity | Number | UserFunction | None):
        body.unknown_in_template(name, node.pos)
    match entity:
        case RegisterEntity():
            return Sized(model.RegRead(entity.register.width, name))
        case ModeEntity():
            return Sized(model.ModeRead(entity.width, name))
        case PcEntity():
            return Sized(model.PcRead(entity.pc.width))
        case InputEntity():
            return Sized(model.InputRead(entity.width, name))
        case SysRow():
            return Sized(program.functions.row_read(body, entity, node.pos))
        case AliasEntity():
            if entity.index_params:
                body.fail(node.pos, f"'{name}' needs an index", help=f"write {name}[…]")
            return program.functions.alias_get(body, entity, (), node.pos)
        case Number() | ExceptionValue() | UserFunction():
            return entity
        case FileEntity() | SysTableEntity():
            body.fail(node.pos, f"'{name}' is {WHAT_IT_IS[type(entity)]}: it needs an index", help=f"write {name}[…]")
        case MemoryEntity():
            body.fail(node.pos, f"'{name}' is a memory", help=f"write {name}[address, 32]")
        case ForeignField():
            _foreign_field(body, node)
        case None:
            if name in widths.SHIFTS:  # rotl and rotr
                return Operator(name)
            intrinsic = INTRINSICS.get(name)
            if name in EXTENSIONS or (intrinsic is not None and not intrinsic.name_only):
                return BuiltIn(name)
            if intrinsic is not None:
                width = intrinsic.result
                assert isinstance(width, int)
                return Sized(model.Intrinsic(width, name, (), (width,)))
            body.unknown(name, node.pos)
    body.fail(node.pos, f"'{name}' is {WHAT_IT_IS.get(type(entity), 'no value')}, not a value")


def _foreign_field(body: Body, node: tree.Name) -> NoReturn:
    """A declared encoding field, where no encoding has it."""
    if body.kind == "when":
        body.fail(node.pos, f"'{node.name}' is an encoding field; `when` is about modes", help="write `where …`")
    fields = [known for known, local in body.scopes[0].items() if local.kind == "field"]
    if not fields:
        body.fail(
            node.pos,
            f"'{node.name}' is an encoding field: only encodings know its value",
            help="functions take fields as parameters",
        )
    hint = body.program.suggest(node.name, fields) or f"its fields are {', '.join(fields)}"
    body.fail(node.pos, f"this encoding has no field '{node.name}'", help=hint)


def pc_width(body: Body, pos: Pos) -> int:
    for entity in body.program.entities.values():
        if isinstance(entity, PcEntity):
            return entity.pc.width
    body.fail(pos, "this spec declares no pc", help="write `pc PC : bits(32)`")


# ---------------------------------------------------------------- operators


def _unary(body: Body, node: tree.Unary) -> Value:
    value = widths.one_value(body, value_of(body, node.operand), node.operand)
    if isinstance(value, Number):
        return Number(-value.value if node.op == "-" else ~value.value)
    op = "neg" if node.op == "-" else "not"
    if isinstance(value, Sized):
        return Sized(fold.unary(op, value.expr))
    return Open(lambda width: fold.unary(op, widths.fit(body, value, width, node.operand)), f"'{node.op}'")


def _not(body: Body, node: tree.Not) -> Value:
    return Sized(fold.unary("not", condition(body, node.operand, "the operand of 'not'")))


def _binary(body: Body, node: tree.Binary) -> Value:
    if node.op in {"and", "or"}:
        return logical(body, node)
    left, right = both(body, node.left, node.right)
    return widths.apply(body, node.op, left, right, (node.left, node.right), node.pos)


def both(body: Body, left: tree.Expr, right: tree.Expr) -> tuple[Value, Value]:
    """Both operands; an error in the left one does not hide those in the right one."""
    try:
        first = value_of(body, left)
    except Failed:
        value_of(body, right)
        raise
    return first, value_of(body, right)


def logical(body: Body, node: tree.Binary) -> Value:
    what = f"an operand of '{node.op}'"
    left = condition(body, node.left, what)
    if isinstance(left, model.Const):  # the other side may not even make sense at these widths
        if left.value == (node.op == "or"):
            return Sized(left)
        return Sized(condition(body, node.right, what))
    right = condition(body, node.right, what)
    if node.op == "and":
        return Sized(fold.select(left, right, fold.const(1, 0)))
    return Sized(fold.select(left, fold.const(1, 1), right))


def _cat(body: Body, node: tree.Cat) -> Value:
    parts: list[model.Expr] = []
    signed = False
    for part in node.parts:
        value = widths.one_value(body, value_of(body, part), part)
        if isinstance(value, Sized):
            signed = signed or (part is node.parts[0] and value.signed)
            parts.append(value.expr)
        elif isinstance(value, Number | Ranged) and value.digits is not None:
            whole = fold.const(value.digits, value.value) if isinstance(value, Number) else value.expr
            parts.append(whole)
        elif isinstance(value, Number):
            body.fail(
                part.pos,
                "a bare integer has no width in '++'",
                help=f"give its digits, e.g. {_binary_digits(value.value)}",
            )
        else:
            body.fail(part.pos, "the width of this part of '++' is not known", help="give it one: zext(x, 8)")
    return Sized(fold.cat(parts), signed)


def _binary_digits(value: int) -> str:
    return f"0b{value:b}" if value >= 0 else "0b111"


def _if(body: Body, node: tree.IfExpr) -> Value:
    return _arms(body, node, 0)


def _arms(body: Body, node: tree.IfExpr, index: int) -> Value:
    if index == len(node.arms):
        return value_of(body, node.otherwise)
    test, value_node = node.arms[index]
    rest_node = node.arms[index + 1][1] if index + 1 < len(node.arms) else node.otherwise
    known = condition(body, test)
    if isinstance(known, model.Const):  # only the side taken needs to make sense
        return value_of(body, value_node) if known.value else _arms(body, node, index + 1)
    try:
        then = value_of(body, value_node)
    except Failed:
        _arms(body, node, index + 1)
        raise
    otherwise = _arms(body, node, index + 1)
    return widths.merge(body, known, then, otherwise, (value_node, rest_node))


def _tuple(body: Body, node: tree.TupleExpr) -> Value:
    """Items keep their own width where they have one; `return` and `let` look at the items one by one."""
    items = []
    for item in node.items:
        items.append(with_own_width(body, item, "an item of a tuple").expr)
    return Several(model.Tuple(0, tuple(items)), tuple(item.width for item in items))


def _section(body: Body, node: tree.OpSection) -> Value:
    return Operator(node.op)


CHECKERS.update(
    {
        tree.Num: _number,
        tree.Name: _name,
        tree.Unary: _unary,
        tree.Not: _not,
        tree.Binary: _binary,
        tree.Cat: _cat,
        tree.IfExpr: _if,
        tree.TupleExpr: _tuple,
        tree.OpSection: _section,
    }
)
