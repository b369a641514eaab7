"""Checks `raise` and `return`."""

from __future__ import annotations

from collections.abc import Sequence

from gen import expressions, fold, model, tree, widths
from gen.expressions import condition, sized, value_of
from gen.hooks import PAGE_WIDTHS
from gen.scope import Body
from gen.tree import Pos
from gen.values import AnyFunction, ExceptionValue, Failed, Several, Sized, UserFunction, describe

#: exceptions carry at most this many values (env.arg0 …)
MOST_ARGUMENTS = 3
#: … of so many bits each
WIDEST_ARGUMENT = 64


def raise_statement(body: Body, node: tree.Raise) -> None:
    raise_call(body, node.name, node.args, node.pos)


def raise_call(body: Body, name: tree.Name, args: Sequence[tree.Expr], pos: Pos) -> None:
    """`raise N(args)`, N an exception, a column holding one, or a function of type exn."""
    if body.local(name.name) is None and not body.program.is_known(name.name):
        exceptions = list(body.program.module.exceptions)
        meant = body.program.suggest(name.name, exceptions)
        known = f"exceptions are {', '.join(exceptions)}" if exceptions else "declare it: exception E = 0"
        body.fail(name.pos, f"unknown exception '{name.name}'", help=meant or known)
    value = value_of(body, name)
    if isinstance(value, UserFunction):
        declared = value.declared
        if not is_exn(declared.decl):
            body.fail(name.pos, f"'{name.name}' does not give an exception", help="its result type must be exn")
        body.program.functions.inline_raise(body, declared, args, pos)
        return
    if isinstance(value, AnyFunction):
        raise Failed
    if not isinstance(value, ExceptionValue):
        body.fail(name.pos, f"'{name.name}' is {describe(value)}, not an exception")
    expected = body.program.exception_widths
    most = MOST_ARGUMENTS if expected is None else len(expected)
    if len(args) > most:
        hint = f"`on exception` takes {most} after the code" if expected is not None else None
        body.fail(pos, f"'{value.name}' is raised with {len(args)} values, the most is {most}", help=hint)
    made: list[model.Expr] = []
    for index, arg in enumerate(args):
        if expected is not None:
            made.append(sized(body, arg, expected[index], f"`on exception` takes bits({expected[index]}) here"))
            continue
        single = widths.one_value(body, value_of(body, arg), arg)
        plain = single.expr if isinstance(single, Sized) else None
        if plain is not None and plain.width > WIDEST_ARGUMENT:
            body.fail(arg.pos, f"what is raised with an exception has {WIDEST_ARGUMENT} bits at most")
        made.append(plain if plain is not None else widths.fit(body, single, expressions.pc_width(body, arg.pos), arg))
    for width in (expected or ())[len(args) :]:
        made.append(fold.const(width, 0))
    body.emit(model.Raise(value.name, tuple(made), pos))


def is_exn(decl: tree.Fn) -> bool:
    return isinstance(decl.result, tree.TypeName) and decl.result.name == "exn"


def _raise_expression(body: Body, node: tree.Expr) -> None:
    """The exception a function of type exn gives."""
    match node:
        case tree.IfExpr():
            _raise_arms(body, node, 0)
        case tree.Call(tree.Name() as name, args):
            raise_call(body, name, args, node.pos)
        case tree.Name():
            raise_call(body, node, (), node.pos)
        case _:
            body.fail(node.pos, "an exception is needed here", help="write its name, with values: Fault(address)")


def _raise_arms(body: Body, node: tree.IfExpr, index: int) -> None:
    if index == len(node.arms):
        _raise_expression(body, node.otherwise)
        return
    test, branch = node.arms[index]
    known = condition(body, test)
    if isinstance(known, model.Const):
        if known.value:
            _raise_expression(body, branch)
        else:
            _raise_arms(body, node, index + 1)
        return
    with body.block() as then:
        _raise_expression(body, branch)
    with body.block() as otherwise:
        _raise_arms(body, node, index + 1)
    body.emit(model.If(known, tuple(then), tuple(otherwise), node.pos))


