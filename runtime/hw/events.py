"""The event loop of a machine's main thread: descriptors to watch, and calls that other threads hand over."""

from __future__ import annotations

import os
import selectors
from collections import deque
from contextlib import suppress
from threading import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class _Watch:
    """What to call for a descriptor."""

    __slots__ = ("readable", "writable")

    def __init__(self) -> None:
        self.readable: Callable[[], None] | None = None
        self.writable: Callable[[], None] | None = None

    @property
    def events(self) -> int:
        return (_READ if self.readable else 0) | (_WRITE if self.writable else 0)


class EventLoop:
    """Callbacks run in the main thread, with the machine's lock held.  Any thread may register and `call`."""

    def __init__(self, lock: RLock | None = None) -> None:
        self.lock = RLock() if lock is None else lock
        # poll and no epoll: standard input may be a plain file, which epoll refuses.
        self._selector = selectors.PollSelector()
        self._watches: dict[int, _Watch] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, _READ)

    def on_readable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        """Call back whenever something can be read (or the other side hung up); None: no more."""
        self._watch(descriptor).readable = callback
        self._update(descriptor)

    def on_writable(self, descriptor: int, callback: Callable[[], None] | None) -> None:
        """Call back whenever something can be written; None: no more."""
        self._watch(descriptor).writable = callback
        self._update(descriptor)

    def forget(self, descriptor: int) -> None:
        """Before a descriptor is closed."""
        with self.lock:
            if self._watches.pop(descriptor, None) is not None:
                with suppress(KeyError):
                    self._selector.unregister(descriptor)

    def call(self, callback: Callable[[], None]) -> None:
        """Have the main thread call it soon; from any thread."""
        self._calls.append(callback)
        self.wake()

    def wake(self) -> None:
        """Make `run_once` return; from any thread, and from signal handlers."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._wake, 1)

    def run_once(self, timeout: float | None) -> None:
        """Wait for something to do, `timeout` seconds at most (None: for ever), and do it."""
        events = self._selector.select(0 if self._calls else timeout)
        if not events and not self._calls:
            return
        with self.lock:
            for key, mask in events:
                if key.fd == self._wake:
                    with suppress(BlockingIOError):
                        os.eventfd_read(self._wake)
                    continue
                watch = self._watches.get(key.fd)
                if watch is not None and mask & _READ and watch.readable is not None:
                    watch.readable()
                watch = self._watches.get(key.fd)
                if watch is not None and mask & _WRITE and watch.writable is not None:
                    watch.writable()
            for _ in range(len(self._calls)):
                self._calls.popleft()()

    def close(self) -> None:
        """Free it; what it watched stays open."""
        self._selector.close()
        os.close(self._wake)

    def _watch(self, descriptor: int) -> _Watch:
        return self._watches.setdefault(descriptor, _Watch())

    def _update(self, descriptor: int) -> None:
        with self.lock:
            watch = self._watches[descriptor]
            known = descriptor in self._selector.get_map()
            if not watch.events:
                del self._watches[descriptor]
                if known:
                    self._selector.unregister(descriptor)
            elif known:
                self._selector.modify(descriptor, watch.events)
            else:
                self._selector.register(descriptor, watch.events)
        self.wake()
