"""The second tier of machines: compiled regions do what blocks do, wherever their code lies and whatever changes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from runtime.core.accelerator import Breakpoint, Idle, Running
from runtime.tcg.tier_options import TierOptions
from tests.machine.bench import DEVICE, RAM, A, Bench, D, R, W, X

Make = Callable[..., Bench]
#: nearly everything is compiled, while the guest waits
EAGER = TierOptions(threshold=3, workers=0)
CODE, OTHER, THIRD = RAM + 0x2000, RAM + 0x3000, RAM + 0x5000
VA = 0x7000_0000
ALL = R | W | X | A | D
#: a loop over two pages: a0 counts what the second one adds
CALLER = """
again:
  jal ra, again + 0x1000
  addi t0, t0, -1
  bne t0, zero, again
  wfi
"""
LONG = 100


@pytest.fixture
def compiled(bench: Make) -> Make:
    """Makes machines that compile, with the host's clock."""

    def make(*arguments: object, **named: object) -> Bench:
        return bench(*arguments, **({"icount": None, "tier": EAGER} | named))

    return make


def regions(made: Bench) -> int:
    """How many regions there are."""
    tier = made.vm.cache.tier
    return 0 if tier is None else len(tier.regions.ready)


def two_pages(made: Bench, first: str = CALLER) -> None:
    """The caller at VA, what it calls behind it, and a page for another callee: each adds another number to a0."""
    made.load(first, CODE)
    made.load("addi a0, a0, 1\n jalr zero, 0(ra)\n", OTHER)
    made.load("addi a0, a0, 100\n jalr zero, 0(ra)\n", THIRD)
    made.map(VA, CODE, ALL)
    made.map(VA + 0x1000, OTHER, ALL)
    made.paging(VA)


def again(made: Bench, turns: int = LONG) -> int:
    """Run the caller so many turns: what was added to a0."""
    before = made.x(10)
    made.cpu.pc = VA
    made.cpu.set("X", turns, 5)
    assert made.cpu.run(1 << 30) == Idle(None)
    assert made.trapped() is None
    return made.x(10) - before


MEMORY = """
  addi t0, zero, 200
again:
  ld a2, 0(a1)
  addi a2, a2, 3
  sd a2, 0(a1)
  lb a3, 1(a1)
  add a4, a4, a3
  sw a4, 21(a1)
  amoadd.d a5, a2, (a1)
  lr.d a6, (a1)
  addi a6, a6, 1
  sc.d a7, a6, (a1)
  add s2, s2, a7
  sd a2, 0x7fd(a1)
  addi t0, t0, -1
  bne t0, zero, again
  wfi
"""


def test_memory_is_what_tier_0_leaves(bench: Make) -> None:
    """Loads, stores, atomics, accesses that are not aligned and such as cross a page."""
    ends = []
    for tier in (EAGER, TierOptions(0)):
        made = bench(MEMORY, icount=None, tier=tier)
        made.cpu.set("X", RAM + 0x8400, 11)
        assert made.cpu.run(1 << 30) == Idle(None)
        ends.append([made.x(index) for index in range(32)] + [made.read(RAM + 0x8400 + at) for at in range(0, 2400, 8)])
        assert made.cpu.executed == 2 + 200 * 14
        assert bool(regions(made)) == bool(tier.threshold)
    assert ends[0] == ends[1]


def test_a_region_goes_over_pages(compiled: Make) -> None:
    made = compiled()
    two_pages(made)
    assert again(made) == LONG
    tier = made.vm.cache.tier
    assert tier is not None
    assert any(len(region.pages()) == 2 for region in tier.regions.ready.values())


def test_a_region_is_not_run_when_another_page_is_there(compiled: Make) -> None:
    """The second page is mapped elsewhere, and back, with one address forgotten or all."""
    made = compiled()
    two_pages(made)
    assert again(made) == LONG
    entry = made.entry(VA + 0x1000)
    for turn in range(6):
        there, added = ((THIRD, 100), (OTHER, 1))[turn % 2]
        made.put(entry, (there >> 12 << 10) | ALL | 1)
        made.vm._flush(made.cpu.address, VA + 0x1000 if turn < 4 else (1 << 64) - 1)
        assert again(made) == added * LONG