def return_statement(body: Body, node: tree.Return) -> None:
    if body.kind == "exn":
        if node.value is None:
            body.fail(node.pos, "an exception is returned here", help="return Fault(address)")
        _raise_expression(body, node.value)
        return
    if body.kind == "translate":
        _return_page(body, node)
        return
    if body.results is None or not body.results:
        if node.value is not None:
            body.fail(node.value.pos, "nothing is returned here: there is no result type")
        body.emit(model.Return((), node.pos))
        return
    if node.value is None:
        body.fail(node.pos, "a value must be returned here")
    _return_value(body, node.value, body.results, node.pos)


def _return_value(body: Body, node: tree.Expr, results: tuple[int, ...], pos: Pos) -> None:
    if len(results) == 1:
        value = sized(body, node, results[0], f"the result is bits({results[0]})")
        body.emit(model.Return((value,), pos))
    elif isinstance(node, tree.IfExpr):
        _return_arms(body, node, 0, results, pos)
    elif isinstance(node, tree.TupleExpr):
        if len(node.items) != len(results):
            body.fail(node.pos, f"{len(results)} values are returned, here are {len(node.items)}")
        values = [
            sized(body, item, width, f"this result is bits({width})")
            for item, width in zip(node.items, results, strict=True)
        ]
        body.emit(model.Return(tuple(values), pos))
    else:
        value_many = value_of(body, node)
        if not isinstance(value_many, Several):
            body.fail(node.pos, f"{len(results)} values are returned, this is {describe(value_many)}")
        if value_many.widths != results:
            given, needed = (", ".join(f"bits({width})" for width in each) for each in (value_many.widths, results))
            body.fail(node.pos, f"({needed}) is returned, this is ({given})")
        names = tuple(body.fresh("result") for _ in results)
        time = body.time_of(value_many.expr)
        body.emit(model.Let(names, value_many.expr, node.pos))
        body.emit(
            model.Return(tuple(model.Local(width, name, time) for width, name in zip(results, names, strict=True)), pos)
        )


def _return_arms(body: Body, node: tree.IfExpr, index: int, results: tuple[int, ...], pos: Pos) -> None:
    if index == len(node.arms):
        _return_value(body, node.otherwise, results, pos)
        return
    test, branch = node.arms[index]
    known = condition(body, test)
    if isinstance(known, model.Const):
        if known.value:
            _return_value(body, branch, results, pos)
        else:
            _return_arms(body, node, index + 1, results, pos)
        return
    with body.block() as then:
        _return_value(body, branch, results, pos)
    with body.block() as otherwise:
        _return_arms(body, node, index + 1, results, pos)
    body.emit(model.If(known, tuple(then), tuple(otherwise), pos))


def _return_page(body: Body, node: tree.Return) -> None:
    call = node.value
    if not (isinstance(call, tree.Call) and isinstance(call.callee, tree.Name) and call.callee.name == "page"):
        body.fail(
            node.pos, "`on translate` returns a page", help="write return page(physical address, log2 of its size, rwx)"
        )
    if len(call.args) != 3:
        body.fail(call.pos, "page takes a physical address, the log2 of its size, and rwx")
    address = expressions.with_own_width(body, call.args[0], "a physical address").expr
    if address.width > PAGE_WIDTHS[0]:
        body.fail(call.args[0].pos, f"a physical address has {PAGE_WIDTHS[0]} bits at most, not {address.width}")
    rest = [
        sized(body, arg, width, f"this part of page is bits({width})")
        for arg, width in zip(call.args[1:], PAGE_WIDTHS[1:], strict=True)
    ]
    body.emit(model.Return((fold.extend("zext", address, PAGE_WIDTHS[0]), *rest), node.pos))
