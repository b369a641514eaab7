"""The main loop with processors in turn and on threads: power, pauses, waits, virtual time, failures, saved state."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator

import pytest

from runtime.core.accelerator import Failed, Idle, Reset, Shutdown, VcpuExit
from runtime.hw.clock import InstructionClock
from runtime.hw.pci.i6300esb import Watchdog
from runtime.machine.machine import MachineError, State
from runtime.machine.state import load, read, save, write
from runtime.machine.virt import CLINT, DRAM, PCI_LOW, PLIC, TEST, UART
from tests.hw.virtio.test_queues_and_transport import Reverse
from tests.machine.boards import board
from tests.machine.fake import FakeVcpu, FakeVm, forever

BOTH = pytest.mark.parametrize("threads", [False, True], ids=["in turn", "threads"])
#: seconds after which what should happen at once has not
PATIENCE = 60
MTIMECMP, MTIME = CLINT + 0x4000, CLINT + 0xBFF8


@BOTH
def test_power_off_by_the_guest(threads: bool) -> None:
    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        for byte in b"bye":
            vcpu.bus.write(UART, 1, byte)
            yield 10
        vcpu.bus.write(TEST, 4, 7 << 16 | 0x3333)
        yield from forever(vcpu)

    with board(program, threads=threads) as made:
        made.machine.start()
        ending = made.machine.run()
        assert (ending.status, ending.cause, made.serial.written) == (7, "guest-shutdown", b"bye")
        assert made.machine.state is State.SHUTDOWN


@BOTH
def test_processors_wait_for_interrupts(threads: bool) -> None:
    """Hart 1 waits until hart 0 sends it an interrupt; then hart 0 waits for a timer's."""

    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        if vcpu.index == 0:
            yield 1000
            vcpu.bus.write(CLINT + 4, 4, 1)
            now = vcpu.bus.read(MTIME, 8)
            vcpu.bus.write(MTIMECMP, 8, now + 20_000)
            while not vcpu.inputs.get("MTIP"):
                yield Idle(None)
            while not made.serial.written:  # a busy host may be slower to wake the other's thread than the timer is
                yield 1000
            vcpu.bus.write(TEST, 4, 0x5555)
        else:
            while not vcpu.inputs.get("MSIP"):
                vcpu.counter += 1
                yield Idle(None)
            vcpu.bus.write(UART, 1, ord("!"))
        while True:
            yield Idle(None)

    with board(program, 2, threads=threads) as made:
        made.machine.start()
        assert made.machine.run().status == 0
        assert made.serial.written == b"!"
        assert made.vcpus[1].counter < 10, "it slept"


def test_turns_and_time_by_instructions() -> None:
    """With -icount everything is in the same order in every run, and waiting takes no time."""

    def run() -> list[tuple[int, int, int]]:
        trace: list[tuple[int, int, int]] = []

        def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
            for number in range(5):
                trace.append((vcpu.index, number, made.machine.clock.now()))
                vcpu.bus.write(MTIMECMP + 8 * vcpu.index, 8, vcpu.bus.read(MTIME, 8) + 1000 + vcpu.index)
                yield 100
                while not vcpu.inputs.get("MTIP"):
                    yield Idle(None)
                vcpu.bus.write(MTIMECMP + 8 * vcpu.index, 8, (1 << 64) - 1)
            vcpu.bus.write(TEST, 4, 0x5555)
            yield from forever(vcpu)

        clock = InstructionClock(3)
        with board(program, 3, clock) as made:
            assert made.machine.processors is not None
            made.machine.start()
            made.machine.run()
            trace.append((-1, 0, clock.now()))
        return trace

    first = run()
    assert first == run()
    assert len(first) > 10
    assert first[-1][2] >= 4 * 1000 * 100, "a timer's ticks have passed"


def test_instructions_are_cut_at_timers() -> None:
    seen: list[int] = []

    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        vcpu.bus.write(MTIMECMP, 8, 10)  # 1000 ns: 1000 instructions of 1 ns
        while not vcpu.inputs.get("MTIP"):
            yield 1
        seen.append(vcpu.executed)
        vcpu.bus.write(TEST, 4, 0x5555)
        yield from forever(vcpu)

    with board(program, clock=InstructionClock(0)) as made:
        made.machine.start()
        made.machine.run()
    assert seen == [1000]


@BOTH
def test_input_reaches_who_waits(threads: bool) -> None:
    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        vcpu.bus.write(UART + 1, 1, 1)
        vcpu.bus.write(PLIC + 4 * 10, 4, 1)
        vcpu.bus.write(PLIC + 0x2080, 4, 1 << 10)
        vcpu.bus.write(UART + 7, 1, 0x55)
        while not vcpu.inputs.get("SEIP"):
            yield Idle(None)
        assert vcpu.bus.read(PLIC + 0x201004, 4) == 10
        vcpu.bus.write(UART, 1, vcpu.bus.read(UART, 1))
        vcpu.bus.write(TEST, 4, 0x5555)
        yield from forever(vcpu)

    with board(program, threads=threads) as made:

        def type_when_ready() -> None:
            if made.machine.space.read(UART + 7, 1) == 0x55:
                made.serial.feed(b"k")
            else:
                made.machine.events.call(type_when_ready)

        made.machine.start()
        made.machine.events.call(type_when_ready)
        assert made.machine.run().status == 0
        assert made.serial.written == b"k"


