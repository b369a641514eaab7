"""Going back in time in a replayed machine: saved moments on the way, and the recording run again from one of them.

A position is a number of executed instructions.  What came from outside comes again at its place (journal.py), so a
machine that is put back to a moment goes on exactly as it did.
"""

from __future__ import annotations

from bisect import bisect_right

from runtime.core.record import record
from runtime.debug.stop import DebugError, Stop, StopKind
from runtime.machine.processors import RoundRobin
from runtime.machine.state import SavedMachine, load, save

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.core.accelerator import Vcpu
    from runtime.machine.machine import Machine

__all__ = ["MachineHistory"]

#: instructions between two saved moments at least, and how many are kept
INTERVAL, MOST_MOMENTS = 5_000_000, 12
#: going far, leave a moment so near the goal that further steps back are short
_NEAR = 100_000
#: how much is searched at first on the way back; each time four times as much
_WINDOW = 1 << 16


@record
class Moment:
    """The machine at a position, and how much of the recording had come."""

    position: int
    state: SavedMachine
    index: int


class MachineHistory:
    """Of a machine with one processor that is replayed and stands still now: the earliest position there is."""

    def __init__(self, machine: Machine) -> None:
        assert machine.journal is not None
        assert isinstance(machine.processors, RoundRobin)
        self._machine = machine
        self._journal = machine.journal
        self._processors = machine.processors
        self._vcpu = machine.vcpus[0]
        self.moments = [self._take(None)]
        self._near: Moment | None = None

    def _take(self, like: SavedMachine | None) -> Moment:
        return Moment(self._vcpu.executed, save(self._machine, like), self._journal.index)

    def keep(self) -> None:
        """Leave a moment here, if the last one is long ago; every other one goes when there are many."""
        last = self.moments[-1]
        if self._vcpu.executed - last.position >= INTERVAL:
            self.moments.append(self._take(last.state))
            if len(self.moments) > MOST_MOMENTS:
                del self.moments[1:-1:2]

    def run(self, position: int, found: Callable[[int], None] | None = None) -> None:
        """Run to a position; `found` is told where breakpoints are come to on the way."""
        machine, vcpu = self._machine, self._vcpu
        at_breakpoint: list[int] = []

        def note(vcpu: Vcpu) -> None:
            at_breakpoint.append(vcpu.executed)

        tell, machine.on_breakpoint = machine.on_breakpoint, note
        self._processors.limit = position
        machine.clock.start()
        try:
            while vcpu.executed < position:
                self._processors.advance()
                if at_breakpoint:
                    if found is not None:
                        found(at_breakpoint[-1])
                    at_breakpoint.clear()
                    vcpu.step()
                    with machine.lock:
                        machine.clock.run_due()
                if self._journal.coming is None and vcpu.executed < position:
                    raise DebugError("the recording ends here")
        finally:
            machine.clock.stop()
            self._processors.limit, machine.on_breakpoint = None, tell

    def go(self, position: int) -> None:
        """Go to a position from anywhere; no breakpoint is in the way."""
        moments = self.moments
        moment = moments[max(bisect_right(moments, position, key=lambda moment: moment.position) - 1, 0)]
        near = self._near
        if near is not None and moment.position < near.position <= position:
            moment = near
        if not moment.position <= self._vcpu.executed <= position:
            load(self._machine, moment.state)
            self._journal.index = moment.index
        if position - self._vcpu.executed > 2 * _NEAR:
            self.run(position - _NEAR)
            self._near = self._take(moment.state)
        self.run(position)

    def backward(self, step: bool, breakpoints: Iterable[int]) -> Stop:
        """One instruction back, or to the last breakpoint before this position, or to the beginning."""
        vm, start, begin = self._machine.vm, self._vcpu.executed, self.moments[0].position
        assert vm is not None
        if start <= begin:
            return Stop(StopKind.HISTORY, 1, word="begin")
        wanted = sorted(breakpoints)
        vm.set_breakpoints(())
        try:
            if step:
                self.go(start - 1)
                return Stop(StopKind.STEP, 1)
            high, window = start, _WINDOW
            while high > begin and wanted:
                low, hits = max(high - window, begin), list[int]()
                self.go(low)
                vm.set_breakpoints(wanted)
                self.run(high, hits.append)
                vm.set_breakpoints(())
                if hits:
                    self.go(hits[-1])
                    return Stop(StopKind.BREAKPOINT, 1)
                high, window = low, window * 4
            self.go(begin)
            return Stop(StopKind.HISTORY, 1, word="begin")
        finally:
            vm.set_breakpoints(wanted)
