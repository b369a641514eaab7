"""The architectural state of one RISC-V hart that the oracles compare, and random states with telling values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

#: the instruction under test stands here
CODE = 0x10000
#: memory that instructions may touch: every random base register points to about its middle
WINDOW = 0x20000
WINDOW_SIZE = 0x3000
BOX = 0xFFFFFFFF << 32

SPECIAL_SINGLES = (
    0x00000000,
    0x80000000,
    0x3F800000,
    0xBF800000,
    0x40000000,
    0x3FC00000,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0xFFC00000,
    0x7F800001,
    0xFFA00000,
    0x00000001,
    0x80000001,
    0x007FFFFF,
    0x00800000,
    0x00800001,
    0x7F7FFFFF,
    0xFF7FFFFF,
    0x4F000000,
    0xCF000000,
    0x4F800000,
    0x5F000000,
    0xDF000000,
    0x5F800000,
    0x4EFFFFFF,
    0x3F000000,
    0x3EFFFFFF,
    0x3F7FFFFF,
    0x4B000001,
    0x4B7FFFFF,
    0x1FFFFFFF,
    0x20000000,
    0x33800000,
    0x34000000,
)
SPECIAL_DOUBLES = (
    0x0000000000000000,
    0x8000000000000000,
    0x3FF0000000000000,
    0xBFF0000000000000,
    0x4000000000000000,
    0x3FF8000000000000,
    0x7FF0000000000000,
    0xFFF0000000000000,
    0x7FF8000000000000,
    0xFFF8000000000000,
    0x7FF0000000000001,
    0xFFF4000000000000,
    0x0000000000000001,
    0x8000000000000001,
    0x000FFFFFFFFFFFFF,
    0x0010000000000000,
    0x0010000000000001,
    0x7FEFFFFFFFFFFFFF,
    0xFFEFFFFFFFFFFFFF,
    0x41DFFFFFFFC00000,
    0x41E0000000000000,
    0xC1E0000000000000,
    0xC1E0000000200000,
    0x41EFFFFFFFE00000,
    0x41EFFFFFFFF00000,
    0x41F0000000000000,
    0x43DFFFFFFFFFFFFF,
    0x43E0000000000000,
    0xC3E0000000000000,
    0xC3E0000000000001,
    0x43F0000000000000,
    0x3FE0000000000000,
    0x3FDFFFFFFFFFFFFF,
    0x47EFFFFFE0000000,
    0x47EFFFFFF0000000,
    0x3810000000000000,
    0x380FFFFFF0000000,
    0x36A0000000000000,
    0x3690000000000000,
    0x36A0000000000001,
    0x4330000000000001,
    0x3CA0000000000000,
    0x1FF0000000000000,
)


@dataclass(frozen=True, slots=True)
class State:
    """x and f by number; memory is the window's contents."""

    xlen: int
    pc: int
    x: tuple[int, ...]
    f: tuple[int, ...]
    frm: int
    fflags: int
    memory: bytes

    def differences(self, other: State) -> Iterator[str]:
        """What differs, one line each."""
        for name in ("pc", "frm", "fflags"):
            if getattr(self, name) != getattr(other, name):
                yield f"{name} {getattr(self, name):#x} / {getattr(other, name):#x}"
        for file in "xf":
            for number, (a, b) in enumerate(zip(getattr(self, file), getattr(other, file), strict=True)):
                if a != b:
                    yield f"{file}{number} {a:#x} / {b:#x}"
        for at, (a, b) in enumerate(zip(self.memory, other.memory, strict=True)):
            if a != b:
                yield f"[{WINDOW + at:#x}] {a:#04x} / {b:#04x}"
                return


def random_single(random: Random) -> int:
    """A binary32 number: a special one, a random one, or one near another's magnitude so that sums cancel."""
    choice = random.random()
    if choice < 0.45:
        return random.choice(SPECIAL_SINGLES)
    if choice < 0.7:
        return random.getrandbits(32)
    return random.getrandbits(1) << 31 | random.randrange(118, 137) << 23 | _ragged(random, 23)


def random_double(random: Random) -> int:
    """A binary64 number likewise."""
    choice = random.random()
    if choice < 0.45:
        return random.choice(SPECIAL_DOUBLES)
    if choice < 0.7:
        return random.getrandbits(64)
    return random.getrandbits(1) << 63 | random.randrange(1011, 1036) << 52 | _ragged(random, 52)


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


def random_word(random: Random, xlen: int) -> int:
    """An integer register: small, near a power of two, sign patterns, or any bits."""
    mask = (1 << xlen) - 1
    match random.randrange(5):
        case 0:
            return random.randrange(-20, 20) & mask
        case 1:
            return (1 << random.randrange(xlen)) + random.randrange(-1, 2) & mask
        case 2:
            return random.getrandbits(32) if xlen == 32 else (random.getrandbits(32) ^ -random.getrandbits(1)) & mask
        case 3:
            return -(1 << random.randrange(xlen)) & mask
        case _:
            return random.getrandbits(xlen)


def random_state(random: Random, xlen: int, pointers: bool, singles: float) -> State:
    """pointers: every register holds an address inside the window.  singles: how many f registers hold boxed ones."""
    if pointers:
        x = [WINDOW + WINDOW_SIZE // 2 + random.randrange(-64, 64) * random.choice((8, 8, 4, 2, 1)) for _ in range(32)]
    else:
        x = [random_word(random, xlen) for _ in range(32)]
    x[0] = 0
    f = [BOX | random_single(random) if random.random() < singles else random_double(random) for _ in range(32)]
    return State(
        xlen,
        CODE,
        tuple(x),
        tuple(f),
        random.choice((0, 0, 0, 1, 2, 3, 4)),
        random.choice((0, 0, 0, 1, 31)),
        random.randbytes(WINDOW_SIZE),
    )


def with_pc(state: State, pc: int) -> State:
    """The same state elsewhere."""
    return replace(state, pc=pc)
