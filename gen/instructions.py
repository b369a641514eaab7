"""Instructions: table rows, encodings and split values become one model.Instruction each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from gen import expressions, fold, lints, model, operands, statements, tree, widths
from gen.declarations import field_local, field_width, is_signed, require_translation_time
from gen.encodings import parse_instruction_pattern
from gen.evaluate import NotStatic, compile_guards, variables_of
from gen.guards import MOST_FREE_BITS
from gen.names import Declared
from gen.operands import Formats
from gen.scope import Body, Local, ModeEntity, OperandEntity, Program, SplitEntity
from gen.tree import Pos
from gen.values import Failed, NeedsSplit, Number, Sized, Value
from gen.walk import nodes

_CELLS = "cells are bits, numbers, operators in brackets, strings, and names of functions, exceptions and constants"
_HOLE = re.compile(r"\{\s*([A-Za-z_]\w*)\s*\}")
_BITS = re.compile(r"[01_]+")
#: an instruction is cloned for at most this many combinations of split values
_MOST_CLONES = 256


@dataclass(frozen=True, slots=True)
class _Source:
    """One row (or the one instruction) of a declaration."""

    declared: Declared[tree.Insn | tree.Insns]
    name: tree.Name
    columns: dict[str, Local]  # by column
    cells: dict[str, str | int]  # the same, as pattern text
    note: str | None


@dataclass(frozen=True, slots=True)
class _Encoding:
    """One encoding of it, whatever way it was written."""

    pattern: tree.Text
    syntax: tree.Text
    where: tuple[tree.Expr, ...]
    bindings: tuple[tree.Binding, ...]
    space: tree.Name | None
    suffix: str
    pos: Pos


class InstructionMaker:
    """Makes the instructions of a spec."""

    def __init__(self, program: Program, spaces: Mapping[str, model.Space], formats: Formats) -> None:
        self.program = program
        self.spaces = spaces
        self.formats = formats
        self.made: list[model.Instruction] = []
        self.names: set[str] = set()
        self.widths = {name: field_width(program, name) for name in program.module.fields}
        #: prefix state that an instruction must show to have it, and whether one does
        self.unseen = {
            own.name: own.pos
            for declared in program.module.prefix_state.values()
            for own, _ in declared.decl.names
            if own.name in declared.decl.shown
        }
        self.shown = frozenset(self.unseen)

    def make(self, declared: Declared[tree.Insn | tree.Insns]) -> None:
        decl = declared.decl
        lints.check_body(self.program, decl.body)
        if isinstance(decl, tree.Insns):
            lints.check_columns(self.program, decl)
        for source in self._sources(declared):
            if source.note is not None:
                self.program.context.append(source.note)
            for encoding in self._encodings(decl):
                try:
                    self._encoding(source, encoding)
                except Failed:
                    continue
            if source.note is not None:
                self.program.context.pop()

    # ------------------------------------------------ rows

    def _sources(self, declared: Declared[tree.Insn | tree.Insns]) -> Iterator[_Source]:
        decl = declared.decl
        if isinstance(decl, tree.Insn):
            yield _Source(declared, decl.name, {}, {}, None)
            return
        patterns = [*([decl.pattern] if decl.pattern else []), *(enc.pattern for enc in decl.encodings)]
        in_pattern = {hole for pattern in patterns for hole in _HOLE.findall(pattern.value)}
        for row in decl.rows:
            if len(row.args) != len(decl.columns):
                names = ", ".join(column.name for column in decl.columns)
                cells_given = f"{len(row.args)} cell{'s' if len(row.args) != 1 else ''}"
                self.program.error(row.pos, f"row '{row.name.name}' has {cells_given}; the columns are {names}")
                continue
            columns: dict[str, Local] = {}
            cells: dict[str, str | int] = {}
            try:
                for column, cell in zip(decl.columns, row.args, strict=True):
                    value, text = self._cell(declared, cell, column.name in in_pattern)
                    columns[column.name] = Local("column", value, cell.pos)
                    if text is not None:
                        cells[column.name] = text
            except Failed:
                continue
            yield _Source(declared, row.name, columns, cells, f"in row '{row.name.name}'")

    def _cell(
        self, declared: Declared[tree.Insn | tree.Insns], cell: tree.RowArg, in_pattern: bool
    ) -> tuple[Value | None, str | int | None]:
        """A cell's value in bodies, and its text in patterns."""
        node = cell.value
        if isinstance(node, tree.Text):
            bits = node.value.replace("_", "").replace(" ", "")
            return (Number(int(bits, 2), len(bits)) if _BITS.fullmatch(bits) else None), node.value
        if isinstance(node, tree.Num):
            if in_pattern and _BITS.fullmatch(node.digits):
                bits = node.digits.replace("_", "")
                return Number(int(bits, 2), len(bits)), node.digits
            return expressions.value_of(self._plain(declared), node), node.digits
        if isinstance(node, tree.Name) and not self.program.is_known(node.name):
            meant = self.program.suggest(node.name, self.program.entities)
            self.program.fail(cell.pos, f"unknown name '{node.name}'", help=meant or _CELLS)
        value = expressions.value_of(self._plain(declared), node)
        if isinstance(value, Number):
            return value, value.value
        if isinstance(value, Sized) and isinstance(value.expr, model.Const):
            return value, f"{value.expr.value:0{value.width}b}"
        if isinstance(value, Sized):
            self.program.fail(
                cell.pos,
                "a cell is known at generation",
                help=_CELLS,
            )
        return value, None

    def _plain(self, declared: Declared[tree.Insn | tree.Insns]) -> Body:
        return Body(self.program, declared.msb0, "fn")

    # ------------------------------------------------ encodings

    def _encodings(self, decl: tree.Insn | tree.Insns) -> Iterator[_Encoding]:
        options = decl.options
        guards = () if options.where is None else (options.where,)
        if decl.pattern is not None:
            assert decl.syntax is not None
            yield _Encoding(decl.pattern, decl.syntax, guards, options.bindings, options.space, "", decl.pos)
        several = decl.pattern is not None or len({enc.space.name for enc in decl.encodings}) > 1
        seen: dict[str, int] = {}
        for enc in decl.encodings:
            seen[enc.space.name] = number = seen.get(enc.space.name, 0) + 1
            suffix = f"__{enc.space.name}" if several else ""
            if number > 1:
                suffix += f"__{number}"
            yield _Encoding(
                enc.pattern,
                enc.syntax,
                guards if enc.where is None else (*guards, enc.where),
                (*options.bindings, *enc.bindings),
                enc.space,
                suffix,
                enc.pos,
            )

    def _encoding(self, source: _Source, encoding: _Encoding) -> None:
        declared = source.declared
        space = self.space_called(encoding.space, encoding.pos, "instruction")
        diagnostics = self.program.diagnostics
        parsed = parse_instruction_pattern(
            encoding.pattern,
            space,
            self.widths,
            source.cells,
            diagnostics,
            declared.msb0,
            [binding.name.name for binding in encoding.bindings if self._operand_table(binding) is not None],
        )
        if parsed is None:
            raise Failed
        pattern, tails = parsed
        scope = dict(source.columns)
        for part in (pattern, *tails):
            for layout in part.fields:
                scope[layout.name] = self.field(layout, encoding.pattern.pos)
        clones = 0

        def clone(splits: Mapping[str, int]) -> None:
            nonlocal clones
            try:
                instruction = self._instruction(source, encoding, space, pattern, tails, scope, splits)
            except NeedsSplit as need:
                entity = self.program.splits[need.name]
                for value in entity.values:
                    clone({**splits, need.name: value})
                return
            clones += 1
            if clones > _MOST_CLONES:
                self.program.fail(encoding.pos, f"more than {_MOST_CLONES} clones for split values")
            if instruction is not None:
                self.made.append(instruction)

        clone({})

    def field(self, layout: model.FieldLayout, pos: Pos) -> Local:
        """An encoding field in scope."""
        known = self.program.module.fields.get(layout.name)
        return field_local(layout.name, layout.width, known is not None and is_signed(known.decl), pos)

    def space_called(self, name: tree.Name | None, pos: Pos, what: str) -> model.Space:
        """The space that is named; without a name the only one, or the only one that is always there."""
        if name is None:
            always = [space for space in self.spaces.values() if space.when is None]
            if len(self.spaces) == 1 or len(always) == 1:
                return next(iter(always or self.spaces.values()))
            if not self.spaces and self.program.module.spaces:
                raise Failed  # its declaration is wrong, which has been told
            if not self.spaces:
                self.program.fail(pos, "no instruction space is declared", help="write `decode S : 32 little`")
            spaces = ", ".join(self.spaces)
            self.program.fail(
                pos,
                f"the {what}'s space is not given; there are {spaces}",
                help=f"write `in {next(iter(self.spaces))}`",
            )
        if name.name not in self.spaces:
            hint = self.program.suggest(name.name, self.spaces) or f"the spaces are {', '.join(self.spaces)}"
            self.program.fail(name.pos, f"'{name.name}' is no instruction space", help=hint)
        return self.spaces[name.name]

    def _instruction(
        self,
        source: _Source,
        encoding: _Encoding,
        space: model.Space,
        pattern: model.Pattern,
        tails: tuple[model.Pattern, ...],
        scope: Mapping[str, Local],
        splits: Mapping[str, int],
    ) -> model.Instruction | None:
        """One clone; None when a generation-time guard excludes it."""
        program, declared = self.program, source.declared
        decl = declared.decl
        options = decl.options
        body = Body(program, declared.msb0, "insn", splits, scope)
        body.delayed = options.delayed
        bound: list[model.BoundOperand] = []
        params = decl.params if isinstance(decl, tree.Insn) else ()
        shown = dict(scope)
        self._widen_fields(body, params, encoding, shown)
        for binding in encoding.bindings:
            try:
                self._bind(body, binding, params, space, bound, shown)
            except Failed:
                body.scopes[0][binding.name.name] = shown[binding.name.name] = Local("binding", None, binding.name.pos)
        self._require_params(body, params, encoding)
        where = self._where(body, encoding)
        self._require_known(encoding, tails, where, bound)
        if space.where is not None and _has_fields(space.where, pattern):
            where = _both(where, space.where)
        syntax = operands.template(
            program,
            encoding.syntax,
            source.name.name,
            Body(program, declared.msb0, "template", splits, shown),
            self.formats,
            source.cells,
        )
        where = self._unless_shown(where, syntax or ())
        when = None
        if options.when is not None:
            guard = Body(program, declared.msb0, "when", splits, source.columns)
            when = expressions.condition(guard, options.when, "a guard")
            require_translation_time(guard, when, options.when, "a guard")
        if any(isinstance(guard, model.Const) and not guard.value for guard in (where, when)):
            return None
        own_guards = [guard for guard in (where, when) if guard is not None]
        for name, value in splits.items():
            where, when = self._split_guard(body, program.splits[name], value, where, when)
        if any(isinstance(guard, model.Const) and not guard.value for guard in (where, when)):
            return None  # this encoding settles the split's value, and it is another
        if (
            splits
            and (own_guards or encoding.bindings)
            and self._never([guard for guard in (where, when) if guard is not None])
        ):
            return None  # the author's own guard, or a value bound by `with`, excludes this value of the split
        body.scopes.append({})
        statements.check_block(body, decl.body)
        # One whose body has errors is still checked against the other encodings.
        return model.Instruction(
            self._name(source.name.name, encoding.suffix, splits),
            source.name.name,
            declared.isa,
            space.name,
            pattern,
            syntax or (),
            _unless_true(where),
            _unless_true(when),
            tuple(bound),
            tuple(body.blocks[0]),
            tuple(name.name for name in options.overrides),
            options.delayed,
            options.restartable,
            source.name.pos if isinstance(decl, tree.Insns) else encoding.pos,
            self._undefined(options),
            tails if bound else (),
        )

    def _unless_shown(self, where: model.Expr | None, syntax: model.Template) -> model.Expr | None:
        """The guard of an encoding: behind a prefix that it would have to show, and does not, it is none."""
        if not self.shown:
            return where
        read: set[str] = set()
        for part in syntax:
            if isinstance(part, model.Slot):
                read.update(variables_of(part.expr, self.program.instances)[1])
        for name in sorted(self.shown - read):
            entity = self.program.entities[name]
            assert isinstance(entity, ModeEntity)
            mode = model.ModeRead(entity.width, name)
            where = _both(where, fold.binary("eq", mode, fold.const(entity.width, 0)))
        for name in read:
            self.unseen.pop(name, None)
        return where

    def require_shown(self) -> None:
        """What has to be shown is shown by something: it could have no meaning otherwise."""
        for name, pos in self.unseen.items():
            self.program.error(
                pos,
                f"no instruction shows '{name}': behind a prefix that sets it there is none",
                help=f"say `{{{name}?…}}` in the syntax of those that may have it, or leave out `shown`",
            )

    def _undefined(self, options: tree.InsnOptions) -> tuple[str, ...]:
        """Single registers that `undefined` names."""
        for name in options.undefined:
            if name.name not in self.program.module.regs:
                hint = self.program.suggest(name.name, self.program.module.regs)
                self.program.error(name.pos, f"'{name.name}' is no register", help=hint)
        return tuple(name.name for name in options.undefined)

    def _bind(
        self,
        body: Body,
        binding: tree.Binding,
        params: tuple[tree.Param, ...],
        space: model.Space,
        bound: list[model.BoundOperand],
        shown: dict[str, Local],
    ) -> None:
        """`with k = e`: an operand, or a value that the syntax may show."""
        name, value = binding.name, binding.value
        if name.name in body.scopes[0]:
            body.fail(name.pos, f"'{name.name}' is a {body.scopes[0][name.name].kind} already")
        entity = self._operand_table(binding)
        if entity is not None:
            assert isinstance(value, tree.Call)
            operand = operands.bind(self.program, body, space, self.formats, name, value, entity)
            bound.append(operand)
            body.scopes[0][name.name] = shown[name.name] = operands.operand_local(operand, name.pos)
            return
        param = next((param for param in params if param.name.name == name.name), None)
        if param is not None and param.type is not None:
            width = expressions.width_of_type(body, param.type)
            expr = expressions.sized(body, value, width, f"'{name.name}' is bits({width})")
        else:
            expr = expressions.with_own_width(body, value, f"'{name.name}'").expr
        shown[name.name] = Local("binding", Sized(expr), name.pos, "", expr.width)
        held = body.hold(expr, name.name, name.pos)
        body.scopes[0][name.name] = Local("binding", Sized(held), name.pos, "", expr.width)

    def _operand_table(self, binding: tree.Binding) -> OperandEntity | None:
        """The table of `with e = table(…)`."""
        value = binding.value
        if isinstance(value, tree.Call) and isinstance(value.callee, tree.Name):
            entity = self.program.entities.get(value.callee.name)
            if isinstance(entity, OperandEntity):
                return entity
        return None

    def _require_known(
        self,
        encoding: _Encoding,
        tails: Sequence[model.Pattern],
        where: model.Expr | None,
        bound: Sequence[model.BoundOperand],
    ) -> None:
        """What an operand is chosen by stands before it."""
        late = {layout.name for tail in tails for layout in tail.fields}
        for name in (node.name for node in nodes(where) if isinstance(node, model.FieldRef)):
            if name in late:
                self.program.fail(encoding.pos, f"'{name}' comes behind an operand: no guard can depend on it")
        for operand in bound:
            for node in nodes(operand.args):
                if isinstance(node, model.FieldRef) and node.name in late:
                    message = f"'{node.name}' comes behind an operand: '{operand.name}' cannot depend on it"
                    self.program.fail(encoding.pos, message)

    def _widen_fields(
        self, body: Body, params: tuple[tree.Param, ...], encoding: _Encoding, shown: dict[str, Local]
    ) -> None:
        """Parameters that are fields of this encoding.

        A narrower field is zero-extended: short encodings reach the low registers only."""
        for param in params:
            name = param.name.name
            local = body.scopes[0].get(name)
            if local is None or local.kind != "field" or param.type is None:
                continue
            width = expressions.width_of_type(body, param.type)
            if width > local.width:
                wide = Sized(fold.extend("zext", model.FieldRef(local.width, name), width))
                body.scopes[0][name] = shown[name] = Local("field", wide, local.pos, "", width)
            elif width < local.width:
                body.error(
                    encoding.pattern.pos,
                    f"field '{name}' is bits({local.width}) here; the parameter is bits({width})",
                    ((param.name.pos, f"'{name}' is declared here"),),
                )
                body.scopes[0][name] = Local("field", None, local.pos)

    def _require_params(self, body: Body, params: tuple[tree.Param, ...], encoding: _Encoding) -> None:
        """Every parameter of `insn X(params)` is a field of this encoding or bound by its `with`."""
        for param in params:
            name = param.name.name
            if name not in body.scopes[0]:
                body.error(
                    encoding.pos,
                    f"parameter '{name}' is neither a field of this encoding nor bound by `with`",
                    ((param.name.pos, f"'{name}' is declared here"),),
                    f"add `with {name} = …`",
                )
                body.scopes[0][name] = Local("binding", None, param.name.pos)

    def _where(self, body: Body, encoding: _Encoding) -> model.Expr | None:
        where: model.Expr | None = None
        for node in encoding.where:
            guard = Body(self.program, body.msb0, "guard", body.splits, body.scopes[0])
            made = expressions.condition(guard, node, "a guard")
            require_translation_time(guard, made, node, "a guard")
            where = made if where is None else fold.select(where, made, fold.const(1, 0))
        return where

    def _never(self, guards: Sequence[model.Expr]) -> bool:
        """The guards hold together for no fields and modes; False when there are too many to try."""
        functions = self.program.instances
        fields: dict[str, int] = {}
        modes: dict[str, int] = {}
        for guard in guards:
            own_fields, own_modes, addresses = variables_of(guard, functions)
            if addresses:
                return False
            fields.update(own_fields)
            modes.update(own_modes)
        widths = [*fields.values(), *modes.values()]
        if sum(widths) > MOST_FREE_BITS:
            return False
        try:
            holds = compile_guards(guards, functions, list(fields), list(modes))
        except NotStatic:
            return False
        return not any(holds(*values) for values in product(*(range(1 << width) for width in widths)))

    def _split_guard(
        self, body: Body, split: SplitEntity, value: int, where: model.Expr | None, when: model.Expr | None
    ) -> tuple[model.Expr | None, model.Expr | None]:
        """The clone for `value` is meant where the split's expression has that value."""
        decl = split.declared.decl
        guard = Body(self.program, split.declared.msb0, "guard", {**body.splits}, body.scopes[0])
        most = max(split.values).bit_length()
        found = expressions.value_of(guard, decl.value)
        if isinstance(found, Sized):
            expr = found.expr
        else:  # wide enough for values that belong to no clone: they must not wrap onto one that does
            expr = widths.fit(guard, found, max(most, 32), decl.value)
        require_translation_time(guard, expr, decl.value, f"the value of '{split.name}'")
        test = fold.binary("eq", expr, fold.const(expr.width, value))
        if _reads_fields(test):
            return _both(where, test), when
        return where, _both(when, test)

    def _name(self, name: str, suffix: str, splits: Mapping[str, int]) -> str:
        """A unique Python identifier."""
        base = re.sub(r"\W", "_", name) + suffix + "".join(f"__{split}_{value}" for split, value in splits.items())
        chosen, number = base, 2
        while chosen in self.names:
            chosen, number = f"{base}__{number}", number + 1
        self.names.add(chosen)
        return chosen


def _reads_fields(expr: model.Expr) -> bool:
    return any(isinstance(node, model.FieldRef) for node in nodes(expr))


def _has_fields(expr: model.Expr, pattern: model.Pattern) -> bool:
    """What a space says of fields is for the encodings that have them."""
    own = {layout.name for layout in pattern.fields}
    return all(node.name in own for node in nodes(expr) if isinstance(node, model.FieldRef))


def _both(first: model.Expr | None, second: model.Expr) -> model.Expr:
    return second if first is None else fold.select(first, second, fold.const(1, 0))


def _unless_true(guard: model.Expr | None) -> model.Expr | None:
    return None if isinstance(guard, model.Const) and guard.value else guard
