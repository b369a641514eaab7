"""CLINT and PLIC as OpenSBI and Linux use them: timers, software interrupts, priorities, claims and completions."""

from __future__ import annotations

import pytest

from runtime.hw.clint import MachineTimer, SoftwareInterrupts, SupervisorSoftwareInterrupts
from runtime.hw.irq import Line
from runtime.hw.plic import Plic
from tests.hw.machine import Bench, fuzz

FREQUENCY = 10_000_000
TICK = 10**9 // FREQUENCY


def lines(count: int) -> list[Line]:
    return [Line(f"hart{index}") for index in range(count)]


def test_timer() -> None:
    bench, wires = Bench(), lines(2)
    timer = MachineTimer("mtimer", wires, bench.clock, FREQUENCY)
    bench.put(timer)
    bench.clock.advance(1000 * TICK)
    assert bench.load(0x7FF8, 8) == 1000
    assert (bench.load(0x7FF8), bench.load(0x7FFC)) == (1000, 0)
    bench.store(8, 1500, 8)
    assert [wire.level for wire in wires] == [0, 0]
    bench.clock.advance(499 * TICK)
    assert wires[1].level == 0
    bench.clock.advance(TICK)
    assert [wire.level for wire in wires] == [0, 1]
    bench.store(8, 0xFFFFFFFF)
    bench.store(12, 0xFFFFFFFF)
    assert wires[1].level == 0
    bench.store(0, 0)
    bench.store(4, 0)
    assert wires[0].level == 1, "the past is reached"
    bench.store(0, 5000, 8)
    bench.store(0x7FF8, 4990, 8)
    assert (wires[0].level, bench.load(0x7FF8, 8)) == (0, 4990)
    bench.clock.advance(10 * TICK)
    assert wires[0].level == 1


def test_timer_state() -> None:
    bench, wires, again = Bench(), lines(1), lines(1)
    timer = MachineTimer("mtimer", wires, bench.clock, FREQUENCY)
    bench.put(timer)
    bench.store(0, 100, 8)
    other = MachineTimer("other", again, bench.clock, FREQUENCY)
    other.load(timer.save())
    bench.clock.advance(100 * TICK)
    assert (wires[0].level, again[0].level) == (1, 1)
    timer.reset()
    assert wires[0].level == 0


def test_software_interrupts() -> None:
    bench, wires = Bench(), lines(2)
    bench.put(SoftwareInterrupts("mswi", wires))
    bench.store(4, 0xFFFFFFFF)
    assert [wire.level for wire in wires] == [0, 1]
    assert bench.load(4) == 1
    bench.store(4, 0)
    assert wires[1].level == 0
    bench.store(8, 1)
    assert bench.load(8) == 0, "there is no third hart"


def test_supervisor_software_interrupts_are_edges() -> None:
    bench, heard = Bench(), list[int]()
    bench.put(SupervisorSoftwareInterrupts("sswi", [Line("hart0", heard.append)]))
    bench.store(0, 0)
    bench.store(0, 1)
    assert (heard, bench.load(0)) == ([1, 0], 0)


class Controller(Bench):
    """A PLIC with two contexts."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts = lines(2)
        self.plic = Plic("plic", self.contexts, 95)
        self.put(self.plic)
        self.sources = {number: self.plic.line(number) for number in (1, 10, 40, 95)}

    def enable(self, context: int, *sources: int) -> None:
        for word in range(3):
            bits = sum(1 << source % 32 for source in sources if source // 32 == word)
            self.store(0x2000 + context * 0x80 + word * 4, bits)

    def claim(self, context: int) -> int:
        return self.load(0x200004 + context * 0x1000)

    def complete(self, context: int, source: int) -> None:
        self.store(0x200004 + context * 0x1000, source)


def test_claims() -> None:
    plic = Controller()
    plic.enable(1, 10, 40)
    plic.store(4 * 10, 1)
    plic.store(4 * 40, 1)
    assert plic.load(4 * 40) == 1
    plic.sources[40].set(1)
    plic.sources[10].set(1)
    plic.sources[95].set(1)
    assert [line.level for line in plic.contexts] == [0, 1]
    assert plic.load(0x1000 + 4) == 1 << 8
    assert [plic.claim(1), plic.claim(1), plic.claim(1)] == [10, 40, 0]
    assert plic.contexts[1].level == 0
    plic.sources[10].set(0)
    plic.complete(1, 10)
    assert plic.contexts[1].level == 0
    plic.complete(1, 40)
    assert plic.contexts[1].level == 1, "its level is still up"
    assert plic.claim(1) == 40
    plic.complete(0, 40)
    plic.sources[40].set(0)
    plic.sources[40].set(1)
    assert plic.claim(1) == 0, "completed by a context that does not have it enabled: not completed"


def test_priorities_and_thresholds() -> None:
    plic = Controller()
    plic.enable(0, 1, 10, 95)
    for source, priority in ((1, 1), (10, 7), (95, 3)):
        plic.store(4 * source, priority)
        plic.sources[source].set(1)
    plic.store(0x200000, 7)
    assert plic.contexts[0].level == 0
    plic.store(0x200000, 2)
    assert plic.contexts[0].level == 1
    assert [plic.claim(0), plic.claim(0), plic.claim(0)] == [10, 95, 1], "a claim asks no threshold"
    plic.store(4 * 95, 0)
    plic.complete(0, 95)
    assert plic.claim(0) == 0, "priority 0 is never"


def test_pending_is_withdrawn_with_the_level_and_state_is_kept() -> None:
    plic = Controller()
    plic.enable(0, 1)
    plic.store(4, 1)
    plic.sources[1].set(1)
    other = Controller()
    other.plic.load(plic.plic.save())
    assert (other.contexts[0].level, other.claim(0)) == (1, 1)
    plic.sources[1].set(0)
    assert plic.contexts[0].level == 0
    assert plic.claim(0) == 0
    with pytest.raises(ValueError, match="sources 1 to 95"):
        plic.plic.line(96)


@pytest.mark.parametrize("seed", range(3))
def test_random_accesses(seed: int) -> None:
    bench = Bench()
    bench.put(MachineTimer("mtimer", lines(3), bench.clock, FREQUENCY))
    fuzz(bench, bench.space.regions[1].device or MachineTimer("", [], bench.clock, 1), seed)
    plic = Controller()
    plic.sources[10].set(1)
    fuzz(plic, plic.plic, seed, 1500)
    bench = Bench()
    device = SoftwareInterrupts("mswi", lines(3))
    bench.put(device)
    fuzz(bench, device, seed)
