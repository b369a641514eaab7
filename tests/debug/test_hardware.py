"""INT3 instructions as breakpoints, with a processor that tells of them when it likes: no KVM is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from runtime.core.env import PAGE_EXEC, PAGE_READ, Exit
from runtime.core.memory import GuestMemory
from runtime.debug.breakpoints import SOFTWARE, Breakpoints
from runtime.debug.execution import Hit
from runtime.debug.hardware import HardwareExecution, PatchedCode
from runtime.kvm.user import UserVcpu

CODE = 0x10000
NOP, INT3 = b"\x90", b"\xcc"
BREAKPOINT = 3


class Processor:
    """Leaves where it is told, one place and reason an entry; `begun`: where each began."""

    exception = BREAKPOINT
    stop_requested = False
    attention = bytes(1)

    def __init__(self, *entries: tuple[int, Exit]) -> None:
        self.pc = CODE
        self.begun: list[int] = []
        self._entries = list(entries)

    def execute(self) -> Exit:
        self.begun.append(self.pc)
        self.pc, reason = self._entries.pop(0)
        return reason


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    made = GuestMemory(1 << 20)
    made.map(CODE, 0x1000, PAGE_READ | PAGE_EXEC)
    made.write(CODE, NOP * 16, need=0)
    yield made
    made.close()


def execution(code: PatchedCode, breakpoints: Breakpoints, processor: Processor) -> HardwareExecution:
    return HardwareExecution(cast(UserVcpu, processor), breakpoints, code)  # it is asked for no more than this


def test_an_int3_told_after_the_breakpoint_was_removed(memory: GuestMemory) -> None:
    """Another thread's stop came first, and the debugger took the breakpoint out: the instruction is executed."""
    code, breakpoints = PatchedCode(memory), Breakpoints()
    breakpoints.insert(SOFTWARE, CODE + 4, 1)
    breakpoints.arm(code)
    code.lay()
    assert memory.view[CODE + 4] == INT3[0]
    code.lift()
    assert memory.view[CODE + 4] == NOP[0]
    breakpoints.remove(SOFTWARE, CODE + 4, 1)
    breakpoints.arm(code)
    processor = Processor((CODE + 5, Exit.EXCEPTION), (CODE + 9, Exit.BUDGET))
    assert execution(code, breakpoints, processor).run() is Exit.BUDGET
    assert processor.begun == [CODE, CODE + 4]


def test_an_int3_told_late_is_a_hit_where_the_breakpoint_is_again(memory: GuestMemory) -> None:
    code, breakpoints = PatchedCode(memory), Breakpoints()
    breakpoints.insert(SOFTWARE, CODE + 4, 1)
    breakpoints.arm(code)
    code.lay()
    code.lift()
    processor = Processor((CODE + 5, Exit.EXCEPTION))
    assert isinstance(execution(code, breakpoints, processor).run(), Hit)
    assert processor.pc == CODE + 4


def test_an_int3_of_the_programs_own_is_its_exception(memory: GuestMemory) -> None:
    """Even where a breakpoint was upon it once."""
    code, breakpoints = PatchedCode(memory), Breakpoints()
    memory.write(CODE + 4, INT3, need=0)
    breakpoints.insert(SOFTWARE, CODE + 4, 1)
    breakpoints.arm(code)
    code.lay()
    code.lift()
    breakpoints.remove(SOFTWARE, CODE + 4, 1)
    breakpoints.arm(code)
    for address in (CODE + 5, CODE + 9):
        processor = Processor((address, Exit.EXCEPTION))
        assert execution(code, breakpoints, processor).run() is Exit.EXCEPTION
        assert processor.pc == address
