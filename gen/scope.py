"""What names mean: the spec's own (Program) and those of one body being checked (Body)."""

from __future__ import annotations

import difflib
import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from gen import fold, model, tree, widths
from gen.errors import Diagnostics, Note
from gen.intrinsics import INTRINSICS
from gen.names import BUILT_IN, Declared, Module
from gen.tree import Pos
from gen.values import (
    ExceptionValue,
    Failed,
    FunctionValue,
    NeedsSplit,
    Number,
    Sized,
    UserFunction,
    Value,
)
from gen.walk import nodes

# ---------------------------------------------------------------- what a declared name stands for


@dataclass(frozen=True, slots=True)
class RegisterEntity:
    register: model.Register


@dataclass(frozen=True, slots=True)
class FileEntity:
    file: model.RegFile

    @property
    def index_width(self) -> int:
        return max(1, (self.file.count - 1).bit_length())


@dataclass(frozen=True, slots=True)
class ModeEntity:
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class PcEntity:
    pc: model.Pc


@dataclass(frozen=True, slots=True)
class MemoryEntity:
    name: str
    address_width: int


@dataclass(frozen=True, slots=True)
class InputEntity:
    name: str
    width: int


@dataclass(frozen=True, slots=True)
class AliasEntity:
    declared: Declared[tree.AliasDecl]

    @property
    def index_params(self) -> tuple[tree.AliasParam, ...]:
        return self.declared.decl.params


@dataclass(frozen=True, slots=True)
class SysRow:
    """A row of a `sysregs` table under one of its names.  `register`: its storage, when it has any."""

    table: str
    address: int
    name: str
    width: int
    fields: tuple[model.RegField, ...]
    register: str | None
    row: tree.SysRegRow
    msb0: bool
    pos: Pos
    number: int = 0  # among the addresses of its row


@dataclass(frozen=True, slots=True)
class SysTableEntity:
    name: str
    index_width: int
    width: int
    declared: Declared[tree.SysRegsDecl]
    rows: tuple[SysRow, ...]


@dataclass(frozen=True, slots=True)
class SplitEntity:
    name: str
    values: tuple[int, ...]
    declared: Declared[tree.SplitDecl]


@dataclass(frozen=True, slots=True)
class LazyEntity:
    declared: Declared[tree.LazyDecl]


@dataclass(frozen=True, slots=True)
class OperandEntity:
    declared: Declared[tree.OperandDecl]


@dataclass(frozen=True, slots=True)
class ForeignField:
    """A declared encoding field, named where no encoding has it."""

    name: str


@dataclass(frozen=True, slots=True)
class TypeEntity:
    declared: Declared[tree.TypeDecl]


@dataclass(frozen=True, slots=True)
class SpaceEntity:
    name: str


Entity = (
    RegisterEntity
    | FileEntity
    | ModeEntity
    | PcEntity
    | MemoryEntity
    | InputEntity
    | AliasEntity
    | SysRow
    | SysTableEntity
    | SplitEntity
    | LazyEntity
    | OperandEntity
    | ForeignField
    | TypeEntity
    | SpaceEntity
    | Number
    | ExceptionValue
    | FunctionValue
)

WHAT_IT_IS: dict[type[object], str] = {
    RegisterEntity: "a register",
    FileEntity: "a register file",
    ModeEntity: "a mode",
    PcEntity: "the pc",
    MemoryEntity: "a memory",
    InputEntity: "an input",
    AliasEntity: "an alias",
    SysRow: "a system register",
    SysTableEntity: "a table of system registers",
    SplitEntity: "a split",
    LazyEntity: "a lazy group",
    OperandEntity: "an operand table",
    ForeignField: "an encoding field",
    TypeEntity: "a type",
    SpaceEntity: "an instruction space",
    Number: "a generation-time number",
    ExceptionValue: "an exception",
    UserFunction: "a function",
}


# ---------------------------------------------------------------- functions made so far


@dataclass(slots=True)
class Instance:
    """One instance of a function; `function` is None when its body has errors."""

    function: model.Function | None
    splits: dict[str, int]  # the split values its body was checked under, of those it reads
    time: model.Time = model.Time.G  # what its body reads besides its parameters
    pure: bool = True  # reads and writes nothing but its parameters and locals
    flags: bool = False  # accrues or reads the host's floating-point flags
    effects: bool = False  # writes state, jumps or raises
    annuls: bool = False  # skips the delay slot of the instruction that calls it
    diverges: bool = False  # never returns: always raises
    modes: tuple[tuple[str, int], ...] | None = None  # those it reads, with their widths, if it is pure but for them


