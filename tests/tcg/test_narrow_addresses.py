"""32-bit addresses in regions: several stores of an instruction, and sums that wrap round, end as in tier 0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.core.env import GUEST_STATE, Exit
from tests.conftest import ROOT
from tests.tcg.regions import CODE, DATA, DATA_SIZE, Ending, RegionMachine
from tests.tools import require_build

_LOOP = (0xE2577001, 0x1AFFFFFC, 0xE7F000F0)  # subs r7, r7, #1; bne to two before; udf
_STM = 0xE8A0007E  # stmia r0!, {r1-r6}
_LDR_UP, _LDR_DOWN = 0xE5901008, 0xE5101008  # ldr r1, [r0, #8]; ldr r1, [r0, #-8]
_NOP = 0xE1A00000


@pytest.fixture(scope="module", params=("guard", "byte"))
def machine(request: pytest.FixtureRequest) -> Iterator[RegionMachine]:
    require_build("arm")
    made = RegionMachine(ROOT / "build" / "arm", request.param)
    yield made
    made.close()


def _both(machine: RegionMachine, words: tuple[int, ...], r0: int) -> tuple[Ending, Ending, int]:
    """How tier 0 ends, how a region does, and the accesses that the host checks in that."""
    code = b"".join(word.to_bytes(4, "little") for word in words)
    vcpu = machine.vcpu
    vcpu.reset()
    for number in range(1, 7):
        vcpu.set("r", 0x01010101 * number, number)
    vcpu.set("r", r0, 0)
    vcpu.set("r", 9, 7)
    state, data = bytes(vcpu.octets[GUEST_STATE:]), bytes(DATA_SIZE)
    machine.load(code)
    expected = machine.run(CODE, state, data)
    machine.load(code)
    compiled = machine.compiler.compile(machine.request(code, [0]))
    machine.install(compiled, CODE)
    return expected, machine.run(CODE, state, data), compiled.table_entries


@pytest.mark.parametrize("left", range(24, 72, 4))
def test_stores_of_an_instruction_that_leave_memory(machine: RegionMachine, left: int) -> None:
    """What was stored before the one that is refused is in memory, and the base register as it was."""
    expected, found, accesses = _both(machine, (_NOP, _STM, *_LOOP), DATA + DATA_SIZE - left)
    assert not expected.differences(found)
    assert expected.reason == Exit.EXCEPTION
    assert expected.memory[-left:].count(0) == 0  # all that was there to be stored to
    assert accesses == (6 if machine.compiler.checks == "guard" else 0)


@pytest.mark.parametrize(
    ("load", "base", "address"),
    [(_LDR_UP, 0xFFFFFFFC, 4), (_LDR_DOWN, 4, 0xFFFFFFFC), (_LDR_UP, DATA - 8, None), (_LDR_DOWN, DATA + 8, None)],
)
def test_sums_wrap_round(machine: RegionMachine, load: int, base: int, address: int | None) -> None:
    expected, found, _ = _both(machine, (_NOP, load, *_LOOP), base)
    assert not expected.differences(found)
    if address is None:
        assert expected.pc == CODE + 16  # the undefined instruction behind the loop
    else:
        assert (expected.pc, expected.exception[1][0]) == (CODE + 4, address)
