"""Compiled regions against tier 0: the same state, memory, pc, exception and instruction count at the end of a run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

import pytest

from runtime.core.env import GUEST_STATE, Exit
from runtime.syntax.assemble import assemble_text
from runtime.tcg.loop import SLICE
from runtime.tcg.region_guard import LAST_ADDRESS, plan_guards
from tests.conftest import ROOT
from tests.tcg.regions import CODE, DATA, DATA_SIZE, Ending, RegionMachine
from tests.tools import require_build

#: registers random instructions write; pointers and counters are others
_FREE = ("t0", "t1", "t2", "t3", "t4", "a0", "a1", "a2", "a3", "a4", "s2", "s3")
_READ = (*_FREE, "zero", "s0", "s1", "s10", "ra")
_POINTERS = ("s0", "s1", "s4")
_FLOATS = tuple(f"fa{number}" for number in range(6))
_PLAIN = ("add", "sub", "xor", "or", "and", "sll", "srl", "sra", "slt", "sltu", "mul", "div", "rem", "divu", "mulhu")
_PLAIN_64 = ("addw", "subw", "sllw", "mulw", "divw", "remuw")
_IMMEDIATE = ("addi", "xori", "ori", "andi", "slti", "sltiu")
_LOADS = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4}
_STORES = {"sb": 1, "sh": 2, "sw": 4}
_BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")

#: numbers that floating-point units treat apart: zeros, one, infinities, NaNs of both kinds, the ends of the ranges
_SINGLES = (0, 1 << 31, 0x3F800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x7FFFFF, 0x7F7FFFFF)
_DOUBLES = (0, 1 << 63, 0x3FF << 52, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, (0x7FF << 52) + 1, 1, (1 << 52) - 1,
            (0x7FF << 52) - 1, 0x41DFFFFFFFC00000, 0x3810000000000000)  # fmt: skip


class Programs:
    """Makes random programs of a RISC-V: blocks that jump to one another until their fuel is used up, or they fault."""

    def __init__(self, random: Random, xlen: int) -> None:
        self.random = random
        self.xlen = xlen
        self.loads = dict(_LOADS) | ({"ld": 8, "lwu": 4} if xlen == 64 else {})
        self.stores = dict(_STORES) | ({"sd": 8} if xlen == 64 else {})
        self.plain = _PLAIN + (_PLAIN_64 if xlen == 64 else ())
        self.lines: list[str] = []

    def instruction(self) -> str:
        """Any but a jump."""
        random = self.random
        kind = random.random()
        rd, a, b = random.choice(_FREE), random.choice(_READ), random.choice(_READ)
        if kind < 0.35:
            return f"{random.choice(self.plain)} {rd}, {a}, {b}"
        if kind < 0.55:
            return f"{random.choice(_IMMEDIATE)} {rd}, {a}, {random.randrange(-64, 64)}"
        if kind < 0.6:
            return f"slli {rd}, {a}, {random.randrange(32)}"
        if kind < 0.63:
            pointer = random.choice(_POINTERS)
            return f"addi {pointer}, {pointer}, {random.choice((-64, -8, 8, 8, 16, 400, 1))}"
        if kind < 0.65:
            return f"andi {random.choice(_POINTERS)}, {random.choice(_POINTERS)}, -8"
        if kind < 0.85:
            pointer = random.choice(_POINTERS)
            name, size = random.choice(list((self.loads if random.random() < 0.5 else self.stores).items()))
            offset = random.randrange(-4, 24) * size + (random.random() < 0.05)
            register = random.choice(_FREE if name in self.loads else _READ)
            return f"{name} {register}, {offset}({pointer})"
        if kind < 0.87:
            return f"amoadd.w {rd}, {a}, ({random.choice(_POINTERS)})"
        if kind < 0.88:
            return random.choice((f"rdinstret {rd}", "fence rw, rw", f"csrrs {rd}, fflags, zero", f"fsflags {rd}, {a}"))
        return self.float_instruction(rd)

    def float_instruction(self, rd: str) -> str:
        random = self.random
        f, g, h, i = (random.choice(_FLOATS) for _ in range(4))
        size = random.choice("sd")
        name = random.choice(
            (
                f"fadd.{size} {f}, {g}, {h}",
                f"fmul.{size} {f}, {g}, {h}",
                f"fsub.{size} {f}, {g}, {h}",
                f"fdiv.{size} {f}, {g}, {h}",
                f"fmadd.{size} {f}, {g}, {h}, {i}",
                f"fsqrt.{size} {f}, {g}",
                f"feq.{size} {rd}, {g}, {h}",
                f"flt.{size} {rd}, {g}, {h}",
                f"fsgnjn.{size} {f}, {g}, {h}",
                f"fcvt.w.{size} {rd}, {g},rtz",
                f"fcvt.{size}.w {f}, {rd}",
                f"fmin.{size} {f}, {g}, {h}",
                f"fcvt.d.s {f}, {g}",
                f"fcvt.s.d {f}, {g}",
                f"fld {f}, {8 * random.randrange(8)}({random.choice(_POINTERS)})",
                f"fsd {f}, {8 * random.randrange(8)}({random.choice(_POINTERS)})",
            )
        )
        return name

    def block(self, number: int, count: int) -> list[str]:
        """Some instructions, then a way on."""
        random = self.random
        lines = [f"b{number}:", "addi s10, s10, -1", "blez s10, end"]
        for _ in range(random.choice((1, 3, 6, 12))):
            lines.append(self.instruction())
            if random.random() < 0.08:
                lines.append(
                    f"{random.choice(_BRANCHES)} {random.choice(_READ)}, {random.choice(_FREE)}, "
                    f"b{random.randrange(count)}"
                )
        other, third = random.randrange(count), random.randrange(count)
        kind = random.random()
        if kind < 0.3:
            lines.append(f"{random.choice(_BRANCHES)} {random.choice(_READ)}, {random.choice(_READ)}, b{other}")
        elif kind < 0.5:
            lines += ["addi s11, s11, -1", f"bgtz s11, b{number}", f"li s11, {random.randrange(1, 9)}"]
        elif kind < 0.6:
            lines.append(f"j b{other}")
        elif kind < 0.7:
            lines.append(f"jal ra, b{other}")
        elif kind < 0.78:
            lines.append("jr ra")
        elif kind < 0.9:
            lines += [f"la t5, b{other}", f"la t6, b{third}", f"beqz {random.choice(_FREE)}, .Lb{number}", "mv t5, t6"]
            lines += [f".Lb{number}:", random.choice(("jr t5", "jalr ra, 0(t5)"))]
        return lines

    def make(self) -> tuple[str, int]:
        """The text, and its number of blocks."""
        count = self.random.choice((1, 2, 4, 7))
        lines = [line for number in range(count) for line in self.block(number, count)]
        return "\n".join([*lines, "end:", "ebreak", ""]), count


class Regions:
    """Runs programs both ways."""

    def __init__(self, xlen: int, checks: str) -> None:
        self.xlen = xlen
        self.machine = RegionMachine(ROOT / "build" / f"riscv{xlen}", checks)
        self.syntax = self.machine.isa.module("syntax").SYNTAX
        self.regions = self.exits = 0

    def state(self, random: Random, places: dict[str, int], fuel: int) -> bytes:
        """Registers to begin with."""
        vcpu = self.machine.vcpu
        vcpu.reset()
        for number in range(1, 32):
            vcpu.set("X", random.choice((0, 1, random.getrandbits(self.xlen), random.getrandbits(8))), number)
            value = random.choice((random.choice(_DOUBLES), random.getrandbits(64), random.randrange(1 << 62)))
            if random.random() < 0.5:
                value = 0xFFFFFFFF_00000000 | random.choice((random.choice(_SINGLES), random.getrandbits(32)))
            vcpu.set("F", value, number)
        vcpu.set("X", places["end"], 1)
        for number in (8, 9, 20):
            vcpu.set("X", DATA + random.choice((8 * random.randrange(DATA_SIZE // 8), 64, 2048)), number)
        vcpu.set("X", fuel, 26)
        vcpu.set("X", random.randrange(1, 8), 27)
        vcpu.set("FFLAGS", random.choice((0, 0, random.getrandbits(5))))
        return bytes(vcpu.octets[GUEST_STATE:])

    def compare(self, random: Random) -> list[str]:
        """What differs between tier 0 and regions."""
        text, count = Programs(random, self.xlen).make()
        code, places = self.places(text)
        machine = self.machine
        state = self.state(random, places, random.choice((3, 30, 300)))
        data = random.randbytes(DATA_SIZE)
        budget = random.choice((1_000_000, 1_000_000, random.randrange(1, 2000)))
        machine.load(code)
        expected = self.to_the_end(state, data, budget)
        starts = [places[f"b{number}"] - CODE for number in range(count)]
        machine.load(code)
        heads = random.sample(starts, random.randrange(1, len(starts) + 1))
        for head in heads:
            others = [start for start in starts if start != head and random.random() < 0.8]
            # Blocks behind branches and jumps are known too, as they are to the engine.
            compiled = machine.compiler.compile(machine.request(code, [head, *others]))
            machine.install(compiled, CODE + head)
            self.regions += 1
        found = self.to_the_end(state, data, budget)
        differences = expected.differences(found)
        return (
            [f"{text}\nfrom {[hex(CODE + head) for head in heads]} budget {budget}: {'; '.join(differences)}"]
            if (differences)
            else []
        )

    def places(self, text: str) -> tuple[bytes, dict[str, int]]:
        """Code at CODE, and its labels."""
        image = assemble_text(self.syntax, f".globl b0\n.text\n{text}", "text", CODE)
        code = next(section.data for section in image.sections if section.address == CODE)
        return code, {symbol.name: symbol.value for symbol in image.symbols}

    def both(self, text: str, starts: tuple[str, ...], registers: dict[int, int], budget: int = SLICE) -> list[Ending]:
        """How tier 0 ends a program, and how a region of the blocks at these labels does."""
        code, places = self.places(text)
        vcpu = self.machine.vcpu
        vcpu.reset()
        for number, value in registers.items():
            vcpu.set("X", value, number)
        state = bytes(vcpu.octets[GUEST_STATE:])
        data = bytes(at * 7 & 255 for at in range(DATA_SIZE))
        endings = []
        for install in (False, True):
            self.machine.load(code)
            if install:
                request = self.machine.request(code, [places[name] - CODE for name in starts])
                self.machine.install(self.machine.compiler.compile(request), places[starts[0]])
            endings.append(self.machine.run(places[starts[0]], state, data, budget))
        return endings

    def to_the_end(self, state: bytes, data: bytes, budget: int) -> Ending:
        """Run on, a budget after the other, so that where the first ends does not tell."""
        ending = self.machine.run(CODE, state, data, budget)
        while ending.reason == Exit.BUDGET:
            ending = self.machine.run(ending.pc, ending.state, ending.memory, budget, ending.executed)
        return ending


@pytest.fixture(scope="module", params=("guard", "byte"))
def checks(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module", params=(64, 32), ids=("rv64", "rv32"))
def regions(request: pytest.FixtureRequest, checks: str) -> Iterator[Regions]:
    require_build(f"riscv{request.param}")
    made = Regions(request.param, checks)
    yield made
    made.machine.close()


def _sweep(regions: Regions, count: int, seed: str) -> list[str]:
    return [line for number in range(count) for line in regions.compare(Random(f"{seed} {regions.xlen} {number}"))]


def test_random_regions_agree(regions: Regions) -> None:
    wrong = _sweep(regions, 150, "regions")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:3]])


@pytest.mark.slow
def test_many_random_regions_agree(regions: Regions) -> None:
    wrong = _sweep(regions, 5000, "many regions")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:3]])


#: a pointer of its own for each access, so that each can be made the one that faults; `{0}` is a register's number
_ACCESSES = (
    "lb t1, 0(x{0})",
    "sh t1, 2(x{0})",
    "lw t2, 4(x{0})",
    "sb t2, 1(x{0})",
    "lhu t3, 0(x{0})",
    "sw t3, 8(x{0})",
    "flw fa0, 4(x{0})",
    "fsd fa1, 8(x{0})",
    "fld fa2, 16(x{0})",
    "amoadd.w t4, t1, (x{0})",
    "fsw fa0, 4(x{0})",
    "lr.w t4, (x{0})",
)
_FIRST = 8  # x8 and the registers after it


@pytest.mark.parametrize("turn", [0, 1, 5])
@pytest.mark.parametrize("number", range(len(_ACCESSES)))
def test_faults_are_precise(regions: Regions, number: int, turn: int) -> None:
    """Whichever access of a loop faults, in whichever turn: the pc is its own, and nothing later has happened."""
    lines = ["b0:", "addi t0, t0, 1", "fadd.d fa1, fa1, fa2"]
    for at, access in enumerate(_ACCESSES):
        lines += [f"m{at}:", access.format(_FIRST + at), f"addi x{_FIRST + at}, x{_FIRST + at}, 16", "addi t5, t5, 3"]
    text = "\n".join([*lines, "bne t0, t6, b0", "end:", "ebreak", ""])
    registers = {_FIRST + at: DATA + 256 * (at + 1) for at in range(len(_ACCESSES))} | {31: 9}
    registers[_FIRST + number] = DATA + DATA_SIZE - 16 * turn
    plain, compiled = regions.both(text, ("b0",), registers)
    assert not plain.differences(compiled)
    assert compiled.reason == Exit.EXCEPTION
    assert compiled.pc == regions.places(text)[1][f"m{number}"]


@pytest.mark.parametrize("address", [0, 1 << 31, 1 << 38, (1 << 38) - 4, 1 << 45, (1 << 63) + DATA, (1 << 64) - 8])
def test_addresses_far_away_fault(regions: Regions, address: int) -> None:
    """Nothing outside the guest's memory is touched, however the address is made."""
    text = "b0:\nadd a0, a0, a1\nsw t0, 4(a0)\nadd a2, a0, a1\nlw t1, -8(a2)\nbnez t1, b0\nebreak\n"
    for shift in (0, 2000):
        registers = {10: address & (1 << regions.xlen) - 1, 11: shift, 5: 1}
        plain, compiled = regions.both(text, ("b0",), registers)
        assert not plain.differences(compiled)
        assert compiled.reason == Exit.EXCEPTION


