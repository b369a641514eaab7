"""Compiled code finds the memory of the machine that is entered: of several in a thread, and in any thread."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest

from runtime.core.env import GUEST_STATE
from runtime.core.segment_x86_64 import SEGMENTS
from tests.conftest import ROOT
from tests.tcg.regions import CODE, DATA, DATA_SIZE, Ending, RegionMachine
from tests.tools import require_build

#: loop: lbu a1, 0(a0); add a2, a2, a1; addi a0, a0, 1; bne a0, a3, loop; ebreak
_SUM = b"".join(word.to_bytes(4, "little") for word in (0x00054583, 0x00B60633, 0x00150513, 0xFED51AE3, 0x00100073))


def _run(machine: RegionMachine, data: bytes) -> Ending:
    vcpu = machine.vcpu
    vcpu.reset()
    vcpu.set("X", DATA, 10)
    vcpu.set("X", DATA + 256, 13)
    return machine.run(CODE, bytes(vcpu.octets[GUEST_STATE:]), data)


@pytest.fixture
def machines() -> Iterator[list[RegionMachine]]:
    require_build("riscv64")
    made = [RegionMachine(ROOT / "build" / "riscv64", "guard") for _ in range(2)]
    for machine in made:
        machine.load(_SUM)
        machine.install(machine.compiler.compile(machine.request(_SUM, [0, 16])), CODE)
    yield made
    for machine in made:
        machine.close()


def test_machines_take_turns_in_threads(machines: list[RegionMachine]) -> None:
    sums: list[int] = []

    def turn() -> None:
        for number in (0, 1, 1, 0):
            _run(machines[number], bytes([number + 1]) * DATA_SIZE)
            sums.append(machines[number].vcpu.get("X", 12))

    turn()
    other = Thread(target=turn)
    other.start()
    other.join()
    turn()
    assert sums == [256, 512, 512, 256] * 3


def test_it_is_the_segment_that_is_looked_at(machines: list[RegionMachine]) -> None:
    """The control: pointed at the other's memory behind everybody's back, code loads what is there."""
    for number, machine in enumerate(machines):
        _run(machine, bytes([number + 1]) * DATA_SIZE)
    SEGMENTS.point(machines[1].memory.base)
    SEGMENTS.base = machines[0].memory.base
    try:
        _run(machines[0], bytes([1]) * DATA_SIZE)
        assert machines[0].vcpu.get("X", 12) == 512
    finally:
        SEGMENTS.base = 0
