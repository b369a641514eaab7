"""What a debugger is told of a machine's stops, over the fake accelerator."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.core.accelerator import Breakpoint, VcpuExit
from runtime.debug.description import Description
from runtime.debug.machine import MachineTarget
from runtime.debug.stop import Plan, StopKind
from tests.machine.boards import board
from tests.machine.fake import FakeVcpu


def _breakpoints(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
    while True:
        yield 10
        yield Breakpoint()


def test_a_debugger_that_goes_on_at_once_is_told_of_one_stop_each() -> None:
    """It may ask for more before the machine has said of itself that it stands still: that is no second stop."""
    with board(_breakpoints) as made:
        machine = made.machine
        target = MachineTarget(machine, Description("fake", False, "", ()), lambda text: "")
        stops: list[StopKind] = []

        def told() -> None:
            stop = target.take_stop()
            assert stop is not None
            stops.append(stop.kind)
            if len(stops) < 3:
                target.resume({1: Plan()})
            else:
                target.detach()
                machine.power_off()

        target.tell = told
        machine.start(paused=True)
        target.resume({1: Plan()})
        machine.run()
    assert stops == [StopKind.BREAKPOINT] * 3


def test_the_monitor_stops_a_machine_that_a_debugger_runs() -> None:
    with board() as made:
        machine = made.machine
        target = MachineTarget(machine, Description("fake", False, "", ()), lambda text: "")
        stops: list[StopKind] = []

        def told() -> None:
            stop = target.take_stop()
            assert stop is not None
            stops.append(stop.kind)
            target.detach()
            machine.power_off()

        target.tell = told
        machine.start(paused=True)
        target.resume({1: Plan()})
        machine.turn()
        machine.settle()
        machine.pause()
        machine.run()
    assert stops == [StopKind.INTERRUPT]
