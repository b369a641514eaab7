"""One guest thread under a debugger, and the few words by which debugger and thread agree on who waits for whom."""

from __future__ import annotations

from runtime.debug.execution import Executor
from runtime.debug.stop import Plan, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.watch import Watch
    from runtime.debug.breakpoints import Breakpoints
    from runtime.linux.process import Thread
    from runtime.linux.signals import SignalInfo
    from runtime.tcg.loop import TcgVcpu


class DebuggedThread:
    """A guest thread and the debugger's view of it.

    plan        what it is to do; None: it stays where it is
    parked      it waits for the debugger, and its registers can be changed
    in_kernel   it is out of guest code: in a system call, or having a signal delivered
    kernel_pc   where it left guest code
    pending     a stop of its own, while that of another thread is being looked at
    information the signal it is stopped at
    injected    the signal (the guest's number) that the debugger gave it: it is not stopped at
    """

    def __init__(self, thread: Thread, vcpu: TcgVcpu, breakpoints: Breakpoints, watch: Watch | None = None) -> None:
        self.thread = thread
        self.vcpu = vcpu
        self.executor = Executor(vcpu, breakpoints, watch)
        self.plan: Plan | None = None
        self.parked = False
        self.in_kernel = False
        self.kernel_pc = -1
        self.pending: Stop | None = None
        self.information: SignalInfo | None = None
        self.injected = 0

    @property
    def tid(self) -> int:
        return self.thread.tid
