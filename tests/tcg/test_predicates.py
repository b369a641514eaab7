"""Instructions under conditions: in tier 0 each has a guard record before it; whatever happens is a model's doing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gen import emit
from gen.elaborate import check
from runtime.core.cpu import Isa, load_isa
from runtime.core.env import PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec

#: always, zero, not zero, and by a mode that lasts for one instruction: never
SPEC = """isa guarded
pc     PC : bits(32)
regs   X[8] : bits(32)
reg    Z : bit
mode   BLOCK : bit
mode   SKIP : bit next 0
memory M : bits(32)  endian little
exception Illegal = 0, Fault = 1
on badaddr(acc : bits(2), va : bits(32)) : raise Fault(va)
decode S : 16 little  predicate not SKIP and (c == 0 or (if c == 1 then Z else not Z))  where c != 3
field  c : 2
insn add  "000 c d:3 s:3 k:5" "add {c} {d} {s} {k}"
    X[d] = X[s] + zext(k)
    Z = X[d][1:0] == 0
insn load "001 c d:3 s:3 00000" "load {c} {d} {s}" : X[d] = M[X[s], 32]
insn go   "010 c 000000 k:5" "go {c} {k}" : goto PC + zext(k ++ 0b0)
insn back "011 c 0 r:3 k:7" "back {c} {r} {k}" : if X[r] != 0: goto PC - zext(k ++ 0b0)
insn jump "100 c r:3 00000000" "jump {c} {r}" : goto X[r]
insn skip "101 00 00000000000" "skip" : SKIP = 1
insn mark "110 c 00000000000" "mark {c}" : BLOCK = 1
insn less "111 c d:3 00000000" "less {c} {d}" : X[d] = X[d] - 1
"""
ADD, LOAD, GO, BACK, JUMP, SKIP, MARK, LESS = range(8)
CODE, SIZE = 0x10000, 0x4000


@pytest.fixture(scope="module")
def isa(tmp_path_factory: pytest.TempPathFactory) -> Isa:
    """The machine, whose instructions have guard records."""
    folder = tmp_path_factory.mktemp("guarded")
    path = folder / "guarded.isa"
    path.write_text(SPEC)
    report = emit.generate(check(path, (folder,), {}), folder / "build")
    assert report.counts["guards"] > 3
    return load_isa(folder / "build")


@dataclass
class Model:
    words: list[int]
    registers: list[int] = field(default_factory=lambda: [0] * 8)
    pc: int = CODE
    zero: bool = False
    skip: bool = False
    block: bool = False

    def step(self) -> bool:
        """False, and nothing done, if it faults."""
        word = self.words[(self.pc - CODE) // 2]
        kind, condition = word >> 13, word >> 11 & 3
        one, other, number = word >> 8 & 7, word >> 5 & 7, word & 31
        holds = not self.skip and (True, self.zero, not self.zero)[condition]
        target = self.pc + 2
        if holds and kind == LOAD:
            return False
        self.skip = False
        if holds and kind == ADD:
            self.registers[one] = self.registers[other] + number & 0xFFFFFFFF
            self.zero = self.registers[one] & 3 == 0
        elif holds and kind == GO:
            target = self.pc + 2 * number
        elif holds and kind == BACK and self.registers[word >> 7 & 7]:
            target = self.pc - 2 * (word & 127)
        elif holds and kind == JUMP:
            target = self.registers[one]
        elif kind == SKIP:  # without a condition
            self.skip = True
        elif holds and kind == MARK:
            self.block = True
        elif holds and kind == LESS:
            self.registers[one] = self.registers[one] - 1 & 0xFFFFFFFF
        self.pc = target
        return True


def program(chance: random.Random) -> list[int]:
    """Forward jumps of all kinds in a loop that ends; r6 counts, r7 is the way out, r5 a place no load may go."""
    length = chance.randrange(8, 50)
    words = []
    for at in range(length):
        kind = chance.choice((ADD, ADD, ADD, GO, LOAD, SKIP, MARK, JUMP, ADD))
        word = kind << 13 | chance.randrange(3) << 11
        if kind == ADD:
            word |= chance.randrange(5) << 8 | chance.randrange(5) << 5 | chance.randrange(4)
        elif kind == GO:
            word |= chance.randrange(1, min(31, length - at + 1))
        elif kind == LOAD:  # hardly ever taken, but then it faults
            word |= 1 << 8 | 5 << 5 if chance.random() < 0.1 else 0
            word &= ~(7 << 13) if not word & 7 << 5 else word
        elif kind == JUMP:
            word |= 7 << 8
        elif kind == SKIP:
            word = SKIP << 13
        words.append(word)
    return [*words, LESS << 13 | 6 << 8, BACK << 13 | 6 << 7 | (length + 1)]


def run(isa: Isa, words: list[int], pieces: Iterator[int], registers: list[int]) -> Iterator[TcgVcpu]:
    memory = GuestMemory(32)
    memory.map(CODE, SIZE, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    memory.write(CODE, b"".join(word.to_bytes(2, "little") for word in words))
    tcg = Tcg(isa, memory)
    vcpu = TcgVcpu(tcg)
    vcpu.pc = CODE
    for number, value in enumerate(registers):
        vcpu.set("X", value, number)
    try:
        for piece in pieces:
            vcpu.reason = cpu_exec(vcpu, piece)
            yield vcpu
    finally:
        vcpu.close()
        tcg.close()
        memory.close()


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(isa: Isa, seed: int) -> None:
    """As a whole, one by one, and in pieces: the model's registers, pc and modes, up to a fault if there is one."""
    chance = random.Random(seed)
    words = program(chance)
    end = CODE + 2 * len(words)
    start = [0, 0, 0, 0, 0, 0x900000, 20, CODE + 2 * (len(words) - 2)]
    model = Model(words, list(start))
    trace = [(model.pc, list(model.registers), model.zero, model.skip, model.block)]
    fault = False
    while model.pc != end and not fault:
        fault = not model.step()
        trace.append((model.pc, list(model.registers), model.zero, model.skip, model.block))
    count = len(trace) - 1 - fault
    for size in (count, 1, 0):
        done = 0
        sizes = []
        while done < count:
            sizes.append(min(count - done, size or chance.randrange(1, 30)))
            done += sizes[-1]
        done = 0
        for piece, vcpu in zip(sizes, run(isa, words, iter(sizes), start), strict=True):
            done += piece
            found = [vcpu.get("X", number) for number in range(8)]
            state = vcpu.pc, found, bool(vcpu.get("Z")), bool(vcpu.get_mode("SKIP")), bool(vcpu.get_mode("BLOCK"))
            assert state == trace[done], (size, done)
    if fault:
        for vcpu in run(isa, words, iter([count + 5]), start):
            assert vcpu.reason == Exit.EXCEPTION
            assert (vcpu.pc, [vcpu.get("X", number) for number in range(8)]) == trace[count][:2]


def test_some_programs_fault_and_some_do_not() -> None:
    kinds = {any(word >> 13 == LOAD for word in program(random.Random(seed))) for seed in range(40)}
    assert kinds == {False, True}
