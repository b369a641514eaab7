"""Regions of an ISA with delay slots and aligned accesses against tier 0: random programs, and loops over addresses."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from runtime.core.env import ENV, GUEST_STATE, Exit
from runtime.syntax.assemble import assemble_text
from runtime.tcg.region_compiler import CompiledRegion
from tests.conftest import ROOT
from tests.tcg.regions import CODE, DATA, DATA_SIZE, Ending, RegionMachine
from tests.tools import require_build

_FREE = ("t0", "t1", "t2", "t3", "v0", "v1")
_READ = (*_FREE, "zero", "s0", "s3", "ra")
_POINTERS = ("s0", "s1", "s2")
_PLAIN = ("addu", "subu", "xor", "or", "and", "nor", "slt", "sltu", "sllv", "srav", "movz", "movn", "mul")
_IMMEDIATE = ("addiu", "slti", "sltiu")
_ACCESSES = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4, "sb": 1, "sh": 2, "sw": 4, "lwl": 1, "lwr": 1, "swl": 1}
_NUMBERS = {"v0": 2, "v1": 3, "t0": 8, "t1": 9, "t2": 10, "t3": 11} | {f"s{number}": 16 + number for number in range(8)}


class _Machine:
    """Runs programs both ways."""

    def __init__(self, checks: str) -> None:
        self.machine = RegionMachine(ROOT / "build" / "mips", checks)
        self.syntax = self.machine.isa.module("syntax").SYNTAX

    def places(self, text: str) -> tuple[bytes, dict[str, int]]:
        image = assemble_text(self.syntax, f".globl b0\n.text\n{text}", "text", CODE)
        code = next(section.data for section in image.sections if section.address == CODE)
        return code, {symbol.name: symbol.value for symbol in image.symbols}

    def state(self, registers: dict[str, int]) -> bytes:
        vcpu = self.machine.vcpu
        vcpu.reset()
        for name, value in registers.items():
            vcpu.set("R", value, _NUMBERS[name])
        return bytes(vcpu.octets[GUEST_STATE:])

    def run(self, state: bytes, data: bytes, budget: int) -> tuple[Ending, int, int]:
        """To the end; whether that is in a slot, and where the branch before it goes."""
        machine = self.machine
        ending = machine.run(CODE, state, data, budget)
        while ending.reason == Exit.BUDGET:
            ending = machine.run(ending.pc, ending.state, ending.memory, budget, ending.executed)
        slot = machine.vcpu.get_mode("SLOT")
        return ending, slot, machine.vcpu.words[ENV["npc"] // 8] if slot else 0

    def both(
        self, text: str, heads: list[list[str]], registers: dict[str, int], data: bytes, budget: int
    ) -> tuple[list[tuple[Ending, int, int]], list[CompiledRegion]]:
        """How tier 0 ends a program, and how it ends with regions of the blocks at these labels; the regions."""
        code, places = self.places(text)
        state = self.state(registers)
        machine = self.machine
        machine.load(code)
        endings = [self.run(state, data, budget)]
        machine.load(code)
        made = []
        for names in heads:
            starts = [places[name] - CODE for name in names]
            made.append(machine.compiler.compile(machine.request(code, starts)))
            machine.install(made[-1], CODE + starts[0])
        endings.append(self.run(state, data, budget))
        return endings, made


@pytest.fixture(scope="module", params=("guard", "byte"))
def mips(request: pytest.FixtureRequest) -> Iterator[_Machine]:
    require_build("mips")
    made = _Machine(request.param)
    yield made
    made.machine.close()


def _instruction(random: Random) -> str:
    kind = random.random()
    to, one, other = random.choice(_FREE), random.choice(_READ), random.choice(_READ)
    if kind < 0.35:
        return f"{random.choice(_PLAIN)} {to},{one},{other}"
    if kind < 0.5:
        return f"{random.choice(_IMMEDIATE)} {to},{one},{random.randrange(-9, 9)}"
    if kind < 0.65:
        pointer = random.choice(_POINTERS)
        return f"addiu {pointer},{pointer},{random.choice((4, 4, 8, -4, -16, 400, 2, 1))}"
    name, size = random.choice(list(_ACCESSES.items()))
    offset = random.randrange(-4, 24) * size + (random.random() < 0.02)
    return f"{name} {random.choice(_FREE if name[0] == 'l' else _READ)},{offset}({random.choice(_POINTERS)})"


def _block(random: Random, number: int, count: int) -> list[str]:
    lines = [f"b{number}:", "addiu s6,s6,-1", "blez s6,end", "nop"]
    lines += [_instruction(random) for _ in range(random.choice((0, 2, 5, 9)))]
    other = f"b{random.randrange(count)}"
    one, two = random.choice(_READ), random.choice(_READ)
    likely = random.choice(("", "l"))
    kind = random.random()
    if kind < 0.3:
        lines.append(f"{random.choice(('beq', 'bne'))}{likely} {one},{two},{other}")
    elif kind < 0.45:
        lines.append(f"{random.choice(('blez', 'bgtz', 'bltz', 'bgez'))}{likely} {one},{other}")
    elif kind < 0.7:
        test, sense = random.choice((("slt", "bne"), ("slt", "beq"), ("sltu", "bne")))
        lines += [f"{test} t0,{one},{two}", f"{sense}{likely} t0,zero,{other}"]
    elif kind < 0.85:
        lines += ["addiu s7,s7,-1", f"bgtz s7,b{number}"]
    elif kind < 0.92:
        lines.append(f"bal {other}")
    else:
        lines.append("jr ra")
    return [*lines, _instruction(random)]


def test_random_regions_agree(mips: _Machine) -> None:
    wrong = []
    for seed in range(150):
        random = Random(f"delayed {seed}")
        count = random.choice((1, 2, 4, 6))
        text = "\n".join([*(line for at in range(count) for line in _block(random, at, count)), "end:", "break", ""])
        registers = {name: random.choice((0, 1, random.getrandbits(32), random.getrandbits(4))) for name in _FREE}
        for name in _POINTERS:
            registers[name] = DATA + random.choice((4 * random.randrange(DATA_SIZE // 4), 64, 2048, 2046))
        registers |= {"s6": random.choice((3, 30, 300)), "s7": random.randrange(1, 20)}
        names = [f"b{at}" for at in range(count)]
        heads = []
        for head in random.sample(names, random.randrange(1, count + 1)):
            heads.append([head, *(name for name in names if name != head and random.random() < 0.8)])
        budget = random.choice((1_000_000, random.randrange(1, 900)))
        (plain, found), _ = mips.both(text, heads, registers, random.randbytes(DATA_SIZE), budget)
        differences = plain[0].differences(found[0])
        if differences or plain[1:] != found[1:]:
            wrong.append(f"{text}\n{seed} from {heads}: {differences} {plain[1:]} {found[1:]}")
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:2]])


_SUM = """
b0: addiu s2,s2,-1
b1: lw t1,0(s0)
    addiu s0,s0,{step}
    lh t2,2(s1)
    addu v0,v0,t1
    slt t0,zero,s2
    bne t0,zero,b0
    addu v0,v0,t2
    break
