"""What Unicorn lacks against plain Python from the manuals: Zba, Zbb, Zbs, Zicond, the 2019 minimum and maximum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest

from isomorph.fuzz.description import oracle_of
from isomorph.fuzz.state import State, random_state, random_value
from tests.oracles.subject import BOX, SUBJECTS, Subject, with_registers
from tests.tools import require_build

Model = Callable[[int, int, int], int]  # (a, b, xlen) -> result, cut to xlen bits by the caller


def _signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (value >> width - 1 << width)


def _low(value: int) -> int:
    return value & 0xFFFFFFFF


def _rotate(value: int, by: int, width: int) -> int:
    """To the left."""
    by %= width
    return (value << by | value >> width - by) & (1 << width) - 1


def _clz(value: int, width: int) -> int:
    return width - value.bit_length()


def _ctz(value: int, width: int) -> int:
    return (value & -value).bit_length() - 1 if value else width


def _bytes(value: int, width: int) -> bytes:
    return value.to_bytes(width // 8, "little")


#: rd = a0, rs1 = a1, rs2 = a2; an immediate of 5 where there is one
BOTH: dict[str, tuple[int, Model]] = {
    "sh1add": (0x20C5A533, lambda a, b, n: (a << 1) + b),
    "sh2add": (0x20C5C533, lambda a, b, n: (a << 2) + b),
    "sh3add": (0x20C5E533, lambda a, b, n: (a << 3) + b),
    "andn": (0x40C5F533, lambda a, b, n: a & ~b),
    "orn": (0x40C5E533, lambda a, b, n: a | ~b),
    "xnor": (0x40C5C533, lambda a, b, n: ~(a ^ b)),
    "clz": (0x60059513, lambda a, b, n: _clz(a, n)),
    "ctz": (0x60159513, lambda a, b, n: _ctz(a, n)),
    "cpop": (0x60259513, lambda a, b, n: a.bit_count()),
    "max": (0x0AC5E533, lambda a, b, n: max(_signed(a, n), _signed(b, n))),
    "maxu": (0x0AC5F533, lambda a, b, n: max(a, b)),
    "min": (0x0AC5C533, lambda a, b, n: min(_signed(a, n), _signed(b, n))),
    "minu": (0x0AC5D533, lambda a, b, n: min(a, b)),
    "sext.b": (0x60459513, lambda a, b, n: _signed(a, 8)),
    "sext.h": (0x60559513, lambda a, b, n: _signed(a, 16)),
    "rol": (0x60C59533, lambda a, b, n: _rotate(a, b % n, n)),
    "ror": (0x60C5D533, lambda a, b, n: _rotate(a, -(b % n), n)),
    "rori": (0x6055D513, lambda a, b, n: _rotate(a, -5, n)),
    "orc.b": (0x2875D513, lambda a, b, n: int.from_bytes(bytes(0xFF * bool(byte) for byte in _bytes(a, n)), "little")),
    "bclr": (0x48C59533, lambda a, b, n: a & ~(1 << b % n)),
    "bclri": (0x48559513, lambda a, b, n: a & ~(1 << 5)),
    "bset": (0x28C59533, lambda a, b, n: a | 1 << b % n),
    "bseti": (0x28559513, lambda a, b, n: a | 1 << 5),
    "binv": (0x68C59533, lambda a, b, n: a ^ 1 << b % n),
    "binvi": (0x68559513, lambda a, b, n: a ^ 1 << 5),
    "bext": (0x48C5D533, lambda a, b, n: a >> b % n & 1),
    "bexti": (0x4855D513, lambda a, b, n: a >> 5 & 1),
    "czero.eqz": (0x0EC5D533, lambda a, b, n: a if b else 0),
    "czero.nez": (0x0EC5F533, lambda a, b, n: 0 if b else a),
}
RV32: dict[str, tuple[int, Model]] = {
    "rev8": (0x6985D513, lambda a, b, n: int.from_bytes(_bytes(a, n), "big")),
    "zext.h": (0x0805C533, lambda a, b, n: a & 0xFFFF),
}
RV64: dict[str, tuple[int, Model]] = {
    "rev8": (0x6B85D513, lambda a, b, n: int.from_bytes(_bytes(a, n), "big")),
    "zext.h": (0x0805C53B, lambda a, b, n: a & 0xFFFF),
    "add.uw": (0x08C5853B, lambda a, b, n: _low(a) + b),
    "sh1add.uw": (0x20C5A53B, lambda a, b, n: (_low(a) << 1) + b),
    "sh2add.uw": (0x20C5C53B, lambda a, b, n: (_low(a) << 2) + b),
    "sh3add.uw": (0x20C5E53B, lambda a, b, n: (_low(a) << 3) + b),
    "slli.uw": (0x0855951B, lambda a, b, n: _low(a) << 5),
    "clzw": (0x6005951B, lambda a, b, n: _clz(_low(a), 32)),
    "ctzw": (0x6015951B, lambda a, b, n: _ctz(_low(a), 32)),
    "cpopw": (0x6025951B, lambda a, b, n: _low(a).bit_count()),
    "rolw": (0x60C5953B, lambda a, b, n: _signed(_rotate(_low(a), b % 32, 32), 32)),
    "rorw": (0x60C5D53B, lambda a, b, n: _signed(_rotate(_low(a), -(b % 32), 32), 32)),
    "roriw": (0x6055D51B, lambda a, b, n: _signed(_rotate(_low(a), -5, 32), 32)),
}
#: word, bits of the format, whether the greater is wanted
EXTREMES = {
    "fmin.s": (0x28C58553, 32, False),
    "fmax.s": (0x28C59553, 32, True),
    "fmin.d": (0x2AC58553, 64, False),
    "fmax.d": (0x2AC59553, 64, True),
}


@pytest.fixture(scope="module", params=SUBJECTS, ids="rv{0[0]}-{0[1]}".format)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    xlen, name = request.param
    require_build(f"riscv{xlen}")
    made = Subject(xlen, name)
    yield made
    made.close()


def _state(subject: Subject, random: Random) -> State:
    """A random one, in a rounding mode that exists."""
    state = random_state(random, subject.isa.layout, oracle_of(subject.isa))
    return replace(state, modes={"FRM": random.randrange(5)})


def _step(subject: Subject, word: int, random: Random) -> tuple[int, int, int]:
    """a1, a2 before and a0 after; nothing else may have changed."""
    before = _state(subject, random)
    after, raised = subject.run(word, before)
    assert not raised
    old, new = before.registers["X"], after.registers["X"]
    expected = replace(with_registers(before, "X", {10: new[10]}), pc=before.pc + 4)
    assert not list(after.differences(expected))
    return old[11], old[12], new[10]


def test_integer_results_agree(subject: Subject) -> None:
    for name, (word, model) in {**BOTH, **(RV64 if subject.xlen == 64 else RV32)}.items():
        random = Random(f"{subject.xlen} {name}")
        for _ in range(40):
            a, b, result = _step(subject, word, random)
            expected = model(a, b, subject.xlen) & (1 << subject.xlen) - 1
            assert result == expected, f"{name}({a:#x}, {b:#x}) is {result:#x}, not {expected:#x}"


def _extreme(a: int, b: int, bits: int, greatest: bool) -> tuple[int, int]:
    """IEEE 754-2019's minimumNumber or maximumNumber with the canonical NaN, and its flags."""
    fraction = 23 if bits == 32 else 52
    infinity = ((1 << bits - 1) - 1) >> fraction << fraction
    quiet = 1 << fraction - 1

    def is_nan(value: int) -> bool:
        return value & (1 << bits - 1) - 1 > infinity

    def key(value: int) -> int:  # orders -0 below +0
        return ~(value & (1 << bits - 1) - 1) if value >> bits - 1 else value

    flags = 16 if any(is_nan(value) and not value & quiet for value in (a, b)) else 0
    numbers = [value for value in (a, b) if not is_nan(value)]
    if not numbers:
        return infinity | quiet, flags
    return (max if greatest else min)(numbers, key=key), flags


