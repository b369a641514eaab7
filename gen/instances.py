"""Instances of functions, aliases and rules: one model.Function for each distinct set of widths and generation-time
arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from gen import calls, exits, expressions, lints, model, statements, sysregs, tree, widths
from gen.instance_facts import facts_of
from gen.names import Declared
from gen.scope import (
    AliasEntity,
    Body,
    Instance,
    LazyEntity,
    Local,
    Program,
    SysRow,
    SysTableEntity,
    sized_local,
)
from gen.tree import Pos
from gen.values import (
    AnyFunction,
    BuiltIn,
    ExceptionValue,
    Failed,
    FunctionValue,
    NeedsSplit,
    Nothing,
    Number,
    Operator,
    Several,
    Sized,
    UserFunction,
    Value,
)

#: calls within calls
_DEEPEST = 100

GenerationValue = Number | FunctionValue | ExceptionValue


@dataclass(frozen=True, slots=True)
class _Arguments:
    """A call's arguments sorted out: widths inferred, generation-time values, and the expressions left over."""

    sizes: dict[str, int]  # the width variables of `bits(n)`
    known: dict[str, GenerationValue]  # `fn` and bare parameters
    params: tuple[tuple[tree.Name, int], ...]
    values: tuple[model.Expr, ...]


class InstanceMaker:
    """Makes instances on demand and remembers them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.open: list[tuple[str, Pos]] = []  # the functions being checked, outermost first

    # ------------------------------------------------ the making

    def instance(
        self,
        key: tuple[object, ...],
        wanted: str,
        source: str,
        pos: Pos,
        splits: Mapping[str, int],
        make: Callable[[str], tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]],
    ) -> tuple[str, Instance]:
        """The instance for `key` under the given splits; `make` checks the body and gives params, results and body."""
        for name, instance in self.program.made.get(key, ()):
            if all(splits.get(split) == value for split, value in instance.splits.items()):
                for reads in self.program.split_reads:
                    reads.update(instance.splits)
                return name, instance
        self._refuse_recursion(source, pos)
        self.open.append((source, pos))
        self.program.split_reads.append(set())
        before = len(self.program.diagnostics)
        made = None
        try:
            made = make(wanted)
        except Failed:
            pass
        finally:
            reads = self.program.split_reads.pop()
            self.open.pop()
        used = {split: splits[split] for split in reads if split in splits}
        name = self.program.unique_name(wanted + "".join(f"_{value}" for value in used.values()))
        if made is None or len(self.program.diagnostics) > before:
            instance = Instance(None, used)
        else:
            instance = self._finished(name, source, pos, made, used)
        self.program.made.setdefault(key, []).append((name, instance))
        return name, instance

    def _finished(
        self,
        name: str,
        source: str,
        pos: Pos,
        made: tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]],
        used: dict[str, int],
    ) -> Instance:
        params, results, body = made
        facts = facts_of(body, self.program.by_function)
        diverges = bool(body) and not facts.returns and statements.returns(body, self.diverges)
        function = model.Function(name, source, params, results, tuple(body), facts.helper, pos)
        if facts.helper and facts.modes:
            function = replace(function, modes=facts.modes)
        instance = Instance(
            function, used, facts.time, facts.pure, facts.flags, facts.effects, facts.annuls, diverges, facts.modes
        )
        self.program.instances[name] = function
        self.program.by_function[name] = instance
        return instance

    def diverges(self, name: str) -> bool:
        instance = self.program.by_function.get(name)
        return instance is not None and instance.diverges

    @contextmanager
    def inlining(self, name: str, pos: Pos) -> Iterator[None]:
        """While the definition of `name` is read in the middle of another body."""
        self._refuse_recursion(name, pos)
        self.open.append((name, pos))
        try:
            yield
        finally:
            self.open.pop()

    def _refuse_recursion(self, source: str, pos: Pos) -> None:
        names = [name for name, _ in self.open]
        if len(names) > _DEEPEST:
            self.program.fail(pos, f"'{source}' is more than {_DEEPEST} calls deep")
        if source in names:
            cycle = [*names[names.index(source) :], source]
            self.program.fail(
                pos,
                f"'{source}' calls itself: {' calls '.join(cycle)}",
                help="functions cannot be recursive; use a loop",
            )

    def _call(self, made: tuple[str, Instance], args: Sequence[model.Expr]) -> model.Call:
        name, instance = made
        if instance.function is None:
            raise Failed
        results = instance.function.results
        return model.Call(results[0] if len(results) == 1 else 0, name, tuple(args), results)

    def _value(self, call: model.Call) -> Value:
        if not call.widths:
            return Nothing(call)
        return Sized(call) if len(call.widths) == 1 else Several(call, call.widths)

    # ------------------------------------------------ functions

    def call(self, body: Body, declared: Declared[tree.Fn], args: Sequence[tree.Expr], pos: Pos) -> Value:
        decl = declared.decl
        if exits.is_exn(decl):
            body.fail(pos, f"'{decl.name.name}' gives an exception: it is for `raise`")
        found = self.arguments(body, declared, args, pos)
        made = self.function(declared, found, body.splits)
        if made[1].annuls and body.kind == "insn" and not body.delayed:
            body.error(
                pos,
                f"'{decl.name.name}' skips a delay slot, and this instruction has none",
                help="mark the instruction `delayed`",
            )
        return self._value(self._call(made, found.values))

    def arguments(self, body: Body, declared: Declared[tree.Fn], args: Sequence[tree.Expr], pos: Pos) -> _Arguments:
        return self._arguments(body, declared.decl.name.name, declared.decl.params, declared.msb0, args, pos)

    def _arguments(
        self, body: Body, name: str, params: Sequence[tree.Param], msb0: bool, args: Sequence[tree.Expr], pos: Pos
    ) -> _Arguments:
        if len(args) != len(params):
            takes = ", ".join(param.name.name for param in params) or "nothing"
            body.fail(pos, f"'{name}' takes {len(params)} argument{'s' * (len(params) != 1)}, not {len(args)}: {takes}")
        sizes: dict[str, int] = {}
        known: dict[str, GenerationValue] = {}
        values: dict[int, Value] = {}
        for index, (param, arg) in enumerate(zip(params, args, strict=True)):
            if param.function:
                known[param.name.name] = calls.function_value(body, arg)
            elif param.type is None:
                known[param.name.name] = self._bare(body, param, arg)
            else:
                values[index] = widths.one_value(body, expressions.value_of(body, arg), arg)
                variable = self._variable(param.type)
                value = values[index]
                if variable is not None and isinstance(value, Sized):
                    sizes.setdefault(variable, value.width)
        env = self._env(msb0, sizes, known)
        kept, exprs = [], []
        for index, value in values.items():
            param, arg = params[index], args[index]
            assert param.type is not None
            variable = self._variable(param.type)
            if variable is not None and variable not in sizes:
                body.fail(
                    arg.pos,
                    f"the width of '{param.name.name}' in this call of '{name}' is not known",
                    help="give the argument a width: zext(x, 32)",
                )
            width = expressions.width_of_type(env, param.type)
            exprs.append(widths.fit(body, value, width, arg, f"'{param.name.name}' of '{name}' is bits({width})"))
            kept.append((param.name, width))
        return _Arguments(sizes, known, tuple(kept), tuple(exprs))

    def _bare(self, body: Body, param: tree.Param, arg: tree.Expr) -> GenerationValue:
        value = expressions.value_of(body, arg)
        if isinstance(value, ExceptionValue | Operator | UserFunction | BuiltIn | AnyFunction):
            return value
        return Number(expressions.number_of(body, arg, f"'{param.name.name}'", expressions.SPLIT_HELP))

    def _variable(self, node: tree.TypeExpr) -> str | None:
        """The n of `bits(n)`, when n is a width to infer."""
        if isinstance(node, tree.TypeBits) and isinstance(node.width, tree.Name):
            name = node.width.name
            if not isinstance(self.program.entities.get(name), Number) and name not in self.program.module.splits:
                return name
        return None

    def _env(
        self,
        msb0: bool,
        sizes: Mapping[str, int],
        known: Mapping[str, GenerationValue],
        splits: Mapping[str, int] | None = None,
    ) -> Body:
        env = Body(self.program, msb0, "fn", splits)
        nowhere = Pos("", 0, 0, 0, 0)
        for name, size in sizes.items():
            env.scopes[0][name] = Local("parameter", Number(size), nowhere)
        for name, value in known.items():
            env.scopes[0][name] = Local("parameter", value, nowhere)
        return env

    def function(
        self, declared: Declared[tree.Fn], found: _Arguments, splits: Mapping[str, int]
    ) -> tuple[str, Instance]:
        decl = declared.decl
        source = decl.name.name
        key = (
            "fn",
            source,
            tuple(sorted(found.sizes.items())),
            tuple(sorted(found.known.items(), key=lambda i: i[0])),
            tuple(width for _, width in found.params),
        )

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            body = self._env(declared.msb0, found.sizes, found.known, splits)
            results = () if decl.result is None else expressions.widths_of_type(body, decl.result)
            return self._body(body, decl.name, found.params, results, decl.body)

        return self.instance(key, self._instance_name(source, found), source, decl.name.pos, splits, make)

    def _instance_name(self, source: str, found: _Arguments) -> str:
        parts = [source, *(str(size) for size in found.sizes.values())]
        for value in found.known.values():
            match value:
                case Number():
                    parts.append(str(value.value).replace("-", "m"))
                case Operator():
                    parts.append({**widths.ARITHMETIC, **widths.COMPARISONS, **widths.SHIFTS}.get(value.op, value.op))
                case UserFunction():
                    parts.append(value.declared.decl.name.name)
                case BuiltIn() | ExceptionValue():
                    parts.append(value.name)
                case AnyFunction():
                    parts.append("any")
        return "_".join(parts)

    def _body(
        self,
        body: Body,
        name: tree.Name,
        params: Sequence[tuple[tree.Name, int]],
        results: tuple[int, ...],
        code: Sequence[tree.Stmt],
    ) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
        """Checks a function's statements with its parameters in scope."""
        named = []
        for param, width in params:
            chosen = body.fresh(param.name)
            body.scopes[0][param.name] = sized_local("parameter", width, chosen, param.pos, model.Time.R)
            named.append((chosen, width))
        body.results = results
        body.scopes.append({})
        statements.check_block(body, code)
        made = body.blocks[0]
        if results and not statements.returns(made, self.diverges) and not body.failures:
            self.program.error(
                name.pos,
                f"'{name.name}' does not return a value on every path",
                help="end it with `return …`, or add the missing `else`",
            )
        return tuple(named), results, made

    # ------------------------------------------------ functions of type exn

    def inline_raise(self, body: Body, declared: Declared[tree.Fn], args: Sequence[tree.Expr], pos: Pos) -> None:
        """`raise f(x)`: the function's statements stand here, its `return`s raise."""
        decl = declared.decl
        source = decl.name.name
        found = self.arguments(body, declared, args, pos)
        outer = self._env(declared.msb0, found.sizes, found.known).scopes[0]
        for (param, width), value in zip(found.params, found.values, strict=True):
            held = body.hold(value, param.name, pos)
            outer[param.name] = Local("parameter", Sized(held), param.pos, "", width)
        inside = body.aside(declared.msb0, outer)
        inside.kind, inside.failures = "exn", []
        inside.scopes.append({})
        made: list[model.Stmt] = []
        body.blocks.append(made)
        try:
            with self.inlining(source, decl.name.pos):
                statements.check_block(inside, decl.body)
        finally:
            body.blocks.pop()
        for statement in made:
            body.emit(statement)
        if not statements.returns(made, self.diverges):
            if not inside.failures:
                self.program.error(decl.name.pos, f"'{source}' does not give an exception on every path")
            raise Failed

    # ------------------------------------------------ aliases

    def alias_arguments(
        self, body: Body, alias: AliasEntity, args: Sequence[tree.Expr], pos: Pos
    ) -> tuple[list[model.Expr | int], int]:
        """Index values, or numbers for generation-time parameters; and the alias's width for them."""
        decl = alias.declared.decl
        name = decl.name.name
        if len(args) != len(decl.params):
            wanted = ", ".join(param.name.name for param in decl.params)
            body.fail(
                pos,
                f"'{name}' takes {len(decl.params)} indices ({wanted}), not {len(args)}",
                help=f"write {name}[{wanted}]" if wanted else f"write {name}",
            )
        made: list[model.Expr | int] = []
        env = Body(self.program, alias.declared.msb0, "fn", body.splits)
        for param, arg in zip(decl.params, args, strict=True):
            if param.width is None:
                number = expressions.number_of(body, arg, f"'{param.name.name}' of '{name}'", expressions.SPLIT_HELP)
                made.append(number)
                env.scopes[0][param.name.name] = Local("parameter", Number(number), param.name.pos)
                continue
            width = expressions.number_of(env, param.width, "the width of an index")
            made.append(expressions.sized(body, arg, width, f"the index of '{name}' is bits({width})"))
        return made, expressions.width_of_type(env, decl.type)

    def alias_get(self, body: Body, alias: AliasEntity, args: Sequence[tree.Expr], pos: Pos) -> Value:
        values, _ = self.alias_arguments(body, alias, args, pos)
        return Sized(self.alias_read(body, alias, values, pos))

    def alias_read(self, body: Body, alias: AliasEntity, args: Sequence[model.Expr | int], pos: Pos) -> model.Expr:
        decl = alias.declared.decl
        value = decl.value if decl.value is not None else decl.get
        assert value is not None
        if not decl.params and decl.value is not None:
            inside = body.aside(alias.declared.msb0, {})
            width = expressions.width_of_type(inside, decl.type)
            with self.inlining(decl.name.name, decl.name.pos):
                return expressions.sized(inside, value, width, f"'{decl.name.name}' is bits({width})")
        return self._call(self._accessor(alias, args, body.splits, None), self._exprs(args))

    def alias_set(
        self, body: Body, alias: AliasEntity, args: Sequence[model.Expr | int], value: model.Expr, pos: Pos
    ) -> None:
        call = self._call(self._accessor(alias, args, body.splits, value.width), [*self._exprs(args), value])
        body.emit(model.Do(call, pos))

    def _exprs(self, args: Sequence[model.Expr | int]) -> list[model.Expr]:
        return [arg for arg in args if not isinstance(arg, int)]

    def _accessor(
        self, alias: AliasEntity, args: Sequence[model.Expr | int], splits: Mapping[str, int], written: int | None
    ) -> tuple[str, Instance]:
        """get_A or set_A; `written` is the width of the value to set."""
        declared = alias.declared
        decl = declared.decl
        source = decl.name.name
        known = {
            param.name.name: Number(arg) for param, arg in zip(decl.params, args, strict=True) if isinstance(arg, int)
        }
        what = "get" if written is None else "set"
        key = ("alias", source, what, tuple(number.value for number in known.values()))

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            body = self._env(declared.msb0, {}, known, splits)
            params: list[tuple[tree.Name, int]] = [
                (param.name, arg.width)
                for param, arg in zip(decl.params, args, strict=True)
                if not isinstance(arg, int)
            ]
            width = expressions.width_of_type(body, decl.type)
            value = decl.value if decl.value is not None else decl.get
            assert value is not None
            if written is None:
                return self._body(body, decl.name, params, (width,), (tree.Return(value, value.pos),))
            if decl.set_name is not None:
                return self._body(body, decl.name, [*params, (decl.set_name, width)], (), decl.set_body)
            new = tree.Name("value", decl.pos)
            return self._body(body, decl.name, [*params, (new, width)], (), (tree.Assign(value, new, decl.pos),))

        name = "_".join([what, source, *(str(number.value) for number in known.values())])
        return self.instance(key, name, f"{what} of {source}", decl.name.pos, splits, make)

    # ------------------------------------------------ lazy groups

    def rule(self, body: Body, lazy: LazyEntity, rule: tree.LazyRule, args: Sequence[tree.Expr], pos: Pos) -> None:
        found = self._arguments(body, rule.name.name, rule.params, lazy.declared.msb0, args, pos)
        made = self.rule_instance(lazy, rule, found, body.splits)
        body.emit(model.Do(self._call(made, found.values), pos))

    def rule_instance(
        self, lazy: LazyEntity, rule: tree.LazyRule, found: _Arguments, splits: Mapping[str, int]
    ) -> tuple[str, Instance]:
        declared = lazy.declared
        group = declared.decl.name.name
        key = (
            "rule",
            group,
            rule.name.name,
            tuple(sorted(found.sizes.items())),
            tuple(sorted(found.known.items(), key=lambda i: i[0])),
            tuple(width for _, width in found.params),
        )

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            body = self._env(declared.msb0, found.sizes, found.known, splits)
            made = self._body(body, rule.name, found.params, (), rule.body)
            lints.check_rule(self.program, declared.decl, rule, made[2])
            return made

        return self.instance(
            key,
            self._instance_name(f"{group}_{rule.name.name}", found),
            f"{group}.{rule.name.name}",
            rule.name.pos,
            splits,
            make,
        )

    # ------------------------------------------------ system registers

    def table_get(self, body: Body, table: SysTableEntity, address: model.Expr, pos: Pos) -> model.Expr:
        return self._call(self._table(table, body.splits, False), [address])

    def table_set(self, body: Body, table: SysTableEntity, address: model.Expr, value: model.Expr, pos: Pos) -> None:
        body.emit(model.Do(self._call(self._table(table, body.splits, True), [address, value]), pos))

    def _table(self, table: SysTableEntity, splits: Mapping[str, int], write: bool) -> tuple[str, Instance]:
        name = f"{'set' if write else 'get'}_{table.name}"

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            return sysregs.table_function(self.program, table, write, splits)

        return self.instance(("table", name), name, table.name, table.declared.decl.name.pos, splits, make)

    def row_read(self, body: Body, row: SysRow, pos: Pos) -> model.Expr:
        if row.register is not None:
            return model.RegRead(row.width, row.register)
        if row.row.value is not None:
            return sysregs.row_value(Body(self.program, row.msb0, "fn", body.splits), row)

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            return (), (row.width,), sysregs.row_read_body(self.program, row, body.splits)

        made = self.instance(("row", "read", row.name), f"read_{row.name}", row.name, row.pos, body.splits, make)
        return self._call(made, ())

    def row_write(self, body: Body, row: SysRow, value: model.Expr, pos: Pos) -> None:
        if row.row.write_name is None and row.row.view is None:
            body.fail(pos, f"'{row.name}' has nothing to write to", ((row.pos, f"'{row.name}' is declared here"),))

        def make(_: str) -> tuple[tuple[tuple[str, int], ...], tuple[int, ...], list[model.Stmt]]:
            return sysregs.row_write_body(self.program, row, body.splits)

        made = self.instance(("row", "write", row.name), f"write_{row.name}", row.name, row.pos, body.splits, make)
        body.emit(model.Do(self._call(made, [value]), pos))

    # ------------------------------------------------ what nobody calls

    def check_uncalled(self) -> None:
        """Checks functions and rules that have no instance, at the first widths they make sense at."""
        for generic in (False, True):  # the others first: they call generic ones at widths that make sense
            called = {key[1] for key in self.program.made if key[0] == "fn"}
            for name, declared in self.program.module.functions.items():
                if name not in called and self._generic(declared.decl.params) == generic:
                    self._try(declared.decl.params, declared.msb0, self._checker(declared))
        rules = {(key[1], key[2]) for key in self.program.made if key[0] == "rule"}
        for entity in self.program.entities.values():
            if isinstance(entity, LazyEntity):
                for rule in entity.declared.decl.rules:
                    if (entity.declared.decl.name.name, rule.name.name) not in rules:
                        self._try(rule.params, entity.declared.msb0, self._rule_checker(entity, rule))

    def _checker(self, declared: Declared[tree.Fn]) -> Callable[[_Arguments, Mapping[str, int]], bool]:
        decl = declared.decl
        if exits.is_exn(decl):

            def check_exn(found: _Arguments, splits: Mapping[str, int]) -> bool:
                body = self._env(declared.msb0, found.sizes, found.known, splits)
                body.kind = "exn"
                for param, width in found.params:
                    body.scopes[0][param.name] = sized_local("parameter", width, param.name, param.pos, model.Time.R)
                statements.check_block(body, decl.body)
                return True

            return check_exn
        return lambda found, splits: self.function(declared, found, splits)[1].function is not None

    def _rule_checker(self, lazy: LazyEntity, rule: tree.LazyRule) -> Callable[[_Arguments, Mapping[str, int]], bool]:
        return lambda found, splits: self.rule_instance(lazy, rule, found, splits)[1].function is not None

    def _try(
        self, params: Sequence[tree.Param], msb0: bool, check: Callable[[_Arguments, Mapping[str, int]], bool]
    ) -> None:
        """Generic functions may make sense at some widths only: errors count when they appear at every width tried."""
        if self._generic(params):
            for size in (64, 32, 16, 8, 128, 1):
                with self.program.trial() as attempt:
                    self._check_at(params, msb0, size, check)
                if not attempt:
                    return
        self._check_at(params, msb0, 64, check)

    def _generic(self, params: Sequence[tree.Param]) -> bool:
        return any(
            not param.function and (param.type is None or self._variable(param.type) is not None) for param in params
        )

    def _check_at(
        self,
        params: Sequence[tree.Param],
        msb0: bool,
        size: int,
        check: Callable[[_Arguments, Mapping[str, int]], bool],
    ) -> None:
        sizes: dict[str, int] = {}
        known: dict[str, GenerationValue] = {}
        for param in params:
            if param.function:
                known[param.name.name] = AnyFunction()
            elif param.type is None:
                known[param.name.name] = Number(size)
            else:
                variable = self._variable(param.type)
                if variable is not None:
                    sizes[variable] = size
        try:
            env = self._env(msb0, sizes, known)
            kept = tuple(
                (param.name, expressions.width_of_type(env, param.type))
                for param in params
                if param.type is not None and not param.function
            )
            found = _Arguments(sizes, known, kept, ())
            with_every_split(self.program, {}, lambda splits: check(found, splits))
        except Failed:
            pass


def with_every_split(program: Program, splits: Mapping[str, int], check: Callable[[Mapping[str, int]], object]) -> None:
    """Runs `check`, again for each value of a split whenever it turns out to read one."""
    try:
        check(splits)
    except NeedsSplit as need:
        entity = program.splits[need.name]
        for value in entity.values:
            with_every_split(program, {**splits, need.name: value}, check)