class Functions(Protocol):
    """gen/instances.py, as bodies see it."""

    def call(self, body: Body, declared: Declared[tree.Fn], args: Sequence[tree.Expr], pos: Pos) -> Value: ...

    def alias_get(self, body: Body, alias: AliasEntity, args: Sequence[tree.Expr], pos: Pos) -> Value: ...

    def alias_set(
        self, body: Body, alias: AliasEntity, args: Sequence[model.Expr | int], value: model.Expr, pos: Pos
    ) -> None: ...

    def alias_arguments(
        self, body: Body, alias: AliasEntity, args: Sequence[tree.Expr], pos: Pos
    ) -> tuple[list[model.Expr | int], int]: ...

    def alias_read(self, body: Body, alias: AliasEntity, args: Sequence[model.Expr | int], pos: Pos) -> model.Expr: ...

    def table_get(self, body: Body, table: SysTableEntity, address: model.Expr, pos: Pos) -> model.Expr: ...

    def table_set(
        self, body: Body, table: SysTableEntity, address: model.Expr, value: model.Expr, pos: Pos
    ) -> None: ...

    def row_read(self, body: Body, row: SysRow, pos: Pos) -> model.Expr: ...

    def row_write(self, body: Body, row: SysRow, value: model.Expr, pos: Pos) -> None: ...

    def inlining(self, name: str, pos: Pos) -> AbstractContextManager[None]: ...

    def rule(self, body: Body, lazy: LazyEntity, rule: tree.LazyRule, args: Sequence[tree.Expr], pos: Pos) -> None: ...

    def inline_raise(self, body: Body, declared: Declared[tree.Fn], args: Sequence[tree.Expr], pos: Pos) -> None: ...


# ---------------------------------------------------------------- the whole spec


@dataclass(slots=True)
class Program:
    """The spec while it is being checked."""

    module: Module
    diagnostics: Diagnostics
    entities: dict[str, Entity] = field(default_factory=dict)
    splits: dict[str, SplitEntity] = field(default_factory=dict)
    sticky: model.StickyBits | None = None
    instances: dict[str, model.Function] = field(default_factory=dict)  # by unique name
    by_function: dict[str, Instance] = field(default_factory=dict)  # by unique name
    made: dict[tuple[object, ...], list[tuple[str, Instance]]] = field(default_factory=dict)  # gen/instances.py's keys
    operands: dict[tuple[object, ...], model.BoundOperand] = field(default_factory=dict)  # gen/operands.py's keys
    exception_widths: tuple[int, ...] | None = None  # of `on exception`'s parameters after the code
    split_reads: list[set[str]] = field(default_factory=list)  # one set for each function being checked
    context: list[str] = field(default_factory=list)  # the table row, or what else an error should mention
    _functions: Functions | None = None
    _reported: set[Pos] = field(default_factory=set)
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def attach(self, functions: Functions) -> None:
        """Gives bodies the maker of instances."""
        self._functions = functions

    @property
    def functions(self) -> Functions:
        assert self._functions is not None
        return self._functions

    def error(self, pos: Pos, message: str, notes: Sequence[Note] = (), help: str | None = None) -> None:
        """Reports once for each place: a body checked for many rows and widths gives one message."""
        if pos.line and pos in self._reported:
            return
        self._reported.add(pos)
        context = tuple((None, text) for text in self.context[-1:])
        self.diagnostics.error(pos, message, (*notes, *context), help)

    def fail(self, pos: Pos, message: str, notes: Sequence[Note] = (), help: str | None = None) -> NoReturn:
        self.error(pos, message, notes, help)
        raise Failed

    @contextmanager
    def trial(self) -> Iterator[Diagnostics]:
        """Tries something: errors go to the collector yielded, and instances made are forgotten if there are any."""
        kept, reported = self.diagnostics, set(self._reported)
        instances, by_function = dict(self.instances), dict(self.by_function)
        made = {key: list(found) for key, found in self.made.items()}
        operands = dict(self.operands)
        self.diagnostics = attempt = Diagnostics(kept.sources)
        try:
            yield attempt
        finally:
            self.diagnostics = kept
            if attempt:
                self._reported, self.made, self.operands = reported, made, operands
                self.instances, self.by_function = instances, by_function

    @contextmanager
    def outside_instructions(self, what: str) -> Iterator[None]:
        """Goes on after errors; a split has no value here."""
        try:
            yield
        except Failed:
            pass
        except NeedsSplit as need:
            pos = self.splits[need.name].declared.decl.name.pos
            self.error(
                pos,
                f"split '{need.name}' is read by {what}, where it has no value",
                help="only instructions, and what they call, may read it",
            )

    def text(self, node: tree.Expr) -> str:
        """The source text of an expression, for hints; "…" when it is long."""
        pos = node.pos
        if pos.line != pos.end_line:
            return "…"
        if pos.file not in self._lines:
            self._lines[pos.file] = self.module.sources.get(pos.file, "").split("\n")
        lines = self._lines[pos.file]
        text = lines[pos.line - 1][pos.column - 1 : pos.end_column - 1] if 1 <= pos.line <= len(lines) else ""
        return text if 0 < len(text) <= 40 else "…"

    def suggest(self, name: str, known: Iterable[str]) -> str | None:
        """A hint naming what was probably meant."""
        candidates = sorted(set(known))
        close = difflib.get_close_matches(name, candidates, 1, 0.6)
        if not close:
            close = [other for other in candidates if other.lower() == name.lower()]
        return f"did you mean '{close[0]}'?" if close else None

    def is_known(self, name: str) -> bool:
        """Whether a name means something wherever it stands: declared, or of the language."""
        return name in self.entities or name in BUILT_IN or name in widths.SHIFTS  # rotl and rotr are names, too

    def is_instruction(self, name: str) -> bool:
        """Whether an instruction, or a row of a table of them, is called so."""
        for declared in self.module.instructions:
            named = declared.decl.rows if isinstance(declared.decl, tree.Insns) else (declared.decl,)
            if any(one.name.name == name for one in named):
                return True
        return False

    def unique_name(self, name: str) -> str:
        """A Python identifier no other function has."""
        base = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        candidate, number = base, 2
        while candidate in self.instances:
            candidate, number = f"{base}__{number}", number + 1
        return candidate


