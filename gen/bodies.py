"""Statements and expressions of the model printed as Python calls of the TCG builder.

Printing keeps the order of evaluation: Python evaluates arguments from left to right as the language does, and
whenever a part of an expression has to become statements of its own, everything before it is named first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gen import model
from gen.effects import Effects
from gen.errors import Diagnostic, SpecError
from gen.source import INDENT, Doc, Group, call, flat, hexadecimal, identifier, quoted, statement, tuple_of
from gen.tree import Pos
from gen.walk import assigned_locals, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: arguments longer than this together are given names
LONG = 92
#: a side of `if … then … else` with more nodes than this is worth a branch
CHEAP_SIDE = 24
#: names a local may not take in an emitter
RESERVED = frozenset({"b", "f", "at", "frame", "loop", "taken"})

_BINARY = {"and": "and_", "or": "or_"}
_COMPARISONS = frozenset({"eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"})
_SHIFTS = frozenset({"shl", "lshr", "ashr", "rotl", "rotr"})


@dataclass(frozen=True, slots=True)
class Context:
    """What a body may refer to outside itself."""

    functions: Mapping[str, model.Function]
    memories: Mapping[str, model.Memory]
    exceptions: Mapping[str, str]  # name -> the module's constant
    effects: Effects


def not_generated(what: str, pos: Pos) -> SpecError:
    """The error for a construct the checker accepts and the generator does not know yet."""
    return SpecError([Diagnostic(pos, f"not generated yet: {what}")])


def widths_of(value: model.Expr) -> tuple[int, ...]:
    """Widths of the values an expression gives."""
    if isinstance(value, model.Tuple):
        return tuple(item.width for item in value.items)
    if isinstance(value, model.Call | model.Intrinsic):
        return value.widths
    if isinstance(value, model.Select):
        return widths_of(value.then)
    return (value.width,)


class BodyPrinter:
    """Collects the lines of one Python function."""

    def __init__(self, context: Context, pos: Pos, depth: int = 1) -> None:
        self.lines: list[str] = []
        self._context = context
        self._pos = pos
        self._depth = depth
        self._names: dict[str, str] = {}
        self._taken: set[str] = set(RESERVED)
        self._vars: set[str] = set()
        self._operands: dict[str, str] = {}  # what a bound operand is called
        self._loops: list[str] = []
        self._arms = 0

    # ------------------------------------------------------------ names and lines

    def declare(self, name: str) -> str:
        """The Python name of a local."""
        free = identifier(name, frozenset(self._taken))
        self._taken.add(free)
        self._names[name] = free
        return free

    def _fresh(self, stem: str) -> str:
        number = 1
        while f"{stem}{number}" in self._taken:
            number += 1
        self._taken.add(f"{stem}{number}")
        return f"{stem}{number}"

    def put(self, prefix: str, doc: Doc = "", suffix: str = "") -> None:
        """Add a statement."""
        self.lines += statement(prefix, doc, suffix, self._depth)

    @contextmanager
    def _indented(self) -> Iterator[None]:
        self._depth += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.put("pass")
        self._depth -= 1

    def _name_it(self, doc: Doc) -> str:
        name = self._fresh("v")
        self.put(f"{name} = ", doc)
        return name

    # ------------------------------------------------------------ expressions

    def _arguments(self, values: Iterable[model.Expr]) -> list[Doc]:
        """Each value as an expression; those that must be computed before a later one's statements get names."""
        docs: list[Doc] = []
        for value in values:
            mark = len(self.lines)
            doc = self.value(value)
            if len(self.lines) > mark:
                tail = self.lines[mark:]
                del self.lines[mark:]
                docs = [d if isinstance(d, str) else self._name_it(d) for d in docs]
                self.lines += tail
            docs.append(doc)
        if sum(len(flat(doc)) for doc in docs) > LONG:
            docs = [d if isinstance(d, str) else self._name_it(d) for d in docs]
        return docs

    def _pure_call(self, function: str, before: Sequence[Doc], values: Sequence[model.Expr], *after: Doc) -> Doc:
        return call(function, *before, *self._arguments(values), *after)

    def value(self, e: model.Expr) -> Doc:
        """An expression for a value of one width."""
        match e:
            case model.Const(_, value):
                return hexadecimal(value)
            case model.FieldRef(_, name):
                return f"f.{identifier(name)}"
            case model.PcRead():
                return "b.pc()"
            case model.NextPc():
                return "b.next_pc()"
            case model.AfterPc():
                return "b.after_pc()"
            case model.Local(_, name):
                return f"{self._names[name]}.get()" if name in self._vars else self._names[name]
            case model.RegRead(_, register):
                return call("b.get_reg", quoted(register))
            case model.RegFileRead(_, file, index):
                return self._pure_call("b.get_regfile", [quoted(file)], [index])
            case model.ModeRead(_, mode):
                return call("b.get_mode", quoted(mode))
            case model.InputRead(_, wire):
                return call("b.get_input", quoted(wire))
            case model.MemRead(width, memory, address):
                return self._pure_call("b.load", [quoted(memory)], [address], str(width), self._big(memory))
            case model.Unary(width, op, operand):
                return self._pure_call("b.neg" if op == "neg" else "b.not_", [str(width)], [operand])
            case model.Binary():
                return self._binary(e)
            case model.Extend(width, op, operand):
                return self._pure_call(f"b.{op}", [], [operand], str(operand.width), str(width))
            case model.Slice(width, operand, low):
                return self._pure_call("b.slice", [], [operand], str(operand.width), str(low), str(width))
            case model.DynSlice(width, operand, low_bit):
                whole, low_doc = self._arguments((operand, low_bit))
                return call("b.dynslice", whole, str(operand.width), low_doc, str(low_bit.width), str(width))
            case model.Cat(_, parts):
                return call("b.cat", self._sized(parts))
            case model.Select():
                return self._select(e)
            case model.Call():
                return self.call(e)
            case model.Intrinsic():
                return self._intrinsic(e)
            case model.OperandRead(_, operand_name):
                return f"{self._operands[operand_name]}.get()"
            case model.Tuple():
                raise AssertionError("a tuple where one value is wanted")

    def _sized(self, values: Sequence[model.Expr]) -> Group:
        """((a, wa), (b, wb))"""
        docs = self._arguments(values)
        return tuple_of(tuple_of((doc, str(v.width))) for doc, v in zip(docs, values, strict=True))

    def _binary(self, e: model.Binary) -> Doc:
        method = f"b.{_BINARY.get(e.op, e.op)}"
        width = str(e.left.width)
        after = [str(e.right.width)] if e.op in _SHIFTS else []
        return self._pure_call(method, [width], [e.left, e.right], *after)

    def _big(self, memory: str) -> Doc:
        return self.value(self._context.memories[memory].big)

    def call(self, e: model.Call) -> Doc:
        """A call of a user function's emitter: it inlines the body or calls the helper compiled from it."""
        return self._pure_call(f"fn_{e.function}", ["b"], e.args)

    def _intrinsic(self, e: model.Intrinsic) -> Doc:
        match e.name:
            case "popcount" | "clz" | "ctz" | "parity" | "host_sqrt":
                return self._pure_call(f"b.{e.name}", [str(e.args[0].width)], e.args)
            case "host_add" | "host_sub" | "host_mul" | "host_div" | "host_fma" | "host_eq" | "host_lt" | "host_le":
                return self._pure_call(f"b.{e.name}", [str(e.args[0].width)], e.args)
            case "host_from_s" | "host_from_u" | "host_to_s":
                return self._pure_call(f"b.{e.name}", [str(e.args[0].width)], e.args[:1], str(e.width))
            case "load_exclusive":
                return self._pure_call(
                    "b.load_exclusive", [quoted(e.memory)], e.args[:1], str(e.width), self._big(e.memory)
                )
            case "store_exclusive":
                address, value = self._arguments(e.args[:2])
                width = str(e.args[1].width)
                return call("b.store_exclusive", quoted(e.memory), address, width, value, self._big(e.memory))
            case "probe":
                return self._pure_call("b.probe", [quoted(e.memory)], e.args)
            case _:
                return self._pure_call(f"b.{e.name.lower()}", [], e.args)

    # ------------------------------------------------------------ choices inside expressions

    def _cheap(self, side: model.Expr) -> bool:
        effects = self._context.effects
        return effects.pure(side) and effects.size(side) <= CHEAP_SIDE

    def _select(self, e: model.Select) -> Doc:
        if self._cheap(e.then) and self._cheap(e.otherwise):
            return self._pure_call("b.select", [str(e.width)], [e.condition, e.then, e.otherwise])
        return f"{self._chosen(e, widths_of(e))[0]}.get()"

    def _chosen(self, e: model.Select, widths: Sequence[int]) -> list[str]:
        """Variables that hold the chosen side's values: only that side is computed."""
        targets = []
        for width in widths:
            targets.append(self._fresh("v"))
            self.put(f"{targets[-1]} = ", call("b.var", str(width), "0"))
        self._choose(e, targets)
        return targets

    def _choose(self, e: model.Expr, targets: Sequence[str]) -> None:
        if isinstance(e, model.Select) and not (len(targets) == 1 and self._cheap(e.then) and self._cheap(e.otherwise)):
            self._branch(
                e.condition,
                targets,
                lambda: self._choose(e.then, targets),
                lambda: self._choose(e.otherwise, targets),
            )
            return
        for target, doc in zip(targets, self.several(e), strict=True):
            self.put("", call(f"{target}.set", doc))

    def several(self, e: model.Expr) -> list[Doc]:
        """The values of an expression that may give more than one."""
        widths = widths_of(e)
        if isinstance(e, model.Tuple):
            return self._arguments(e.items)
        if len(widths) == 1:
            return [self.value(e)]
        if isinstance(e, model.Select):
            return [f"{name}.get()" for name in self._chosen(e, widths)]
        names = [self._fresh("v") for _ in widths]
        self.put(f"{', '.join(names)} = ", self.value(e))
        return list(names)

    def _branch(
        self,
        condition: model.Expr,
        variables: Iterable[str],
        then: Callable[[], None],
        otherwise: Callable[[], None] | None,
    ) -> None:
        """`for taken in b.If(condition, variables):` with its two arms."""
        test = self.value(condition)
        self._arms += 1
        taken = "taken" if self._arms == 1 else f"taken{self._arms}"
        self.put(f"for {taken} in ", call("b.If", test, *variables), ":")
        with self._indented():
            self.put(f"if {taken}:")
            with self._indented():
                then()
            if otherwise is not None:
                self.put("else:")
                with self._indented():
                    otherwise()
        self._arms -= 1

    # ------------------------------------------------------------ statements

    def body(self, statements: Sequence[model.Stmt]) -> None:
        """Print statements in order."""
        for stmt in statements:
            self.statement(stmt)

    def _variables(self, *blocks: Sequence[model.Stmt]) -> list[str]:
        names = assigned_locals(tuple(stmt for block in blocks for stmt in block))
        return [self._names[name] for name in names if name in self._vars and name in self._names]

    def statement(self, s: model.Stmt) -> None:
        """Print one statement."""
        match s:
            case model.Let(names, value):
                self._let(names, value)
            case model.Var(name, width, value):
                doc = self.value(value)
                self._vars.add(name)
                self.put(f"{self.declare(name)} = ", call("b.var", str(width), doc))
            case model.Assign(place, value):
                self._assign(place, value)
            case model.Accrue(register, low, value):
                self.put("", self._pure_call("b.accrue", [quoted(register), str(low), str(value.width)], [value]))
            case model.If(condition, then, otherwise):
                if otherwise and not then:
                    condition, then, otherwise = model.Unary(1, "not", condition), otherwise, ()
                self._branch(
                    condition,
                    self._variables(then, otherwise),
                    lambda: self.body(then),
                    (lambda: self.body(otherwise)) if otherwise else None,
                )
            case model.For(name, width, low, high, body):
                bounds = self._arguments((low, high))
                used = any(isinstance(node, model.Local) and node.name == name for node in nodes(body))
                self._loop(
                    self.declare(name if used else f"_{name}"),
                    call("b.For", str(width), *bounds, *self._variables(body)),
                    body,
                )
            case model.While(condition, body):
                self._loop("loop", call("b.While", *self._variables(body)), body, condition)
            case model.Break():
                self.put("b.break_()")
            case model.Atomic():
                self._atomic(s)
            case model.Goto(target):
                self.put("", self._pure_call("b.goto", [], [target]))
            case model.Raise(exception, args):
                self.put("", self._pure_call("b.raise_", [self._context.exceptions[exception]], args))
            case model.Annul():
                self.put("b.annul()")
            case model.Return(values):
                self._return(values)
            case model.Do(value):
                self.put("", self.value(value))

    def _let(self, names: Sequence[str], value: model.Expr) -> None:
        if len(names) == 1:
            doc = self.value(value)
            self.put(f"{self.declare(names[0])} = ", doc)
        elif isinstance(value, model.Call | model.Intrinsic):
            doc = self.value(value)
            self.put(f"{', '.join([self.declare(name) for name in names])} = ", doc)
        else:
            for name, doc in zip(names, self.several(value), strict=True):
                self.put(f"{self.declare(name)} = ", doc)

    def _assign(self, place: model.Place, value: model.Expr) -> None:
        match place:
            case model.ToLocal(_, name):
                doc = self._pure_call(f"{self._names[name]}.set", [], [value])
            case model.ToReg(_, register):
                doc = self._pure_call("b.set_reg", [quoted(register)], [value])
            case model.ToRegFile(_, file, index):
                doc = self._pure_call("b.set_regfile", [quoted(file)], [index, value])
            case model.ToMode(_, mode):
                doc = self._pure_call("b.set_mode", [quoted(mode)], [value])
            case model.ToMem(width, memory, address):
                address_doc, value_doc = self._arguments((address, value))
                doc = call("b.store", quoted(memory), address_doc, str(width), value_doc, self._big(memory))
            case model.ToOperand(_, operand):
                doc = self._pure_call(f"{self._operands[operand]}.set", [], [value])
        self.put("", doc)

    def _loop(self, name: str, header: Doc, body: Sequence[model.Stmt], test: model.Expr | None = None) -> None:
        nested = f"{name}{len(self._loops) + 1}" if test is not None and self._loops else name
        self.put(f"for {nested} in ", header, ":")
        self._loops.append(nested)
        with self._indented():
            if test is not None:
                self.put("", self._pure_call(f"{nested}.test", [], [test]))
            self.body(body)
        self._loops.pop()

    def guarded(self, header: Doc, body: Sequence[model.Stmt]) -> None:
        """A whole body that may be passed over: `for _ in b.guarded(predicate, fields):`."""
        self.put("for _ in ", header, ":")
        with self._indented():
            self.body(body)

    def _atomic(self, s: model.Atomic) -> None:
        if isinstance(s.address, model.OperandRead):
            self.put(f"for at in {self._operands[s.address.operand]}.atomic():")
            self._update(s)
            return
        address = self.value(s.address)
        self.put("for at in ", call("b.atomic", quoted(s.memory), address, str(s.width), self._big(s.memory)), ":")
        self._update(s)

    def _update(self, s: model.Atomic) -> None:
        with self._indented():
            old = self.declare(s.old)
            self.put(f"{old} = at.old")
            self.body(s.body)
            self.put("", self._pure_call("at.commit", [], [s.new]))
            self.put(f"{old} = at.old")  # committing may have found a shorter way to the same value

    # ------------------------------------------------------------ operands

    def bind_operands(self, operands: Iterable[model.BoundOperand]) -> None:
        """`e = f.e.bind(b)`, in the order of `with`."""
        for operand in operands:
            self.body(operand.before)
            name = identifier(operand.name, frozenset(self._taken))
            self._taken.add(name)
            self._operands[operand.name] = name
            self.put(f"{name} = f.{identifier(operand.name)}.bind(b)")

    def return_memory(self, place: model.ToMem) -> None:
        """A row that stands for a place in memory: its address is worked out here."""
        address, big = self._arguments([place.address])[0], self._big(place.memory)
        self.put("return ", call("InMemory", "b", quoted(place.memory), address, str(place.width), big))

    def return_storage(self, value: model.Expr, write: Sequence[model.Stmt]) -> None:
        """A row that is read and written by code of its own."""
        self.lines.append("")
        self.put("def read() -> Value:")
        with self._indented():
            self.put("return ", self.value(value))
        self.lines.append("")
        self.put(f"def write({self.declare('new')}: Value) -> None:")
        with self._indented():
            self.body(write)
        self.lines.append("")
        self.put("return Storage(read, write)")

    def return_value(self, value: model.Expr) -> None:
        """A row that is a value."""
        self.put("return ", call("Computed", self.value(value)))

    # ------------------------------------------------------------ whole functions

    def _return(self, values: Sequence[model.Expr]) -> None:
        docs = self._returned(values)
        self.put("", call("frame.ret", *docs))

    def _returned(self, values: Sequence[model.Expr]) -> list[Doc]:
        return self.several(values[0]) if len(values) == 1 else self._arguments(values)

    def function(self, statements: Sequence[model.Stmt], results: Sequence[int]) -> None:
        """A whole body; early returns go through a frame."""
        returns = sum(1 for node in nodes(tuple(statements)) if isinstance(node, model.Return))
        last = statements[-1] if statements else None
        if not returns:
            self.body(statements)
        elif returns == 1 and isinstance(last, model.Return):
            self.body(statements[:-1])
            self._last_return(last.values)
        else:
            self.put("frame = ", call("b.frame", *(str(w) for w in results)))
            self.body(statements)
            if len(results) == 1:
                self.put("return frame.results()[0]")
            else:
                self.put("return frame.results()" if results else "frame.results()")
        if not self.lines:
            self.put("pass")

    def _last_return(self, values: Sequence[model.Expr]) -> None:
        if len(values) == 1 and isinstance(values[0], model.Call | model.Intrinsic):
            self.put("return ", self.value(values[0]))
            return
        docs = self._returned(values)
        if len(docs) == 1:
            self.put("return ", docs[0])
        elif docs:
            line = f"{INDENT * self._depth}return {', '.join(flat(doc) for doc in docs)}"
            if len(line) <= 120:
                self.put(line.strip())
            else:
                self.put("return ", tuple_of(docs))