@BOTH
def test_pause_and_resume(threads: bool) -> None:
    events: list[str] = []
    with board(count=2, threads=threads) as made:
        machine, vcpus = made.machine, made.vcpus
        machine.on_change.append(lambda event, data: events.append(event))
        machine.start()

        def turn() -> None:
            machine.events.wake()  # or a machine of threads would wait here
            machine.settle()
            machine.turn()

        while machine.state is not State.RUNNING or not all(vcpu.counter for vcpu in vcpus):
            turn()
        machine.pause()
        machine.settle()
        assert machine.state is State.PAUSED
        before, now = [vcpu.counter for vcpu in vcpus], machine.clock.now()
        machine.at_rest(lambda: events.append("errand"))
        machine.settle()
        assert [vcpu.counter for vcpu in vcpus] == before
        assert machine.clock.now() == now
        machine.resume()
        while [vcpu.counter for vcpu in vcpus] == before:
            turn()
        machine.power_off(3, "host-signal")
        assert machine.run().status == 3
        assert events == ["STOP", "errand", "RESUME", "SHUTDOWN"]


@BOTH
def test_resets(threads: bool) -> None:
    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        yield 10
        if vcpu.resets == 1:
            vcpu.bus.write(UART + 7, 1, 9)
            vcpu.bus.write(DRAM + 0x100000, 4, 0x1234)
            vcpu.bus.write(TEST, 4, 0x7777)
            yield from forever(vcpu)
        elif vcpu.resets == 2:
            yield Reset()
        elif vcpu.resets == 3:
            yield Shutdown("triple fault")
        assert vcpu.bus.read(UART + 7, 1) == 0
        vcpu.bus.write(TEST, 4, 0x5555)
        yield from forever(vcpu)

    with board(program, threads=threads) as made:
        made.machine.start()
        assert made.machine.run().status == 0
        assert made.vcpus[0].resets == 4
    with board(program, threads=threads) as made:
        made.machine.no_reboot = True
        made.machine.start()
        assert made.machine.run().cause == "guest-reset"
        assert made.vcpus[0].resets == 1


@BOTH
def test_failures_end_the_machine(threads: bool) -> None:
    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        yield 10
        yield Failed("it broke")

    with board(program, 2, threads=threads) as made:
        made.machine.start()
        ending = made.machine.run()
        assert ending.status == 1
        assert "it broke" in ending.report
        assert made.machine.state is State.FAILED


def test_no_shutdown_keeps_the_machine() -> None:
    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        vcpu.bus.write(TEST, 4, 0x5555)
        yield from forever(vcpu)

    with board(program) as made:
        made.machine.no_shutdown = True
        made.machine.start()
        while made.machine.state is not State.SHUTDOWN:
            made.machine.events.wake()
            made.machine.turn()
            made.machine.settle()
        made.machine.power_off(5, "host-signal")
        assert made.machine.run().status == 5


def test_many_processors_on_threads() -> None:
    """Each hart adds to a counter in RAM through the bus; the last one powers off."""
    lock = threading.Lock()
    total = [0]

    def program(vcpu: FakeVcpu) -> Iterator[VcpuExit | int]:
        for _ in range(50):
            with lock:
                total[0] += 1
            vcpu.bus.write(CLINT + 4 * ((vcpu.index + 1) % 16), 4, total[0] & 1)
            yield 1000
        with lock:
            done = total[0] == 16 * 50
        if done:
            vcpu.bus.write(TEST, 4, 0x5555)
        while True:
            yield Idle(None)

    with board(program, 16, threads=True) as made:
        made.machine.start()
        made.machine.run()
    assert total == [16 * 50]


# -------------------------------------------------------------------- saved state


def test_saved_state_goes_on() -> None:
    with board(count=2, clock=InstructionClock(3)) as made, board(count=2, clock=InstructionClock(3)) as other:
        made.machine.start()
        made.machine.settle()
        made.machine.turn()
        space = made.machine.space
        space.write(DRAM + 0x123456, 4, 0xCAFE)
        space.write(UART + 7, 1, 0x5A)
        space.write(MTIMECMP + 8, 8, 10**9)
        file = io.BytesIO()
        write(save(made.machine), file)
        other.machine.start(paused=True)
        other.machine.settle()
        other.machine.space.write(DRAM + 0x200000, 4, 1)
        file.seek(0)
        load(other.machine, read(file, "test"))
        assert other.machine.space.read(DRAM + 0x123456, 4) == 0xCAFE
        assert other.machine.space.read(DRAM + 0x200000, 4) == 0, "what was not there is not there"
        assert other.machine.space.read(UART + 7, 1) == 0x5A
        assert other.machine.clock.now() == made.machine.clock.now() > 0
        assert [vcpu.counter for vcpu in other.vcpus] == [vcpu.counter for vcpu in made.vcpus]
        again, once = io.BytesIO(), io.BytesIO()
        write(save(other.machine), again)
        write(save(made.machine), once)
        assert again.getvalue() == once.getvalue()


