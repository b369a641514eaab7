"""Accesses to the bus, and interrupts: each happens once, wholly or not at all, and at the right instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread

import pytest

from runtime.core.accelerator import BusError, Idle, Ram, Running
from runtime.core.buffer import HostBuffer
from runtime.tcg.system_vcpu import MachineVcpu
from runtime.tcg.tier_options import TierOptions
from tests.machine.bench import DEVICE, PAGE, RAM, Bench

Make = Callable[..., Bench]
EXTERNAL, TIMER = 11, 7


def test_sizes_and_values_arrive_as_they_are(bench: Make) -> None:
    made = bench(
        "sd a2, 0(a1)\n sw a2, 8(a1)\n sh a2, 12(a1)\n sb a2, 14(a1)\n ld a0, 0(a1)\n lw a0, 8(a1)\n lbu a0, 14(a1)\n"
    )
    made.cpu.set("X", DEVICE, 11)
    made.cpu.set("X", 0x1122334455667788, 12)
    made.cpu.run(7)
    assert made.bus.log == [
        ("store", 0, 8, 0x1122334455667788),
        ("store", 8, 4, 0x55667788),
        ("store", 12, 2, 0x7788),
        ("store", 14, 1, 0x88),
        ("load", 0, 8, 0x1122334455667788),
        ("load", 8, 4, 0x55667788),
        ("load", 14, 1, 0x88),
    ]
    assert made.x(10) == 0x88


def test_a_misaligned_access_is_made_in_aligned_pieces(bench: Make) -> None:
    made = bench("sw a2, 2(a1)\n ld a0, 1(a1)\n")
    made.cpu.set("X", DEVICE, 11)
    made.cpu.set("X", 0xAABBCCDD, 12)
    made.cpu.run(2)
    assert [(kind, offset, size) for kind, offset, size, _ in made.bus.log] == [
        ("store", 2, 2),
        ("store", 4, 2),
        ("load", 1, 1),
        ("load", 2, 2),
        ("load", 4, 4),
        ("load", 8, 1),
    ]
    assert made.x(10) == 0x0000_00AA_BBCC_DD00


def test_time_is_exact_when_a_device_is_entered(bench: Make) -> None:
    """In the middle of a block: so many instructions have been executed."""
    made = bench("addi a0, a0, 1\n addi a0, a0, 1\n lw a3, 0(a1)\n addi a0, a0, 1\n sw a3, 4(a1)\n lw a3, 8(a1)\n")
    made.cpu.set("X", DEVICE, 11)
    seen: list[int] = []
    made.bus.on_access = lambda kind, offset: seen.append(made.cpu.executed)
    made.cpu.run(6)
    assert seen == [2, 4, 5]


def test_a_device_that_refuses_faults_the_instruction(bench: Make) -> None:
    made = bench("lw a0, 0(a1)\n sw a0, 0(a1)\n")
    made.load("stay: jal zero, stay", RAM + 0xFF0)
    made.cpu.set_register("mtvec", RAM + 0xFF0)
    made.cpu.set("X", DEVICE, 11)
    made.cpu.set("X", 99, 10)

    def refuse(kind: str, offset: int) -> None:
        raise BusError(DEVICE + offset, 4)

    made.bus.on_access = refuse
    for pc, cause in ((RAM, 5), (RAM + 4, 7)):
        made.cpu.pc = pc
        made.cpu.run(1)
        assert made.trapped() == (cause, DEVICE, pc)
    assert made.x(10) == 99
    assert not made.bus.log


def test_an_error_in_a_device_comes_out_of_run(bench: Make) -> None:
    """With the processor before the instruction, as if it had not begun."""
    made = bench("addi a0, a0, 1\n lw a3, 0(a1)\n addi a0, a0, 1\n")
    made.cpu.set("X", DEVICE, 11)

    def fail(kind: str, offset: int) -> None:
        raise ZeroDivisionError("in a device")

    made.bus.on_access = fail
    with pytest.raises(ZeroDivisionError):
        made.cpu.run(10)
    assert made.cpu.pc == RAM + 4
    assert made.x(10) == 1
    assert made.cpu.executed == 1
    made.bus.on_access = lambda kind, offset: None
    assert made.cpu.run(2) == Running()
    assert made.x(10) == 2


def test_a_device_can_change_what_is_memory(bench: Make) -> None:
    """A window of RAM that comes and goes, as flash and PCI devices have them."""
    made = bench("sd a2, 0(a1)\n ld a0, 0(a3)\n sd a2, 0(a1)\n ld a0, 0(a3)\n")
    made.load("stay: jal zero, stay", RAM + 0xFF0)
    made.cpu.set_register("mtvec", RAM + 0xFF0)
    window, memory = 0x4000_0000, HostBuffer(PAGE)
    memory.memory[:8] = (55).to_bytes(8, "little")

    def toggle(kind: str, offset: int) -> None:
        made.bus.more = [] if made.bus.more else [Ram(window, memory.address, PAGE, True, "window")]
        for listener in made.bus.listeners:
            listener()

    made.bus.on_access = toggle
    made.cpu.set("X", DEVICE, 11)
    made.cpu.set("X", window, 13)
    made.cpu.run(2)
    assert made.x(10) == 55
    made.cpu.run(2)
    assert made.trapped() == (5, window, RAM + 12)
    made.close()
    memory.close()


def test_the_same_memory_at_two_physical_addresses_is_one(bench: Make) -> None:
    made = bench("sw a2, 0(a1)\n fence.i\n jalr zero, 0(a3)\n")
    made.bus.more = [Ram(0x4000_0000, made.bus.memory.address + 0x4000, PAGE, True, "alias")]
    for listener in made.bus.listeners:
        listener()
    made.load("addi a0, a0, 1\n jalr zero, 0(a4)\n", RAM + 0x4000)
    made.load("addi a0, a0, 100\n", RAM + 0x10000)
    for index, value in ((11, 0x4000_0000), (12, made.read(RAM + 0x10000, 4)), (13, RAM + 0x4000), (14, RAM)):
        made.cpu.set("X", value, index)
    made.cpu.pc = RAM + 0x4000
    made.cpu.run(1 + 1 + 3 + 1)
    assert made.x(10) == 101


# ---------------------------------------------------------------- interrupts

COUNTER = """
again:
  addi a0, a0, 1
  addi a1, a1, 1
  sd a1, 0(s0)
  ld a2, 0(s0)
  jal zero, again
