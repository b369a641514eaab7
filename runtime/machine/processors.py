"""What lets a machine's processors execute: in turn on the main thread, or each on a thread of its own."""

from __future__ import annotations

import time
from functools import partial
from threading import Condition, Thread

from runtime.core.accelerator import Idle, Running
from runtime.hw.clock import InstructionClock
from runtime.machine.machine import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from runtime.core.accelerator import Vcpu
    from runtime.machine.journal import Journal
    from runtime.machine.machine import Machine

    class Processors(Protocol):
        """Runs the vCPUs of a machine; all but `kick` and `woken` are called by the main thread."""

        def start(self) -> None:
            """The machine goes on."""

        def stop(self) -> None:
            """It stands still, when this has returned."""

        def turn(self) -> float | None:
            """What there is to do in a turn of the main loop; how long it may wait then (seconds; None: for ever)."""

        def kick(self) -> None:
            """Make `turn` return soon."""

        def woken(self, index: int) -> None:
            """A line into a vCPU has gone up: it may have to go on."""

        def forget(self) -> None:
            """The vCPUs were reset or loaded: none waits any more."""

        def save(self) -> dict[str, object]:
            """Whose turn it is, and who waits: what makes a run go on as it would have."""

        def load(self, state: Mapping[str, object]) -> None:
            """What `save` gave, of any kind of processors; behind `forget`."""


#: as many processors as a machine can have
MOST = 256
#: instructions of a turn, and of a thread between two looks at the world
SLICE, LONG_SLICE = 200_000, 50_000_000
#: turns are longer on a clock of the host's, while they take less nanoseconds than this; instructions of the longest
SHORT, LONGEST = 2_000_000, 3_200_000
_SECOND = 1_000_000_000
_NEVER = 1 << 63


