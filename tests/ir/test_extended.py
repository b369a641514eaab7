"""Ops in the host's extended precision: compiled code against exact integer arithmetic."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from runtime.tcg import extended, floats
from runtime.tcg.builder import Builder
from runtime.tcg.ir import Function
from runtime.tcg.ops import OPS, mask
from runtime.tcg.reference import Machine as Reference
from runtime.tcg.verify import verify
from tests.ir.floating import function_of
from tests.ir.native import LAYOUT, PERMISSIONS, Machine, Program

_WIDE = 0x3FFF << 64 | 1 << 63


def _function(name: str) -> Function:
    """The op; it is to leave alone the flags of the host's other unit."""
    definition = OPS[name]
    return function_of(name, name, [int(width) for width in definition.arguments], int(definition.results[0]))


_NAMES = tuple(name for name in OPS if name.startswith("extended_"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, dict[str, Function]]:
    functions = {name: _function(name) for name in _NAMES}
    path: Path = tmp_path_factory.mktemp("extended") / "extended.blob"
    return Program(functions.values(), path), functions


def _pattern(rng: random.Random, previous: int | None) -> int:
    """Numbers around the places where things go wrong, and what is no number."""
    choice = rng.random()
    if choice < 0.3:
        special = (0, 1, 1 << 63, 0x7FFF << 64 | 1 << 63, 0x7FFF << 64 | 3 << 62, 0x7FFF << 64 | 5 << 61)
        pattern = rng.choice((*special, 0x7FFE << 64 | mask(64), 1 << 64 | 1 << 63, mask(63), _WIDE, 0x4000 << 64))
    elif choice < 0.5 and previous is not None:
        pattern = (previous ^ rng.getrandbits(3)) & mask(80)  # nearly cancels
    elif choice < 0.8:
        few = rng.choice((mask(64), mask(64) ^ mask(60), 0))
        pattern = (16383 + rng.randrange(-70, 70)) << 64 | 1 << 63 | rng.getrandbits(63) & few
    else:
        pattern = rng.getrandbits(80)
    return pattern ^ rng.getrandbits(1) << 79


def _operands(rng: random.Random, name: str) -> list[int]:
    values: list[int] = []
    for width in map(int, OPS[name].arguments):
        if width == 80:
            values.append(_pattern(rng, values[-1] if values else None))
        else:
            values.append(rng.getrandbits(width) >> rng.choice((0, 0, rng.randrange(width))))
    if name == "extended_to_s":
        number, flags = floats.to_integer(floats.Format(79, 63), extended.inner(values[0]))
        if flags & floats.NV or not -(1 << 63) <= number < 1 << 63:
            return _operands(rng, name)
    return values


@pytest.mark.parametrize("name", _NAMES)
def test_results(name: str, program: tuple[Program, dict[str, Function]]) -> None:
    compiled, functions = program
    rng = random.Random(name)
    machine = Machine(bytes(LAYOUT.size), b"")
    result = int(OPS[name].results[0])
    size = (result + 7) // 8
    numbers = 0
    for _ in range(2000):
        operands = _operands(rng, name)
        memory = bytearray(96)
        for number, value in enumerate(operands):
            memory[16 * number : 16 * number + 16] = value.to_bytes(16, "little")
        reference = Reference(bytearray(LAYOUT.size), bytearray(memory), bytearray(PERMISSIONS))
        reference.run(functions[name])
        for _ in range(2 if name.endswith("_status") else 1):  # the first may tell of an operation before
            machine.set_memory(bytes(memory))
            machine.run(compiled, name, 0)
        native = int.from_bytes(machine.memory.raw[64 : 64 + size], "little")
        expected = int.from_bytes(reference.memory[64 : 64 + size], "little")
        shown = f"{name}({', '.join(map(hex, operands))})"
        if name.endswith("_status"):
            assert not expected & ~native & 0x20, shown
            numbers += expected & 0x1F == 0
            told = 0x4503 if "compare" in name else 0x1F if expected & 0x1F else 0x21F if expected & 0x20 else 0x1F
            native, expected = native & told, expected & told
            assert native == expected, f"{shown}: {native:#x}, exactly {expected:#x}"
            continue
        if _is_nan(expected, result) and name not in ("extended_neg", "extended_abs"):
            assert _is_nan(native, result), shown
        else:
            assert native == expected, f"{shown}: {native:#x}, exactly {expected:#x}"
            numbers += 1
        assert machine.memory.raw[80] == 0, f"flags of {shown}"
    assert numbers > 500, "hardly any operands made a number"


def _is_nan(value: int, width: int) -> bool:
    if width == 80:
        return extended.is_nan(value)
    return width in floats.FORMATS and floats.is_nan(floats.FORMATS[width], value)


def test_a_chosen_pattern_becomes_a_number(tmp_path: Path) -> None:
    """Patterns of doubles are chosen between in general registers, where those of 80 bits have no room."""
    function = Function("chosen")
    b = Builder(LAYOUT, function)
    one, two = (b.emit1("ld_mem", (16 * number,), (64,), 80, symbol="M") for number in range(2))
    condition = b.emit1("ld_mem", (32,), (64,), 8, symbol="M")
    condition = b.emit1("ne", (condition, 0), (8, 8), 1)
    chosen = b.emit1("select", (condition, one, two), (1, 80, 80), 80)
    b.emit("st_mem", (64, b.emit1("extended_add", (chosen, two), (80, 80), 80)), (64, 80), symbol="M")
    b.emit("exit", (0, 0), (64, 64))
    compiled = Program([verify(function)], tmp_path / "chosen.blob")
    machine = Machine(bytes(LAYOUT.size), b"")
    for number, total in ((1, _WIDE + (1 << 64) + (1 << 62)), (0, _WIDE + (2 << 64))):
        memory = bytearray(96)
        memory[0:10], memory[16:26] = _WIDE.to_bytes(10, "little"), (_WIDE + (1 << 64)).to_bytes(10, "little")
        memory[32] = number
        machine.set_memory(bytes(memory))
        machine.run(compiled, "chosen", 0)
        assert int.from_bytes(machine.memory.raw[64:74], "little") == total
