"""The x87 unit's instructions against this machine's own processor, with all roundings and precisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from random import Random

import pytest

from isomorph.coverage import ran
from tests.oracles.test_x86_host import Case, Ours, compared
from tests.oracles.x86_cases import CODE, FLAGS, MIDDLE, NEAR, instruction, name_of, random_lane
from tests.tools import require_build

#: by the name before "__"
LEFT_OUT = {"fbld": "digits that are none are undefined"}
#: promised to one unit in the last place
LOOSE = frozenset(("f2xm1", "fyl2x", "fyl2xp1", "fsin", "fcos", "fsincos", "fptan", "fpatan"))


#: the greatest exponents of their operands
DOMAINS = {"f2xm1": 0x3FFE, "fyl2xp1": 0x3FFC}


def number(random: Random) -> int:
    """80 bits that are a number, an infinity or a NaN, often near where something happens."""
    fraction = random.getrandbits(64)
    match random.randrange(4):
        case 0:
            fraction &= -1 << random.randrange(64)
        case 1:
            fraction |= (1 << random.randrange(64)) - 1
        case 2:
            fraction >>= random.randrange(64)
    match random.randrange(8):
        case 0:
            exponent = random.choice((0, 1, 2, 0x7FFE, 0x7FFF))
        case 1:
            exponent = random.randrange(140)
        case 2:
            exponent = 8191 + random.randrange(-40, 40)
        case 3:
            exponent = 16383 - random.choice((126, 1022)) + random.randrange(-70, 10)
        case 4:
            exponent = random.randrange(0x7FFF)
        case _:
            exponent = 16383 + random.randrange(-70, 70)
    if exponent and random.randrange(16):  # without it, what is no number
        fraction |= 1 << 63
    return random.getrandbits(1) << 79 | exponent << 64 | fraction


def in_use(random: Random, top: int) -> int:
    """Which registers are in use: mostly those from the top on, but for one or more."""
    match random.randrange(4):
        case 0:
            return random.getrandbits(8)
        case 1:
            return random.choice((0, 0xFF))
        case _:
            return 0xFF & ~(1 << (top - 1) % 8)


def cases(ours: Ours, random: Random, count: int) -> Iterator[Case]:
    """Instructions of the unit, each as often as the others."""
    forms = [form for form in ours.syntax.forms if "x87" in form.source and name_of(form) not in LEFT_OUT]
    for form in cycle(forms):
        if not count:
            return
        code = instruction(random, form, ours.long)
        decoded = ours.decoder.decode(code, CODE)
        if decoded is None or decoded.form is not form:
            continue
        count -= 1
        floats = [number(random) for _ in range(8)]
        if name_of(form) in DOMAINS:  # beyond it results are undefined
            floats[0] = floats[0] & ~(0x7FFF << 64) | min(floats[0] >> 64 & 0x7FFF, DOMAINS[name_of(form)]) << 64
        masks = 0x3F if random.randrange(4) else random.getrandbits(6)
        top = random.randrange(8)
        status = random.getrandbits(16) & 0x477F & random.choice((0x4700, 0x4720, 0x477F)) | top << 11
        if random.randrange(8):  # else an exception may be pending
            status &= ~0x3F | masks
        if status & ~masks & 0x3F:
            status |= 0x8080
        if name_of(form).startswith("fprem"):
            status &= ~0x4100  # what is no quotient's bit processors leave as it was
        registers = [MIDDLE + 8 * random.randrange(-16, 16) for _ in range(ours.count)]
        yield Case(
            code[: decoded.length],
            name_of(form),
            ours.translate[form.name].undefined,
            registers,
            [0] * ours.count,
            [0] * ours.count,
            floats,
            {flag: random.getrandbits(1) for flag in (*FLAGS, "DF")},
            b"".join(random_lane(random).to_bytes(8, "little") for _ in range(NEAR // 4)),
            random.choice((0x340, 0x340, 0x740, 0xB40, 0xF40, 0x240, 0x640, 0xA40, 0xE40, 0x040, 0x440, 0x840, 0xC40))
            | masks,
            in_use(random, top),
            status,
            name_of(form) in LOOSE,
        )


@pytest.fixture(scope="module", params=["x86_64", "i386"])
def ours(request: pytest.FixtureRequest) -> Iterator[Ours]:
    require_build(request.param)
    made = Ours(request.param)
    yield made
    made.close()


def _check(ours: Ours, random: Random, count: int) -> None:
    made = list(cases(ours, random, count))
    for case in made:
        ran(ours.name, case.name)
    assert compared(ours, made) == []
    assert len({case.name for case in made}) > 80


def test_instructions_do_what_the_host_does(ours: Ours) -> None:
    _check(ours, Random(1), 4000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_many_instructions(ours: Ours, seed: int) -> None:
    _check(ours, Random(seed), 100_000)