# ---------------------------------------------------------------- one body


@dataclass(frozen=True, slots=True)
class Local:
    """A name inside a body.  kind: let, var, parameter, index, field, column, binding, operand.

    value: what reading it gives; None when its definition was wrong, and uses then say nothing."""

    kind: str
    value: Value | None
    pos: Pos
    model_name: str = ""
    width: int = 0


class Body:
    """A sequence of statements being checked: scopes, and the statements made so far."""

    def __init__(
        self,
        program: Program,
        msb0: bool,
        kind: str,
        splits: Mapping[str, int] | None = None,
        outer: Mapping[str, Local] | None = None,
    ) -> None:
        self.program = program
        self.msb0 = msb0
        self.kind = kind  # 'insn', 'fn', 'hook', 'reset', 'translate', 'test', 'guard', 'template', 'exn'
        self.splits: Mapping[str, int] = splits or {}
        self.scopes: list[dict[str, Local]] = [dict(outer or {})]
        self.blocks: list[list[model.Stmt]] = [[]]
        self.taken: set[str] = {local.model_name for local in (outer or {}).values() if local.model_name}
        self.variables: set[str] = set()  # locals that can change
        self.loops = 0
        self.delayed = False
        self.results: tuple[int, ...] | None = None  # of the function; None outside functions
        self.failures: list[Pos] = []  # statements left out for their errors

    # ------------------------------------------------ errors

    def fail(self, pos: Pos, message: str, notes: Sequence[Note] = (), help: str | None = None) -> NoReturn:
        self.program.fail(pos, message, notes, help)

    def error(self, pos: Pos, message: str, notes: Sequence[Note] = (), help: str | None = None) -> None:
        self.program.error(pos, message, notes, help)

    # ------------------------------------------------ names

    def local(self, name: str) -> Local | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def entity(self, name: str) -> Entity | None:
        """What a name that is no local one stands for; a split must have a value by now."""
        entity = self.program.entities.get(name)
        if isinstance(entity, SplitEntity):
            for reads in self.program.split_reads:
                reads.add(name)
            if name not in self.splits:
                raise NeedsSplit(name)
            return Number(self.splits[name])
        return entity

    def unknown(self, name: str, pos: Pos) -> NoReturn:
        if self.kind == "template":
            self.unknown_in_template(name, pos)
        if name in {"NEXT", "NPC"}:  # as values they are known
            self.fail(pos, f"'{name}' cannot be assigned", help="write `goto …`")
        if name in {"bits", "bit"}:
            self.fail(pos, f"'{name}' is a type, and a value is wanted", help="a function's type stands behind `->`")
        if self.program.is_instruction(name):
            self.fail(pos, f"'{name}' is an instruction, which is no value and cannot be called", help="write a `fn`")
        near = [known for scope in self.scopes for known in scope]
        hint = self.program.suggest(name, near) or self.program.suggest(
            name, [*self.program.entities, *INTRINSICS, "sext", "zext", "NEXT"]
        )
        self.fail(pos, f"unknown name '{name}'", help=hint)

    def unknown_in_template(self, name: str, pos: Pos) -> NoReturn:
        fields = [known for known, local in self.scopes[0].items() if local.kind in {"field", "binding", "operand"}]
        hint = self.program.suggest(name, fields)
        if hint is None:
            hint = f"its fields are {', '.join(fields)}" if fields else "it has no fields"
        self.fail(pos, f"'{name}' in the syntax is no field of this encoding", help=hint)

    def fresh(self, name: str) -> str:
        """A name for the model that no other local of this body has."""
        base = f"{name}_" if keyword.iskeyword(name) else name
        candidate, number = base, 2
        while candidate in self.taken:
            candidate, number = f"{base}_{number}", number + 1
        self.taken.add(candidate)
        return candidate

    def declare(self, name: str, local: Local) -> None:
        """Brings a name into scope; a name cannot be defined twice, not even in an inner block."""
        known = self.local(name)
        if known is not None:
            self.error(local.pos, f"'{name}' is defined already", ((known.pos, "it is defined here"),))
        self.scopes[-1][name] = local

    def aside(self, msb0: bool, outer: Mapping[str, Local]) -> Body:
        """The same body as seen from elsewhere: statements still go here, but only the names of `outer` are known."""
        body = Body(self.program, msb0, self.kind, self.splits, outer)
        body.blocks, body.taken, body.results = self.blocks, self.taken, self.results
        body.variables = self.variables
        body.delayed, body.failures = self.delayed, self.failures
        return body

    # ------------------------------------------------ statements made

    def emit(self, statement: model.Stmt) -> None:
        self.blocks[-1].append(statement)

    @contextmanager
    def block(self) -> Iterator[list[model.Stmt]]:
        """A nested block with its own scope; yields the list its statements are put in."""
        statements: list[model.Stmt] = []
        self.blocks.append(statements)
        self.scopes.append({})
        try:
            yield statements
        finally:
            self.blocks.pop()
            self.scopes.pop()

    def hold(self, expr: model.Expr, name: str, pos: Pos) -> model.Expr:
        """The value `expr` has now, for use later: `expr` itself if it is cheap and cannot change, else a local."""
        if fold.is_simple(expr) and not any(
            isinstance(node, model.ModeRead) or (isinstance(node, model.Local) and node.name in self.variables)
            for node in nodes(expr)
        ):
            return expr
        chosen = self.fresh(name)
        self.emit(model.Let((chosen,), expr, pos))
        return model.Local(expr.width, chosen, self.time_of(expr))

    def time_of(self, expr: model.Expr) -> model.Time:
        return time_of(expr, self.program.by_function)


