"""The architectural state that engines are given and asked for, and random states with telling values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from isomorph.fuzz.description import Oracle
from runtime.core.layout import Layout, RegisterLayout
from runtime.core.memory import PAGE_SIZE

__all__ = [
    "CODE",
    "CODE_SIZE",
    "DOUBLES",
    "SINGLES",
    "WINDOW",
    "WINDOW_SIZE",
    "State",
    "empty_state",
    "random_state",
    "random_value",
]

#: sequences stand here, on a page of their own
CODE = 0x10000
CODE_SIZE = PAGE_SIZE
#: memory that instructions may touch: pointers point to about its middle
WINDOW = 0x20000
WINDOW_SIZE = 3 * PAGE_SIZE

#: magnitudes of binary32 numbers at which something happens: infinities, NaNs, the ends of what is normal, of integers
SINGLES = (
    0x00000000, 0x3F800000, 0x40000000, 0x3FC00000, 0x7F800000, 0x7FC00000, 0x7F800001, 0x7FA00000, 0x00000001,
    0x007FFFFF, 0x00800000, 0x00800001, 0x7F7FFFFF, 0x4F000000, 0x4F800000, 0x5F000000, 0x5F800000, 0x4EFFFFFF,
    0x3F000000, 0x3EFFFFFF, 0x3F7FFFFF, 0x4B000001, 0x4B7FFFFF, 0x1FFFFFFF, 0x20000000, 0x33800000, 0x34000000,
)  # fmt: skip
#: and of binary64 numbers
DOUBLES = (
    0x0000000000000000, 0x3FF0000000000000, 0x4000000000000000, 0x3FF8000000000000, 0x7FF0000000000000,
    0x7FF8000000000000, 0x7FF0000000000001, 0x7FF4000000000000, 0x0000000000000001, 0x000FFFFFFFFFFFFF,
    0x0010000000000000, 0x0010000000000001, 0x7FEFFFFFFFFFFFFF, 0x41DFFFFFFFC00000, 0x41E0000000000000,
    0x41E0000000200000, 0x41EFFFFFFFE00000, 0x41EFFFFFFFF00000, 0x41F0000000000000, 0x43DFFFFFFFFFFFFF,
    0x43E0000000000000, 0x43E0000000000001, 0x43F0000000000000, 0x3FE0000000000000, 0x3FDFFFFFFFFFFFFF,
    0x47EFFFFFE0000000, 0x47EFFFFFF0000000, 0x3810000000000000, 0x380FFFFFF0000000, 0x36A0000000000000,
    0x3690000000000000, 0x36A0000000000001, 0x4330000000000001, 0x3CA0000000000000, 0x1FF0000000000000,
)  # fmt: skip
_DEFAULT_KINDS = ("word", "pointer")


@dataclass(frozen=True, slots=True)
class State:
    """`registers` has a tuple for each register and register file of the layout; `memory` is the window's contents."""

    pc: int
    registers: Mapping[str, tuple[int, ...]]
    modes: Mapping[str, int]
    memory: bytes

    def differences(self, other: State, masks: Mapping[tuple[str, int], int] | None = None) -> Iterator[str]:
        """What differs, one line each: "X[10]: 0x1 / 0x2".  `masks`: of some registers, only these bits count."""
        if self.pc != other.pc:
            yield f"pc: {self.pc:#x} / {other.pc:#x}"
        for name, value in self.modes.items():
            if value != other.modes.get(name, value):  # an oracle may know less than the spec
                yield f"{name}: {value:#x} / {other.modes[name]:#x}"
        for name, values in self.registers.items():
            theirs = other.registers.get(name, values)
            if values == theirs:
                continue
            for number, (a, b) in enumerate(zip(values, theirs, strict=True)):
                mask = -1 if masks is None else masks.get((name, number), -1)
                if (a ^ b) & mask:
                    yield f"{name}[{number}]: {a:#x} / {b:#x}" if len(values) > 1 else f"{name}: {a:#x} / {b:#x}"
        if self.memory != other.memory:
            at = next(at for at, (a, b) in enumerate(zip(self.memory, other.memory, strict=True)) if a != b)
            yield f"[{WINDOW + at:#x}]: {self.memory[at]:#04x} / {other.memory[at]:#04x}"


def empty_state(layout: Layout, pc: int = CODE) -> State:
    """Zeros, and modes as after a reset."""
    registers = {register.name: (0,) * register.count for register in layout.registers}
    return State(pc, registers, {mode.name: mode.reset for mode in layout.modes}, bytes(WINDOW_SIZE))


def random_state(random: Random, layout: Layout, oracle: Oracle, pointers: float = 0.4) -> State:
    """pointers: the probability with which a register that may hold an address does."""
    registers = {register.name: _random_registers(random, register, oracle, pointers) for register in layout.registers}
    modes = {mode.name: random.choice(oracle.modes.get(mode.name, (mode.reset,))) for mode in layout.modes}
    return State(CODE, registers, modes, random.randbytes(WINDOW_SIZE))


def _random_registers(random: Random, register: RegisterLayout, oracle: Oracle, pointers: float) -> tuple[int, ...]:
    kinds = oracle.values.get(register.name, _DEFAULT_KINDS if register.is_file else ("word",))
    values = []
    for number in range(register.count):
        kind = "pointer" if "pointer" in kinds and random.random() < pointers else random.choice(kinds)
        value = random_value(random, kind, register.width)
        values.append(0 if number == register.zero else value & (1 << register.width) - 1)
    return tuple(values)


def random_value(random: Random, kind: str, width: int) -> int:
    """One value of a kind that a table beside the spec may name."""
    match kind:
        case "pointer":
            place = WINDOW + WINDOW_SIZE // 2
            return place + random.randrange(-64, 64) * random.choice((16, 8, 8, 8, 4, 2, 1))
        case "code":  # for jumps to where a register says
            return CODE + 2 * random.randrange(0, 80)
        case "single":
            return _random_float(random, SINGLES, 8, 23)
        case "boxed":
            return -1 << 32 | _random_float(random, SINGLES, 8, 23)
        case "double":
            return _random_float(random, DOUBLES, 11, 52)
        case _:
            return _random_word(random, width)


def _random_float(random: Random, special: Sequence[int], exponent: int, fraction: int) -> int:
    """A special number, any bits, or one near 1, so that sums cancel."""
    choice = random.random()
    sign = random.getrandbits(1) << exponent + fraction
    if choice < 0.45:
        return sign | random.choice(special)
    if choice < 0.7:
        return random.getrandbits(1 + exponent + fraction)
    middle = (1 << exponent - 1) - 1
    return sign | random.randrange(middle - 9, middle + 10) << fraction | _ragged(random, fraction)


def _ragged(random: Random, width: int) -> int:
    """Bits with long runs of zeros and ones: ties and near ties."""
    value = random.getrandbits(width)
    match random.randrange(4):
        case 0:
            return value
        case 1:
            return value >> random.randrange(width) << random.randrange(width) & (1 << width) - 1
        case 2:
            return (1 << width) - 1 ^ (1 << random.randrange(width))
        case _:
            return 1 << random.randrange(width)


def _random_word(random: Random, width: int) -> int:
    """Small, near a power of two, sign patterns, a number of half the bits with either sign, or any bits."""
    match random.randrange(5):
        case 0:
            return random.randrange(-20, 20)
        case 1:
            return (1 << random.randrange(width)) + random.randrange(-1, 2)
        case 2:
            return random.getrandbits(-(-width // 2)) ^ -random.getrandbits(1)
        case 3:
            return -(1 << random.randrange(width))
        case _:
            return random.getrandbits(width)
