"""Every value op, at many widths, compiled by LLVM against the reference executor: same memory after the same code."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function, Value
from runtime.tcg.ops import OPS
from runtime.tcg.reference import Machine as Reference
from runtime.tcg.verify import verify
from tests.ir.native import LAYOUT, MEMORY_BYTES, PERMISSIONS, Machine, Program

WIDTHS = (1, 3, 8, 13, 16, 32, 33, 64, 65, 100, 128, 256)
_INPUT = 0  # bytes at which a case finds its operands
_STRIDE = 128


class Cases:
    """Ops of many widths in one handler: each reads operands from memory and writes its result there."""

    def __init__(self, name: str) -> None:
        self.function = Function(name)
        self.builder = Builder(LAYOUT, self.function)
        self.count = 0

    def operand(self, width: int, number: int) -> Value:
        """Operand `number` of the case being built."""
        whole = -(-width // 8) * 8
        at = self.count * _STRIDE + number * 32
        temp = self.builder.emit1("ld_mem", (at,), (64,), whole, symbol="M")
        return self.builder.slice(temp, whole, 0, width)

    def result(self, width: int, value: Value) -> None:
        """Close the case."""
        whole = -(-width // 8) * 8
        at = self.count * _STRIDE + 96
        self.builder.emit("st_mem", (at, self.builder.zext(value, width, whole)), (64, whole), symbol="M")
        self.count += 1

    def done(self) -> Function:
        """The function."""
        assert self.count * _STRIDE <= MEMORY_BYTES
        self.builder.emit("exit", (0, 0), (64, 64))
        return verify(self.function)


def _binary(name: str) -> Function:
    cases = Cases(name)
    for w in WIDTHS:
        cases.result(w, cases.builder.pure(name, w, (cases.operand(w, 0), cases.operand(w, 1)), (w, w)))
        # Constant operands are lowered without guards.
        for constant in {1, 3, (1 << w) - 1, 1 << (w - 1)}:
            if constant >> w == 0:
                cases.result(w, cases.builder.pure(name, w, (cases.operand(w, 0), constant), (w, w)))
                cases.result(w, cases.builder.pure(name, w, (constant, cases.operand(w, 1)), (w, w)))
    return cases.done()


def _compare(name: str) -> Function:
    cases = Cases(name)
    for w in WIDTHS:
        cases.result(1, cases.builder.pure(name, 1, (cases.operand(w, 0), cases.operand(w, 1)), (w, w)))
    return cases.done()


def _shift(name: str) -> Function:
    cases = Cases(name)
    for w in WIDTHS:
        for amount in (3, 6, 8, 32, 64, 128):
            b = cases.builder
            cases.result(w, b.pure(name, w, (cases.operand(w, 0), cases.operand(amount, 1)), (w, amount)))
        few = b.zext(cases.operand(3, 1), 3, 64)
        cases.result(w, b.pure(name, w, (cases.operand(w, 0), few), (w, 64)))
        cases.result(w, b.pure(name, w, (cases.operand(w, 0), w // 2), (w, 64)))
    return cases.done()


def _unary(name: str) -> Function:
    cases = Cases(name)
    for w in WIDTHS:
        result = 1 if name == "parity" else w
        cases.result(result, cases.builder.pure(name, result, (cases.operand(w, 0),), (w,)))
    return cases.done()


def _widths(name: str) -> Function:
    cases = Cases(name)
    b = cases.builder
    for w in WIDTHS:
        if name in ("sext", "zext"):
            cases.result(w + 5, b.pure(name, w + 5, (cases.operand(w, 0),), (w,)))
        elif name == "slice":
            low = w // 3
            cases.result(w - low, b.pure(name, w - low, (cases.operand(w, 0),), (w,), low))
            cases.result(1, b.pure(name, 1, (cases.operand(w, 0),), (w,), w - 1))
        elif name == "dynslice":
            for amount, size in ((3, 8), (8, 1), (8, 5), (64, 64), (128, 128)):
                cases.result(size, b.dynslice(cases.operand(w, 0), w, cases.operand(amount, 1), amount, size))
        elif name == "cat":
            parts = ((cases.operand(w, 0), w), (1, 3), (cases.operand(5, 1), 5))
            cases.result(w + 8, b.cat(parts))
        else:
            condition = cases.operand(1, 2)
            cases.result(w, b.select(w, condition, cases.operand(w, 0), cases.operand(w, 1)))
    return cases.done()


_BUILDERS = {
    **dict.fromkeys(("add", "sub", "mul", "udiv", "sdiv", "urem", "srem", "and", "or", "xor"), _binary),
    **dict.fromkeys(("eq", "ne", "ult", "ule", "ugt", "uge", "slt", "sle", "sgt", "sge"), _compare),
    **dict.fromkeys(("shl", "lshr", "ashr", "rotl", "rotr"), _shift),
    **dict.fromkeys(("not", "neg", "popcount", "clz", "ctz", "parity"), _unary),
    **dict.fromkeys(("sext", "zext", "slice", "dynslice", "cat", "select"), _widths),
}


def test_no_op_is_left_out() -> None:
    assert set(_BUILDERS) == {name for name, op in OPS.items() if op.evaluate}


def _memory(rng: random.Random) -> bytes:
    """Operands of all sorts: random, small, all ones, single bits, and equal pairs."""
    blocks = []
    for _ in range(MEMORY_BYTES // _STRIDE):
        words = [
            rng.choice(
                (
                    rng.getrandbits(256),
                    rng.getrandbits(256) >> rng.randrange(256),
                    (1 << 256) - 1,
                    0,
                    1,
                    1 << rng.randrange(256),
                    rng.randrange(300),
                )
            )
            for _ in range(4)
        ]
        if rng.random() < 0.2:
            words[1] = words[0]
        blocks.append(b"".join(word.to_bytes(32, "little") for word in words))
    return b"".join(blocks)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, dict[str, Function]]:
    functions = {name: build(name) for name, build in _BUILDERS.items()}
    path: Path = tmp_path_factory.mktemp("values") / "values.blob"
    return Program(functions.values(), path), functions


@pytest.mark.parametrize("name", _BUILDERS)
def test_lowered_code_computes_what_the_reference_computes(
    name: str, program: tuple[Program, dict[str, Function]]
) -> None:
    compiled, functions = program
    rng = random.Random(name)
    for _ in range(12):
        memory = _memory(rng)
        reference = Reference(bytearray(LAYOUT.size), bytearray(memory), bytearray(PERMISSIONS))
        assert reference.run(functions[name]).way == "exit"
        machine = Machine(bytes(LAYOUT.size), memory)
        machine.run(compiled, name, 0)
        native = machine.memory.raw[:MEMORY_BYTES]
        for case in range(MEMORY_BYTES // _STRIDE):
            piece = slice(case * _STRIDE, (case + 1) * _STRIDE)
            assert native[piece] == reference.memory[piece], f"{name}, case {case}"


def test_a_wrong_lowering_would_be_noticed(program: tuple[Program, dict[str, Function]]) -> None:
    """The negative control: the code of one op does not pass as another's."""
    compiled, functions = program
    memory = _memory(random.Random(1))
    reference = Reference(bytearray(LAYOUT.size), bytearray(memory), bytearray(PERMISSIONS))
    reference.run(functions["add"])
    machine = Machine(bytes(LAYOUT.size), memory)
    machine.run(compiled, "sub", 0)
    assert machine.memory.raw[:MEMORY_BYTES] != bytes(reference.memory)
