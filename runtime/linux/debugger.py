"""What the Linux layer tells a debugger of its process, if it has one (runtime/debug/linux.py)."""

from __future__ import annotations

TYPE_CHECKING = False  # not imported by any run
if TYPE_CHECKING:
    from runtime.linux.process import Thread
    from runtime.linux.signals import SignalInfo


class Debugger:
    """Somebody who watches a process."""

    def signal(self, thread: Thread, info: SignalInfo) -> SignalInfo | None:
        """A signal is about to be delivered, to a handler or as its default action; what to deliver, None: nothing."""
        return info

    def left(self, thread: Thread) -> None:
        """A thread has ended, and others have not."""

    def forked(self, thread: Thread) -> None:
        """This is the child that a fork made."""
