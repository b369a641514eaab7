"""Random instruction bodies, and their meaning interpreted: an oracle that shares no code with the builder.

A body is a list of statements (tuples, so that a failing one prints and can be pasted into a test).  Everything is 64
bits wide but conditions.  An instruction is a transaction: when it raises, registers are as before it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.core.env import ENV
from runtime.tcg.builder import Builder
from runtime.tcg.control import Var
from runtime.tcg.ir import Value
from runtime.tcg.ops import OPS, mask
from tests.ir.native import PERMISSIONS

Tree = tuple[Any, ...]
FIELDS = 4
VARIABLES = ("a", "b", "c")
_OPERATIONS = ("add", "sub", "mul", "and", "or", "xor")
_CONDITIONS = ("eq", "ult", "slt", "sge", "ne")
_ONES = mask(64)
#: an address near the pages of native.PERMISSIONS; 8-byte accesses may straddle them
_WINDOW = 0x4FFF


# ---------------------------------------------------------------- making them


class Maker:
    """Makes bodies from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def expression(self, depth: int = 2) -> Tree:
        """A 64-bit value."""
        rng = self.rng
        kind = rng.choice(("const", "field", "reg", "dyn", "var", "op", "op", "op", "load", "status", "mode"))
        if depth == 0 and kind in ("op", "load", "dyn"):
            kind = rng.choice(("const", "field", "var", "reg"))
        match kind:
            case "const":
                return ("const", rng.choice((0, 1, 3, _ONES, rng.randrange(1 << 64))))
            case "field":
                return ("field", rng.randrange(FIELDS))
            case "reg":
                return ("reg", self.index())
            case "dyn":
                return ("dyn", self.expression(depth - 1))
            case "var":
                return ("var", rng.choice(VARIABLES))
            case "load":
                return ("load", self.expression(depth - 1))
            case "op":
                return ("op", rng.choice(_OPERATIONS), self.expression(depth - 1), self.expression(depth - 1))
        return (kind,)

    def index(self) -> Tree:
        """A register number: fixed or from a field."""
        if self.rng.random() < 0.5:
            return ("const", self.rng.randrange(16))
        return ("field", self.rng.randrange(FIELDS))

    def condition(self) -> Tree:
        """One bit."""
        return (self.rng.choice(_CONDITIONS), self.expression(1), self.expression(1))

    def statements(self, depth: int, in_frame: bool, in_loop: bool) -> list[Tree]:
        """A block."""
        return [self.statement(depth, in_frame, in_loop) for _ in range(self.rng.randrange(1, 4))]

    def statement(self, depth: int, in_frame: bool, in_loop: bool) -> Tree:
        """One statement."""
        rng = self.rng
        kinds = ["set", "set", "reg", "reg", "dyn", "status", "accrue", "inexact", "store"]
        if rng.random() < 0.3:
            kinds += ["goto", "goto", "raise", "mode"]
        if depth:
            kinds += ["if", "if", "if", "for", "while", "call"]
        if in_frame:
            kinds.append("ret")
        if in_loop:
            kinds.append("break")
        kind = rng.choice(kinds)
        match kind:
            case "set":
                return ("set", rng.choice(VARIABLES), self.expression())
            case "reg":
                return ("reg", self.index(), self.expression())
            case "dyn":
                return ("dyn", self.expression(1), self.expression())
            case "status" | "raise" | "goto" | "ret" | "mode" | "accrue":
                return (kind, self.expression())
            case "store":
                return ("store", self.expression(1), self.expression())
            case "if":
                other = self.statements(depth - 1, in_frame, in_loop) if rng.random() < 0.6 else []
                return ("if", self.condition(), self.statements(depth - 1, in_frame, in_loop), other)
            case "for":
                return ("for", self.expression(1), self.expression(1), self.statements(depth - 1, in_frame, True))
            case "while":
                return ("while", self.condition(), rng.randrange(1, 5), self.statements(depth - 1, in_frame, True))
            case "call":
                return ("call", rng.choice(VARIABLES), self.statements(depth - 1, True, False), self.expression(1))
        return (kind,)


