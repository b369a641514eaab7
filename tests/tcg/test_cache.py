"""The code cache: eviction, invalidation, self-modifying code, machines side by side."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.core.env import PAGE_CODE, PAGE_EXEC, PAGE_READ, PAGE_WRITABLE, PAGE_WRITE, Exit
from runtime.core.memory import GuestFault
from runtime.tcg.blobs import Blob
from runtime.tcg.code_cache import CodeCache
from runtime.tcg.loop import cpu_exec
from runtime.tcg.tb import JUMP_SLOT, TB, TB_OUTGOING
from tests.tcg.conftest import CODE, Machine
from tests.tcg.test_engine import loop
from tests.tcg.toy import ADDI, BAD_ADDRESS, BNEZ, JMP, JR, LD, LI, NOP2, ST, TRAP, TRAP_OP, insn

Make = Callable[..., Machine]
RWX = PAGE_READ | PAGE_WRITE | PAGE_EXEC


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def scattered(blocks: int, stride: int = 8) -> bytes:
    """`blocks` blocks of an addition and a jump to the next; the last goes back to the first while R[1] counts down."""
    parts = [insn(ADDI, 0, 1) + insn(JMP, 0, (stride - 4) // 2) + bytes(stride - 8) for _ in range(blocks)]
    size = blocks * stride
    # The way back is too long for one branch: hop over a register.
    tail = insn(ADDI, 1, -1) + insn(BNEZ, 1, 4) + insn(TRAP_OP) + insn(JR, 6)
    assert len(b"".join(parts)) == size
    return b"".join(parts) + tail


# ------------------------------------------------------------ eviction


@pytest.mark.parametrize(
    ("cache_bytes", "segments"), [(4096, 1), (8192, 2), (64 << 10, 8), (64 << 10, 1), (1 << 20, 16)]
)
def test_a_cache_too_small_for_the_program(machine: Make, cache_bytes: int, segments: int) -> None:
    m = machine(scattered(1000), cache_bytes, segments)
    m.cpu.set("R", 20, 1)
    m.cpu.set("R", CODE, 6)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.register(0) == 20_000
    statistics = m.cache.statistics()
    assert statistics["generated"] - statistics["invalidated"] == statistics["tb_count"]
    assert statistics["tb_count"] * TB["bytes"] < m.cache.size
    if cache_bytes < 1 << 18:
        assert statistics["flushes"] > 20
    else:
        assert statistics["flushes"] == 0
    check_consistency(m.cache)


def test_a_million_blocks_leave_memory_flat(machine: Make) -> None:
    blocks = 8000
    m = machine(scattered(blocks), 64 << 10, 8)
    m.cpu.set("R", CODE, 6)
    m.cpu.set("R", 10, 1)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    before = resident()
    m.cpu.set("R", 120, 1)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert m.cache.statistics()["generated"] > 1_000_000
    assert resident() - before < 1 << 20
    check_consistency(m.cache)


def test_the_least_recently_used_segment_goes(machine: Make) -> None:
    m = machine(scattered(200), 16 << 10, 4)
    m.cpu.set("R", 1, 1)
    m.cpu.set("R", CODE, 6)
    cache = m.cache
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    stamps, current = cache.stamps(), cache.current
    assert all(stamps)
    oldest = min((index for index in range(4) if index != current), key=stamps.__getitem__)
    cache.evict()
    assert cache.current == oldest
    check_consistency(cache)


@pytest.mark.parametrize(("size", "segments"), [(0, 1), (1 << 20, 0), (-5, None)])
def test_impossible_caches_are_refused(toy_code: Blob, machine: Make, size: int, segments: int) -> None:
    m = machine()
    with pytest.raises(ValueError, match="code cache"):
        CodeCache(toy_code, m.memory, size, segments)


@pytest.mark.parametrize(
    ("asked", "segments", "size"),
    [
        (1, 1, 4 << 10),
        (20_000, 1, 16 << 10),
        (64 << 10, 4, 64 << 10),
        (1 << 20, 16, 1 << 20),
        (100 << 20, 25, 100 << 20),
    ],
)
def test_any_size_will_do(toy_code: Blob, machine: Make, asked: int, segments: int, size: int) -> None:
    cache = CodeCache(toy_code, machine().memory, asked)
    assert (cache.segments, cache.size) == (segments, size)
    cache.close()


@pytest.mark.parametrize("size", [1 << 60, 1 << 63, 1 << 70])
def test_a_cache_larger_than_the_host(toy_code: Blob, machine: Make, size: int) -> None:
    with pytest.raises(MemoryError, match="cannot reserve"):
        CodeCache(toy_code, machine().memory, size)


def test_flush_all(machine: Make) -> None:
    m = machine(loop(1000))
    m.memory.protect(CODE, 0x1000, RWX)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    page = CODE >> 12
    assert m.memory.table[page] == PAGE_READ | PAGE_EXEC | PAGE_CODE | PAGE_WRITABLE
    m.cache.flush_all()
    assert m.cache.statistics()["tb_count"] == 0
    assert m.memory.table[page] == RWX
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(1) == 0


# ------------------------------------------------------------ invalidation


def test_python_writes_are_seen(machine: Make) -> None:
    m = machine(insn(LI, 0, 1) + insn(TRAP_OP))
    for value in (1, 2, 3):
        m.memory.write(CODE, insn(LI, 0, value))
        m.cpu.pc = CODE
        assert cpu_exec(m.cpu) is Exit.EXCEPTION
        assert m.register(0) == value
    with m.memory.writable(CODE, 4) as view:
        view[:] = insn(LI, 0, 4)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.register(0) == 4
    check_consistency(m.cache)


def test_unmapping_and_protecting_code(machine: Make) -> None:
    m = machine(insn(LI, 0, 1) + insn(TRAP_OP))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    m.memory.protect(CODE, 0x1000, PAGE_READ)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == BAD_ADDRESS
    m.memory.protect(CODE, 0x1000, PAGE_READ | PAGE_EXEC)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    with pytest.raises(GuestFault):
        m.memory.write(CODE, b"1234")
    m.memory.unmap(CODE, 0x1000)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == BAD_ADDRESS
    assert m.cache.statistics()["tb_count"] == 0


def test_self_modifying_code(machine: Make) -> None:
    # Each round adds 1 to the immediate of the instruction at 24, which follows in the same block.
    body = insn(LD, 3, 24) + insn(ADDI, 3, 0x4000) * 4 + insn(ST, 3, 24) + insn(ADDI, 0, 0) + insn(ADDI, 1, -1)
    m = machine(body + insn(BNEZ, 1, -(len(body) // 2)) + insn(TRAP_OP))
    m.cpu.set("R", CODE, 7)
    m.cpu.set("R", 100, 1)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert (m.cpu.exception, m.cpu.pc) == (TRAP, CODE + len(body) + 4)
    assert m.register(0) == sum(range(1, 101))
    assert m.cpu.executed == 100 * 9
    check_consistency(m.cache)


def test_data_beside_code_needs_no_new_blocks(machine: Make) -> None:
    m = machine(loop(1000, insn(ADDI, 2, 1) + insn(ST, 2, 0x800)))
    m.cpu.set("R", CODE, 7)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.memory.read(CODE + 0x800, 4) == (1000).to_bytes(4, "little")
    assert m.cache.statistics()["invalidated"] == 0


def test_store_across_into_a_page_of_code(machine: Make) -> None:
    m = machine()
    m.memory.map(CODE - 0x1000, 0x2000, RWX)
    m.memory.write(CODE, insn(LI, 0, 7) + insn(TRAP_OP))
    m.memory.write(CODE - 0x800, insn(ST, 2, 0) + insn(JMP, 0, (0x800 - 4) // 2))
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    m.cpu.set("R", CODE - 2, 7)
    m.cpu.set("R", 0x0309_0000, 2)  # the upper half becomes LI R[3]
    m.cpu.pc = CODE - 0x800
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cpu.exception == TRAP
    assert (m.register(0), m.register(3)) == (7, 7)
    check_consistency(m.cache)


def test_range_invalidation_is_precise(machine: Make) -> None:
    m = machine(scattered(10))
    m.cpu.set("R", 1, 1)
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    alive = m.cache.statistics()["tb_count"]
    m.cache.invalidate_range(CODE + 24, CODE + 25)
    assert m.cache.statistics()["tb_count"] == alive - 1
    m.cache.invalidate_range(CODE + 24, CODE + 25)
    assert m.cache.statistics()["tb_count"] == alive - 1
    check_consistency(m.cache)
    m.cpu.set("R", 1, 1)
    m.cpu.pc = CODE
    assert cpu_exec(m.cpu) is Exit.EXCEPTION
    assert m.cache.statistics()["tb_count"] == alive
    m.cache.invalidate_range(0, (1 << 64) - 1)
    assert m.cache.statistics()["tb_count"] == 0


def test_blocks_of_two_pages_go_with_either(machine: Make) -> None:
    for page in (0, 1):
        m = machine()
        m.memory.map(CODE, 0x2000, RWX)
        m.memory.write(CODE + 0x1000 - 4, NOP2 + insn(ADDI, 0, 1) + insn(TRAP_OP))
        m.cpu.pc = CODE + 0x1000 - 4
        assert cpu_exec(m.cpu) is Exit.EXCEPTION
        both = m.memory.table[CODE >> 12 : (CODE >> 12) + 2]
        assert both == bytes([PAGE_READ | PAGE_EXEC | PAGE_CODE | PAGE_WRITABLE]) * 2
        m.cache.invalidate_pages((CODE >> 12) + page, (CODE >> 12) + page)
        m.cache.invalidate_pages((CODE >> 12) + 1, (CODE >> 12) + 1)
        assert m.cache.statistics()["tb_count"] == 0
        assert m.memory.table[CODE >> 12 : (CODE >> 12) + 2] == bytes([RWX]) * 2


# ------------------------------------------------------------ side by side


def test_two_machines_in_one_process(machine: Make) -> None:
    m, n = machine(loop(1000, insn(ADDI, 0, 1))), machine(loop(1000, insn(ADDI, 0, 2)))
    while True:
        reasons = cpu_exec(m.cpu, 97), cpu_exec(n.cpu, 97)
        if Exit.EXCEPTION in reasons:
            break
    assert reasons == (Exit.EXCEPTION, Exit.EXCEPTION)
    assert (m.register(0), n.register(0)) == (1000, 2000)
    n.memory.write(CODE, loop(5, insn(ADDI, 0, 1)))
    m.cpu.pc = n.cpu.pc = CODE
    assert (cpu_exec(m.cpu), cpu_exec(n.cpu)) == (Exit.EXCEPTION, Exit.EXCEPTION)
    assert (m.register(0), n.register(0)) == (2000, 2005)


def check_consistency(cache: CodeCache) -> None:
    """The chains and counters agree, and nothing points to a block that is gone."""
    blocks = {tb.address: tb for tb in cache.blocks()}
    assert len(blocks) == cache.statistics()["tb_count"]
    assert len({(tb.pc, tb.cs_base, tb.flags, tb.cflags) for tb in blocks.values()}) == len(blocks)
    buffer = next(iter(blocks), 0) and cache.code_address

    def word(address: int) -> int:
        return int.from_bytes(cache.code[address - buffer : address - buffer + 8], "little")

    incoming = set()
    for tb in blocks.values():
        slot, before = word(tb.address + TB["incoming"]), tb.address + TB["incoming"]
        while slot:
            incoming.add(slot)
            assert word(slot + JUMP_SLOT["target"]) == tb.tc_ptr
            assert word(slot + JUMP_SLOT["pc"]) == tb.pc
            assert word(slot + JUMP_SLOT["prev"]) == before
            before = slot + JUMP_SLOT["next"]
            slot = word(before)
    outgoing = set()
    for tb in blocks.values():
        for place in range(TB_OUTGOING):
            if slot := word(tb.address + TB["outgoing"] + 8 * place):
                assert word(slot + JUMP_SLOT["owner"]) == tb.address
                outgoing.add(slot)
    assert incoming == outgoing
