"""Checks calls: functions, operators as functions, sext and zext, intrinsics."""

from __future__ import annotations

from collections.abc import Sequence

from gen import expressions, fold, model, tree, widths
from gen.expressions import EXTENSIONS, SPLIT_HELP, both, logical, number_of, sized, value_of, with_own_width
from gen.intrinsics import INTRINSICS, IntrinsicDef
from gen.scope import Body, MemoryEntity, OperandEntity
from gen.tree import Pos
from gen.values import (
    AnyFunction,
    BuiltIn,
    Failed,
    FunctionValue,
    Nothing,
    Number,
    Open,
    Operator,
    Ranged,
    Sized,
    UserFunction,
    Value,
    describe,
)

#: softfloat's functions live in a prelude; f32.add means its f32_add
FLOAT_PRELUDE = "softfloat.isa"


def dotted_function(body: Body, node: tree.Field) -> UserFunction | None:
    """`f32.add` is the function f32_add."""
    base = node.base
    if not isinstance(base, tree.Name) or body.local(base.name) is not None or base.name in body.program.entities:
        return None
    full = f"{base.name}_{node.name}"
    declared = body.program.module.functions.get(full)
    if declared is not None:
        return UserFunction(declared)
    if base.name[:1] == "f" and base.name[1:].isdigit():
        hint = body.program.suggest(full, body.program.module.functions)
        body.fail(
            node.pos,
            f"'{base.name}.{node.name}' needs a function '{full}'",
            help=hint or f'add `include "{FLOAT_PRELUDE}"`, or define {full}',
        )
    return None


def function_value(body: Body, node: tree.Expr) -> FunctionValue:
    """An expression that must name a function."""
    value = value_of(body, node)
    if isinstance(value, Operator | UserFunction | BuiltIn | AnyFunction):
        return value
    body.fail(
        node.pos,
        f"a function is needed here; this is {describe(value)}",
        help="functions are names, or operators in parentheses: (+)",
    )


def _call(body: Body, node: tree.Call) -> Value:
    if isinstance(node.callee, tree.Field) and node.callee.name == "lanes":
        body.fail(node.pos, "`lanes` is an array", help="write V.lanes(32)[i]")
    callee = node.callee
    if isinstance(callee, tree.Name) and body.local(callee.name) is None:
        if callee.name == "static":
            return _static(body, node)
        if callee.name == "page":
            body.fail(node.pos, "page(…) is what `on translate` returns")
        if isinstance(body.program.entities.get(callee.name), OperandEntity):
            body.fail(
                node.pos,
                f"'{callee.name}' is an operand table: it is bound before the body",
                help=f"write `with e = {callee.name}(…)`",
            )
    function = function_value(body, callee)
    return call_function(body, function, node.args, node.pos)


def call_function(body: Body, function: FunctionValue, args: Sequence[tree.Expr], pos: Pos) -> Value:
    """A call with arguments as written."""
    if isinstance(function, UserFunction):
        return body.program.functions.call(body, function.declared, args, pos)
    if isinstance(function, Operator):
        if len(args) != 2:
            body.fail(pos, f"'{function.op}' takes two arguments, not {len(args)}")
        if function.op in {"and", "or"}:
            return logical(body, tree.Binary(function.op, args[0], args[1], pos, pos))
        left, right = both(body, args[0], args[1])
        return widths.apply(body, function.op, left, right, (args[0], args[1]), pos)
    if isinstance(function, AnyFunction):
        for arg in args:
            value_of(body, arg)
        raise Failed
    if function.name in EXTENSIONS:
        return _extension(body, function.name, args, pos)
    return _intrinsic(body, INTRINSICS[function.name], args, pos)