"""
HANDLER = """
  addi s1, s1, 1
  csrrs s2, mepc, zero
  sw zero, 0(s3)
  mret
"""


def interruptible(made: Bench) -> None:
    made.load(HANDLER, RAM + 0x1000)
    made.cpu.set_register("mtvec", RAM + 0x1000)
    made.cpu.set_register("mie", 1 << EXTERNAL)
    made.cpu.set_register("mstatus", 8)
    made.cpu.set("X", RAM + 0x8000, 8)
    made.cpu.set("X", DEVICE, 19)
    made.bus.on_access = lambda kind, offset: made.cpu.set_input("MEIP", 0)


@pytest.mark.parametrize("after", range(1, 12))
def test_an_interrupt_between_any_two_instructions(bench: Make, after: int) -> None:
    """It is taken before the next one; nothing is lost or done twice, and a device's write takes it back."""
    made, plain = bench(COUNTER), bench(COUNTER)
    plain.cpu.set("X", RAM + 0x8000, 8)
    interruptible(made)
    for cpu in (made.cpu, plain.cpu):
        cpu.run(after)
    pc = made.cpu.pc
    made.cpu.set_input("MEIP", 1)
    made.cpu.run(4)
    assert made.x(9) == 1
    assert made.x(18) == pc
    assert made.cpu.pc == pc
    for cpu in (made.cpu, plain.cpu):
        cpu.run(20)
    assert [made.x(index) for index in (10, 11, 12)] == [plain.x(index) for index in (10, 11, 12)]
    assert made.cpu.get("mcause") == 1 << 63 | EXTERNAL
    assert made.cpu.statistics()["interrupts"] == 1


def test_a_masked_interrupt_waits_for_the_instruction_that_unmasks_it(bench: Make) -> None:
    made = bench("addi a0, a0, 1\n csrrsi zero, mstatus, 8\n addi a0, a0, 1\n addi a0, a0, 1\n")
    interruptible(made)
    made.cpu.set_register("mstatus", 0)
    made.cpu.set_input("MEIP", 1)
    made.cpu.run(2)
    assert made.x(9) == 0
    assert made.x(10) == 1
    made.cpu.run(4)
    assert made.x(18) == RAM + 8
    assert made.x(10) == 1
    made.cpu.run(2)
    assert made.x(10) == 3
    assert made.x(9) == 1


