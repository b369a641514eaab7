"""Host FP ops: the compiled code's results and accrued flags against exact integer arithmetic."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from runtime.tcg import floats
from runtime.tcg.ir import Function
from runtime.tcg.ops import signed
from runtime.tcg.reference import Machine as Reference
from tests.ir.floating import function_of
from tests.ir.native import LAYOUT, PERMISSIONS, Machine, Program

#: name -> operand widths, result width
OPERATIONS: dict[str, tuple[tuple[int, ...], int]] = {
    **{f"{name}_{w}": ((w, w), w) for name in ("add", "sub", "mul", "div") for w in (32, 64)},
    **{f"sqrt_{w}": ((w,), w) for w in (32, 64)},
    **{f"fma_{w}": ((w, w, w), w) for w in (32, 64)},
    "f32_to_f64": ((32,), 64),
    "f64_to_f32": ((64,), 32),
    **{f"from_{s}_{n}_{w}": ((n,), w) for s in "su" for n in (32, 64) for w in (32, 64)},
    **{f"to_s_{n}_{w}": ((n,), w) for n in (32, 64) for w in (32, 64)},
    **{f"{name}_{w}": ((w, w), 1) for name in ("eq", "lt", "le") for w in (32, 64)},
}


def _op_name(name: str) -> str:
    if name.startswith(("f32", "f64")):
        return "host_" + name
    return "host_" + "_".join(part for part in name.split("_") if not part.isdigit())


def _function(name: str) -> Function:
    return function_of(name, _op_name(name), *OPERATIONS[name])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, dict[str, Function]]:
    functions = {name: _function(name) for name in OPERATIONS}
    path: Path = tmp_path_factory.mktemp("floats") / "floats.blob"
    return Program(functions.values(), path), functions


def _operand(rng: random.Random, width: int, previous: int | None) -> int:
    """Numbers around the places where things go wrong."""
    f = floats.FORMATS[width]
    special = [
        0,
        1,
        f.infinity,
        f.infinity - 1,
        f.nan,
        f.infinity + 1,
        1 << f.fraction,
        (1 << f.fraction) - 1,
        f.bias << f.fraction,
        (f.bias + 1) << f.fraction,
        (f.bias - 1) << f.fraction | 1,
    ]
    choice = rng.random()
    if choice < 0.3:
        pattern = rng.choice(special)
    elif choice < 0.5 and previous is not None:
        pattern = (previous ^ rng.getrandbits(3)) & (1 << width) - 1  # nearly cancels
    elif choice < 0.8:
        field = min(max(f.bias + rng.randrange(-70, 70), 0), f.top - 1)
        pattern = field << f.fraction | rng.getrandbits(f.fraction) & rng.choice((-1, -1 << (f.fraction - 3), 0))
    else:
        pattern = rng.getrandbits(width)
    return pattern ^ rng.getrandbits(1) << (width - 1)


def _operands(rng: random.Random, name: str) -> tuple[int, ...]:
    widths, result = OPERATIONS[name]
    if name.startswith("from"):
        return (rng.getrandbits(widths[0]) >> rng.randrange(widths[0]),)
    values: list[int] = []
    while len(values) < len(widths):
        value = _operand(rng, widths[0], values[-1] if values else None)
        if name[:2] in ("eq", "lt", "le") and floats.is_nan(floats.FORMATS[widths[0]], value):
            continue
        if name.startswith("to_s"):
            f = floats.FORMATS[widths[0]]
            number, flags = floats.to_integer(f, value)
            if flags & floats.NV or not -(1 << (result - 1)) <= number < 1 << (result - 1):
                continue
        values.append(value)
    return tuple(values)


@pytest.mark.parametrize("name", OPERATIONS)
def test_results_and_flags(name: str, program: tuple[Program, dict[str, Function]]) -> None:
    compiled, functions = program
    rng = random.Random(name)
    widths, result = OPERATIONS[name]
    machine = Machine(bytes(LAYOUT.size), b"")
    seen = 0
    for _ in range(1500):
        operands = _operands(rng, name)
        memory = bytearray(96)
        for number, (value, width) in enumerate(zip(operands, widths, strict=True)):
            memory[16 * number : 16 * number + width // 8] = value.to_bytes(width // 8, "little")
        reference = Reference(bytearray(LAYOUT.size), bytearray(memory), bytearray(PERMISSIONS))
        reference.run(functions[name])
        machine.set_memory(bytes(memory))
        machine.run(compiled, name, 0)
        size = max(result, 8) // 8
        native = int.from_bytes(machine.memory.raw[64 : 64 + size], "little")
        expected = int.from_bytes(reference.memory[64 : 64 + size], "little")
        shown = f"{name}({', '.join(map(hex, operands))})"
        if result > 1 and not name.startswith("to_s") and floats.is_nan(floats.FORMATS[result], expected):
            assert floats.is_nan(floats.FORMATS[result], native), shown
        else:
            assert native == expected, f"{shown}: {native:#x}, exactly {expected:#x}"
        assert machine.memory.raw[80] == reference.memory[80], f"flags of {shown}"
        seen |= reference.memory[80]
    if name.startswith(("add", "mul", "fma", "f64")):
        assert seen & (floats.NV | floats.OF | floats.NX), "the operands must reach the flags"


def test_exact_arithmetic_agrees_with_python() -> None:
    """Python's floats are the host's binary64: the oracle itself is checked where they can tell."""
    rng = random.Random(7)
    f = floats.FORMATS[64]

    def number(pattern: int) -> float:
        return float(struct.unpack("<d", pattern.to_bytes(8, "little"))[0])

    for _ in range(3000):
        a, b = _operand(rng, 64, None), _operand(rng, 64, None)
        x, y = number(a), number(b)
        pairs = [(floats.add(f, a, b)[0], x + y), (floats.mul(f, a, b)[0], x * y)]
        if y:
            pairs.append((floats.div(f, a, b)[0], x / y))
        for pattern, value in pairs:
            if value != value:
                assert floats.is_nan(f, pattern)
            else:
                assert struct.pack("<d", value) == pattern.to_bytes(8, "little")
    assert signed(floats.to_integer(f, 0xC008000000000000)[0] & 0xFF, 8) == -3