def assigned(statements: list[Tree]) -> tuple[str, ...]:
    """Variables some statement assigns, calls' own bodies included (they share the variables here)."""
    found: set[str] = set()
    for statement in statements:
        if statement[0] in ("set", "call"):
            found.add(statement[1])
        if statement[0] == "for":
            found.add("a")
        for part in statement[1:]:
            if isinstance(part, list):
                found |= set(assigned(part))
    return tuple(sorted(found))


# ---------------------------------------------------------------- direct meaning


class Leave(Exception):
    """The instruction ends here: reason as env.Exit has it, and env fields."""

    def __init__(self, reason: int, code: int = 0, argument: int = 0) -> None:
        self.reason, self.code, self.argument = reason, code, argument


class Return(Exception):
    """A frame's value."""


class Break(Exception):
    """The innermost loop is over."""


@dataclass
class State:
    """What an instruction sees and changes."""

    registers: list[int]
    status: int
    memory: bytearray
    flags: int = 0  # env.flags
    accrued: int = 0
    pc: int = 0
    variables: dict[str, int] = field(default_factory=dict)

    def check(self, address: int, access: int) -> None:
        """Raise as a bad access does."""
        pages = [at >> 12 for at in (address, address + 7)]
        if pages[1] >= len(PERMISSIONS):
            raise Leave(2, 5, address)
        if all(PERMISSIONS[page] & (2 if access else 1) for page in pages):
            return
        raise Leave(4) if access and 1 in pages else Leave(2, 5, address)


class Meaning:
    """Interprets a body."""

    def __init__(self, state: State, fields: tuple[int, ...], next_pc: int) -> None:
        self.state = state
        self.fields = fields
        self.state.pc = next_pc

    def value(self, tree: Tree) -> int:
        """An expression's value."""
        state = self.state
        match tree:
            case ("const", value):
                return int(value)
            case ("field", number):
                return self.fields[number]
            case ("reg", index):
                return state.registers[self.value(index)]
            case ("dyn", index):
                return state.registers[self.value(index) & 15]
            case ("var", name):
                return state.variables[name]
            case ("status",):
                return state.status | state.accrued
            case ("mode",):
                return state.flags & 1
            case ("load", address):
                at = self.value(address) & _WINDOW
                state.check(at, 0)
                return int.from_bytes(state.memory[at : at + 8], "little")
            case ("op", name, left, right):
                operands = (self.value(left), self.value(right))
                evaluate = OPS[name].evaluate
                assert evaluate is not None
                return evaluate(64, operands, (64, 64), 0)
        raise AssertionError(tree)

    def holds(self, tree: Tree) -> bool:
        """A condition's value."""
        name, left, right = tree
        evaluate = OPS[name].evaluate
        assert evaluate is not None
        return bool(evaluate(1, (self.value(left), self.value(right)), (64, 64), 0))

    def run(self, statements: list[Tree]) -> None:
        """A block."""
        for statement in statements:
            self.step(statement)

    def step(self, tree: Tree) -> None:
        """One statement."""
        state = self.state
        match tree:
            case ("set", name, value):
                state.variables[name] = self.value(value)
            case ("reg", index, value):
                self.write(self.value(index), self.value(value))
            case ("dyn", index, value):
                number = self.value(index) & 15
                self.write(number, self.value(value))
            case ("status", value):
                state.status, state.accrued = self.value(value) & mask(32), 0
            case ("accrue", value):
                state.status |= self.value(value) & 31
            case ("inexact",):
                state.accrued |= 1
            case ("mode", value):
                state.flags = state.flags & ~1 | self.value(value) & 1
            case ("store", address, value):
                at, data = self.value(address) & _WINDOW, self.value(value)
                state.check(at, 1)
                state.memory[at : at + 8] = data.to_bytes(8, "little")
            case ("goto", target):
                state.pc = self.value(target)
            case ("raise", value):
                raise Leave(2, 9, self.value(value))
            case ("if", condition, then, otherwise):
                self.run(then if self.holds(condition) else otherwise)
            case ("for", low, high, body):
                first, last = self.value(low) & 7, self.value(high) & 7
                self.loop(body, ({"a": number} for number in range(first, last + 1)))
            case ("while", condition, limit, body):
                self.loop(body, ({} for _ in self.turns(condition, limit)))
            case ("call", name, body, value):
                try:
                    self.run(body)
                    result = self.value(value)
                except Return as returned:
                    result = returned.args[0]
                state.variables[name] = result
            case ("ret", value):
                raise Return(self.value(value))
            case ("break",):
                raise Break
            case _:
                raise AssertionError(tree)

    def write(self, number: int, value: int) -> None:
        """Entry 0 is hard-wired."""
        if number:
            self.state.registers[number] = value

    def turns(self, condition: Tree, limit: int) -> Iterator[int]:
        """As often as the condition holds, and no oftener than the limit."""
        for turn in range(limit):
            if not self.holds(condition):
                return
            yield turn

    def loop(self, body: list[Tree], turns: Iterator[dict[str, int]]) -> None:
        """The body once a turn, with what the turn sets."""
        try:
            for sets in turns:
                self.state.variables.update(sets)
                self.run(body)
        except Break:
            pass


