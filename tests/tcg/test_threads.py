"""Several vCPUs of one machine on several host threads: they share blocks, change code, are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runtime.core.env import Exit
from runtime.tcg.loop import TcgVcpu, cpu_exec
from tests.tcg.conftest import CODE, DATA, Machine
from tests.tcg.toy import ADDI, BNEZ, JMP, LI, SHL, ST, TRAP, TRAP_OP, insn

Make = Callable[..., Machine]
COUNT = 3


def vcpus(m: Machine, count: int, pc: int = CODE) -> list[TcgVcpu]:
    """The machine's vCPU and others like it."""
    made = [m.cpu, *(TcgVcpu(m.tcg, index) for index in range(1, count))]
    for vcpu in made:
        vcpu.pc = pc
        vcpu.set("R", DATA, 7)
    return made


def run_all(cpus: list[TcgVcpu], run: Callable[[TcgVcpu], object]) -> None:
    """`run` each on a thread of its own; what one raises comes through."""
    failures: list[BaseException] = []

    def body(vcpu: TcgVcpu) -> None:
        try:
            run(vcpu)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=body, args=(vcpu,)) for vcpu in cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vcpu in cpus[1:]:
        vcpu.close()
    if failures:
        raise failures[0]


def to_trap(vcpu: TcgVcpu) -> None:
    assert cpu_exec(vcpu) is Exit.EXCEPTION
    assert vcpu.exception == TRAP


def many_blocks(rounds: int, blocks: int) -> bytes:
    """`rounds` times through a row of small blocks, each a jump to the next; then a trap.  R[2] counts them."""
    body = b"".join(insn(ADDI, 2, 1) + insn(JMP, 0, 2) for _ in range(blocks))
    return insn(LI, 1, rounds) + body + insn(ADDI, 1, -1) + insn(BNEZ, 1, -(len(body) + 4) // 2) + insn(TRAP_OP)


@pytest.mark.parametrize("cache_bytes", [1 << 20, 1 << 15])
def test_shared_blocks(machine: Make, cache_bytes: int) -> None:
    """All find each other's blocks; a cache too small for the program is evicted under all of them."""
    blocks, rounds = 300, 400
    m = machine(many_blocks(rounds, blocks), cache_bytes)
    cpus = vcpus(m, COUNT)
    results: list[int] = []

    def run(vcpu: TcgVcpu) -> None:
        to_trap(vcpu)
        results.append(vcpu.get("R", 2))

    run_all(cpus, run)
    assert results == [blocks * rounds] * COUNT
    statistics = m.cache.statistics()
    if cache_bytes == 1 << 20:
        assert statistics["generated"] == statistics["tb_count"] <= blocks + 3
    else:
        assert statistics["flushes"] > 0
    assert len(list(m.cache.blocks())) == statistics["tb_count"]


def test_invalidation_under_running_vcpus(machine: Make) -> None:
    """Blocks are freed again and again while others run in them: nothing is lost, no list is broken."""
    blocks, rounds = 200, 30_000
    m = machine(many_blocks(rounds, blocks))
    cpus = vcpus(m, COUNT)
    done = threading.Event()
    results: list[int] = []

    def run(vcpu: TcgVcpu) -> None:
        try:
            to_trap(vcpu)
            results.append(vcpu.get("R", 2))
        finally:
            done.set()

    def disturb() -> None:
        page = CODE >> 12
        while not done.is_set():
            m.cache.invalidate_pages(page, page)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    run_all(cpus, run)
    disturber.join()
    assert results == [blocks * rounds] * COUNT
    statistics = m.cache.statistics()
    assert statistics["generated"] - statistics["invalidated"] == statistics["tb_count"]
    assert len(list(m.cache.blocks())) == statistics["tb_count"]


def test_stores_into_shared_code(machine: Make) -> None:
    """One vCPU changes an instruction and runs it at once, over and over, while others run in the same page."""
    count, writer_at = 300, CODE + 0xC00
    patched = insn(ADDI, 5, 0) + insn(ADDI, 6, 1)
    # R[3] holds the eight bytes to be stored; adding 1 << 16 to it makes the next immediate.
    grow = insn(ADDI, 3, 0x7FFF) * 2 + insn(ADDI, 3, 2)
    body = insn(ST, 3, writer_at + 4 - CODE) + patched + grow + insn(ADDI, 1, -1)
    m = machine(many_blocks(30_000, 200).ljust(0xC00, b"\0") + body + insn(BNEZ, 1, -(len(body) // 2)) + insn(TRAP_OP))
    cpus = vcpus(m, COUNT)
    results: list[int] = []

    def run(vcpu: TcgVcpu) -> None:
        if vcpu is m.cpu:
            vcpu.pc = writer_at
            for register, value in ((7, CODE), (1, count), (3, int.from_bytes(patched, "little"))):
                vcpu.set("R", value, register)
        to_trap(vcpu)
        if vcpu is m.cpu:
            assert (vcpu.get("R", 5), vcpu.get("R", 6)) == (count * (count - 1) // 2, count)
        else:
            results.append(vcpu.get("R", 2))

    run_all(cpus, run)
    assert results == [200 * 30_000] * (COUNT - 1)
    assert m.cache.statistics()["invalidated"] >= count


def test_the_world_stops(machine: Make) -> None:
    """While it is stopped no vCPU advances; then all go on."""
    m = machine(insn(LI, 1, 0x7FFF) + insn(SHL, 1, 8) + insn(ADDI, 1, -1) + insn(BNEZ, 1, -2) + insn(TRAP_OP))
    cpus = vcpus(m, COUNT)
    started = threading.Barrier(COUNT + 1)

    def run(vcpu: TcgVcpu) -> None:
        started.wait()
        to_trap(vcpu)

    threads = [threading.Thread(target=run, args=(vcpu,)) for vcpu in cpus]
    for thread in threads:
        thread.start()
    started.wait()
    for _ in range(20):
        with m.cache.world.stopped():
            before = [vcpu.executed for vcpu in cpus]
            threading.Event().wait(0.002)
            assert [vcpu.executed for vcpu in cpus] == before
    for thread in threads:
        thread.join()
    assert [vcpu.pc for vcpu in cpus] == [cpus[0].pc] * COUNT
    for vcpu in cpus[1:]:
        vcpu.close()
