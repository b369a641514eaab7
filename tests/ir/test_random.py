"""Random instruction bodies: direct interpretation, TCG with known fields, TCG with fields in the op record, optimised
TCG and compiled handlers must all do the same."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from runtime.core.env import ENV, Exit
from runtime.core.layout import RegisterLayout
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Deferred, Function, Operand, Value
from runtime.tcg.optimize import optimize
from runtime.tcg.reference import Machine as Reference
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT, MEMORY_BYTES, PERMISSIONS, G, Machine, Program
from tests.ir.programs import FIELDS, SPARE, Emitter, Leave, Maker, State, Tree, expected

PC, NEXT_PC, INDEX, BUDGET = 0x4000, 0x4004, 3, 1000
#: where in the record fields stand (8 bytes each), and their bits
_FIELD_AT = 16
_REFERENCE_PERMISSIONS = bytes([3, 9, 2, 0])  # page 1 holds translated code


class Field(Deferred):
    """A field of the op record, or some of its low bits."""

    __slots__ = ("offset",)

    def __init__(self, offset: int, width: int) -> None:
        super().__init__(width)
        self.offset = offset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and (self.offset, self.width) == (other.offset, other.width)

    def __hash__(self) -> int:
        return hash((self.offset, self.width))


class Ending(Builder):
    """Leaves with the pc to go on at, whichever way it goes there."""

    def _leave(self, target: Value) -> None:
        self.emit("st_env", (self.zext(self.emit1("fpflags_get", (), (), 5), 5, 64),), (64,), offset=SPARE)
        self.emit("exit", (target, self.budget_after()), (64, 64), offset=Exit.NONE)

    def finish_next(self) -> None:
        self._leave(self.next_pc_value)

    def finish_goto(self, slot: int, target: Value) -> None:
        assert self.targets[slot] is target or self.targets[slot] == target
        self._leave(target)

    def finish_goto_ptr(self, target: Value) -> None:
        self._leave(target)


class Handlers(Ending):
    """Fields in the op record."""

    def materialise(self, value: Deferred, width: int) -> Operand:
        assert isinstance(value, Field)
        assert width == value.width
        return self.emit1("ld_slot", (), (), width, offset=value.offset, size=64)

    def defer(
        self, name: str, width: int, args: tuple[Value, ...], widths: tuple[int, ...], offset: int
    ) -> Value | None:
        field = args[0]
        if name == "slice" and offset == 0 and isinstance(field, Field):
            return Field(field.offset, width)
        return None

    def regfile_offset(self, file: RegisterLayout, index: Value) -> Value:
        if isinstance(index, Deferred):
            index = self.materialise(index, 4)
        return super().regfile_offset(file, index)


def _bad_address(builder: Builder, access: Value, address: Value) -> None:
    builder.raise_(5, address)


def pending_before(name: str) -> int:
    """Whether a body finds the inexact flag pending."""
    return int(name.removeprefix("body_")) & 1


def _prepare(builder: Builder, pending: int) -> None:
    builder.emit("fpflags_clear")
    if pending:
        builder.host_add(64, 0x3FF0000000000000, 0x3C00000000000001)


def translate(body: list[Tree], fields: tuple[int, ...], pending: int) -> Function:
    """With known fields."""
    builder = Ending(LAYOUT, Function("translated"), _bad_address)
    _prepare(builder, pending)
    Emitter(builder, fields).instruction(body, PC, NEXT_PC, INDEX)
    return verify(builder.function)


def handler(body: list[Tree], name: str) -> Function:
    """With fields in the record."""
    builder = Handlers(LAYOUT, Function(name), _bad_address)
    _prepare(builder, pending_before(name))
    fields = tuple(Field(_FIELD_AT + 8 * number, 64) for number in range(FIELDS))
    Emitter(builder, fields).instruction(body, PC, NEXT_PC, INDEX)
    return verify(builder.function)


def initial(rng: random.Random) -> tuple[State, bytearray]:
    """A state, and env with it."""
    values = [rng.choice((rng.getrandbits(64), rng.randrange(16), 0x0FFC, 0x1FFC)) for _ in range(16)]
    values[0] = 0
    state = State(values, rng.getrandbits(32), bytearray(rng.randbytes(MEMORY_BYTES)), rng.getrandbits(1))
    env = bytearray(LAYOUT.size)
    for number, value in enumerate(values):
        env[G + 8 * number : G + 8 * number + 8] = value.to_bytes(8, "little")
    env[G + 128 : G + 132] = state.status.to_bytes(4, "little")
    env[ENV["flags"] : ENV["flags"] + 8] = state.flags.to_bytes(8, "little")
    return state, env


def compare(
    env: bytes, memory: bytes, state: State, leave: Leave | None, what: str, flags: int | None = None, before: int = 0
) -> None:
    """What the code did against what it should have done; flags: the host's now, before: at the start."""

    def get(name: str) -> int:
        return int.from_bytes(env[ENV[name] : ENV[name] + 8], "little")

    reason = leave.reason if leave else Exit.NONE
    assert get("exit_reason") == reason, what
    assert get("pc") == state.pc, what
    assert get("budget") == (BUDGET - INDEX if leave else BUDGET - INDEX - 1), what
    if leave and leave.reason == Exit.EXCEPTION:
        assert (get("exception"), get("arg0")) == (leave.code, leave.argument), what
    registers = [int.from_bytes(env[G + 8 * n : G + 8 * n + 8], "little") for n in range(16)]
    assert registers == state.registers, what
    status = int.from_bytes(env[G + 128 : G + 132], "little")
    if leave:
        # Flags pending before the instruction may have moved into the register; those it raised itself may stay.
        assert status & ~1 == state.status & ~1, what
        assert flags is None or (status | flags) & 1 >= (state.status | before) & 1, what
    else:
        assert status == state.status, what
    assert get("flags") == state.flags, what
    assert memory[:MEMORY_BYTES] == state.memory, what
    if not leave:
        assert get("arg2") == state.accrued, what


