"""Random instructions of i386 and x86-64 with operands that make sense, for the oracles that execute them."""

from __future__ import annotations

import re
import struct
from random import Random

from runtime.syntax.tables import Form

CODE, DATA, SIZE = 0x123000, 0x40000, 0x10000
MIDDLE = DATA + SIZE // 2
#: where the x87 unit's last instruction is before each
BEFORE = 0x321
#: random bytes on either side of MIDDLE, where pointers point
NEAR = 0x200
REGISTERS = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{number}" for number in range(8, 16)))
FLAGS = {"CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "OF": 11}
DIRECTION = 10
CORNERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, (1 << 63) - 1)
#: spaces of instructions behind VEX -> its number of the opcode map
VEX_MAPS = {"V1": 1, "V2": 2, "V3": 3}
REALS = (
    0.0,
    -0.0,
    1.0,
    -1.5,
    2.5,
    1e10,
    -3.7e5,
    0.1,
    1e30,
    1e-30,
    float("inf"),
    float("-inf"),
    float("nan"),
    123456.25,
)


#: a name may end with a line of its own
_NAME = re.compile(r"(.+?)__(?!_)")


def name_of(form: Form) -> str:
    """The instruction's name, whichever encoding and width."""
    return form.name if (found := _NAME.match(form.name)) is None else found[1]


def may_lock(form: Form) -> bool:
    """Whether it takes a lock prefix."""
    return bool(form.pieces) and "lock" in str(form.pieces[0])


def random_value(random: Random) -> int:
    """For a general register: a number, or an address of data."""
    kind = random.random()
    if kind < 0.35:
        return random.choice(CORNERS)
    return MIDDLE + random.randrange(-0x100, 0x100) if kind < 0.7 else random.getrandbits(64)


def random_lane(random: Random) -> int:
    """Half a vector register: reals, or anything."""
    kind = random.random()
    if kind < 0.3:
        return int.from_bytes(struct.pack("<d", random.choice(REALS)), "little")
    if kind < 0.6:
        return int.from_bytes(struct.pack("<ff", random.choice(REALS), random.choice(REALS)), "little")
    return random.getrandbits(64)


def vex(random: Random, number: int, long: bool) -> bytes:
    """A VEX prefix for an opcode map; half of them name no register."""
    high = random.getrandbits(8) if long else random.getrandbits(8) | 0xC0
    register = random.choice((0, random.getrandbits(4) if long else random.getrandbits(3)))
    low = (~register & 15) << 3 | random.getrandbits(1) << 2 | random.choice((0, 1, 1, 1, 2, 3))
    if number == 1 and random.random() < 0.5:
        return bytes((0xC5, high & 0x80 | low))
    return bytes((0xC4, high & 0xE0 | number, random.choice((0, 0, 0x80)) | low))


def instruction(random: Random, form: Form, long: bool) -> bytes:
    """An instruction of a form, with prefixes that are often right."""
    before = b""
    if form.space in VEX_MAPS:
        before = vex(random, VEX_MAPS[form.space], long)
    elif random.random() < 0.2:
        before += b"\x66"
    elif random.random() < 0.3:
        before += random.choice((b"\xf3", b"\xf2"))
    if long and random.random() < 0.04:
        before = b"\x67" + before
    if may_lock(form) and random.random() < 0.3:
        before += b"\xf0"
    if long and form.space not in VEX_MAPS and random.random() < 0.5:
        before += bytes([0x40 | random.getrandbits(4)])
    length = form.encoding.length
    word = form.encoding.value | random.getrandbits(length) & ~form.encoding.mask
    tail = random.randbytes(1) + struct.pack("<i", random.randrange(-64, 64)) + random.randbytes(7)
    return (before + word.to_bytes(length // 8, "little") + tail)[:15]
