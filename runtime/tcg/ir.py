"""TCG as data: values, labels, locals, ops and functions, and how they print.

Temps are in SSA form: assigned by one op, usable wherever that op dominates.  Values that meet from several paths are
parameters of a label, given as arguments by the `br`s to it.  Locals are mutable cells for what SSA does not suit.
"""

from __future__ import annotations

from runtime.core.record import fresh, mutable_record
from runtime.tcg.ops import OPS, OpDef


class InternalError(Exception):
    """Something the generator itself got wrong: never caused by a user's input that passed the checker."""


class Temp:
    """The result of one op."""

    __slots__ = ("id", "width")

    def __init__(self, number: int, width: int) -> None:
        self.id = number
        self.width = width

    def __repr__(self) -> str:
        return f"t{self.id}"


class Deferred:
    """A value the driver will know before run time but not yet: what a handler's decoder computes.

    Drivers subclass it; Builder.defer makes them and Builder.materialise turns them into Temps.
    """

    __slots__ = ("width",)

    def __init__(self, width: int) -> None:
        self.width = width


Operand = int | Temp
Value = int | Temp | Deferred


class Label:
    """A place to jump to."""

    __slots__ = ("hint", "id")

    def __init__(self, number: int, hint: str = "") -> None:
        self.id = number
        self.hint = hint

    def __repr__(self) -> str:
        return f"L{self.id}{'_' + self.hint if self.hint else ''}"


class Local:
    """A mutable cell of the function; with `count`, an array of them."""

    __slots__ = ("count", "id", "width")

    def __init__(self, number: int, width: int, count: int = 1) -> None:
        self.id = number
        self.width = width
        self.count = count

    def __repr__(self) -> str:
        return f"l{self.id}"


class Op:
    """One operation; `widths` are those of `args`, since constants have none.  See ops.py for the other members."""

    __slots__ = ("args", "flag", "labels", "local", "name", "offset", "results", "size", "symbol", "widths")

    def __init__(
        self,
        name: str,
        results: tuple[Temp, ...] = (),
        args: tuple[Operand, ...] = (),
        widths: tuple[int, ...] = (),
        offset: int = 0,
        size: int = 0,
        symbol: str = "",
        flag: bool = False,
        labels: tuple[Label, ...] = (),
        local: Local | None = None,
    ) -> None:
        self.name = name
        self.results = results
        self.args = args
        self.widths = widths
        self.offset = offset
        self.size = size
        self.symbol = symbol
        self.flag = flag
        self.labels = labels
        self.local = local

    @property
    def definition(self) -> OpDef:
        """Its row of the table."""
        return OPS[self.name]

    @property
    def result(self) -> Temp:
        """The only result."""
        return self.results[0]

    def __str__(self) -> str:
        return format_op(self)


@mutable_record
class Function:
    """A list of ops with a calling convention.

    kind 'handler': takes the op record, env, memory, permissions and budget, and ends in a tail call or an exit
    (DESIGN §3).  kind 'plain': an ordinary function of `parameters` that returns `results`; `context` are pointers it
    takes before them, of: op env mem perm.
    """

    name: str
    kind: str = "handler"
    parameters: tuple[Temp, ...] = ()
    results: tuple[int, ...] = ()
    context: tuple[str, ...] = ()
    ops: list[Op] = fresh(factory=list)
    counter: int = 0  # the next free number of a temp, label or local
    lanes: bool = False  # of a plain one: results are made lane by lane (runtime/tcg/lanes.py)
    settles: int = 0  # of a handler that reads registers which may be owed: where in env it stands whether they are

    def temp(self, width: int) -> Temp:
        """A fresh temp."""
        self.counter += 1
        return Temp(self.counter, width)

    def label(self, hint: str = "") -> Label:
        """A fresh label."""
        self.counter += 1
        return Label(self.counter, hint)

    def local(self, width: int, count: int = 1) -> Local:
        """A fresh local."""
        self.counter += 1
        return Local(self.counter, width, count)

    def __str__(self) -> str:
        return format_function(self)


def plain_function(
    name: str, parameters: tuple[int, ...], results: tuple[int, ...], context: tuple[str, ...] = ()
) -> Function:
    """A function of the host's ordinary calling convention, with parameters of these widths."""
    function = Function(name, "plain", results=results, context=context)
    function.parameters = tuple(function.temp(width) for width in parameters)
    return function


# ---------------------------------------------------------------- printing


def format_operand(value: Operand) -> str:
    """`t5`, `7` or `0xff`."""
    if isinstance(value, Temp):
        return repr(value)
    return str(value) if value < 10 else hex(value)


def _format_field(op: Op, name: str) -> str:
    if name == "labels":
        return ", ".join(map(repr, op.labels))
    if name == "local":
        return repr(op.local)
    if name == "symbol":
        return op.symbol
    if name == "flag":
        return "flag" if op.flag else ""
    number = op.offset if name == "offset" else op.size
    return f"{name}={number:#x}" if number >= 10 else f"{name}={number}"


def format_op(op: Op) -> str:
    """One line: results with widths, name, operands, then the other members the op uses."""
    if op.name == "insn_start":
        return f" ---- {op.symbol}"
    arguments = ", ".join(map(format_operand, op.args))
    if op.name == "label":
        parameters = ", ".join(f"t{temp.id}:{temp.width}" for temp in op.results)
        return f"{op.labels[0]!r}({parameters}):" if parameters else f"{op.labels[0]!r}:"
    fields = [text for name in op.definition.fields if (text := _format_field(op, name))]
    parts = [text for text in (arguments, *fields) if text]
    results = ", ".join(f"t{temp.id}:{temp.width}" for temp in op.results)
    head = f"{results} = {op.name}" if results else op.name
    return f"  {head} {', '.join(parts)}".rstrip()


def format_function(function: Function) -> str:
    """The whole function, as `-d op` prints it."""
    parameters = ", ".join([*function.context, *(f"t{temp.id}:{temp.width}" for temp in function.parameters)])
    results = f" -> {', '.join(map(str, function.results))}" if function.results else ""
    lines = [f"{function.kind} {function.name}({parameters}){results}"]
    lines += [format_op(op) for op in function.ops]
    return "\n".join(lines) + "\n"
