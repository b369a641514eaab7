"""Checks statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gen import exits, expressions, fold, model, places, tree, widths
from gen.atomics import atomic
from gen.expressions import condition, sized, value_of
from gen.joined import joined
from gen.scope import Body, LazyEntity, Local, sized_local
from gen.tree import Pos
from gen.values import (
    ExceptionValue,
    Failed,
    Nothing,
    Number,
    Open,
    Ranged,
    Several,
    Sized,
    Value,
    bits_for,
    describe,
)

#: a case of a match: its test, and what it does
Case = tuple[model.Expr, tuple[model.Stmt, ...]]
#: so many arms of a match are tested one after the other
_CHAIN = 6


def check_block(body: Body, statements: Iterable[tree.Stmt]) -> None:
    """Checks statements in the current block; those with errors are reported and left out."""
    for statement in statements:
        before = len(body.blocks[-1])
        try:
            _CHECKERS[type(statement)](body, statement)
        except Failed:
            body.failures.append(statement.pos)
            del body.blocks[-1][before:]
            _poison(body, statement)
        if body.blocks[-1] and ends(body.blocks[-1]):
            return  # what follows is reported by gen/lints.py, unless a generation-time condition cut it off


def nested(body: Body, statements: Iterable[tree.Stmt]) -> tuple[model.Stmt, ...]:
    """A block of its own."""
    with body.block() as made:
        check_block(body, statements)
    return tuple(made)


def ends(statements: Sequence[model.Stmt]) -> bool:
    """Nothing after these statements runs."""
    if not statements:
        return False
    last = statements[-1]
    if isinstance(last, model.If):
        return ends(last.then) and ends(last.otherwise)
    return isinstance(last, model.Return | model.Raise | model.Break)


def returns(statements: Sequence[model.Stmt], diverges: Callable[[str], bool]) -> bool:
    """Every path returns or raises."""
    if not statements:
        return False
    last = statements[-1]
    match last:
        case model.Return() | model.Raise():
            return True
        case model.If():
            return returns(last.then, diverges) and returns(last.otherwise, diverges)
        case model.Do(model.Call() as call):
            return diverges(call.function)
        case model.While(model.Const(1, 1)):
            return not _breaks(last.body)
    return False


def _breaks(statements: Sequence[model.Stmt]) -> bool:
    return any(
        isinstance(s, model.Break) or (isinstance(s, model.If) and (_breaks(s.then) or _breaks(s.otherwise)))
        for s in statements
    )


def _poison(body: Body, statement: tree.Stmt) -> None:
    """Names a failed statement should have bound are known, so that their uses are not reported too."""
    if isinstance(statement, tree.Let):
        for name in statement.names:
            body.scopes[-1][name.name] = Local("let", None, name.pos)
    elif isinstance(statement, tree.Var):
        body.scopes[-1][statement.name.name] = Local("var", None, statement.name.pos)
    elif isinstance(statement, tree.Atomic):
        for inner in statement.body:
            _poison(body, inner)


# ---------------------------------------------------------------- bindings


def bind(body: Body, name: tree.Name, value: Value, node: tree.Expr) -> None:
    """`let name = value` without a type."""
    if isinstance(value, Number | ExceptionValue):
        body.declare(name.name, Local("let", value, name.pos))
        return
    if isinstance(value, Sized):
        chosen = _let(body, name, value.expr)
        body.declare(name.name, Local("let", Sized(chosen, value.signed), name.pos, chosen.name, value.width))
    elif isinstance(value, Ranged):
        chosen = _let(body, name, value.expr)
        body.declare(name.name, Local("let", Ranged(chosen, value.low, value.high), name.pos, chosen.name))
    elif isinstance(value, Open):
        body.fail(node.pos, f"the width of '{name.name}' is not known", help=f"write let {name.name} : bits(32) = …")
    else:
        widths.one_value(body, value, node)
        body.fail(node.pos, f"this is {describe(value)}; a value is needed here")


def _let(body: Body, name: tree.Name, expr: model.Expr) -> model.Local:
    chosen = body.fresh(name.name)
    body.emit(model.Let((chosen,), expr, name.pos))
    return model.Local(expr.width, chosen, body.time_of(expr))


def _let_statement(body: Body, node: tree.Let) -> None:
    if len(node.names) > 1:
        _let_tuple(body, node)
        return
    (name,) = node.names
    if name.name == "_":
        _discard(body, node.value)
    elif node.type is None:
        bind(body, name, value_of(body, node.value), node.value)
    else:
        width = expressions.width_of_type(body, node.type)
        expr = sized(body, node.value, width, f"'{name.name}' is bits({width})")
        bind(body, name, Sized(expr), node.value)


def _discard(body: Body, node: tree.Expr) -> None:
    value = value_of(body, node)
    expr = value.expr if isinstance(value, Sized | Several | Nothing) else None
    if isinstance(expr, model.Call | model.Intrinsic):
        body.emit(model.Do(expr, node.pos))
    else:
        body.fail(node.pos, "`let _ = …` discards the result of a call")


def _let_tuple(body: Body, node: tree.Let) -> None:
    if node.type is not None:
        body.fail(node.type.pos, "a tuple `let` takes no type")
    if isinstance(node.value, tree.IfExpr):
        _let_tuple_if(body, node, node.value)
        return
    value = value_of(body, node.value)
    if not isinstance(value, Several):
        body.fail(node.value.pos, f"{len(node.names)} names are bound, the value is {describe(value)}")
    if len(value.widths) != len(node.names):
        body.fail(node.pos, f"{len(node.names)} names are bound, here are {len(value.widths)} values")
    chosen = tuple(body.fresh(name.name if name.name != "_" else "unused") for name in node.names)
    time = body.time_of(value.expr)
    body.emit(model.Let(chosen, value.expr, node.pos))
    for name, own, width in zip(node.names, chosen, value.widths, strict=True):
        if name.name != "_":
            body.declare(name.name, sized_local("let", width, own, name.pos, time))


def _let_tuple_if(body: Body, node: tree.Let, value: tree.IfExpr) -> None:
    """Tuples have no Select: each name becomes a variable that the arms set."""
    found: list[tuple[int, ...]] = []
    made = _tuple_arms(body, value, 0, len(node.names), found)
    if any(each != found[0] for each in found):
        body.fail(node.value.pos, "the arms give values of different widths")
    chosen = [body.fresh(name.name if name.name != "_" else "unused") for name in node.names]
    for name, own, width in zip(node.names, chosen, found[0], strict=True):
        body.emit(model.Var(own, width, fold.const(width, 0), name.pos))
        if name.name != "_":
            body.declare(name.name, sized_local("let", width, own, name.pos, model.Time.R))
    for statement in made(chosen):
        body.emit(statement)


def _tuple_arms(
    body: Body, node: tree.IfExpr, index: int, count: int, found: list[tuple[int, ...]]
) -> Callable[[list[str]], tuple[model.Stmt, ...]]:
    if index == len(node.arms):
        return _tuple_arm(body, node.otherwise, count, found)
    test, branch = node.arms[index]
    known = condition(body, test)
    if isinstance(known, model.Const):
        if known.value:
            return _tuple_arm(body, branch, count, found)
        return _tuple_arms(body, node, index + 1, count, found)
    then = _tuple_arm(body, branch, count, found)
    otherwise = _tuple_arms(body, node, index + 1, count, found)
    return lambda names: (model.If(known, then(names), otherwise(names), node.pos),)


def _tuple_arm(
    body: Body, node: tree.Expr, count: int, found: list[tuple[int, ...]]
) -> Callable[[list[str]], tuple[model.Stmt, ...]]:
    if isinstance(node, tree.IfExpr):
        return _tuple_arms(body, node, 0, count, found)
    value = value_of(body, node)
    if not isinstance(value, Several) or len(value.widths) != count:
        body.fail(node.pos, f"{count} values are needed here; this is {describe(value)}")
    found.append(value.widths)

    def assigned(names: list[str]) -> tuple[model.Stmt, ...]:
        if isinstance(value.expr, model.Tuple):
            items: tuple[model.Expr, ...] = value.expr.items
            before: tuple[model.Stmt, ...] = ()
        else:
            held = tuple(body.fresh(f"{name}_value") for name in names)
            before = (model.Let(held, value.expr, node.pos),)
            items = tuple(model.Local(width, own, model.Time.R) for own, width in zip(held, value.widths, strict=True))
        return (
            *before,
            *(
                model.Assign(model.ToLocal(item.width, name), item, node.pos)
                for name, item in zip(names, items, strict=True)
            ),
        )

    return assigned


def _var(body: Body, node: tree.Var) -> None:
    width = expressions.width_of_type(body, node.type)
    name = node.name.name
    value = sized(body, node.value, width, f"'{name}' is bits({width})")
    chosen = body.fresh(name)
    body.emit(model.Var(chosen, width, value, node.pos))
    body.variables.add(chosen)
    body.declare(name, sized_local("var", width, chosen, node.name.pos, model.Time.R))


# ---------------------------------------------------------------- assignment


def _assign(body: Body, node: tree.Assign) -> None:
    if isinstance(node.target, tree.Name) and body.local(node.target.name) is None:
        entity = body.program.entities.get(node.target.name)
        if isinstance(entity, LazyEntity):
            _lazy(body, entity, node)
            return
    places.assign(body, node.target, node.value, node.pos)


def _lazy(body: Body, entity: LazyEntity, node: tree.Assign) -> None:
    """`FLAGS = add(a, b)` runs a rule of the group."""
    decl = entity.declared.decl
    call = node.value
    rules = {rule.name.name: rule for rule in decl.rules}
    if not isinstance(call, tree.Call) or not isinstance(call.callee, tree.Name):
        body.fail(
            node.value.pos,
            f"'{decl.name.name}' is set by one of its rules",
            help=f"write {decl.name.name} = {next(iter(rules), 'rule')}(…)",
        )
    rule = rules.get(call.callee.name)
    if rule is None:
        hint = body.program.suggest(call.callee.name, rules) or f"its rules are {', '.join(rules)}"
        body.fail(call.callee.pos, f"'{decl.name.name}' has no rule '{call.callee.name}'", help=hint)
    body.program.functions.rule(body, entity, rule, call.args, call.pos)


def _augmented(body: Body, node: tree.AugAssign) -> None:
    target = places.target_of(body, node.target, True)
    value = value_of(body, node.value)
    if node.op == "|" and _accrue(body, target, value, node):
        return
    old = target.read(body, node.pos)
    changed = widths.apply(body, node.op, Sized(old), value, (node.target, node.value), node.pos)
    target.write(body, widths.fit(body, changed, target.width, node.target), node.pos)


def _accrue(body: Body, target: places.Target, value: Value, node: tree.AugAssign) -> bool:
    sticky = body.program.sticky
    whole, low = (target.base, target.low) if isinstance(target, places.Part) else (target, 0)
    if sticky is None or not isinstance(whole, places.Whole) or not isinstance(whole.place, model.ToReg):
        return False
    if (whole.place.register, low, target.width) != (sticky.register, sticky.low, sticky.width):
        return False
    text = body.program.text(node.target)
    flags = widths.fit(body, value, sticky.width, node.value, f"{text} is bits({sticky.width})")
    body.emit(model.Accrue(sticky.register, sticky.low, flags, node.pos))
    return True


# ---------------------------------------------------------------- control


def _if(body: Body, node: tree.If) -> None:
    for statement in _if_arms(body, node, 0):
        body.emit(statement)


def _if_arms(body: Body, node: tree.If, index: int) -> tuple[model.Stmt, ...]:
    if index == len(node.arms):
        return nested(body, node.otherwise)
    test, branch = node.arms[index]
    try:
        known = condition(body, test)
    except Failed:
        nested(body, branch)
        _if_arms(body, node, index + 1)
        raise
    if isinstance(known, model.Const):
        return nested(body, branch) if known.value else _if_arms(body, node, index + 1)
    then = nested(body, branch)
    # A branch's condition may need statements of its own (none today): they belong to this `else`.
    with body.block() as made:
        made.extend(_if_arms(body, node, index + 1))
    if not then and not made:
        return ()
    return (model.If(known, then, tuple(made), node.pos),)


def _match(body: Body, node: tree.Match) -> None:
    known = value_of(body, node.subject)
    if isinstance(known, Number):
        _match_number(body, node, known.value)
        return
    subject = expressions.with_own_width(body, node.subject, "the subject of `match`")
    held = body.hold(subject.expr, "subject", node.subject.pos)
    seen: dict[int, Pos] = {}
    arms: list[tuple[model.Expr, tuple[model.Stmt, ...]]] = []
    numbers: list[int] = []  # the one number of each case that has but one
    otherwise: tuple[model.Stmt, ...] = ()
    for case in node.cases:
        if not case.values:
            if len(seen) == 1 << subject.width:
                body.error(case.pos, "this `else` is never reached: the cases before it are all there are")
            otherwise = nested(body, case.body)
            continue
        tests: list[model.Expr] = []
        for value in case.values:
            made = sized(body, value, subject.width, f"the subject is bits({subject.width})")
            if isinstance(made, model.Const):
                if made.value in seen:
                    body.error(value.pos, f"{made.value} has a case already", ((seen[made.value], "it is here"),))
                seen[made.value] = value.pos
            tests.append(fold.binary("eq", held, made))
        test = tests[0]
        for other in tests[1:]:
            test = fold.binary("or", test, other)
        if isinstance(test, model.Const) and not test.value:
            continue  # a generation-time subject: the other cases need not make sense
        arms.append((test, nested(body, case.body)))
        if len(tests) == 1 and isinstance(made, model.Const):
            numbers.append(made.value)
        if isinstance(test, model.Const):
            break
    if len(seen) == 1 << subject.width and not otherwise and arms:
        otherwise = arms.pop()[1]  # all values have cases: the last needs no test
    if len(arms) > _CHAIN and len(numbers) == len(arms) and len(otherwise) <= 1:
        otherwise = _search(
            subject.width, held, sorted(zip(numbers, arms, strict=True), key=lambda case: case[0]), otherwise, node
        )
    else:
        otherwise = _chain(arms, otherwise, node)
    for statement in otherwise:
        body.emit(statement)


def _chain(arms: Iterable[Case], otherwise: tuple[model.Stmt, ...], node: tree.Match) -> tuple[model.Stmt, ...]:
    """One case's test after the other."""
    for test, then in reversed(list(arms)):
        if isinstance(test, model.Const):
            otherwise = then
        else:
            otherwise = (model.If(test, then, otherwise, node.pos),)
    return otherwise


