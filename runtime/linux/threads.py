"""The threads of a guest process beside its first: each runs on a host thread of its own, native code without the GIL.

A guest's thread number is the number the host's kernel knows its thread by.  So futexes, tgkill, timers for one thread
and the choice of a thread for a signal sent to the process are the host kernel's business.

The first thread's host thread is whoever called Process.run, and there the end of the process is told: what ends it in
another thread (`outcome`) is raised there when all other threads are gone.  What ends only the run (a hook that raised,
a stop) is raised there too, and the other threads are parked until the next run.
"""

from __future__ import annotations

import errno
from _thread import allocate_lock, get_native_id
from threading import Condition
from threading import Thread as HostThread

from runtime.linux.errors import fail
from runtime.linux.host import KICK
from runtime.linux.signals import GuestKilled
from runtime.linux.syscalls import futexes
from runtime.linux.syscalls.process import GuestExit, GuestReplaced, ThreadExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.linux.crew import Crew
    from runtime.linux.process import Execute, Process, Thread

ALL_SIGNALS = (1 << 64) - 1
#: seconds between two kicks of a thread that should come out of a system call, and in all
_PATIENCE, _KICK_EVERY = 5.0, 0.02
#: what ends a process
_ENDS = (GuestExit, GuestKilled, GuestReplaced)


class ThreadEnds(Exception):
    """Unwinds a thread that ends with its process."""