def test_a_page_that_is_taken_away_faults_where_it_is(compiled: Make) -> None:
    made = compiled()
    two_pages(made)
    assert again(made) == LONG
    made.put(made.entry(VA + 0x1000), 0)
    made.vm._flush(made.cpu.address, VA + 0x1000)
    made.cpu.pc = VA
    made.cpu.set("X", LONG, 5)
    made.cpu.run(1000)
    assert made.trapped() == (12, VA + 0x1000, VA + 0x1000)


@pytest.mark.parametrize("page", [CODE, OTHER])
def test_a_device_changes_compiled_code(compiled: Make, page: int) -> None:
    made = compiled()
    two_pages(made, CALLER.replace("again:", "again: addi a0, a0, 1"))
    assert again(made) == 2 * LONG
    before = regions(made)
    assert before
    made.load("addi a0, a0, 7", page)
    made.write(page + 4, made.read(page + 4, 4).to_bytes(4, "little"))
    assert again(made) == 8 * LONG
    tier = made.vm.cache.tier
    assert tier is not None
    assert tier.statistics.dropped > 0


def test_code_changes_itself_while_it_is_compiled_code(compiled: Make) -> None:
    """The loop rewrites what it calls each 50 turns, by a store from the region itself."""
    made = compiled(
        """
        again:
          jal ra, called
          addi t0, t0, -1
          addi t1, t1, -1
          bne t1, zero, on
          sw a2, 0(a1)
          fence.i
          addi t1, zero, 50
        on:
          bne t0, zero, again
          wfi
        called:
          addi a0, a0, 1
          jalr zero, 0(ra)
        """
    )
    made.load("addi a0, a0, 10", RAM + 0x10000)
    for index, value in ((5, 200), (6, 50), (11, made.symbol("called")), (12, made.read(RAM + 0x10000, 4))):
        made.cpu.set("X", value, index)
    assert made.cpu.run(1 << 30) == Idle(None)
    assert made.x(10) == 50 + 150 * 10


def test_devices_are_reached_from_compiled_loops_once_each_time(compiled: Make) -> None:
    made = compiled("again: sw t0, 0(s3)\n lw a0, 4(s3)\n addi t0, t0, -1\n bne t0, zero, again\n wfi\n")
    made.cpu.set("X", DEVICE, 19)
    made.cpu.set("X", 50, 5)
    counts: list[int] = []
    made.bus.on_access = lambda kind, offset: counts.append(made.cpu.executed)
    assert made.cpu.run(1 << 30) == Idle(None)
    assert [value for kind, _, _, value in made.bus.log if kind == "store"] == list(range(50, 0, -1))
    assert len(made.bus.log) == 100
    assert counts == [at for turn in range(50) for at in (4 * turn, 4 * turn + 1)]


def test_an_interrupt_ends_a_compiled_loop(compiled: Make) -> None:
    """One without any access: only the test at the head of the loop can see it."""
    made = compiled("stay: addi a0, a0, 1\n jal zero, stay\n")
    made.load("addi s1, s1, 1\n over: sw zero, 0(s3)\n jal zero, over\n", RAM + 0x1000)
    made.cpu.set("X", DEVICE, 19)
    made.bus.on_access = lambda kind, offset: made.cpu.kick()
    made.cpu.set_register("mtvec", RAM + 0x1000)
    made.cpu.set_register("mie", 1 << 11)
    made.cpu.set_register("mstatus", 1 << 3)
    while not regions(made):
        made.cpu.run(10_000)
    started = threading.Event()

    def raise_line() -> None:
        started.wait()
        made.cpu.set_input("MEIP", 1)

    thread = threading.Thread(target=raise_line)
    thread.start()
    started.set()
    assert made.cpu.run(1 << 60) == Running()
    thread.join()
    assert made.x(9) == 1


def test_a_breakpoint_in_compiled_code(compiled: Make) -> None:
    made = compiled()
    two_pages(made)
    assert again(made) == LONG
    assert regions(made)
    made.vm.set_breakpoints([VA + 0x1000])
    made.cpu.pc = VA
    made.cpu.set("X", LONG, 5)
    assert made.cpu.run(1000) == Breakpoint()
    assert made.cpu.pc == VA + 0x1000
    made.vm.set_breakpoints([])
    assert made.cpu.run(1 << 30) == Idle(None)
    assert again(made) == LONG
    assert regions(made)