def by_reference(function: Function, env: bytearray, memory: bytes, record: bytes) -> Reference:
    """Execute in Python."""
    machine = Reference(
        bytearray(env), bytearray(memory), bytearray(_REFERENCE_PERMISSIONS), record, BUDGET, fpflags=31
    )
    outcome = machine.run(function)
    assert outcome.way == "exit"
    for name, value in (("pc", outcome.values[0]), ("budget", outcome.values[1]), ("exit_reason", outcome.offset)):
        machine.env[ENV[name] : ENV[name] + 8] = value.to_bytes(8, "little")
    return machine


def bodies(start: int, count: int) -> dict[str, list[Tree]]:
    """Named random bodies."""
    return {f"body_{seed}": Maker(seed).statements(3, False, False) for seed in range(start, start + count)}


def check(start: int, count: int, path: Path) -> None:
    """All ways for `count` bodies."""
    made = bodies(start, count)
    handlers = {name: handler(body, name) for name, body in made.items()}
    optimized = {name: verify(optimize(copy.deepcopy(function))) for name, function in handlers.items()}
    native = Program(optimized.values(), path)
    for name, body in made.items():
        rng = random.Random(name)
        for _ in range(4):
            state, env = initial(rng)
            memory = bytes(state.memory)
            fields = tuple(
                rng.choice((rng.randrange(16), rng.randrange(1 << 64) & ~15 | rng.randrange(16))) for _ in range(FIELDS)
            )
            indices = tuple(value & 15 for value in fields)
            # As register numbers fields have four bits; elsewhere all of them count.
            meaning = copy.deepcopy(state)
            meaning.accrued = pending_before(name)
            result, leave = expected(narrow(body), meaning, fields, PC, NEXT_PC)
            assert indices
            record = bytes(_FIELD_AT) + b"".join(value.to_bytes(8, "little") for value in fields)
            known = translate(body, fields, pending_before(name))
            for what, function in (
                ("known fields", known),
                ("known fields, optimised", verify(optimize(copy.deepcopy(known)))),
                ("handler", handlers[name]),
                ("handler, optimised", optimized[name]),
            ):
                machine = by_reference(function, env, memory, record)
                pending = pending_before(name)
                seen = bytes(machine.env), bytes(machine.memory)
                compare(*seen, result, leave, f"{name}: {what}", machine.fpflags, pending)
            machine_ = Machine(bytes(env), memory, record)
            machine_.run(native, name, BUDGET)
            compare(machine_.env.raw, machine_.memory.raw, result, leave, f"{name}: compiled")


def narrow(statements: list[Tree]) -> list[Tree]:
    """The body with register numbers taken from the low four bits of fields."""

    def walk(tree: object) -> object:
        if isinstance(tree, list):
            return [walk(part) for part in tree]
        if isinstance(tree, tuple):
            if tree[:1] == ("reg",):
                return ("reg", ("op", "and", tree[1], ("const", 15)), *[walk(part) for part in tree[2:]])
            return tuple(walk(part) for part in tree)
        return tree

    result = walk(statements)
    assert isinstance(result, list)
    return result


@pytest.mark.parametrize("start", range(0, 300, 60))
def test_all_ways_agree(start: int, tmp_path: Path) -> None:
    check(start, 60, tmp_path / "random.blob")


def test_a_write_in_a_loop_is_read_in_its_next_turn(tmp_path: Path) -> None:
    """Nothing can fault behind it, but something can behind another write to the same file (the longer test's find)."""
    check(4690, 1, tmp_path / "random.blob")


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 7000, 200))
def test_all_ways_agree_longer(start: int, tmp_path: Path) -> None:
    check(start, 200, tmp_path / "random.blob")


def test_permissions_of_both_executors_match() -> None:
    assert [page & 3 for page in _REFERENCE_PERMISSIONS[::2]] == [page & 3 for page in PERMISSIONS[::2]]