class Group:
    """The threads of a process that has, or had, several.

    outcome    what ended the process, once something did
    changed    notified when a thread ends or parks, when they may go on, and when the process ends
    stuck      whether a thread could not be got out of a system call of the host's: its memory must stay
    """

    def __init__(self, process: Process, crew: Crew) -> None:
        self.process = process
        self.crew = crew
        self.changed = Condition()
        self.outcome: BaseException | None = None
        self.stuck = False
        self._trouble: BaseException | None = None  # to be raised by Process.run
        self._paused = False
        self._first_status: int | None = None  # what the first thread said when it ended before others
        self._executing: Thread | None = None  # for it all others end
        self._parked = 0
        self._others: list[Thread] = []

    @property
    def is_ending(self) -> bool:
        """Whether all threads, or all but one that executes another program, are to end."""
        return self.outcome is not None or self._executing is not None

    # ------------------------------------------------------------ beginning

    def start(self, parent: Thread, prepare: Callable[[Thread], None]) -> int:
        """Start a thread that begins as a copy of `parent`, as changed by `prepare`; its number.  OSError: EAGAIN."""
        process, host = self.process, self.process.host
        if self.outcome is not None:
            raise fail(errno.EAGAIN)
        slot = host.slot()
        try:
            vcpu, execute = self.crew.recruit(parent.vcpu)
        except (MemoryError, ValueError):
            host.release(slot)
            raise fail(errno.EAGAIN) from None
        thread = process.new_thread(vcpu, slot)
        thread.blocked = parent.blocked
        ready = Ready()
        body = HostThread(target=self._body, args=(thread, execute, prepare, ready), daemon=True)
        if process.own_signals:
            host.set_mask(ALL_SIGNALS)  # until the new thread knows its slot; it begins with our mask
            parent.host_blocked = -1
        try:
            body.start()
        except RuntimeError:
            thread.close()
            vcpu.close()
            host.release(slot)
            raise fail(errno.EAGAIN) from None
        ready.wait()
        return thread.tid

    def _body(self, thread: Thread, execute: Execute, prepare: Callable[[Thread], None], ready: Ready) -> None:
        """A host thread, all of it."""
        process = self.process
        process.host.attach(thread.slot)
        thread.tid = thread.slot.tid
        thread.host_blocked = -1
        prepare(thread)
        with self.changed:
            process.threads.append(thread)
            self._others.append(thread)
        ready.set()
        while True:
            reason = _run(process, thread, execute)
            if process.group is not self:  # a fork: this is another process, and its first thread
                if process.group is not None:
                    reason = process.group.finish(thread, reason)
                assert self.crew.adopt is not None
                self.crew.adopt(thread, execute, reason)
                return
            if isinstance(reason, _ENDS):
                self.end(reason)
            if isinstance(reason, (ThreadEnds, ThreadExit, *_ENDS)):
                break
            # Trouble is for whoever called Process.run.  The thread goes on when that is called again.
            with self.changed:
                self._paused = True
                self._trouble = self._trouble or reason
                self.changed.notify_all()
            process.host.kick(process.host.first)
        self._leave(thread, isinstance(reason, GuestKilled))

    def _leave(self, thread: Thread, keep: bool) -> None:
        """A thread is over, and says so to those who wait for it; `keep` its registers, for a report."""
        process = self.process
        futexes.leave(thread)
        if process.own_signals:
            process.host.set_mask(ALL_SIGNALS)
        if process.debugger is not None:
            process.debugger.left(thread)
        with self.changed:
            process.threads.remove(thread)
            last = not process.threads and self.outcome is None
            process.executed_elsewhere += thread.vcpu.executed
            if not keep:
                thread.close()
                thread.vcpu.close()
            process.host.release(thread.slot)
            self._others.remove(thread)
            if last:
                self.outcome = GuestExit(self._first_status or 0)
            self.changed.notify_all()

    # ------------------------------------------------------------ the first thread

    def resume(self, thread: Thread) -> None:
        """Process.run begins: the others go on."""
        with self.changed:
            self._paused = False
            if getattr(self._trouble, "of_one_run", False):  # a stop of the run before, which had another one as well
                self._trouble = None
            self.changed.notify_all()
        if thread.over:
            raise ThreadExit(0)

    def finish(self, thread: Thread, reason: BaseException) -> BaseException:
        """The first thread's run came to an end: what Process.run is to raise when the others are gone, or parked."""
        if isinstance(reason, ThreadExit) or (isinstance(reason, ThreadEnds) and self.outcome is None):
            reason = self._wait_for_others(thread, reason)
        if isinstance(reason, _ENDS):
            self.end(reason)
        if self.outcome is None:
            with self.changed:
                self._paused = True
            self._gather(lambda: self._parked == len(self._others))
            return reason
        if not self._gather(lambda: not self._others):
            self.stuck = True
        return self.outcome

    def _wait_for_others(self, thread: Thread, reason: ThreadExit | ThreadEnds) -> BaseException:
        """The first thread is over, but not the process: what ends that, or interrupts the run."""
        process = self.process
        if not thread.over:
            futexes.leave(thread)
        if process.own_signals:
            process.host.set_mask(ALL_SIGNALS)
        with self.changed:
            if not thread.over:
                thread.over = True
                if process.debugger is not None:
                    process.debugger.left(thread)
                self._first_status = reason.status if isinstance(reason, ThreadExit) else 0
                process.threads.remove(thread)
                if not process.threads:
                    self.outcome = GuestExit(self._first_status)
                self.changed.notify_all()
            while self.outcome is None and self._trouble is None:
                self.changed.wait(0.1)  # not for ever, for signal handlers of Python's
            trouble, self._trouble = self._trouble, None
            return self.outcome or trouble or reason

    # ------------------------------------------------------------ the end

    def end(self, outcome: BaseException) -> None:
        """The process ends by this; who was first counts."""
        with self.changed:
            if self.outcome is None:
                self.outcome = outcome
            self.changed.notify_all()
        self._kick_all()

    def close(self) -> None:
        """End all threads but the first, for the process's memory is about to be freed."""
        self.end(GuestExit(0))
        if not self._gather(lambda: not self._others):
            self.stuck = True

    def end_others(self, thread: Thread) -> None:
        """Have all threads but this one end, for it executes another program."""
        with self.changed:
            if self.outcome is not None or self._executing is not None:
                raise ThreadEnds
            self._executing = thread
        self._gather(lambda: self.process.threads == [thread])

    def _gather(self, done: Callable[[], bool]) -> bool:
        """Kick the other threads until `done`; False when some do not listen."""
        left = _PATIENCE
        with self.changed:
            while not done():
                if left <= 0:
                    return False
                self._kick_all()
                left -= _KICK_EVERY
                self.changed.wait(_KICK_EVERY)
        return True

    def _kick_all(self) -> None:
        own = get_native_id()
        for thread in list(self.process.threads):
            if thread.slot.tid != own:
                self.process.host.kick(thread.slot)

    # ------------------------------------------------------------ on the way

    def attend(self, thread: Thread) -> None:
        """A thread is about to go on: it may not."""
        if self.outcome is not None or self._executing not in (None, thread):
            raise ThreadEnds
        if thread.slot is self.process.host.first:
            if self._trouble is not None:
                trouble, self._trouble = self._trouble, None
                raise trouble
            return
        while self._paused:
            with self.changed:
                self._parked += 1
                self.changed.notify_all()
                while self._paused and self.outcome is None:
                    self.changed.wait()
                self._parked -= 1
            if self.outcome is not None:
                raise ThreadEnds


class Ready:
    """A thread has begun."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()


def _run(process: Process, thread: Thread, execute: Execute) -> BaseException:
    """Run a thread to its end, or to the end of the run: what it raised."""
    try:
        process.run_thread(thread, execute)
    except BaseException as reason:
        return reason
    raise AssertionError("a thread's loop ends by an exception only")


def group_of(process: Process) -> Group:
    """The process's group, made when there is to be a second thread; EAGAIN where there cannot be one."""
    if process.crew is None:
        raise fail(errno.EAGAIN)  # what pthread_create reports
    if process.group is None:
        process.group = Group(process, process.crew)
        process.host.set_action(KICK, None)
        process.signals.open_mask = 1 << KICK - 1
        process.threads[0].host_blocked = -1
    return process.group