def _search(
    width: int,
    held: model.Expr,
    arms: Sequence[tuple[int, Case]],
    otherwise: tuple[model.Stmt, ...],
    node: tree.Match,
) -> tuple[model.Stmt, ...]:
    """Many numbers are searched by halves: fewer tests, and the generated code does not run out of the page's right."""
    if len(arms) <= _CHAIN:
        return _chain((case for _, case in arms), otherwise, node)
    middle = len(arms) // 2
    below = fold.binary("ult", held, model.Const(width, arms[middle][0]))
    low, high = (_search(width, held, half, otherwise, node) for half in (arms[:middle], arms[middle:]))
    return (model.If(below, low, high, node.pos),)


def _match_number(body: Body, node: tree.Match, subject: int) -> None:
    """A generation-time subject: only the case taken needs to make sense."""
    for case in node.cases:
        values = [expressions.number_of(body, value, "a case") for value in case.values]
        if not case.values or subject in values:
            for statement in nested(body, case.body):
                body.emit(statement)
            return


def _for(body: Body, node: tree.For) -> None:
    low = widths.one_value(body, value_of(body, node.low), node.low)
    high = widths.one_value(body, value_of(body, node.high), node.high)
    (first, least, _), (last, _, most) = _bound(body, low, node.low), _bound(body, high, node.high)
    if isinstance(low, Number) and isinstance(high, Number) and high.value < low.value:
        return
    if not node.inclusive:
        most -= 1
    width = max(first.width, last.width, bits_for(max(most, 0)))
    first, last = fold.extend("zext", first, width), fold.extend("zext", last, width)
    not_empty: model.Expr | None = None
    if not node.inclusive:
        first, last = body.hold(first, "low", node.low.pos), body.hold(last, "high", node.high.pos)
        not_empty = fold.binary("ult", first, last)
        last = fold.binary("sub", last, fold.const(width, 1))
    if isinstance(not_empty, model.Const):
        if not not_empty.value:
            return
        not_empty = None
    chosen = body.fresh(node.name.name)
    time = max(body.time_of(first), body.time_of(last), model.Time.T)
    index = Ranged(model.Local(width, chosen, time), least, max(most, least))
    body.loops += 1
    with body.block() as made:
        body.declare(node.name.name, Local("index", index, node.name.pos, chosen))
        check_block(body, node.body)
    body.loops -= 1
    loop = model.For(chosen, width, first, last, tuple(made), node.pos)
    body.emit(loop if not_empty is None else model.If(not_empty, (loop,), (), node.pos))