def test_states_that_do_not_fit() -> None:
    with board(count=2) as made, board(count=1) as other, board(count=2, memory=8 << 20) as small:
        for one in (made, other, small):
            one.machine.start()
        made.machine.space.write(DRAM + (15 << 20), 4, 1)
        state = save(made.machine)
        with pytest.raises(MachineError, match="2 processors, the machine 1"):
            load(other.machine, state)
        with pytest.raises(MachineError, match="more memory than the machine"):
            load(small.machine, state)
        file = io.BytesIO()
        write(state, file)
        whole = file.getvalue()
        with pytest.raises(MachineError, match="cut short"):
            read(io.BytesIO(whole[:-5]), "test")
        for data in (b"", b"{}\n", b"[]\n", b"x" * 100, whole[:200], whole.replace(b'"format": 2', b'"format": 9')):
            with pytest.raises(MachineError, match="test: "):
                read(io.BytesIO(data), "test")
        damaged = whole[: whole.index(b"\n") + 3] + b"????" + whole[whole.index(b"\n") + 7 :]
        with pytest.raises(MachineError, match="damaged"):
            read(io.BytesIO(damaged), "test")


class Rung(Reverse):
    """Notes which queues' doorbells were rung, and does nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.rung: list[int] = []

    def notify(self, index: int) -> None:
        self.rung.append(index)


@BOTH
def test_doorbells_are_answered_in_the_main_loop(threads: bool) -> None:
    """The accelerator counts stores to a doorbell, wherever it is shown; what was rung is answered before a rest.

    A reset hides it, and then nobody watches.
    """
    with board(threads=threads) as made:
        device = Rung()
        made.virt.plug_pci("reverse", device)
        function = made.virt.pci.functions[1, 0]
        vm = made.machine.vm
        assert isinstance(vm, FakeVm)
        vm.watches = {}
        made.machine.start()
        rung = device.rung
        for address in (PCI_LOW, PCI_LOW + 0x10000):
            function.set_base(4, address)
            function.write(4, 2, 6)
            assert list(vm.watches) == [(address + 0x3000, 2, None)]
        os.eventfd_write(vm.watches[PCI_LOW + 0x13000, 2, None], 3)
        made.machine.at_rest(lambda: made.machine.power_off(5 if rung == [0] else 6))
        assert made.machine.run().status == 5
        os.eventfd_write(vm.watches[PCI_LOW + 0x13000, 2, None], 1)
        made.machine.events.run_once(PATIENCE)
        assert rung == [0, 0]
        made.machine.start()
        assert vm.watches == {}


def test_an_accelerator_that_watches_no_stores() -> None:
    with board() as made:
        made.virt.plug_pci("reverse", Reverse())
        made.virt.pci.functions[1, 0].set_base(4, PCI_LOW)
        made.virt.pci.functions[1, 0].write(4, 2, 6)
        made.machine.space.write(PCI_LOW + 0x3000, 2, 0)


@pytest.mark.parametrize(("action", "state"), [("shutdown", State.SHUTDOWN), ("pause", State.PAUSED), ("none", None)])
def test_what_a_watchdog_does(action: str, state: State | None) -> None:
    """By the user's choice; who listens to QMP hears of it in any case."""
    with board() as made:
        machine = made.machine
        machine.watchdog_action = action
        heard: list[tuple[str, dict[str, object]]] = []
        machine.on_change.append(lambda event, data: heard.append((event, data)))
        dog = Watchdog.make(machine.platform, "dog", {})
        made.virt.plug_pci("dog", dog)
        machine.start()
        machine.settle()
        dog.set_base(0, PCI_LOW)
        dog.write(4, 2, 2)
        for timer in (0, 4):
            for offset, value in ((0xC, 0x80), (0xC, 0x86), (timer, 1)):
                machine.space.write(PCI_LOW + offset, 4 if offset < 12 else 2, value)
        dog.write(0x68, 1, 2)
        while ("WATCHDOG", {"action": action}) not in heard:
            machine.turn()
        if state is State.PAUSED:
            machine.settle()
            assert machine.state is state
        if state is not State.SHUTDOWN:
            machine.power_off(3)
        assert machine.run().status == (0 if state is State.SHUTDOWN else 3)