_LEAF_TIMES: dict[type[object], model.Time] = {
    model.Const: model.Time.G,
    model.FieldRef: model.Time.T,
    model.PcRead: model.Time.T,
    model.NextPc: model.Time.T,
    model.ModeRead: model.Time.T,
}


def time_of(expr: model.Expr, instances: Mapping[str, Instance]) -> model.Time:
    """When a value is known (LANGUAGE §3)."""
    match expr:
        case model.Const():
            return model.Time.G
        case model.Local():
            return expr.time
        case model.Unary() | model.Extend() | model.Slice():
            return time_of(expr.operand, instances)
        case model.Binary():
            return max(time_of(expr.left, instances), time_of(expr.right, instances))
        case model.DynSlice():
            return max(time_of(expr.operand, instances), time_of(expr.low, instances))
        case model.Cat():
            return max(time_of(part, instances) for part in expr.parts)
        case model.Select():
            return max(time_of(part, instances) for part in (expr.condition, expr.then, expr.otherwise))
        case model.Tuple():
            return max((time_of(part, instances) for part in expr.items), default=model.Time.G)
        case model.Call():
            instance = instances.get(expr.function)
            own = instance.time if instance else model.Time.R
            return max([own, *(time_of(part, instances) for part in expr.args)])
        case model.Intrinsic():
            if INTRINSICS[expr.name].effect.value != "pure":
                return model.Time.R
            return max([model.Time.G, *(time_of(part, instances) for part in expr.args)])
    return _LEAF_TIMES.get(type(expr), model.Time.R)


def sized_local(kind: str, width: int, name: str, pos: Pos, time: model.Time) -> Local:
    """A local that reads as a model.Local of the same name."""
    return Local(kind, Sized(model.Local(width, name, time)), pos, name, width)
