"""`isomorph run -g`: a guest process with gdb at its side, from before its first instruction to its end."""

from __future__ import annotations

from runtime.debug.host_files import HostFiles
from runtime.debug.linux import LinuxTarget
from runtime.debug.server import Listener, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.cpu import Vcpu
    from runtime.core.env import Exit
    from runtime.linux.process import Thread


class Debugging:
    """Waits for gdb at `place`, and lets it have the process of `thread`, which has not run yet."""

    def __init__(self, place: str, record: bool, thread: Thread, vcpu: Vcpu, announce: Callable[[str], None]) -> None:
        listener = Listener(place)
        announce(listener.where)
        connection = listener.accept()
        self.target = LinuxTarget(thread, vcpu, record)
        self._server = Server(connection, self.target, HostFiles(thread.process))
        self._server.start()

    def execute(self, vcpu: Vcpu) -> Exit:
        """What Process.run calls for guest code."""
        return self.target.execute(vcpu)

    def replaced(self, thread: Thread, vcpu: Vcpu) -> None:
        """The guest has executed another program."""
        self.target.replaced(thread, vcpu)

    def ended(self, status: int | None, number: int = 0) -> None:
        """The guest has ended: with a status, or by a signal."""
        if not self.target.detached:
            self.target.ended(status, number)
            self._server.join(5)
