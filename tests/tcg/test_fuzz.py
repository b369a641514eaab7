"""Random toy programs that overwrite themselves, in caches of all sizes, against a model in Python."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from runtime.core.env import Exit
from runtime.tcg.loop import cpu_exec
from tests.tcg.conftest import CODE, DATA, Machine
from tests.tcg.test_cache import check_consistency
from tests.tcg.toy import ADDI, BNEZ, JMP, JR, LD, LI, MODE, NOP2, SHL, ST, TRAP_OP, WAIT, insn

Make = Callable[..., Machine]
SIZE = 3 << 12
MASK = (1 << 64) - 1


class Model:
    """The toy machine one instruction at a time."""

    def __init__(self, code: bytes) -> None:
        self.memory = bytearray(code)
        self.registers = [0] * 8
        self.pc = CODE
        self.double = 0
        self.executed = 0

    def step(self) -> bool:
        """Run one instruction; False when it traps, waits, or goes where nothing is."""
        at = self.pc - CODE
        if not 0 <= at <= SIZE - 4:
            return False
        opcode, a, imm = struct.unpack_from("<BBh", self.memory, at)
        r, a = self.registers, a & 7
        following = self.pc + 4
        if opcode >= 0x80:
            following = self.pc + 2
        elif opcode == ADDI:
            r[a] = r[a] + (imm << self.double) & MASK
        elif opcode == LI:
            r[a] = imm & MASK
        elif opcode == SHL:
            r[a] = r[a] << (imm & 63) & MASK
        elif opcode == BNEZ:
            following = self.pc + 2 * imm if r[a] else following
        elif opcode == JMP:
            following = self.pc + 2 * imm
        elif opcode == JR:
            following = r[a]
        elif opcode == MODE:
            self.double = imm & 1
        elif opcode in (LD, ST):
            place, size = (r[7] + imm & MASK) - CODE, 8 if opcode == LD else 4
            if not 0 <= place <= SIZE - size:
                return False
            if opcode == LD:
                r[a] = int.from_bytes(self.memory[place : place + 8], "little")
            else:
                self.memory[place : place + 4] = (r[a] & 0xFFFFFFFF).to_bytes(4, "little")
        elif opcode != WAIT:
            return False
        self.pc = following
        self.executed += 1
        waits: bool = opcode == WAIT
        return not waits


def random_program(rng: random.Random) -> bytes:
    """Mostly harmless instructions; jumps stay near, stores hit anywhere in the program."""
    code = bytearray()
    while len(code) < SIZE - 8:
        kind = rng.random()
        a = rng.randrange(7)
        if kind < 0.35:
            code += insn(ADDI, a, rng.randrange(-50, 50))
        elif kind < 0.45:
            code += NOP2
        elif kind < 0.52:
            code += insn(LI, a, rng.randrange(-3, 3))
        elif kind < 0.70:
            code += insn(BNEZ, a, rng.choice([-2, -1, 1]) * rng.randrange(40) * 2 - 2 * rng.randrange(2))
        elif kind < 0.78:
            code += insn(JMP, 0, rng.randrange(4, 400))
        elif kind < 0.84:
            code += insn(LD, a, rng.randrange(SIZE - 8))
        elif kind < 0.95:
            # Copy an instruction over another.
            near = len(code) + 8 + rng.randrange(60)
            target = near if rng.random() < 0.5 else rng.randrange(SIZE)
            code += insn(LD, a, rng.randrange(SIZE - 8)) + insn(ST, a, min(target, SIZE - 8))
        elif kind < 0.98:
            code += insn(MODE, 0, rng.randrange(2))
        else:
            # R[a] = an address in the program
            code += insn(LI, a, CODE >> 8) + insn(SHL, a, 8) + insn(ADDI, a, rng.randrange(SIZE) & ~1) + insn(JR, a)
    return bytes(code[: SIZE - 8]) + insn(TRAP_OP) + insn(TRAP_OP)


@pytest.mark.parametrize("seed", range(60))
def test_random_self_modifying_programs(machine: Make, seed: int) -> None:
    rng = random.Random(seed)
    program = random_program(rng)
    m = machine(program, rng.choice([4 << 10, 16 << 10, 64 << 10, 1 << 20]), rng.choice([1, 2, 4]))
    model = Model(program)
    model.registers = [rng.randrange(-2, 300) & MASK for _ in range(7)] + [CODE]
    for index, value in enumerate(model.registers):
        m.cpu.set("R", value, index)
    total = 0
    while total < 30_000:
        count = rng.choice([1, 2, 50, 500, 5000])
        reason = cpu_exec(m.cpu, count)
        stopped = False
        for _ in range(count):
            if not model.step():
                stopped = True
                break
        assert (reason is not Exit.BUDGET) == stopped
        assert (m.cpu.pc, m.cpu.executed) == (model.pc, model.executed)
        assert [m.register(index) for index in range(8)] == model.registers
        total += count
        if stopped:
            # Go on somewhere else.
            model.pc = m.cpu.pc = CODE + rng.randrange(SIZE - 64) & ~1
            continue
        if rng.random() < 0.2:
            place = rng.randrange(SIZE - 4)
            word = rng.choice([insn(ADDI, 0, 1), insn(TRAP_OP), NOP2 * 2, insn(BNEZ, 1, -20)])
            m.memory.write(CODE + place, word)
            model.memory[place : place + 4] = word
        if rng.random() < 0.05:
            m.cache.flush_all()
    assert bytes(m.memory.read(CODE, SIZE)) == bytes(model.memory)
    assert DATA > CODE + SIZE
    check_consistency(m.cache)