def _bound(body: Body, value: Sized | Number | Ranged | Open, node: tree.Expr) -> tuple[model.Expr, int, int]:
    """(expression, least, most) of a loop bound."""
    if isinstance(value, Sized):
        if isinstance(value.expr, model.Const):
            return value.expr, value.expr.value, value.expr.value
        return value.expr, 0, (1 << value.width) - 1
    plain = widths.ranged(value)
    if plain is None:
        body.fail(node.pos, "the bounds of `for` are not negative and have a width or a known value")
    return plain.expr, plain.low, plain.high


def _while(body: Body, node: tree.While) -> None:
    known = condition(body, node.condition)
    if isinstance(known, model.Const) and not known.value:
        return
    body.loops += 1
    made = nested(body, node.body)
    body.loops -= 1
    body.emit(model.While(known, made, node.pos))


def _break(body: Body, node: tree.Break) -> None:
    if not body.loops:
        body.fail(node.pos, "`break` is only for loops")
    body.emit(model.Break(node.pos))


def _goto(body: Body, node: tree.Goto) -> None:
    width = expressions.pc_width(body, node.pos)
    body.emit(model.Goto(sized(body, node.target, width, f"the pc is bits({width})"), node.pos))


def _annul(body: Body, node: tree.Annul) -> None:
    if body.kind == "insn" and not body.delayed:
        body.fail(
            node.pos, "`annul` skips a delay slot, and this instruction has none", help="mark the instruction `delayed`"
        )
    body.emit(model.Annul(node.pos))


