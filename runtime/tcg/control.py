"""The builder's control flow: If, For, While, variables, early returns.  Each folds away when its condition is known.

These are generators and objects for generated emitters, which are straight-line Python executed once per instruction:

    for side in b.If(condition, x):      # one turn when the condition is known, two when it is not
        if side: x.set(...)
        else: ...

A variable assigned under a run-time condition is named in the If, For or While around it, and becomes a parameter of
the label where the paths meet.
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.tcg.ir import Deferred, Function, InternalError, Label, Op, Operand, Temp, Value
from runtime.tcg.values import ValueBuilder, same

SELDOM = 1  # ir.Op.offset of a brcond that is seldom true (2: mostly)


class Var:
    """A variable of the program being built: at each point of it, a value."""

    __slots__ = ("_builder", "_depth", "value", "width")

    def __init__(self, builder: ControlBuilder, width: int, value: Value) -> None:
        self._builder = builder
        self._depth = len(builder.regions)
        self.width = width
        self.value = value

    def get(self) -> Value:
        """Its value here."""
        return self.value

    def set(self, value: Value) -> None:
        """Assign it; nothing happens where control does not come."""
        if self._builder.dead:
            return
        for region in self._builder.regions[self._depth :]:
            if self not in region:
                raise InternalError("a variable is assigned under a run-time condition that does not name it")
        self.value = value


Snapshot = tuple[tuple[Value, ...], dict[str, Value | None]]


class Join:
    """A place where several paths meet, each with its own values of some variables (and extra values)."""

    def __init__(self, builder: ControlBuilder, variables: tuple[Var, ...], widths: tuple[int, ...] = ()) -> None:
        self._builder = builder
        self._variables = (*builder.implicit, *variables)
        self._widths = (*(variable.width for variable in self._variables), *widths)
        self.label = builder.function.label()
        self.edges: list[tuple[Op, tuple[Value, ...]]] = []
        self._modes: list[dict[str, Value | None]] = []
        self.landed = False

    def snapshot(self) -> Snapshot:
        """The variables' values and the known modes here."""
        return tuple([variable.value for variable in self._variables]), dict(self._builder.modes)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the variables and modes what they were when the snapshot was taken."""
        values, modes = snapshot
        for variable, value in zip(self._variables, values, strict=True):
            variable.value = value
        self._builder.modes = dict(modes)

    def forget_last_edge(self) -> None:
        """Undo the last `edge`, whose op is being dropped."""
        self.edges.pop()
        self._modes.pop()

    def edge(self, *extra: Value) -> None:
        """From here on to the meeting place; the code after this is dead."""
        builder = self._builder
        if builder.dead:
            return
        builder.emit("br", labels=(self.label,))
        values, modes = self.snapshot()
        self.edges.append((builder.ops[-1], (*values, *extra)))
        self._modes.append(modes)
        builder.edge_log.append(self)

    def land(self) -> tuple[Value, ...]:
        """Go on where the paths meet; gives the extra values."""
        builder = self._builder
        self.landed = True
        if not self.edges:
            builder.dead = True
            return tuple([builder.function.temp(width) for width in self._widths[len(self._variables) :]])
        merged: list[Value] = []
        parameters: list[Temp] = []
        for column, width in enumerate(self._widths):
            first = self.edges[0][1][column]
            if all(same(values[column], first) for _, values in self.edges):
                merged.append(first)
                continue
            for op, values in self.edges:
                argument = builder.operand_before(op, values[column], width)
                op.args = (*op.args, argument)
                op.widths = (*op.widths, width)
            parameter = builder.function.temp(width)
            merged.append(parameter)
            parameters.append(parameter)
        if len(self.edges) == 1 and builder.ops and builder.ops[-1] is self.edges[0][0]:
            builder.ops.pop()
            builder.dead = False
        else:
            builder.bind(self.label, tuple(parameters))
        count = len(self._variables)
        self.restore((tuple(merged[:count]), self._merged_modes()))
        return tuple(merged[count:])

    def _merged_modes(self) -> dict[str, Value | None]:
        """Modes written differently on the way here are known at run time only."""
        merged = dict(self._modes[0])
        for modes in self._modes[1:]:
            for name in merged.keys() | modes.keys():
                one, other = merged.get(name), modes.get(name)
                if name not in merged or name not in modes or one is None or other is None or not same(one, other):
                    merged[name] = None
        return merged


class Frame:
    """The body of an inlined function: `ret` leaves it, `result` is where it was called from."""

    def __init__(self, builder: ControlBuilder, widths: tuple[int, ...]) -> None:
        self._builder = builder
        self._widths = widths
        self._join = Join(builder, (), widths)

    def ret(self, *values: Value) -> None:
        """Return these from here."""
        if len(values) != len(self._widths):
            raise InternalError(f"{len(values)} values returned where {len(self._widths)} are due")
        self._join.edge(*values)

    def results(self) -> tuple[Value, ...]:
        """What was returned, as a tuple."""
        if not self._builder.dead:
            if self._widths:
                raise InternalError("a function ends without returning a value")
            self._join.edge()
        return self._join.land()

    def result(self) -> Value | tuple[Value, ...] | None:
        """What was returned: one value as itself, several as a tuple, none as None."""
        values = self.results()
        if not self._widths:
            return None
        return values if len(values) > 1 else values[0]


class Loop:
    """One loop while it is being built."""

    def __init__(self, builder: ControlBuilder, variables: tuple[Var, ...]) -> None:
        self._builder = builder
        self._variables = variables
        self._exit = Join(builder, variables)
        self._run_time = False
        self._restart = False

    def test(self, condition: Value) -> None:
        """Leave the loop unless `condition`; comes before the rest of a While's body."""
        builder = self._builder
        if builder.dead:
            return
        known = builder.known(condition)
        if known is None and not self._run_time:
            self._restart = True  # evaluate it again, with the variables as the loop's own
            builder.dead = True
        elif known is None:
            go_on, leave = builder.function.label(), builder.function.label()
            builder.branch(condition, go_on, leave)
            builder.bind(leave)
            self._exit.edge()
            builder.bind(go_on)
        elif not known:
            self._exit.edge()

    def break_(self) -> None:
        """Leave the loop from here."""
        self._exit.edge()

    def land(self) -> None:
        """Close the loop: the code after it comes next."""
        if not self._exit.landed:
            self._exit.land()

    def unroll(self, limit: int) -> Iterator[Loop]:
        """Run the body as often as it is known to run; False-like end means the loop is done."""
        builder = self._builder
        for _ in range(limit):
            ops, edges, before = len(builder.ops), len(builder.edge_log), self._exit.snapshot()
            yield self
            open_edges = any(not join.landed for join in builder.edge_log[edges:])
            if self._restart or (open_edges and not builder.dead):
                # The condition, or a way out, depends on run-time values: forget this turn.
                self._forget(ops, edges)
                self._exit.restore(before)
                return
            if builder.dead:
                return

    def repeat(self, extra: tuple[Var, ...] = ()) -> Iterator[Loop]:
        """Run the body in a run-time loop, from here on."""
        builder = self._builder
        self._run_time = True
        variables = (*builder.implicit, *self._variables, *extra)
        widths = tuple([variable.width for variable in variables])
        ops, edges = len(builder.ops), len(builder.edge_log)
        entry = tuple([variable.value for variable in variables])
        while True:
            header = builder.function.label("loop")
            builder.emit("br", entry, widths, labels=(header,))
            parameters = tuple([builder.function.temp(width) for width in widths])
            builder.bind(header, parameters)
            for variable, parameter in zip(variables, parameters, strict=True):
                variable.value = parameter
            modes = dict(builder.modes)
            builder.regions.append(frozenset(variables))
            yield self
            builder.regions.pop()
            written = [
                name
                for name, value in builder.modes.items()
                if modes.get(name, 0) is not None and (name not in modes or modes[name] != value)
            ]
            if builder.dead or not written:
                break
            # The body writes modes, so it finds them as the turn before left them: build it again, not knowing them.
            self._forget(ops, edges)
            builder.modes = {**modes, **dict.fromkeys(written)}
        builder.emit("br", tuple([variable.value for variable in variables]), widths, labels=(header,))

    def _forget(self, ops: int, edges: int) -> None:
        """Drop what was built since there were so many ops and edges."""
        builder = self._builder
        for join in builder.edge_log[edges:]:
            join.forget_last_edge()
        del builder.edge_log[edges:]
        del builder.ops[ops:]
        builder.dead = False