#: a pointer that steps through memory (up, down, far, too far, by two ways) or does not, and one that is followed
_STEPPING = {
    "up": "b0:\nlbu t1, 0(a0)\naddi a0, a0, 1\nadd t2, t2, t1\nbnez t0, b0\nebreak\n",
    "down": "b0:\nsw t0, -4(a0)\nlw t1, 0(a1)\naddi a0, a0, -8\nadd t2, t2, t1\nbnez t0, b0\nebreak\n",
    "far": "b0:\nlw t1, 8(a0)\nlui t3, 0x8000\nadd a0, a0, t3\nbnez t0, b0\nebreak\n",
    "far down": "b0:\nlw t1, 8(a0)\nlui t3, 0x8000\nsub a0, a0, t3\nbnez t0, b0\nebreak\n",
    "too far": "b0:\nlw t1, 8(a0)\nlui t3, 0x40000\nadd a0, a0, t3\nbnez t0, b0\nebreak\n",
    "two ways": "b0:\nlw t1, 0(a0)\nandi t1, t1, 4\nadd t2, t2, t1\naddi a0, a0, 4\nbeqz t1, b0\n"
    "b1:\nsh t2, 2(a0)\naddi a0, a0, 12\nbnez t0, b0\nebreak\n",
    "seldom": "b0:\naddi a0, a0, 16\nandi t1, a0, 64\nbeqz t1, b0\nb1:\nlw t2, 0(a0)\nbnez t0, b0\nebreak\n",
    "nested": "b0:\nmv a2, a0\nli t3, 5\nb1:\nlb t1, 0(a2)\nadd t2, t2, t1\nlw t4, 0(a1)\naddi a2, a2, 1\n"
    "addi t3, t3, -1\nbnez t3, b1\nb2:\naddi a0, a0, 5\nbnez t0, b0\nebreak\n",
    "not at all": "b0:\nbeqz t0, b1\nlw t1, 0(a0)\naddi a0, a0, 4\nj b0\nb1:\nebreak\n",
    "followed": "b0:\nlw t1, 0(a0)\nadd a0, a0, t1\nandi t1, t1, 8\nadd t2, t2, t1\nbnez t0, b0\nebreak\n",
}