# ---------------------------------------------------------------- calls


def _expression(body: Body, node: tree.ExprStmt) -> None:
    value = value_of(body, node.value)
    expr = value.expr if isinstance(value, Nothing | Sized | Several) else None
    if isinstance(value, Nothing):
        body.emit(model.Do(value.expr, node.pos))
        return
    hint = "write `let _ = …` to discard a result" if isinstance(expr, model.Call | model.Intrinsic) else None
    if isinstance(node.value, tree.Binary) and node.value.op == "==":
        hint = "write `=` to assign"
    body.fail(node.pos, "this value is not used", help=hint)


def _atomic(body: Body, node: tree.Atomic) -> None:
    atomic(body, node, check_block)


def _pass(body: Body, node: tree.Pass) -> None:
    pass


_CHECKERS: dict[type[object], Callable[[Body, Any], None]] = {
    tree.Let: _let_statement,
    tree.Var: _var,
    tree.Assign: _assign,
    tree.AugAssign: _augmented,
    tree.If: _if,
    tree.For: _for,
    tree.While: _while,
    tree.Match: _match,
    tree.Atomic: _atomic,
    tree.Goto: _goto,
    tree.Raise: exits.raise_statement,
    tree.Annul: _annul,
    tree.Return: exits.return_statement,
    tree.Pass: _pass,
    tree.Break: _break,
    tree.ExprStmt: _expression,
}
expressions.CHECKERS[tree.Joined] = joined