def test_an_interrupt_that_a_device_raises_is_taken_soon(bench: Make) -> None:
    """With -icount behind the access, for that is a place that no block changes; else at the end of the block."""
    for icount, place in ((None, RAM), (0, RAM + 4)):
        made = bench("again: sw zero, 4(s3)\n addi a0, a0, 1\n jal zero, again\n", icount=icount)
        interruptible(made)
        levels = iter([1])

        def answer(kind: str, offset: int, made: Bench = made, levels: Iterator[int] = levels) -> None:
            made.cpu.set_input("MEIP", next(levels, 0))

        made.bus.on_access = answer
        made.cpu.run(3 + 4)
        assert made.x(9) == 1
        assert made.x(18) == place


def test_waiting_for_an_interrupt(bench: Make) -> None:
    made = bench("wfi\n addi a0, a0, 1\nstay: jal zero, stay\n")
    interruptible(made)
    assert made.cpu.run(100) == Idle(None)
    assert made.cpu.pc == RAM + 4
    assert made.x(10) == 0
    assert made.cpu.executed == 1
    made.cpu.set_input("MEIP", 1)
    assert made.cpu.run(5) == Running()
    assert made.x(9) == 1
    assert made.x(18) == RAM + 4
    assert made.x(10) == 1


def test_a_masked_interrupt_wakes_all_the_same(bench: Make) -> None:
    made = bench("wfi\n addi a0, a0, 1\nstay: jal zero, stay\n")
    interruptible(made)
    made.cpu.set_register("mstatus", 0)
    made.cpu.set_input("MEIP", 1)
    assert made.cpu.run(3) == Running()
    assert made.x(10) == 1
    assert made.x(9) == 0


def test_a_waiting_processor_says_when_its_own_timer_is_due(bench: Make) -> None:
    made = bench("wfi\n")
    made.cpu.set_register("mie", 1 << TIMER)
    made.cpu.set_register("mtimecmp", 12345)
    assert made.cpu.run(100) == Idle(1234500)  # 100 ns a tick


def test_a_kick_ends_a_run(bench: Make) -> None:
    made = bench("again: sw zero, 0(s3)\n jal zero, again\n")
    made.cpu.set("X", DEVICE, 19)
    count = iter(range(1000))
    made.bus.on_access = lambda kind, offset: made.cpu.kick() if next(count) == 10 else None
    made.cpu.run(1 << 40)
    assert made.cpu.executed == 21


def test_exceptions_for_ever_let_python_look(bench: Make) -> None:
    """A trap handler that traps at once executes nothing; run returns all the same."""
    made = bench("ecall\n")
    made.cpu.set_register("mtvec", RAM)
    assert made.cpu.run(1000) == Running()
    assert made.cpu.statistics()["raised"] > 1000


def test_two_processors_with_memory_in_common(bench: Make) -> None:
    made = bench("again: amoadd.d a0, a1, (a2)\n jal zero, again\n", count=2)
    for cpu in made.cpus:
        cpu.set("X", 1, 11)
        cpu.set("X", RAM + 0x8000, 12)
    for _ in range(50):
        for cpu in made.cpus:
            cpu.run(20)
    assert made.read(RAM + 0x8000) == 1000


@pytest.mark.parametrize("threshold", [0, 3])
def test_processors_on_threads_share_memory_and_change_code(bench: Make, threshold: int) -> None:
    """Both add to one counter, and call a function that both keep rewriting: nothing is lost, nobody stands."""
    made = bench(
        """
        again:
          amoadd.d a0, a1, (a2)
          sw a5, 0(a4)
          fence.i
          jalr s0, 0(a4)
          addi s1, s1, -1
          bne s1, zero, again
          wfi
        """,
        count=2,
        icount=None,
        threaded=True,
        tier=TierOptions(threshold, workers=0),
    )
    made.load("addi a6, a6, 1\n jalr zero, 0(s0)\n", RAM + 0x3000)
    turns = 3000
    for cpu in made.cpus:
        for index, value in (
            (11, 1),
            (12, RAM + 0x8000),
            (14, RAM + 0x3000),
            (15, made.read(RAM + 0x3000, 4)),
            (9, turns),
        ):
            cpu.set("X", value, index)

    def run(cpu: MachineVcpu) -> None:
        while cpu.run(100_000) == Running():
            pass

    threads = [Thread(target=run, args=(cpu,)) for cpu in made.cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert made.read(RAM + 0x8000) == 2 * turns
    assert [cpu.get("X", 16) for cpu in made.cpus] == [turns, turns]
