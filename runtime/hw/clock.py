"""Virtual time, in nanoseconds, and timers on it: it stands still while the machine does.

Where it comes from is the machine's choice: the host's clock, or the instructions executed, so that a run repeats
exactly.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from heapq import heappop, heappush
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """Calls back when a moment has come, once a `set`.  Its name is its own among the clock's timers."""

    def __init__(self, clock: Clock, name: str, callback: Callable[[], None]) -> None:
        self.name = name
        self.callback = callback
        self.deadline: int | None = None
        self._clock = clock

    def set(self, deadline: int | None) -> None:
        """The moment, which may have passed already; None: never."""
        if deadline != self.deadline:
            self.deadline = deadline
            self._clock.arm(self)

    def set_after(self, nanoseconds: int) -> None:
        """That long from now."""
        self.set(self._clock.now() + nanoseconds)

    def cancel(self) -> None:
        """Never."""
        self.set(None)


class Clock(ABC):
    """Timers on some source of time.  The machine's lock is held whenever one is set or runs.

    on_change   called when the next deadline has become an earlier one: whoever sleeps shall look again
    """

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}
        self._queue: list[tuple[int, int, Timer]] = []
        self._order = count()
        self.on_change: Callable[[], None] = lambda: None

    @abstractmethod
    def now(self) -> int:
        """Nanoseconds since the machine's start."""

    @abstractmethod
    def set_now(self, now: int) -> None:
        """Go on from another moment (a snapshot's)."""

    def start(self) -> None:
        """Let time pass; it does not before."""

    def stop(self) -> None:
        """Have it stand still."""

    def timer(self, name: str, callback: Callable[[], None]) -> Timer:
        """A timer; `name` says whose, for snapshots and `info`."""
        if name in self._timers:
            raise ValueError(f"there are two timers named {name}")
        timer = self._timers[name] = Timer(self, name, callback)
        return timer

    def forget(self, timer: Timer) -> None:
        """Free a timer whose device is gone."""
        timer.deadline = None
        self._timers.pop(timer.name, None)

    def arm(self, timer: Timer) -> None:
        """`timer.deadline` has changed."""
        if timer.deadline is None:
            return
        first = self.next_deadline()
        heappush(self._queue, (timer.deadline, next(self._order), timer))
        if first is None or timer.deadline <= first:
            self.on_change()

    def next_deadline(self) -> int | None:
        """When the next timer is due."""
        queue = self._queue
        while queue and queue[0][2].deadline != queue[0][0]:
            heappop(queue)  # it was set anew, or cancelled
        return queue[0][0] if queue else None

    def run_due(self) -> None:
        """Call back the timers whose moment has come, in its order."""
        now = self.now()
        while True:
            deadline = self.next_deadline()
            if deadline is None or deadline > now:
                return
            timer = heappop(self._queue)[2]
            timer.deadline = None
            timer.callback()

    def save(self) -> dict[str, object]:
        """The time, and when each timer is due."""
        timers = {name: timer.deadline for name, timer in self._timers.items() if timer.deadline is not None}
        return {"now": self.now(), "timers": timers}

    def load(self, state: dict[str, object]) -> None:
        """What `save` gave; timers that there are none of here are left out."""
        now, timers = state["now"], state["timers"]
        if not isinstance(now, int) or not isinstance(timers, dict):
            raise ValueError("no state of a clock")
        self.set_now(now)
        self._queue.clear()
        for name, timer in self._timers.items():
            timer.deadline = None
            timer.set(timers.get(name))
        self.on_change()


class HostClock(Clock):
    """Time passes as the host's does while the machine runs."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed = 0
        self._since: int | None = None

    def now(self) -> int:
        return self._elapsed if self._since is None else self._elapsed + time.monotonic_ns() - self._since

    def set_now(self, now: int) -> None:
        self._elapsed = now
        if self._since is not None:
            self._since = time.monotonic_ns()

    def start(self) -> None:
        if self._since is None:
            self._since = time.monotonic_ns()

    def stop(self) -> None:
        self._elapsed, self._since = self.now(), None


class InstructionClock(Clock):
    """2^shift ns an instruction: `executed` counts those of all processors.  `skip` passes over time with no work."""

    def __init__(self, shift: int, executed: Callable[[], int] = lambda: 0) -> None:
        super().__init__()
        self.shift = shift
        self.executed = executed
        self._skipped = 0

    def now(self) -> int:
        return (self.executed() << self.shift) + self._skipped

    def set_now(self, now: int) -> None:
        self._skipped = now - (self.executed() << self.shift)

    def skip(self, until: int) -> None:
        """Everybody waits: it is `until` at once."""
        self._skipped += max(0, until - self.now())

    def instructions_until(self, deadline: int) -> int:
        """How many instructions there are before a moment; at least one."""
        return max(1, -((self.now() - deadline) >> self.shift))


class ManualClock(Clock):
    """Stands where it is put: for tests of devices."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0

    def now(self) -> int:
        return self._now

    def set_now(self, now: int) -> None:
        self._now = now

    def advance(self, nanoseconds: int) -> None:
        """Let time pass, calling timers back each at its own moment."""
        end = self._now + nanoseconds
        while True:
            deadline = self.next_deadline()
            if deadline is None or deadline > end:
                break
            self._now = max(self._now, deadline)
            self.run_due()
        self._now = end