@pytest.mark.parametrize("kind", _STEPPING)
def test_pointers_that_step_fault_where_they_leave(regions: Regions, kind: str) -> None:
    """Compared before a loop and not in it: an address is refused in the same turn, and never outside the guest's."""
    text = _STEPPING[kind]
    starts = tuple(name for name in ("b0", "b1", "b2") if f"{name}:" in text)
    near = (DATA, DATA + 1024, DATA + DATA_SIZE - 8, DATA + DATA_SIZE, DATA - 4096)
    for address in (*near, 0, 1 << 31, (1 << 38) - 4, 1 << 38, 1 << 45, (1 << 63) + DATA, (1 << 64) - 8):
        for going_on in (1, 0):
            registers = {10: address & (1 << regions.xlen) - 1, 11: DATA + 64, 5: going_on}
            plain, compiled = regions.both(text, starts, registers)
            assert not plain.differences(compiled)
            assert compiled.reason == Exit.EXCEPTION


@pytest.mark.parametrize(
    ("kind", "before", "inside"),
    [("up", 1, 0), ("down", 2, 0), ("far", 1, 0), ("too far", 0, 1), ("two ways", 1, 0), ("followed", 0, 1)],
)
def test_loops_compare_addresses_before_they_begin(kind: str, before: int, inside: int) -> None:
    require_build("riscv64")
    made = Regions(64, "guard")
    code, places = made.places(_STEPPING[kind])
    starts = [places[name] - CODE for name in ("b0", "b1") if name in places]
    function = made.machine.compiler.compile(made.machine.request(code, starts)).optimized
    made.machine.close()
    assert function is not None
    assert sum(op.name == "ult" and op.args[0] == LAST_ADDRESS for op in function.ops) == before
    assert sum(root is not None for root in plan_guards(function).checks.values()) == inside


