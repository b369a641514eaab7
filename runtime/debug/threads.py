"""One guest thread under a debugger, and the few words by which debugger and thread agree on who waits for whom."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.core.cpu import Vcpu
    from runtime.debug.breakpoints import Breakpoints
    from runtime.debug.execution import Execution
    from runtime.debug.stop import Plan, Stop
    from runtime.debug.way import Way
    from runtime.linux.process import Thread
    from runtime.linux.signals import SignalInfo


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

    def __init__(self, thread: Thread, vcpu: Vcpu, breakpoints: Breakpoints, way: Way) -> None:
        self.thread = thread
        self.vcpu = vcpu
        self.executor: Execution = way.execution(vcpu, breakpoints)
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
