"""Going back in time: snapshots on the way, and replaying from them to any position of a recording.

A position is a number of instructions executed.  While the guest stands in its past nothing of it can be changed, and
the kernel is not asked again: what it did is in the recording.  At the end of the recording the guest goes on live.
"""

from __future__ import annotations

from bisect import bisect_right

from runtime.core.env import Exit
from runtime.core.record import record
from runtime.core.snapshot import MemorySnapshot, PageStore
from runtime.debug.execution import Executor, Hit
from runtime.debug.recording import Event, Recording, State, capture, put_back
from runtime.debug.stop import DebugError, Plan, Stop, StopKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: instructions from one snapshot to the next, at first; most snapshots kept, and most bytes of events
INTERVAL = 5_000_000
MOST_MOMENTS = 64
MOST_BYTES = 1 << 29
#: going far, leave a snapshot so near the goal that further steps back are short
_NEAR = 20_000
#: how much is searched at first on the way back; each time four times as much
_WINDOW = 1 << 14


class Interrupted(Exception):
    """gdb does not want to wait any longer."""


@record
class Moment:
    """A snapshot."""

    position: int
    state: State
    memory: MemorySnapshot


class History:
    """The recording of one vCPU and the snapshots along it.

    present   while the guest is in its past: where it really is
    """

    def __init__(self, executor: Executor, interval: int = INTERVAL) -> None:
        self.executor = executor
        self.vcpu = executor.vcpu
        self.recording = Recording(self.vcpu)
        self.store = PageStore(self.vcpu.memory, executor.watch)
        self.interval = interval
        self.moments: list[Moment] = [self._take()]
        self.near: Moment | None = None
        self.present: Moment | None = None
        self.interrupted: Callable[[], bool] = lambda: False
        self.recording.kernel_begins()

    @property
    def position(self) -> int:
        return self.vcpu.executed

    @property
    def begin(self) -> int:
        """The earliest position that can be gone to."""
        return self.moments[0].position

    @property
    def due(self) -> int:
        """Where the next snapshot is to be taken."""
        return self.moments[-1].position + self.interval

    def close(self) -> None:
        """Stop recording, at the present."""
        watch = self.executor.watch
        self.vcpu.memory.changes = None
        watch.tracking = False
        watch.set_ranges(watch.loads, watch.stores, watch.code)  # without the marks of the snapshots

    # ------------------------------------------------------------ the present

    def advance(self) -> None:
        """The guest runs, live: take a snapshot if it is time, and make room if there is too much."""
        if self.position >= self.due:
            self.moments.append(self._take())
            if len(self.moments) > MOST_MOMENTS:
                # The latest quarter stays as it is; of the earlier ones every other goes, but for the first.
                kept = len(self.moments) // 4
                self.moments = [*self.moments[:-kept:2], *self.moments[-kept:]]
                self.interval *= 2
        if self.recording.size > MOST_BYTES and len(self.moments) > 1:
            del self.moments[: max(len(self.moments) // 2, 1)]
            self.recording.drop_before(self.begin)

    def snapshot(self) -> int:
        """Leave one here; the position."""
        if all(moment.position != self.position for moment in self.moments):
            self.moments.append(self._take())
            self.moments.sort(key=lambda moment: moment.position)
        return self.position

    def _take(self) -> Moment:
        return Moment(self.vcpu.executed, capture(self.vcpu), self.store.take())

    # ------------------------------------------------------------ any time

    def go(self, position: int) -> None:
        """Go to a position of the recording."""
        if self.present is None:
            self.near = None
            self.present = self._take()
        position = max(position, self.begin)
        if position >= self.present.position:
            self._restore(self.present)
            self.present = None
            return
        here = self.position
        moment = self._before(position)
        if not moment.position <= here <= position:
            self._restore(moment)
            here = moment.position
        if position - here > 2 * _NEAR:
            self._replay(position - _NEAR)
            self.near = self._take()
        self._replay(position)

    def _before(self, position: int) -> Moment:
        """The last snapshot not behind a position."""
        found = self.moments[max(bisect_right(self.moments, position, key=lambda moment: moment.position) - 1, 0)]
        near = self.near
        return near if near is not None and found.position < near.position <= position else found

    def _restore(self, moment: Moment) -> None:
        self.store.restore(moment.memory)
        put_back(self.vcpu, moment.state, moment.position)

    def _replay(self, end: int, found: Callable[[Hit, int], bool] | None = None) -> None:
        """Run to a position, which is not behind the present; `found` is told of hits, and says whether to go on."""
        executor, vcpu = self.executor, self.vcpu
        while (here := vcpu.executed) < end:
            if self.interrupted():
                raise Interrupted
            event = self.recording.next(here)
            if event is not None and event.position == here:
                hit = self._apply(event)
                if hit is not None and found is not None and not found(hit, here):
                    return
                continue
            goal = end if event is None else min(end, event.position)
            reason = executor.run(goal)
            vcpu.stop_requested = False
            if isinstance(reason, Hit):
                if not reason.word:
                    executor.passed = executor.place
                if found is not None and not found(reason, vcpu.executed - bool(reason.word)):
                    return
            elif reason not in (Exit.BUDGET, Exit.WAIT):
                raise DebugError(self._lost())

    def _apply(self, event: Event) -> Hit | None:
        """A turn of the kernel; the hit if it wrote to what is watched."""
        if not self.recording.apply(event):
            raise DebugError(self._lost())
        return self.hit_by(
            [(address, len(data)) for address, data in event.writes if isinstance(data, bytes) and len(data) < 1 << 20]
        )

    def hit_by(self, writes: list[tuple[int, int]]) -> Hit | None:
        """Whether bytes the kernel wrote are watched."""
        if self.executor.breakpoints.watches:
            for address, size in writes:
                hit = self.executor.breakpoints.hit(address, size, True)
                if hit is not None:
                    return Hit(*hit)
        return None

    def _lost(self) -> str:
        """The guest did not do again what it did."""
        return (
            f"the replay is not what was recorded, at {self.vcpu.pc:#x}: the program reads a clock of the machine, "
            "or memory that others write to"
        )

    # ------------------------------------------------------------ what gdb asks for

    def backward(self, step: bool, thread: int) -> Stop:
        """One instruction back, or back to the last breakpoint or watched access before this position."""
        start = self.position
        try:
            return self._backward(step, thread, start)
        except Interrupted:
            self.interrupted, wanted = (lambda: False), self.interrupted
            self.go(start)
            self.interrupted = wanted
            return Stop(StopKind.INTERRUPT, thread, 2)

    def _backward(self, step: bool, thread: int, start: int) -> Stop:
        if start <= self.begin:
            return Stop(StopKind.HISTORY, thread, word="begin")
        breakpoints, watch = self.executor.breakpoints, self.executor.watch
        if step:
            breakpoints.disarm(watch)
            self.go(start - 1)
            return Stop(StopKind.STEP, thread)
        high, window = start, _WINDOW
        while high > self.begin:
            low = max(high - window, self.begin)
            breakpoints.disarm(watch)
            self.go(low)
            last = self._last(high)
            breakpoints.disarm(watch)
            if last is not None:
                hit, position = last
                self.go(position)
                self.executor.passed = self.executor.place
                kind = StopKind.WATCH if hit.word else StopKind.BREAKPOINT
                return Stop(kind, thread, address=hit.address, word=hit.word)
            high, window = low, window * 4
        self.go(self.begin)
        return Stop(StopKind.HISTORY, thread, word="begin")

    def _last(self, high: int) -> tuple[Hit, int] | None:
        """The last hit from here to before a position."""
        last: list[tuple[Hit, int]] = []

        def note(hit: Hit, position: int) -> bool:
            if position < high:
                last[:] = [(hit, position)]
            return True

        self.executor.breakpoints.arm(self.executor.watch)
        self.executor.passed = (-1, -1)
        self._replay(high, note)
        return last[0] if last else None

    def forward(self, plan: Plan, thread: int) -> Stop | None:
        """Run in the past as a plan says; None when the present is reached, after which the guest goes on live."""
        assert self.present is not None
        executor = self.executor
        end = self.present.position
        executor.breakpoints.arm(executor.watch)
        found: list[Hit] = []

        def note(hit: Hit, position: int) -> bool:
            found.append(hit)
            return False

        try:
            if plan.step:
                while self.position < end:
                    executor.passed = executor.place
                    self._replay(self.position + 1, note)
                    if found and found[0].word:
                        break
                    if not plan.low <= self.vcpu.pc < plan.high:
                        break
                    found.clear()
            else:
                self._replay(end, note)
        except Interrupted:
            return Stop(StopKind.INTERRUPT, thread, 2)
        if found and found[0].word:
            stop = Stop(StopKind.WATCH, thread, address=found[0].address, word=found[0].word)
        elif found:
            stop = Stop(StopKind.BREAKPOINT, thread)
        elif plan.step:
            stop = Stop(StopKind.STEP, thread)
        else:
            stop = Stop(StopKind.HISTORY, thread, word="end")
        if self.position >= end:
            self.go(end)
        return stop
