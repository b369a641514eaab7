"""Every rounding floating-point instruction against SoftFloat: values and flags, in all five rounding modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

pytest.importorskip("softfloatpy", reason="softfloatpy is not installed (pip install softfloatpy)")

from isomorph.fuzz.state import DOUBLES, SINGLES, random_value
from tests.oracles.batch import Batch
from tests.oracles.float_operations import MODES, OPERATIONS, Operation
from tests.oracles.subject import BOX
from tests.tools import require_build

_DYNAMIC = 7 << 12


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def batch(request: pytest.FixtureRequest) -> Iterator[Batch]:
    require_build(f"riscv{request.param}")
    made = Batch(request.param)
    yield made
    made.close()


def _operand(random: Random, kind: str) -> int:
    if kind == "s":
        return BOX | random_value(random, "single", 32)
    return random_value(random, "double", 64) if kind == "d" else random_value(random, "word", 64) & (1 << 64) - 1


def _cases(operation: Operation, count: int) -> list[tuple[int, ...]]:
    """Special values against each other as far as they go, then random operands."""
    random = Random(operation.name)
    special = {
        "s": [BOX | sign << 31 | value for value in SINGLES for sign in (0, 1)],
        "d": [sign << 63 | value for value in DOUBLES for sign in (0, 1)],
    }
    kinds = operation.operands
    cases: list[tuple[int, ...]] = []
    if len(kinds) == 1 and kinds in special:
        cases = [(value,) for value in special[kinds]]
    elif len(kinds) == 2:
        cases = [(a, b) for a in special[kinds[0]] for b in special[kinds[1]]]
    while len(cases) < count:
        operands = [_operand(random, kind) for kind in kinds]
        if len(operands) == 3 and random.random() < 0.3:  # a sum that nearly cancels
            operands[2] = _near_product(random, kinds[0], operands[0], operands[1])
        cases.append(tuple(operands))
    return random.sample(cases, count) if len(cases) > count else cases


def _near_product(random: Random, kind: str, a: int, b: int) -> int:
    """About -(a * b), by adding exponents and mixing fractions."""
    exponent, fraction, bias = (8, 23, 127) if kind == "s" else (11, 52, 1023)
    top = (1 << exponent) - 1
    power = max(0, min(top - 1, (a >> fraction & top) + (b >> fraction & top) - bias + random.randrange(-1, 2)))
    sign = ~(a ^ b) >> exponent + fraction & 1
    value = sign << exponent + fraction | power << fraction | (a ^ b ^ random.getrandbits(2)) & (1 << fraction) - 1
    return BOX | value if kind == "s" else value


def _wrong(batch: Batch, operation: Operation, mode: int, cases: list[tuple[int, ...]], dynamic: bool) -> list[str]:
    """What does not agree, a line a case."""
    word = operation.word
    if operation.rounds:
        word |= _DYNAMIC if dynamic else mode << 12
    lines = []
    for operands, (f, x, flags) in zip(cases, batch.run(word, cases, mode if dynamic else 0), strict=True):
        found = f if operation.result in "sd" else x
        expected, raised = operation.expected(operands, mode, batch.xlen)
        if (found, flags) != (expected, raised):
            shown = ", ".join(f"{operand:#x}" for operand in operands)
            lines.append(
                f"{operation.name} {MODES[mode]} ({shown}): {found:#x} flags {flags:#x}, "
                f"SoftFloat {expected:#x} flags {raised:#x}"
            )
    return lines


def _of(xlen: int) -> list[Operation]:
    """Those the width has: RV32 converts no 64-bit integers."""
    return [found for found in OPERATIONS if xlen == 64 or not {"l", "v"} & {found.operands[0], found.result}]


def _sweep(batch: Batch, count: int) -> list[str]:
    wrong = []
    for operation in _of(batch.xlen):
        cases = _cases(operation, count)
        for mode in range(5 if operation.rounds else 1):
            for dynamic in (False, True) if operation.rounds else (False,):
                wrong += _wrong(batch, operation, mode, cases[dynamic::2], dynamic)
    return wrong


def test_values_and_flags_agree(batch: Batch) -> None:
    wrong = _sweep(batch, 1500)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


@pytest.mark.slow
def test_values_and_flags_agree_on_many_operands(batch: Batch) -> None:
    wrong = _sweep(batch, 40_000)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


def test_a_wrong_expectation_is_caught(batch: Batch) -> None:
    """The control: subtraction is not addition, and truncation is not rounding."""
    by_name = {operation.name: operation for operation in OPERATIONS}
    add = by_name["fadd.d"]
    confused = replace(add, function=by_name["fsub.d"].function)
    cases = _cases(add, 500)
    assert not _wrong(batch, add, 0, cases, False)
    assert _wrong(batch, confused, 0, cases, False)
    assert [add.expected(case, 0, 64) for case in cases] != [add.expected(case, 1, 64) for case in cases]
