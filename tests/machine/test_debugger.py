"""What a debugger is told of a machine's stops, over the fake accelerator."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.core.accelerator import Breakpoint, VcpuExit
from runtime.debug.description import Description
from runtime.debug.machine import MachineTarget
from runtime.debug.stop import Plan, StopKind
from runtime.machine.machine import Machine
from tests.machine.boards import board
from tests.machine.fake import FakeVcpu


def _breakpoints(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
    while True:
        yield 10
        yield Breakpoint()


class Debugger:
    """Takes each stop as it is told, and goes on at once until there were enough."""

    def __init__(self, machine: Machine, enough: int) -> None:
        self.machine = machine
        self.enough = enough
        self.stops: list[StopKind] = []
        self.target = MachineTarget(machine, Description("fake", False, "", ()), lambda text: "")
        self.target.tell = self._told
        machine.start(paused=True)
        self.target.resume({1: Plan()})

    def _told(self) -> None:
        stop = self.target.take_stop()
        assert stop is not None
        self.stops.append(stop.kind)
        if len(self.stops) < self.enough:
            self.target.resume({1: Plan()})
        else:
            self.target.detach()
            self.machine.power_off()


def test_a_debugger_that_goes_on_at_once_is_told_of_one_stop_each() -> None:
    """It may ask for more before the machine has said of itself that it stands still: that is no second stop."""
    with board(_breakpoints) as made:
        debugger = Debugger(made.machine, 3)
        made.machine.run()
    assert debugger.stops == [StopKind.BREAKPOINT] * 3


def test_the_monitor_stops_a_machine_that_a_debugger_runs() -> None:
    with board() as made:
        debugger = Debugger(made.machine, 1)
        made.machine.turn()
        made.machine.settle()
        made.machine.pause()
        made.machine.run()
    assert debugger.stops == [StopKind.INTERRUPT]