_NESTED = """
b0: addi t1, t1, 1
    li t2, 3
b1: add t3, t3, t2
    addi t2, t2, -1
    bnez t2, b1
b2: bne t1, t0, b0
    ebreak
"""


def test_budgets_end_alike(regions: Regions) -> None:
    """Whatever the budget, both execute the same instructions before and after it is used up; none is counted twice."""
    for budget in (*range(1, 70), 200):
        plain, compiled = regions.both(_NESTED, ("b0", "b1", "b2"), {5: 12}, budget)
        if plain.reason == Exit.EXCEPTION:
            assert not plain.differences(compiled)
        else:
            assert compiled.reason == Exit.BUDGET
            # Tier 0 looks at the budget where its blocks end, and where they begin depends on where a region was left.
            assert budget < compiled.executed <= budget + 8
            assert budget < plain.executed <= budget + 8


_CALLS = """
b0: jal ra, f
b1: jal ra, f
b2: la t4, f
    jalr ra, 0(t4)
b3: addi t0, t0, -1
    bnez t0, b0
    ebreak
f:  add t1, t1, ra
    addi t2, t2, 1
    jr ra
"""


@pytest.mark.parametrize(
    "starts", [("b0", "b1", "b2", "b3", "f"), ("f", "b1", "b0", "b3"), ("b0", "f"), ("b3", "f", "b1")]
)
def test_calls_return(regions: Regions, starts: tuple[str, ...]) -> None:
    """To return sites inside the region and outside it."""
    places = regions.places(_CALLS)[1]
    plain, compiled = regions.both(_CALLS, starts, {5: 20, 1: places["b2"]})
    assert plain.reason == Exit.EXCEPTION
    assert not plain.differences(compiled)
    assert compiled.executed > 100