def test_minimum_and_maximum_agree(subject: Subject) -> None:
    for name, (word, bits, greatest) in EXTREMES.items():
        random = Random(name)
        for _ in range(300):
            a, b = (random_value(random, "single" if bits == 32 else "double", bits) for _ in range(2))
            box = BOX if bits == 32 else 0
            state = with_registers(_state(subject, random), "F", {11: box | a, 12: box | b})
            after, raised = subject.run(word, with_registers(state, "FFLAGS", {0: 0}))
            value, flags = _extreme(a, b, bits, greatest)
            assert not raised
            found = after.registers["F"][10], after.registers["FFLAGS"][0]
            assert found == (box | value, flags), f"{name}({a:#x}, {b:#x})"


def test_unboxed_singles_count_as_nans(subject: Subject) -> None:
    """12.2: an operand whose upper half is not all ones is the canonical NaN; moves and stores take its bits."""
    random = Random(12)
    state = replace(with_registers(_state(subject, random), "FFLAGS", {0: 0}), modes={"FRM": 0})
    one = 0x3F800000
    for upper in (0, 1, 0xFFFFFFFE, 0x7FFFFFFF):
        broken = with_registers(state, "F", {11: upper << 32 | one, 12: BOX | one})
        added, _ = subject.run(0x00C58553, broken)  # fadd.s fa0,fa1,fa2
        assert (added.registers["F"][10], added.registers["FFLAGS"][0]) == (BOX | 0x7FC00000, 0)
        moved, _ = subject.run(0xE0058553, broken)  # fmv.x.w a0,fa1
        assert moved.registers["X"][10] == one


def test_a_wrong_model_is_caught(subject: Subject) -> None:
    """The control: bset told to be binv disagrees soon."""
    random = Random(1)
    word, _ = BOTH["bset"]
    _, model = BOTH["binv"]
    found = [_step(subject, word, random) for _ in range(40)]
    assert any(result != model(a, b, subject.xlen) for a, b, result in found)
