"""Watched memory: a processor stops behind the instruction that touches it, and nothing else is different."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.core.accelerator import Idle, Running, VcpuExit, Watched, Watchpoint
from runtime.tcg.tier_options import OFF, TierOptions
from tests.machine.bench import RAM, A, Bench, D, R, W, X

Make = Callable[..., Bench]
#: nearly everything is compiled, while the guest waits
EAGER = TierOptions(threshold=3, workers=0)
DATA, VA = RAM + 0x3000, 0x7000_0000
ALL = R | W | X | A | D
TIERS = pytest.mark.parametrize("tier", [OFF, EAGER], ids=["tier 0", "tier 1"])
#: counts a0 up in memory at a1, forty times; the loop's first instruction is at its address, the store 8 behind
COUNTS = """
again:
  lw a0, 0(a1)
  addi a0, a0, 1
  sw a0, 0(a1)
  lw a2, 64(a1)
  addi t0, t0, -1
  bne t0, zero, again
  wfi
"""
TURNS = 40


def counting(bench: Make, tier: TierOptions, text: str = COUNTS) -> Bench:
    """The loop about to run at VA, its data at VA + 0x1000."""
    made = bench(icount=None, tier=tier)
    made.load(text, RAM + 0x2000)
    made.map(VA, RAM + 0x2000, ALL)
    made.map(VA + 0x1000, DATA, ALL)
    made.paging(VA)
    made.cpu.set("X", VA + 0x1000, 11)
    made.cpu.set("X", TURNS, 5)
    return made


def stops(made: Bench) -> list[tuple[VcpuExit, int]]:
    """Every stop up to the wait, and the pc at each."""
    found: list[tuple[VcpuExit, int]] = []
    for _ in range(10 * TURNS):
        reason = made.cpu.run(1000)
        if isinstance(reason, Idle):
            return found
        if not isinstance(reason, Running):
            found.append((reason, made.cpu.pc))
    raise AssertionError(f"it goes on and on, at {made.cpu.pc:#x}")


@TIERS
@pytest.mark.parametrize(
    ("loads", "stores", "offset", "expected"),
    [
        (False, True, 0, [8]),
        (True, False, 0, [0]),
        (True, True, 3, [0, 8]),
        (True, True, 4, []),  # the next word, of the same page
        (True, False, 64, [12]),
    ],
)
def test_every_touch_and_no_other(
    bench: Make, tier: TierOptions, loads: bool, stores: bool, offset: int, expected: list[int]
) -> None:
    """Behind each instruction that touches, with what it did done; the page's other bytes are not told of."""
    made = counting(bench, tier)
    for _ in range(2):  # hot, and then watched
        made.cpu.pc = VA
        made.cpu.set("X", TURNS, 5)
        assert made.cpu.run(100_000) == Idle(None)
    made.vm.set_watchpoints([Watched(DATA + offset, DATA + offset + 1, loads, stores)])
    made.cpu.pc = VA
    made.cpu.set("X", TURNS, 5)
    found = stops(made)
    assert [pc - VA for _, pc in found] == [place + 4 for place in expected] * TURNS
    for reason, pc in found:
        where = DATA + 64 if pc == VA + 16 else DATA
        assert reason == Watchpoint(where, 4, pc == VA + 12)
    assert made.read(DATA, 4) == 3 * TURNS
    made.vm.set_watchpoints([])
    made.cpu.pc = VA
    made.cpu.set("X", TURNS, 5)
    assert stops(made) == []
    assert made.read(DATA, 4) == 4 * TURNS


@TIERS
def test_counts_are_exact(bench: Make, tier: TierOptions) -> None:
    """What is executed under watch is counted once, also when slices end anywhere."""
    made = counting(bench, tier)
    made.vm.set_watchpoints([Watched(DATA, DATA + 4, True, True)])
    before, hits, slices = made.cpu.executed, 0, 0
    while not isinstance(reason := made.cpu.run(3), Idle):
        hits += isinstance(reason, Watchpoint)
        slices += 1
    assert (hits, made.cpu.executed - before) == (2 * TURNS, 6 * TURNS + 1)
    assert made.read(DATA, 4) == TURNS


def test_code_and_what_is_watched_in_one_page(bench: Make) -> None:
    """The page's code runs; a store to its code is told of and seen."""
    made = bench("lw a0, 0x20(a1)\n sw a0, 12(a1)\n addi a2, a2, 1\n addi a2, a2, 100\n wfi\n")
    made.cpu.set("X", RAM, 11)
    made.load("addi a2, a2, 7", RAM + 0x40000)
    made.put(RAM + 0x20, made.read(RAM + 0x40000, 4), 4)
    made.vm.set_watchpoints([Watched(RAM + 12, RAM + 16, False, True), Watched(RAM + 0x20, RAM + 0x24, True, False)])
    assert [reason for reason, _ in stops(made)] == [
        Watchpoint(RAM + 0x20, 4, False),
        Watchpoint(RAM + 12, 4, True),
    ]
    assert made.x(12) == 1 + 7, "it ran what was stored"


def test_a_single_step_that_touches(bench: Make) -> None:
    made = counting(bench, OFF)
    made.vm.set_watchpoints([Watched(DATA, DATA + 4, False, True)])
    assert [made.cpu.step(), made.cpu.step()] == [Running(), Running()]
    assert made.cpu.step() == Watchpoint(DATA, 4, True)
    assert made.cpu.pc == VA + 12
    assert made.cpu.step() == Running()


@TIERS
def test_an_atomic_change(bench: Make, tier: TierOptions) -> None:
    """It is told of as a store, and made once."""
    made = counting(bench, tier, "again:\n amoadd.d a0, t0, (a1)\n addi t0, t0, -1\n bne t0, zero, again\n wfi\n")
    made.vm.set_watchpoints([Watched(DATA + 4, DATA + 8, False, True)])
    found = stops(made)
    assert [reason for reason, _ in found] == [Watchpoint(DATA, 8, True)] * TURNS
    assert made.read(DATA) == TURNS * (TURNS + 1) // 2