class RoundRobin:
    """One vCPU after the other, a slice each; the order of events is the same in every run (-icount makes it exact).

    A vCPU that waits for an interrupt is left out until a line of its goes up or its deadline has come.
    """

    def __init__(self, machine: Machine, sleep: bool = True) -> None:
        self._machine = machine
        self._deadlines: list[int | None] = [None] * len(machine.vcpus)  # None: it does not wait
        self._sleep = sleep
        self._next = 0
        self._slice_now = SLICE
        self._running: Vcpu | None = None
        #: instructions of a processor at which slices end, whatever else there is to do (a debugger's wish)
        self.limit: int | None = None
        if isinstance(machine.clock, InstructionClock):
            machine.clock.on_change = self.kick  # its slice was measured by the deadline before

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def kick(self) -> None:
        running = self._running
        if running is not None:
            running.kick()

    def woken(self, index: int) -> None:
        self._deadlines[index] = None

    def forget(self) -> None:
        self._deadlines = [None] * len(self._machine.vcpus)
        self._next = 0

    def save(self) -> dict[str, object]:
        return {"next": self._next, "deadlines": list(self._deadlines)}

    def load(self, state: Mapping[str, object]) -> None:
        following, deadlines = state.get("next", 0), state.get("deadlines", ())
        if isinstance(following, int) and isinstance(deadlines, list) and len(deadlines) == len(self._deadlines):
            self._next = following % len(self._deadlines)
            self._deadlines = [deadline if isinstance(deadline, int) else None for deadline in deadlines]

    def turn(self) -> float | None:
        machine, clock = self._machine, self._machine.clock
        if machine.journal is not None and not self._deliver(machine.journal):
            return 0
        count = len(machine.vcpus)
        ran = False
        for _ in range(count):
            if machine.interrupted:
                return 0
            index = self._next
            self._next = (index + 1) % count
            deadline = self._deadlines[index]
            if index in machine.held or (deadline is not None and deadline > clock.now()):
                continue
            self._deadlines[index] = None
            ran = True
            self._slice(machine.vcpus[index])
        return 0 if ran else self._wait()

    def advance(self) -> None:
        """A slice of the only processor, or a wait, whatever somebody wants meanwhile: a replay on its way through."""
        machine = self._machine
        if machine.journal is not None:
            self._deliver(machine.journal)
        deadline = self._deadlines[0]
        if deadline is not None and deadline > machine.clock.now():
            self._wait()
        else:
            self._deadlines[0] = None
            self._slice(machine.vcpus[0])
        with machine.lock:
            machine.clock.run_due()

    def _slice(self, vcpu: Vcpu) -> None:
        machine, clock = self._machine, self._machine.clock
        budget = self._slice_now
        began = clock.now()
        due = clock.next_deadline()
        if due is not None and isinstance(clock, InstructionClock):
            budget = min(budget, clock.instructions_until(due))
        if machine.journal is not None:
            budget = machine.journal.left(budget)
        if self.limit is not None:
            budget = min(budget, max(1, self.limit - vcpu.executed))
        self._running = vcpu
        try:
            reason = vcpu.run(budget)
        finally:
            self._running = None
        if isinstance(reason, Idle):
            self._deadlines[vcpu.index] = _NEVER if reason.deadline is None else reason.deadline
        else:
            machine.answer(vcpu, reason)
        now = clock.now()
        if not isinstance(clock, InstructionClock):
            fast = isinstance(reason, Running) and now - began < SHORT
            self._slice_now = min(2 * budget, LONGEST) if fast else max(budget // 2, SLICE)
        due = clock.next_deadline()
        if due is not None and due <= now:
            with machine.lock:
                clock.run_due()

    def _deliver(self, journal: Journal) -> bool:
        """Hand out what came at this moment of a recording; whether there is nothing else to do first."""
        with self._machine.lock:
            try:
                journal.deliver()
            except MachineError as error:
                self._machine.fail(str(error))
        return not self._machine.interrupted

    def _pass_over(self, journal: Journal, clock: InstructionClock, until: int) -> float:
        """All vCPUs wait, in a replay: until the next entry, if it comes before they would go on."""
        entry = journal.coming
        if entry is not None and entry.at == journal.place[0] and entry.now <= until:
            clock.skip(entry.now)
            self._deliver(journal)
        elif until >= _NEVER:
            journal.on_end()  # it was ended while it waited, without a word of its end
        else:
            clock.skip(until)
        return 0

    def _wait(self) -> float | None:
        """All vCPUs wait: until when."""
        clock = self._machine.clock
        due = clock.next_deadline()
        held = self._machine.held
        deadlines = [deadline or 0 for index, deadline in enumerate(self._deadlines) if index not in held]
        until = min([_NEVER if due is None else due, *deadlines])
        journal = self._machine.journal
        if journal is not None and journal.replaying and isinstance(clock, InstructionClock):
            return self._pass_over(journal, clock, until)
        if until >= _NEVER:
            return None
        left = until - clock.now()
        if not isinstance(clock, InstructionClock):
            return max(0, left) / _SECOND
        if self._sleep and left > 0:
            before = time.monotonic_ns()
            self._machine.events.run_once(left / _SECOND)
            if time.monotonic_ns() - before < left:  # something happened on the host: it takes that time
                until = clock.now() + min(left, time.monotonic_ns() - before)
                if journal is not None:
                    journal.skipped(until)
        clock.skip(until)
        return 0


class Threads:
    """Each vCPU on a host thread of its own; the main thread has the timers and descriptors."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._change = Condition()
        self._running = False
        self._closed = False
        self._parked = 0
        self._waiting = [False] * len(machine.vcpus)
        self._wakes = [0] * len(machine.vcpus)
        self._threads: list[Thread] = []

    def start(self) -> None:
        if not self._threads:
            self._threads = [
                Thread(target=self._main, args=(vcpu,), name=f"cpu{vcpu.index}", daemon=True)
                for vcpu in self._machine.vcpus
            ]
            for thread in self._threads:
                thread.start()
        with self._change:
            self._running = True
            self._change.notify_all()

    def stop(self) -> None:
        with self._change:
            self._running = False
            self._change.notify_all()
        while self._threads:
            for vcpu in self._machine.vcpus:
                vcpu.kick()
            with self._change:  # a kick may come just before a vCPU enters native code: ask again
                if self._change.wait_for(lambda: self._parked == len(self._threads), 0.01):
                    return

    def kick(self) -> None:
        pass  # the main thread waits in its event loop, which was woken

    def woken(self, index: int) -> None:
        with self._change:
            self._wakes[index] += 1
            if self._waiting[index]:
                self._change.notify_all()

    def forget(self) -> None:
        with self._change:
            for index in range(len(self._wakes)):
                self._wakes[index] += 1
            self._change.notify_all()

    def save(self) -> dict[str, object]:
        return {}  # a processor that waits looks again when it goes on

    def load(self, state: Mapping[str, object]) -> None:
        pass

    def turn(self) -> float | None:
        clock = self._machine.clock
        due = clock.next_deadline()
        return None if due is None else max(0, due - clock.now()) / _SECOND

    def _main(self, vcpu: Vcpu) -> None:
        machine, index = self._machine, vcpu.index
        while True:
            with self._change:
                if not self._running:
                    self._parked += 1
                    self._change.notify_all()
                    self._change.wait_for(lambda: self._running)
                    self._parked -= 1
                if index in machine.held:
                    self._change.wait_for(lambda: not self._running)
                    continue
                wakes = self._wakes[index]
            try:
                reason = vcpu.run(LONG_SLICE)
            except Exception as error:  # whatever it is, it ends the machine: the main thread says so
                machine.fail(f"processor {index}: {type(error).__name__}: {error}")
                reason = Idle(None)
            if not isinstance(reason, Idle):
                machine.answer(vcpu, reason)
                if not isinstance(reason, Running):  # the main thread has something to do before it goes on
                    with self._change:
                        self._change.wait_for(lambda: not self._running)
                continue
            with self._change:
                left = None
                if reason.deadline is not None:
                    left = max(0, reason.deadline - machine.clock.now()) / _SECOND
                self._waiting[index] = True
                self._change.wait_for(partial(self._may_go_on, index, wakes), left)
                self._waiting[index] = False

    def _may_go_on(self, index: int, wakes: int) -> bool:
        """Whether a vCPU that waits has been woken since, or the machine is to stand still."""
        return not self._running or self._wakes[index] != wakes