def expected(
    body: list[Tree], state: State, fields: tuple[int, ...], pc: int, next_pc: int
) -> tuple[State, Leave | None]:
    """The state after the instruction, and why it did not complete."""
    state.variables = dict.fromkeys(VARIABLES, 0)
    before = list(state.registers), state.status, state.flags
    try:
        Meaning(state, fields, next_pc).run(body)
    except Leave as leave:
        state.registers, state.status, state.flags = before
        state.pc = pc
        return state, leave
    return state, None


# ---------------------------------------------------------------- the same by the builder


class Emitter:
    """Emits a body, as a generated emitter would."""

    def __init__(self, builder: Builder, fields: tuple[Value, ...]) -> None:
        self.b = builder
        self.fields = fields
        self.variables: dict[str, Var] = {}

    def instruction(self, body: list[Tree], pc: Value, next_pc: Value, index: Value) -> None:
        """The whole of it."""
        b = self.b
        b.begin_instruction(pc, next_pc, index, "random")
        self.variables = {name: b.var(64, 0) for name in VARIABLES}
        self.run(body)
        b.end_instruction()

    def _address(self, tree: Tree) -> Value:
        return self.b.and_(64, self.value(tree), _WINDOW)

    def value(self, tree: Tree) -> Value:
        """An expression."""
        b = self.b
        match tree:
            case ("const", value):
                return int(value)
            case ("field", number):
                return self.fields[number]
            case ("reg", index):
                return b.get_regfile("R", self.index(index))
            case ("dyn", index):
                return b.get_regfile("R", b.slice(self.value(index), 64, 0, 4))
            case ("var", name):
                return self.variables[name].get()
            case ("status",):
                return b.zext(b.get_reg("S"), 32, 64)
            case ("mode",):
                return b.zext(b.get_mode("T"), 1, 64)
            case ("load", address):
                return b.load("M", self._address(address), 64, 0)
            case ("op", name, left, right):
                one = self.value(left)
                operands = (one, self.value(right))
                method = {"and": "and_", "or": "or_"}.get(str(name), str(name))
                result: Value = getattr(b, method)(64, *operands)
                return result
        raise AssertionError(tree)

    def index(self, tree: Tree) -> Value:
        """A register number of 4 bits."""
        return self.b.slice(self.value(tree), 64, 0, 4)

    def condition(self, tree: Tree) -> Value:
        """One bit."""
        name, left, right = tree
        one = self.value(left)
        result: Value = getattr(self.b, name)(64, one, self.value(right))
        return result

    def run(self, statements: list[Tree]) -> None:
        """A block."""
        for statement in statements:
            self.step(statement)

    def changed(self, *blocks: list[Tree]) -> tuple[Var, ...]:
        """The variables blocks assign."""
        return tuple(self.variables[name] for name in sorted({name for block in blocks for name in assigned(block)}))

    def step(self, tree: Tree) -> None:
        """One statement."""
        b = self.b
        match tree:
            case ("set", name, value):
                self.variables[name].set(self.value(value))
            case ("reg", index, value):
                where = self.index(index)
                b.set_regfile("R", where, self.value(value))
            case ("dyn", index, value):
                where = b.slice(self.value(index), 64, 0, 4)
                b.set_regfile("R", where, self.value(value))
            case ("status", value):
                b.set_reg("S", b.slice(self.value(value), 64, 0, 32))
            case ("accrue", value):
                b.accrue("S", 0, 5, b.slice(self.value(value), 64, 0, 5))
            case ("inexact",):
                b.host_add(64, 0x3FF0000000000000, 0x3C00000000000001)
                b.accrue("S", 0, 5, b.host_flags())
            case ("mode", value):
                b.set_mode("T", b.slice(self.value(value), 64, 0, 1))
            case ("store", address, value):
                at = self._address(address)
                b.store("M", at, 64, self.value(value), 0)
            case ("goto", target):
                b.goto(self.value(target))
            case ("raise", value):
                b.raise_(9, self.value(value))
            case ("if", condition, then, otherwise):
                for arm in b.If(self.condition(condition), *self.changed(then, otherwise)):
                    self.run(then if arm else otherwise)
            case ("for", low, high, body):
                first = b.slice(self.value(low), 64, 0, 3)
                last = b.slice(self.value(high), 64, 0, 3)
                index = self.variables["a"]
                for number in b.For(3, first, last, *{*self.changed(body), index}):
                    index.set(b.zext(number, 3, 64))
                    self.run(body)
            case ("while", condition, limit, body):
                self._while(condition, limit, body)
            case ("call", name, body, value):
                self._call(name, body, value)
            case ("ret", value):
                self.frames[-1].ret(self.value(value))
            case ("break",):
                b.break_()
            case _:
                raise AssertionError(tree)

    def _while(self, condition: Tree, limit: int, body: list[Tree]) -> None:
        b = self.b
        count = b.var(8, 0)
        for loop in b.While(*self.changed(body), count):
            # Both tests belong to the loop: the turns left, then the condition.
            go_on = b.var(1, 0)
            for some in b.If(b.ult(8, count.get(), limit), go_on):
                if some:
                    go_on.set(self.condition(condition))
            loop.test(go_on.get())
            count.set(b.add(8, count.get(), 1))
            self.run(body)

    frames: list[Any]

    def _call(self, name: str, body: list[Tree], value: Tree) -> None:
        """An inlined function; its frame must merge the variables here, which a real one cannot assign."""
        b = self.b
        variables = self.changed(body)
        merged = b.frame(64, *[64] * len(variables))
        outer = getattr(self, "frames", [])
        self.frames = [*outer, _Frame(merged, variables)]
        self.run(body)
        self.frames[-1].ret(self.value(value))
        results = merged.results()
        self.frames = outer
        for variable, result in zip(variables, results[1:], strict=True):
            variable.set(result)
        self.variables[name].set(results[0])


class _Frame:
    """A frame that returns the variables too."""

    def __init__(self, frame: Any, variables: tuple[Var, ...]) -> None:
        self._frame, self._variables = frame, variables

    def ret(self, value: Value) -> None:
        """Return from here."""
        self._frame.ret(value, *[variable.get() for variable in self._variables])


SPARE = ENV["arg2"]