_FLAGS = """
b0: fdiv.d fa0, fa1, fa2
    feq.d t1, fa0, fa0
    frflags t2
    fsflags zero
    fadd.d fa3, fa3, fa0
    fmadd.d fa4, fa1, fa2, fa3
    addi t0, t0, -1
    bnez t0, b0
    ebreak
"""


@pytest.mark.parametrize("value", [0, 0x3FF0000000000000, 0x7FF0000000000001, 0x7FEFFFFFFFFFFFFF, 1])
def test_float_flags_are_exact(regions: Regions, value: int) -> None:
    """Inexact, overflow, division by zero, invalid: raised, read and cleared where the program does."""
    vcpu = regions.machine.vcpu
    data = DATA + 64
    setup = f"s: li a0, {data}\nfld fa1, 0(a0)\nfld fa2, 8(a0)\nfld fa3, 16(a0)\n"
    code, places = regions.places(setup + _FLAGS)
    words = struct.pack("<3Q", 0x3FF5555555555555, value, 0x7FEFFFFFFFFFFFFF)
    memory = bytes(64) + words + bytes(DATA_SIZE - 64 - len(words))
    vcpu.reset()
    vcpu.set("X", 6, 5)
    state = bytes(vcpu.octets[GUEST_STATE:])
    endings = []
    for install in (False, True):
        regions.machine.load(code)
        if install:
            request = regions.machine.request(code, [places["b0"] - CODE])
            regions.machine.install(regions.machine.compiler.compile(request), places["b0"])
        endings.append(regions.machine.run(places["s"], state, memory))
    assert not endings[0].differences(endings[1])
    assert endings[1].reason == Exit.EXCEPTION


def test_a_wrong_region_is_noticed(regions: Regions) -> None:
    """The control: a region of other code at the same place."""
    good, bad = "b0: addi t1, t1, 1\nbne t1, t0, b0\nebreak\n", "b0: addi t1, t1, 2\nbne t1, t0, b0\nebreak\n"
    code, other = regions.places(good)[0], regions.places(bad)[0]
    vcpu = regions.machine.vcpu
    vcpu.reset()
    vcpu.set("X", 1000, 5)
    state = bytes(vcpu.octets[GUEST_STATE:])
    regions.machine.load(code)
    plain = regions.machine.run(CODE, state, bytes(DATA_SIZE))
    regions.machine.load(code)
    regions.machine.install(regions.machine.compiler.compile(regions.machine.request(other, [0])), CODE)
    wrong = regions.machine.run(CODE, state, bytes(DATA_SIZE))
    assert any(line.startswith("executed") for line in plain.differences(wrong))