def _extension(body: Body, name: str, args: Sequence[tree.Expr], pos: Pos) -> Value:
    if len(args) not in {1, 2}:
        body.fail(pos, f"{name} takes a value and perhaps a width, not {len(args)} arguments")
    value = widths.one_value(body, value_of(body, args[0]), args[0])
    if isinstance(value, Number) and value.digits is not None:  # 0x80 has a sign bit, as in `++`
        value = Sized(fold.const(value.digits, value.value))
    width = number_of(body, args[1], "a width", SPLIT_HELP) if len(args) == 2 else None
    if width is not None and not 1 <= width <= widths.WIDEST:
        body.fail(args[1].pos, f"a value has 1 to {widths.WIDEST} bits, not {width}")

    def build(wanted: int) -> model.Expr:
        if not isinstance(value, Sized):
            return widths.fit(body, value, wanted, args[0])
        if value.width > wanted:
            body.fail(
                pos,
                f"{name} only widens: the value is bits({value.width}), bits({wanted}) is needed",
                help=widths.narrow_help(body, args[0], wanted),
            )
        return fold.extend(name, value.expr, wanted)

    if width is not None:
        return Sized(build(width))
    if isinstance(value, Number):
        return value
    return Open(build, name)


def _static(body: Body, node: tree.Call) -> Value:
    if len(node.args) != 1:
        body.fail(node.pos, "static takes one value")
    value = widths.one_value(body, value_of(body, node.args[0]), node.args[0])
    if isinstance(value, Sized | Ranged) and body.time_of(value.expr) == model.Time.R:
        body.fail(node.args[0].pos, "this is known only at run time; static(…) says it is known at translation")
    return value


def _intrinsic(body: Body, intrinsic: IntrinsicDef, args: Sequence[tree.Expr], pos: Pos) -> Value:
    name = intrinsic.name
    if len(args) != len(intrinsic.arguments):
        count = len(intrinsic.arguments)
        takes = f": {', '.join(intrinsic.arguments)}" if count else ""
        body.fail(pos, f"{name} takes {count} argument{'s' * (count != 1)}, not {len(args)}{takes}")
    values: list[model.Expr] = []
    memory: MemoryEntity | None = None
    result = 0
    for kind, arg in zip(intrinsic.arguments, args, strict=True):
        if kind == "memory":
            entity = memory_named(body, arg)
            if not isinstance(entity, MemoryEntity):
                body.fail(arg.pos, f"the first argument of {name} is a memory")
            memory = entity
        elif kind == "address" and memory is not None:
            values.append(
                sized(body, arg, memory.address_width, f"addresses of '{memory.name}' are bits({memory.address_width})")
            )
        elif kind == "width":
            result = number_of(body, arg, "a width", SPLIT_HELP)
            if memory is not None:
                check_access_width(body, result, arg.pos)
            elif result not in {32, 64}:
                body.fail(arg.pos, f"{name} knows 32 and 64 bits, not {result}")
        elif kind == "bytes":
            count = number_of(body, arg, "the size of an access", SPLIT_HELP)
            values.append(fold.const(32, count))
        elif kind == "set":
            values.append(sized(body, arg, 4, f"an argument of {name} is bits(4)"))
        elif kind == "bit":
            values.append(expressions.condition(body, arg, f"an argument of {name}"))
        elif kind.isdigit():
            values.append(sized(body, arg, int(kind), f"an argument of {name} is bits({kind})"))
        elif kind == "same":
            values.append(sized(body, arg, values[0].width, f"the first argument of {name} is bits({values[0].width})"))
        else:
            value = with_own_width(body, arg, f"an argument of {name}")
            if kind in {"float", "integer"} and value.width not in {32, 64}:
                body.fail(arg.pos, f"{name} knows 32 and 64 bits; this is bits({value.width})")
            if memory is not None:
                check_access_width(body, value.width, arg.pos)
            values.append(value.expr)
    in_memory = memory.name if memory is not None else ""
    if intrinsic.result is None:
        return Nothing(model.Intrinsic(0, name, tuple(values), (), in_memory))
    if intrinsic.result == "first":
        result = values[0].width
    elif isinstance(intrinsic.result, int):
        result = intrinsic.result
    return Sized(model.Intrinsic(result, name, tuple(values), (result,), in_memory))


def check_access_width(body: Body, width: int, pos: Pos) -> None:
    if width < 8 or width % 8 or width > widths.WIDEST:
        body.fail(pos, f"memory is accessed in whole bytes: {width} bits are not")


def memory_named(body: Body, node: tree.Expr) -> MemoryEntity | None:
    """The memory a name stands for."""
    if isinstance(node, tree.Name) and body.local(node.name) is None:
        entity = body.entity(node.name)
        return entity if isinstance(entity, MemoryEntity) else None
    return None


expressions.CHECKERS[tree.Call] = _call