"""


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (0, DATA_SIZE - 2)])
@pytest.mark.parametrize("step", [4, 8, 2, -4])
def test_loops_over_addresses(mips: _Machine, first: int, second: int, step: int) -> None:
    """Aligned, not aligned at once or from some turn on, or at the memory's end."""
    registers = {"s0": DATA + 400 + first, "s1": DATA + second, "s2": 30}
    data = bytes(at * 7 & 255 for at in range(DATA_SIZE))
    (plain, found), _ = mips.both(_SUM.format(step=step), [["b0"]], registers, data, 1_000_000)
    assert not plain[0].differences(found[0])
    assert plain[1:] == found[1:]


def test_a_loop_asks_once_whether_addresses_are_aligned(mips: _Machine) -> None:
    """Where it is entered; and nothing is left to do of the comparison but its branch."""
    compiled = mips.both(_SUM.format(step=4), [["b0"]], {"s0": DATA, "s1": DATA, "s2": 3}, bytes(DATA_SIZE), 1000)[1][0]
    assert compiled.optimized is not None
    ops = compiled.optimized.ops
    names = [op.name for op in ops]
    labels = {op.labels[0]: at for at, op in enumerate(ops) if op.name == "label"}
    loads = [at for at, op in enumerate(ops) if op.name == "ld_mem"]
    head = max(labels[op.labels[0]] for at, op in enumerate(ops) if op.name == "br" and labels[op.labels[0]] < loads[0])
    assert names[:head].count("slice") == 2
    assert "slice" not in names[head : loads[-1]]
    assert "zext" not in names[head : loads[-1]]