class ControlBuilder(ValueBuilder):
    """Labels, branches, and structured control flow over them."""

    #: a loop known to run at most this often is unrolled
    unroll_limit = 64

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        #: variables merged at every join without being named
        self.implicit: tuple[Var, ...] = ()
        #: modes known at translation time; None: written by this instruction with a run-time value
        self.modes: dict[str, Value | None] = {}
        #: run-time control flow around this point: the variables each may assign
        self.regions: list[frozenset[Var]] = []
        self.edge_log: list[Join] = []
        #: run-time conditions that seldom hold
        self._seldom: set[Temp] = set()
        self._loops: list[Loop] = []

    # ------------------------------------------------------------ labels

    def bind(self, label: Label, parameters: tuple[Temp, ...] = ()) -> None:
        """The label stands here; control comes from its branches, and not from above if that is dead."""
        if not self.dead:
            if parameters:
                raise InternalError("control falls into a label with parameters")
            self.emit("br", labels=(label,))
        self.dead = False
        self.ops.append(Op("label", parameters, labels=(label,)))

    def branch(self, condition: Value, then: Label, otherwise: Label, weight: int = 0) -> None:
        """Go to `then` or `otherwise`."""
        self.emit("brcond", (condition,), (1,), labels=(then, otherwise), offset=weight)

    def operand_before(self, op: Op, value: Value, width: int) -> Operand:
        """`value` as an operand available at `op`, which is already in the list."""
        if not isinstance(value, Deferred):
            return value
        ops, dead = self.ops, self.dead
        self.ops, self.dead = [], False
        argument = self.materialise(value, width)
        fresh, self.ops, self.dead = self.ops, ops, dead
        at = next(index for index in range(len(ops) - 1, -1, -1) if ops[index] is op)
        ops[at:at] = fresh
        return argument

    def known(self, condition: Value) -> bool | None:
        """The condition's value if it is known, None if it takes a branch."""
        if isinstance(condition, int):
            return bool(condition)
        return self.decide(condition) if isinstance(condition, Deferred) else None

    def seldom(self, condition: Value) -> Value:
        """The condition, of which the spec says that it seldom holds."""
        if isinstance(condition, Temp):
            self._seldom.add(condition)
        return condition

    # ------------------------------------------------------------ structures

    def var(self, width: int, value: Value) -> Var:
        """A new variable."""
        return Var(self, width, value)

    def frame(self, *widths: int) -> Frame:
        """Begin the body of an inlined function that returns values of these widths."""
        return Frame(self, widths)

    def If(self, condition: Value, *variables: Var, weight: int = 0) -> Iterator[bool]:
        """Yields the sides to build: True, False or both."""
        if self.dead:
            return
        known = self.known(condition)
        if known is not None:
            yield known
            return
        then, otherwise = self.function.label(), self.function.label()
        if not weight and condition in self._seldom:
            weight = SELDOM
        self.branch(condition, then, otherwise, weight)
        join = Join(self, variables)
        before = join.snapshot()
        self.regions.append(frozenset(variables))
        for side, label in ((True, then), (False, otherwise)):
            join.restore(before)
            self.bind(label)
            yield side
            join.edge()
        self.regions.pop()
        join.land()

    def For(self, width: int, low: Value, high: Value, *variables: Var) -> Iterator[Value]:
        """Yields the index, from low to high inclusive; nothing when high < low (unsigned)."""
        if self.dead:
            return
        loop = Loop(self, variables)
        self._loops.append(loop)
        if isinstance(low, int) and isinstance(high, int) and high - low < self.unroll_limit:
            for number in range(low, high + 1):
                if self.dead:
                    break
                yield number
            loop.break_()
        else:
            first, last = self.operand(low, width), self.operand(high, width)
            for some in self.If(self.ule(width, first, last), *variables):
                if some:
                    index = self.var(width, first)
                    for _ in loop.repeat((index,)):
                        here = index.value
                        yield here
                        if not self.dead:
                            loop.test(self.ne(width, here, last))
                            index.value = self.add(width, here, 1)
                    loop.land()
        self._loops.pop()
        loop.land()

    def While(self, *variables: Var) -> Iterator[Loop]:
        """Yields the loop for each turn of the body, which begins with `loop.test(condition)`."""
        if self.dead:
            return
        loop = Loop(self, variables)
        self._loops.append(loop)
        yield from loop.unroll(self.unroll_limit)
        if not self.dead:
            yield from loop.repeat()
        self._loops.pop()
        loop.land()

    def break_(self) -> None:
        """Leave the innermost For or While."""
        if not self._loops:
            raise InternalError("break outside a loop")
        self._loops[-1].break_()