def test_processors_in_turn_have_pages_of_their_own(compiled: Make) -> None:
    """One region, entered by two processors of which one sees another page behind the first."""
    made = compiled(count=2)
    two_pages(made)
    other = made.cpus[1]
    for name in ("satp", "mtvec", "PRIV"):
        other.set_register(name, made.cpu.registers()[name])
    entry = made.entry(VA + 0x1000)
    for there, cpu, added in ((OTHER, made.cpu, 1), (THIRD, other, 100)) * 3:
        made.put(entry, (there >> 12 << 10) | ALL | 1)
        before = cpu.get("X", 10)
        cpu.pc = VA
        cpu.set("X", LONG, 5)
        assert cpu.run(1 << 30) == Idle(None)
        assert cpu.get("X", 10) - before == added * LONG


def test_counted_time_is_exact_in_regions(compiled: Make) -> None:
    """With -icount a slice ends at the very instruction."""
    made = compiled("stay: addi a0, a0, 1\n jal zero, stay\n", icount=0)
    executed = 0
    for more in (10_001, 1, 999, 63, 64, 65, 12_345):
        assert made.cpu.run(more) == Running()
        executed += more
        assert made.cpu.executed == executed
        assert made.x(10) == (executed + 1) // 2
    assert regions(made)


#: a loop with a loop in it, over two pages; a device is told of each turn, and may interrupt.  A block is too short for
#: the whole turn: where it ends depends on where it begins
_ADD = "  add a3, a3, a2\n"
BUSY = f"""
again:
  addi a0, a0, 1
  addi t0, zero, 5
inner:
  addi t0, t0, -1
  ld a2, 0(s0)
  add a2, a2, a0
  sd a2, 0(s0)
  bne t0, zero, inner
{30 * _ADD}
  sw a0, 4(s3)
{50 * _ADD}
  lw a4, 8(s3)
  add a3, a3, a4
  jal ra, again + 0x1000
  jal zero, again
"""
#: keeps in s4 and s6 what the last interrupts came before, and how many instructions were executed then
WITNESS = """
  addi s1, s1, 1
  csrrs s2, mepc, zero
  add s4, s4, s4
  add s4, s4, s2
  csrrs s5, minstret, zero
  add s6, s6, s6
  add s6, s6, s5
  sw zero, 0(s3)
  mret
"""


def test_counted_time_has_interrupts_where_tier_0_has_them(bench: Make) -> None:
    """Those of a device come right behind the access, whatever blocks and regions there are, and with -icount only."""
    runs = []
    for tier in (TierOptions(0), EAGER, TierOptions(threshold=40, workers=0)):
        made = bench(BUSY, icount=0, tier=tier)
        made.load("addi a5, a5, 1\n jalr zero, 0(ra)\n", RAM + 0x1000)
        made.load(WITNESS, RAM + 0x2000)
        for name, value in (("mtvec", RAM + 0x2000), ("mie", 1 << 11), ("mstatus", 8)):
            made.cpu.set_register(name, value)
        for index, value in ((8, RAM + 0x8000), (19, DEVICE)):
            made.cpu.set("X", value, index)
        told = count()

        def answer(kind: str, offset: int, made: Bench = made, told: Iterator[int] = told) -> None:
            made.cpu.set_input("MEIP", int(offset > 0 and next(told) % 3 == 1))

        made.bus.on_access = answer
        states = []
        for number in range(60):
            assert made.cpu.run(397 + number) == Running()
            states.append((made.cpu.executed, made.cpu.pc, *(made.x(index) for index in range(32)), len(made.bus.log)))
        assert made.x(9) > 20
        assert bool(regions(made)) == bool(tier.threshold)
        runs.append(states)
    assert runs[0] == runs[1]
    assert runs[0] == runs[2]


def test_another_machine_finds_regions_on_disk(bench: Make, tmp_path: Path) -> None:
    kept = TierOptions(threshold=20, workers=0, cache=str(tmp_path))
    found = []
    for _ in range(2):
        made = bench(icount=None, tier=kept)
        two_pages(made)
        assert again(made) == LONG
        tier = made.vm.cache.tier
        assert tier is not None
        found.append((tier.statistics.compiled, tier.statistics.cached))
    assert found[0][0] > 0
    assert found[0][1] == 0
    assert found[1][0] == 0
    assert found[1][1] > 0
