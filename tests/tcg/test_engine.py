"""The native engine on the toy machine: look-up, chaining, faults, budgets, flags."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.core.env import ENV, PAGE_EXEC, PAGE_READ, PAGE_WRITE, Exit
from runtime.tcg.loop import cpu_exec
from runtime.tcg.tb import TB_MAX_INSTRUCTIONS
from tests.tcg.conftest import CODE, DATA, Machine
from tests.tcg.toy import (
    ADDI,
    BAD_ADDRESS,
    BNEZ,
    ILLEGAL,
    JMP,
    JR,
    LD,
    LI,
    MODE,
    NOP2,
    SHL,
    ST,
    TRAP,
    TRAP_OP,
    WAIT,
    insn,
)

Make = Callable[..., Machine]


def loop(count: int, body: bytes = b"") -> bytes:
    """R[1] counts `count` rounds of `body`; then a trap."""
    start = insn(LI, 1, count)
    inside = body + insn(ADDI, 1, -1)
    return start + inside + insn(BNEZ, 1, -(len(inside) // 2)) + insn(TRAP_OP)


def test_runs_to_a_trap(machine: Make) -> None:
    m = machine(insn(LI, 0, 5) + insn(ADDI, 0, -7) + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.cpu.pc == CODE + 8
    assert m.register(0) == (1 << 64) - 2
    assert m.cpu.executed == 2


def test_loop_is_chained(machine: Make) -> None:
    m = machine(loop(30_000, insn(ADDI, 2, 3)))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(2) == 90_000
    assert m.cpu.executed == 1 + 3 * 30_000
    statistics = m.cache.statistics()
    # The first block falls into the loop without a jump, so the loop's body is translated twice; then the trap's.
    assert statistics["generated"] == 3
    assert statistics["linked"] == 3
    assert statistics["slow_lookups"] <= 4


def test_goto_ptr_goes_through_the_jump_cache(machine: Make) -> None:
    call = insn(LI, 3, CODE >> 4) + insn(SHL, 3, 4) + insn(ADDI, 3, 64) + insn(JR, 3)
    back = insn(ADDI, 4, 1) + insn(ADDI, 1, -1) + insn(BNEZ, 1, -(6 + 32 + 2)) + insn(TRAP_OP)
    m = machine((call + bytes(64 - len(call))) + back)
    # back is at 64: the branch at 72 goes to CODE
    m.memory.write(CODE + 72, insn(BNEZ, 1, -36))
    m.cpu.set("R", 1000, 1)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.register(4) == 1000
    assert m.cache.statistics()["slow_lookups"] < 10


def test_illegal_instruction(machine: Make) -> None:
    m = machine(insn(ADDI, 0, 1) + insn(0))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert (m.cpu.exception, m.cpu.pc, m.cpu.executed) == (ILLEGAL, CODE + 4, 1)


def test_wait(machine: Make) -> None:
    m = machine(insn(WAIT) + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.WAIT
    assert m.cpu.pc == CODE + 4
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.executed == 1


@pytest.mark.parametrize("pc", [0, 0x123456, (1 << 38) - 4, 1 << 38, (1 << 64) - 4, DATA])
def test_fetch_where_no_code_is(machine: Make, pc: int) -> None:
    m = machine()
    m.cpu.pc = pc
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == BAD_ADDRESS
    assert m.cpu.arguments[:2] == (2, pc)
    assert m.cpu.pc == pc
    assert m.cache.statistics()["generated"] == 0


def test_instruction_across_pages(machine: Make) -> None:
    m = machine()
    m.memory.map(CODE, 0x2000, PAGE_READ | PAGE_WRITE | PAGE_EXEC)
    at = CODE + 0x1000 - 6
    m.memory.write(at, insn(ADDI, 0, 1) + insn(ADDI, 0, 0x100) + insn(TRAP_OP))
    m.cpu.pc = at
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 0x101
    # A change of its second half, by Python or by the guest, is seen.
    m.memory.write(CODE + 0x1000, b"\x00\x02")
    m.cpu.pc = at
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 0x101 + 0x201


def test_instruction_running_into_a_page_without_code(machine: Make) -> None:
    m = machine()
    m.memory.map(CODE + 0x1000, 0x1000, PAGE_READ | PAGE_WRITE)
    at = CODE + 0x1000 - 8
    m.memory.write(at, NOP2 + insn(ADDI, 0, 1) + insn(ADDI, 0, 0x100))
    m.cpu.pc = at
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == BAD_ADDRESS
    assert m.cpu.arguments[:2] == (2, CODE + 0x1000)
    assert m.cpu.pc == CODE + 0x1000 - 2
    assert m.register(0) == 1
    assert m.cpu.executed == 2


def test_short_instruction_at_the_end_of_the_last_page(machine: Make) -> None:
    m = machine()
    at = CODE + 0x1000 - 2
    m.memory.write(at, NOP2)
    m.cpu.pc = at
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert (m.cpu.pc, m.cpu.executed, m.cpu.arguments[:2]) == (CODE + 0x1000, 1, (2, CODE + 0x1000))


def test_blocks_are_cut_at_the_size_limit_and_at_page_ends(machine: Make) -> None:
    m = machine(insn(ADDI, 0, 1) * 3000 + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 3000
    assert m.cpu.executed == 3000
    assert m.cache.statistics()["generated"] == 16 * 2 + -(-(3000 - 2048) // 64)


def test_modes_are_part_of_the_key(machine: Make) -> None:
    m = machine(insn(ADDI, 0, 1) + insn(MODE, 0, 1) + insn(ADDI, 0, 1) + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 1 + 2
    m.cpu.pc = CODE + 8
    m.cpu.set_mode("double", 0)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 4
    m.cpu.pc = CODE + 8
    m.cpu.set_mode("double", 1)
    generated = m.cache.statistics()["generated"]
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 6
    assert m.cache.statistics()["generated"] == generated


def test_memory_is_checked(machine: Make) -> None:
    m = machine(insn(LD, 0, 0) + insn(ST, 0, 16) + insn(TRAP_OP))
    m.memory.write(DATA, b"12345678")
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.memory.read(DATA + 16, 5) == b"1234\0"


@pytest.mark.parametrize(
    "address",
    [0, DATA - 4, DATA + 0x1000 - 4, DATA + 0x1000, (1 << 38) - 4, 1 << 38, 1 << 63, (1 << 64) - 8, (1 << 64) - 1],
)
def test_bad_loads_fault(machine: Make, address: int) -> None:
    m = machine(insn(ADDI, 0, 1) + insn(LD, 0, 0))
    m.cpu.set("R", address, 7)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == BAD_ADDRESS
    assert m.cpu.arguments[:2] == (0, address)
    assert (m.cpu.pc, m.cpu.executed, m.register(0)) == (CODE + 4, 1, 1)


def test_unaligned_access_across_pages(machine: Make) -> None:
    m = machine(insn(LD, 0, 0) + insn(ST, 0, 0) + insn(TRAP_OP))
    m.memory.map(DATA, 0x2000, PAGE_READ | PAGE_WRITE)
    m.memory.write(DATA + 0x1000 - 3, bytes(range(1, 9)))
    m.cpu.set("R", DATA + 0x1000 - 3, 7)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.register(0) == 0x0807060504030201
    m.memory.protect(DATA + 0x1000, 0x1000, PAGE_READ)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert (m.cpu.exception, m.cpu.pc) == (BAD_ADDRESS, CODE + 4)
    assert m.cpu.arguments[0] == 1


# ------------------------------------------------------------ budgets


def test_budget_stops_at_the_end_of_a_block(machine: Make) -> None:
    m = machine(loop(30_000))
    m.cpu.set_budget(100)
    m.cpu.stop_requested = True
    assert cpu_exec(m.cpu) is Exit.BUDGET
    assert 100 < m.cpu.executed <= 100 + TB_MAX_INSTRUCTIONS
    m.cpu.stop_requested = False
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.executed == 1 + 2 * 30_000
    assert m.register(1) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 3, 63, 64, 65, 100, 1000, 59_999, 60_000, 60_001])
def test_exact_count(machine: Make, count: int) -> None:
    m = machine(loop(30_000))
    assert cpu_exec(m.cpu, count) is Exit.BUDGET
    assert m.cpu.executed == count
    # Instruction 0 loads the counter, then decrement and branch take turns, then comes the trap.
    assert m.register(1) == (30_000 - count // 2 if count else 0)
    assert m.cpu.pc == {0: CODE, 60_001: CODE + 12}.get(count, CODE + (4 if count % 2 else 8))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.executed == 60_001


def test_stepping_gives_the_same_states(machine: Make) -> None:
    program = loop(20, insn(ADDI, 2, 3) + insn(ST, 2, 8) + insn(LD, 3, 8))
    m, n = machine(program), machine(program)
    pcs = []
    while cpu_exec(m.cpu, 1) is Exit.BUDGET:
        pcs.append(m.cpu.pc)
        assert m.cpu.executed == len(pcs)
    assert cpu_exec(n.cpu) is Exit.EXCEPTION
    assert n.cpu.executed == m.cpu.executed == 1 + 20 * 5
    assert bytes(m.cpu.octets[ENV["sink"] + 64 :]) == bytes(n.cpu.octets[ENV["sink"] + 64 :])
    assert pcs[:6] == [CODE + 4, CODE + 8, CODE + 12, CODE + 16, CODE + 20, CODE + 4]


def test_stepping_does_not_disturb_normal_blocks(machine: Make) -> None:
    m = machine(loop(1000))
    assert cpu_exec(m.cpu, 500) is Exit.BUDGET
    assert cpu_exec(m.cpu, 7) is Exit.BUDGET
    stepped = m.cache.statistics()["generated"]
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.executed == 2001
    assert m.cache.statistics()["generated"] <= stepped + 3
    assert m.register(1) == 0


def test_jump_backwards_alone(machine: Make) -> None:
    m = machine(insn(JMP, 0, 0))
    assert cpu_exec(m.cpu, 12345) is Exit.BUDGET
    assert (m.cpu.executed, m.cpu.pc) == (12345, CODE)
