"""Delay slots: branches and what follows them, at once, cut short anywhere, with faults, against a model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from runtime.core.cpu import Vcpu, load_isa
from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.tcg.loop import Tcg, TcgVcpu, cpu_exec
from runtime.tcg.tier_options import TierOptions
from tests.tools import require_build

CODE, SIZE = 0x10000, 0x4000
NPC = ENV["npc"] // 8
ADDIU, BEQ, BNE, BEQL, BNEL = 9, 4, 5, 20, 21
#: registers that programs count in; others hold zero, or the link
COUNTERS = range(8, 16)


def addiu(target: int, source: int, number: int) -> int:
    return ADDIU << 26 | source << 21 | target << 16 | number & 0xFFFF


def branch(operation: int, one: int, other: int, words: int) -> int:
    """To `words` behind the delay slot's start."""
    return operation << 26 | one << 21 | other << 16 | words & 0xFFFF


def jump_register(register: int) -> int:
    return register << 21 | 8


def load(target: int, base: int) -> int:
    return 35 << 26 | base << 21 | target << 16


@dataclass
class Model:
    """What these instructions do, said once more and otherwise."""

    words: list[int]
    registers: list[int] = field(default_factory=lambda: [0] * 32)
    pc: int = CODE
    after: int = CODE + 4  # the pc behind the next instruction

    def step(self) -> None:
        word = self.words[(self.pc - CODE) // 4]
        operation, one, other, number = word >> 26, word >> 21 & 31, word >> 16 & 31, word & 0xFFFF
        self.pc, self.after = self.after, self.after + 4
        if operation == ADDIU:
            if other:
                self.registers[other] = self.registers[one] + (number ^ 0x8000) - 0x8000 & 0xFFFFFFFF
        elif operation == 0 and word & 63 == 8:
            self.after = self.registers[one]
        else:
            equal = self.registers[one] == self.registers[other]
            if equal == (operation in (BEQ, BEQL)):
                self.after = self.pc + 4 * ((number ^ 0x8000) - 0x8000)
            elif operation in (BEQL, BNEL):
                self.pc, self.after = self.pc + 4, self.after + 4


@contextmanager
def machine(words: list[int], at: int = CODE, tier: TierOptions | None = None) -> Iterator[TcgVcpu]:
    """A vCPU that finds these words at `at`, and its pc there."""
    isa = load_isa(require_build("mips"))
    memory = GuestMemory(32)
    memory.map(CODE, SIZE, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    memory.write(at, b"".join(word.to_bytes(4, "big") for word in words))
    tcg = Tcg(isa, memory) if tier is None else Tcg(isa, memory, tier=tier)
    vcpu = TcgVcpu(tcg)
    vcpu.pc = at
    try:
        yield vcpu
    finally:
        vcpu.close()
        tcg.close()
        memory.close()


def registers(vcpu: Vcpu) -> list[int]:
    return [vcpu.get("R", number) for number in range(32)]


def program(chance: random.Random) -> list[int]:
    """Branches forwards and a loop around them; no branch stands in another's slot."""
    length = chance.randrange(10, 60)
    words: list[int] = []
    slot = False
    while len(words) < length:
        if slot or chance.random() < 0.6 or length - len(words) < 4:
            words.append(addiu(chance.choice(COUNTERS), chance.choice((0, *COUNTERS)), chance.randrange(-3, 4)))
            slot = False
            continue
        far = chance.randrange(1, length - len(words))
        operation = chance.choice((BEQ, BNE, BEQL, BNEL))
        words.append(branch(operation, chance.choice((0, *COUNTERS)), chance.choice((0, *COUNTERS)), far))
        slot = True
    # Thirty times, counted in a register that nothing else writes.
    words.append(addiu(2, 2, 1))
    words.append(addiu(3, 0, 30))
    words.append(branch(BNE, 2, 3, -(len(words) + 1)))
    words.append(addiu(4, 4, 1))
    return words


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    """At once, instruction by instruction, and in pieces of random size: the model's registers and the model's pc."""
    chance = random.Random(seed)
    words = program(chance)
    end = CODE + 4 * len(words)
    model = Model(words)
    trace = [(model.pc, list(model.registers))]
    while model.pc != end and len(trace) < 5000:
        model.step()
        trace.append((model.pc, list(model.registers)))
    count = len(trace) - 1
    for pieces in ([count], [1] * count, None):
        with machine(words) as vcpu:
            done = 0
            while done < count:
                piece = chance.randrange(1, 90) if pieces is None else pieces.pop()
                piece = min(piece, count - done)
                assert cpu_exec(vcpu, piece) is Exit.BUDGET
                done += piece
                assert (vcpu.pc, registers(vcpu)) == trace[done], (done, piece)
            assert vcpu.executed == count


@pytest.mark.parametrize("seed", range(6))
def test_compiled_regions(seed: int) -> None:
    """Hot loops over branches are compiled, and do the same."""
    words = program(random.Random(seed))
    words[-4:-2] = [addiu(2, 2, 1), addiu(3, 0, 30000)]
    end = CODE + 4 * len(words)
    model = Model(words)
    count = 0
    while model.pc != end:
        model.step()
        count += 1
    with machine([*words, 0x0000000D], tier=TierOptions(threshold=200, workers=0)) as vcpu:
        while cpu_exec(vcpu) is not Exit.EXCEPTION:
            pass
        assert (vcpu.pc, registers(vcpu), vcpu.executed) == (end, model.registers, count)
        tier = vcpu.tcg.cache.tier
        assert tier is not None


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("at", [CODE, CODE + 0xFFC, CODE + 0xFF8])
def test_a_branch_at_the_end_of_a_page(at: int, taken: bool) -> None:
    """The slot begins the next page, so a block of its own; what the branch decided is not lost."""
    words = [branch(BEQ, 0, 0 if taken else 8, 2), addiu(9, 9, 5), 0x0000000D, 0x0000000D]
    with machine(words, at) as vcpu:
        vcpu.set("R", 1, 8)
        for _ in range(2):
            vcpu.pc = at
            assert cpu_exec(vcpu) is Exit.EXCEPTION
            assert vcpu.pc == at + (12 if taken else 8)
            assert vcpu.get_mode("SLOT") == 0
        assert vcpu.get("R", 9) == 10


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(("operation", "target"), [(BEQ, CODE + 4 + 4 * 5), (BNE, None)])
def test_a_fault_in_a_slot(operation: int, target: int | None, single: bool) -> None:
    """State as the spec has it: the pc is the slot's, SLOT is set, and it is known where the branch goes."""
    with machine([addiu(8, 8, 1), branch(operation, 9, 9, 5), load(10, 11)]) as vcpu:
        vcpu.set("R", 3, 11)
        for _ in range(2):
            reason = Exit.BUDGET
            while reason is Exit.BUDGET:
                reason = cpu_exec(vcpu, 1) if single else cpu_exec(vcpu)
            assert reason is Exit.EXCEPTION
            assert vcpu.layout.exception_name(vcpu.exception) == "LoadAddress"
            assert vcpu.arguments[0] == 3
            assert (vcpu.pc, vcpu.get_mode("SLOT")) == (CODE + 8, 1)
            assert vcpu.words[NPC] == ((1 << 64) - 1 if target is None else target + 4)
            assert vcpu.get("R", 10) == 0
            # The branch is done again, as after an interrupt.
            vcpu.back_to_branch()
            assert (vcpu.pc, vcpu.get_mode("SLOT")) == (CODE + 4, 0)
        vcpu.set("R", CODE, 11)
        assert cpu_exec(vcpu, 2) is Exit.BUDGET
        assert vcpu.pc == (CODE + 12 if target is None else target + 4)
        assert vcpu.executed == 1 + 1 + 1 + 2


def test_what_comes_after_a_system_call_in_a_slot() -> None:
    with machine([branch(BEQ, 0, 0, 4), 0x0000000C]) as vcpu:
        assert cpu_exec(vcpu) is Exit.EXCEPTION
        assert vcpu.layout.exception_name(vcpu.exception) == "Syscall"
        vcpu.go_on_behind(4)
        assert (vcpu.pc, vcpu.get_mode("SLOT")) == (CODE + 20, 0)


def test_a_jump_through_a_register() -> None:
    """Its target is read before the slot, which may change the register."""
    words = [addiu(8, 0, 0x40), jump_register(9), addiu(9, 9, 100)]
    with machine(words) as vcpu:
        vcpu.set("R", CODE + 0x20, 9)
        assert cpu_exec(vcpu, 3) is Exit.BUDGET
        assert (vcpu.pc, vcpu.get("R", 9)) == (CODE + 0x20, CODE + 0x20 + 100)
