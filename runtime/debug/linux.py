"""A Linux process as a debugger's target.

Guest threads run in host threads of their own, the debugger in another.  Between two stretches of guest code a thread
comes through its gate: there it waits while the process is stopped.  What the debugger reads and writes, it reads and
writes while the threads wait.
"""

from __future__ import annotations

import os
from threading import Condition
from time import sleep

from runtime.core.env import PAGE_WRITE, Exit
from runtime.core.memory import GuestMemory
from runtime.core.record import replace
from runtime.debug.execution import Hit
from runtime.debug.signal_numbers import from_gdb, to_gdb
from runtime.debug.stop import SIGINT, DebugError, Plan, Stop, StopKind
from runtime.debug.threads import DebuggedThread
from runtime.debug.way import way_of
from runtime.linux import signals
from runtime.linux.attention import mirror
from runtime.linux.debugger import Debugger
from runtime.linux.host import KICK
from runtime.linux.own_files import maps
from runtime.linux.paths import guest_name
from runtime.linux.signals import CODES, GuestKilled, SignalInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.cpu import Vcpu
    from runtime.debug.breakpoints import Breakpoints
    from runtime.debug.description import Description
    from runtime.debug.history import History
    from runtime.linux.process import Process, Thread


#: seconds after which a thread that waits at its gate looks whether the process has ended meanwhile
_GLANCE = 0.05


class LinuxTarget(Debugger):
    """The process of `thread`.

    record   take down what happens, from the start, so that it can be run backwards
    tell     called, from any thread, when there may be a stop to be taken
    say      text for the debugger's user
    hang_up  closes the connection to the debugger, in the child that a fork made
    """

    is_program = reversible = True

    def __init__(self, thread: Thread, vcpu: Vcpu, record: bool) -> None:
        self.lock = Condition()
        self.tell: Callable[[], None] = lambda: None
        self.hang_up: Callable[[], None] = lambda: None
        self.say: Callable[[str], None] = lambda text: None
        self.reports_exec = False
        self.passed_signals: frozenset[int] = frozenset()
        self.history: History | None = None
        self.detached = False
        self._running = False
        self._newcomers = True  # whether threads that begin run at once
        self._stop: Stop | None = None
        self._interrupting = False
        self._killed = False
        self._backward: bool | None = None  # a way back is asked for: whether one step only
        self.breakpoints: Breakpoints
        self._threads: list[DebuggedThread] = []
        self._attach(thread, vcpu)
        if record:
            self.start_recording()

    def _attach(self, thread: Thread, vcpu: Vcpu) -> None:
        process = self.process = thread.process
        process.debugger = self
        process.host.set_action(KICK, None)
        process.signals.open_mask = 1 << KICK - 1
        thread.host_blocked = -1
        self.way = way_of(vcpu)
        if not self._threads:
            self.breakpoints = self.way.breakpoints()
        self.description: Description = self.way.description
        self._threads = [DebuggedThread(thread, vcpu, self.breakpoints, self.way)]

    @property
    def memory(self) -> GuestMemory:
        return self.process.memory

    @property
    def address_space(self) -> int:
        return self.process.memory.size

    def monitor(self, tid: int, text: str) -> str | None:
        """A `monitor` command of its own: there is none."""
        return None

    # ------------------------------------------------------------ the guest's side: called by its threads

    def execute(self, vcpu: Vcpu) -> Exit:
        """What Process.run calls to have a thread's guest code run on."""
        if self.detached:
            return self.way.plain(vcpu)
        mine = self._join(vcpu)
        mine.in_kernel = False
        self._kernel_ended(mine)
        while True:
            self._gate(mine)
            if self.detached:
                return self.way.plain(mine.vcpu)
            if self._ends():
                return self._kernel_begins(mine, Exit.BUDGET)
            if mine.plan is not None and mine.plan.signal:
                self._inject(mine, mine.plan)
                return self._kernel_begins(mine, Exit.BUDGET)
            reason = self._go(mine)
            if isinstance(reason, Stop):
                self._publish(mine, reason)
            elif reason is not None:
                with self.lock:
                    if not self._running or self._interrupting:
                        continue  # what the guest wants of the kernel it will want again
                    return self._kernel_begins(mine, reason)

    def _go(self, mine: DebuggedThread) -> Stop | Exit | None:
        """Guest code, up to a reason to stop or to see the kernel; None: to be called again."""
        plan, executor, vcpu, history = mine.plan, mine.executor, mine.vcpu, self.history
        assert plan is not None
        if vcpu.attention[0]:
            return Exit.BUDGET
        reason = executor.step() if plan.step else executor.run(None if history is None else history.due)
        if history is not None:
            history.advance()
        if isinstance(reason, Hit):
            return self._hit(mine, reason)
        if reason != Exit.BUDGET:
            return reason
        if plan.step:
            if not plan.low <= vcpu.pc < plan.high:
                return Stop(StopKind.STEP, mine.tid)
            if vcpu.pc in self.breakpoints.code:
                return self._hit(mine, Hit())
        return None

    def _hit(self, mine: DebuggedThread, hit: Hit) -> Stop:
        if hit.word:
            return Stop(StopKind.WATCH, mine.tid, address=hit.address, word=hit.word)
        mine.executor.passed = mine.executor.place
        return Stop(StopKind.BREAKPOINT, mine.tid)

    def _kernel_begins(self, mine: DebuggedThread, reason: Exit) -> Exit:
        mine.in_kernel = True
        mine.kernel_pc = mine.vcpu.pc
        if self.history is not None:
            self.history.recording.kernel_begins()
        else:
            self.memory.changes = [] if self.breakpoints.watches else None
        return reason

    def _kernel_ended(self, mine: DebuggedThread) -> None:
        """See what the kernel did to the guest."""
        history, changes = self.history, self.memory.changes
        if history is not None:
            history.recording.kernel_ended()
            if history.recording.shares:
                self.stop_recording()
                self.say("Recording stopped: the program shares memory with a file or another process.\n")
            elif len(self.process.threads) > 1:
                self.stop_recording()
                self.say("Recording stopped: the program has a second thread.\n")
        self.memory.changes = [] if changes is not None else None
        if changes and self.breakpoints.watches:
            for start, end in changes:
                hit = self.breakpoints.hit(start, end - start, True)
                if hit is not None:
                    self._publish(mine, self._hit(mine, Hit(*hit)))
                    return
        plan, pc = mine.plan, mine.vcpu.pc
        if plan is not None and plan.step and pc != mine.kernel_pc and not plan.low <= pc < plan.high:
            mine.kernel_pc = pc
            self._publish(mine, Stop(StopKind.STEP, mine.tid))

    def signal(self, thread: Thread, info: SignalInfo) -> SignalInfo | None:
        """A signal is about to be delivered: stop at it; what the debugger makes of it, None for nothing."""
        mine = self._mine(thread)
        if self.detached:
            return info
        if mine.injected == info.number:
            mine.injected = 0
            return info
        number = to_gdb(self.process.signals, info.number)
        if number in self.passed_signals:
            return info
        behind = self._rewind(thread)
        self._kernel_ended(mine)
        mine.information = info
        try:
            self._publish(mine, Stop(StopKind.SIGNAL, mine.tid, number))
            self._gate(mine)
        finally:
            mine.information = None
            if thread.cut_short is not None:
                if thread.vcpu.pc == thread.cut_short[0]:
                    thread.vcpu.pc = behind
                else:  # the debugger sends it elsewhere
                    thread.cut_short = None
        if self.detached:
            return info
        plan = mine.plan
        if plan is None:  # the process ends
            return None
        mine.plan = replace(plan, signal=0)
        wanted = from_gdb(self.process.signals, plan.signal)
        if wanted is None or wanted == info.number:
            return info if wanted is not None else None
        return self._made_up(wanted)

    @staticmethod
    def _rewind(thread: Thread) -> int:
        """Show a call that a signal cut short as not yet made, as Linux does; the pc behind it."""
        behind = thread.vcpu.pc
        if thread.cut_short is not None:
            pc, register, _ = thread.cut_short
            thread.vcpu.pc = pc
            thread.set(thread.process.abi.result, register)
        return behind

    def _inject(self, mine: DebuggedThread, plan: Plan) -> None:
        """The debugger sends a signal."""
        mine.plan = replace(plan, signal=0)
        number = from_gdb(self.process.signals, plan.signal)
        if number is not None:
            mine.injected = number
            signals.post(mine.thread, self._made_up(number))

    def _made_up(self, number: int) -> SignalInfo:
        return SignalInfo(number, CODES["SI_USER"], pid=os.getpid(), uid=os.getuid())

    def left(self, thread: Thread) -> None:
        """A thread has ended, and others have not."""
        with self.lock:
            gone = [mine for mine in self._threads if mine.thread is thread]
            self._threads = [mine for mine in self._threads if mine.thread is not thread]
            for mine in gone:
                mine.executor.close()
        self.tell()

    def forked(self, thread: Thread) -> None:
        """This is the child that a fork made: it goes on without a debugger."""
        self.lock = Condition()
        self.hang_up()
        self._let_go(thread.process)

    def replaced(self, thread: Thread, vcpu: Vcpu) -> None:
        """The guest has executed another program, whose first thread this is.  Its vCPU has not run yet."""
        if self.detached:
            return
        records = self.history is not None
        self.history = None
        with self.lock:
            plan = self._threads[0].plan
            self._close_executors()
            self._attach(thread, vcpu)
            self._threads[0].plan = plan
            if self.way.native:
                self.breakpoints.clear()  # instructions of the program before: gdb inserts those of this one
            if self._running:
                self._arm()
        if records:
            self.start_recording()
        if self.reports_exec:
            path = os.fsdecode(self.executable())
            self._publish(self._threads[0], Stop(StopKind.EXEC, thread.tid, word=path))

    def ended(self, status: int | None, number: int = 0) -> None:
        """The guest has ended, by itself or by the signal `number`."""
        tid = self._threads[0].tid
        with self.lock:
            self._running = False
            if status is not None:
                self._stop = Stop(StopKind.EXITED, tid, status=status)
            else:
                self._stop = Stop(StopKind.KILLED, tid, to_gdb(self.process.signals, number))
            for mine in self._threads:
                mine.parked = True
        self.tell()

    # ------------------------------------------------------------ the gate

    def _gate(self, mine: DebuggedThread) -> None:
        """Wait here until the thread is to run.  GuestKilled: it never will."""
        waited = False
        while True:
            with self.lock:
                while not self._may_pass(mine):
                    if not waited:
                        self._note(begins=True)
                        waited = True
                    mine.parked = True
                    self.tell()
                    self.lock.wait(None if self.process.group is None else _GLANCE)
                mine.parked = False
                if self.detached or self._ends():
                    return
                if self._killed:
                    raise GuestKilled(SignalInfo(self.process.abi.constants["SIGKILL"], CODES["SI_USER"]), False)
                pending, mine.pending = mine.pending, None
                if pending is None and self._interrupting:
                    pending = Stop(StopKind.INTERRUPT, mine.tid, SIGINT)
                mine.vcpu.stop_requested = False
            if pending is None and self.history is not None and self._travels(self.history):
                pending = self._travel(mine, self.history)
                self._note(begins=True)
            if pending is None:
                if waited:
                    self._note(begins=False)
                return
            self._publish(mine, pending)

    def _note(self, begins: bool) -> None:
        """While the guest stands still, and is in the present, what the debugger does to it is recorded."""
        if self.history is not None and self.history.present is None:
            if begins:
                self.history.recording.kernel_begins()
            else:
                self.history.recording.kernel_ended()

    def _may_pass(self, mine: DebuggedThread) -> bool:
        return self.detached or self._killed or self._ends() or (self._running and mine.plan is not None)

    def _ends(self) -> bool:
        """Whether the process ends, or becomes another program, by what another of its threads did."""
        group = self.process.group
        return group is not None and group.is_ending

    def _publish(self, mine: DebuggedThread, stop: Stop) -> None:
        """This stops the process, unless another thread was first: then it waits its turn."""
        with self.lock:
            if self.detached or self._killed:
                return
            if not self._running:
                if stop.kind is not StopKind.BREAKPOINT:  # that one comes again
                    mine.pending = stop
                return
            self._running = self._interrupting = False
            self._stop = stop
            self._kick(mine)
        self.tell()

    def _kick(self, caller: DebuggedThread | None = None) -> None:
        """Have all threads but the caller's come to their gates; with the lock held."""
        for mine in self._threads:
            if mine is caller:
                continue
            mine.vcpu.stop_requested = True
            if (mine.in_kernel or self.way.native) and not mine.parked:
                self.process.host.kick(mine.thread.slot)

    def _travels(self, history: History) -> bool:
        return history.present is not None or self._backward is not None

    def _travel(self, mine: DebuggedThread, history: History) -> Stop | None:
        """Run in the past, backwards or forwards."""
        backward, self._backward = self._backward, None
        history.interrupted = lambda: self._interrupting
        assert mine.plan is not None
        try:
            if backward is not None:
                return history.backward(backward, mine.tid)
            return history.forward(mine.plan, mine.tid)
        except DebugError as error:
            self.say(f"{error}\n")
            if history.present is not None:
                history.go(history.present.position)
            return Stop(StopKind.HISTORY, mine.tid, word="end")

    # ------------------------------------------------------------ the debugger's side: called by its thread

    def take_stop(self) -> Stop | None:
        """The stop that there is, once all threads wait."""
        with self.lock:
            if self._stop is None or not all(mine.parked for mine in self._threads):
                return None
            stop, self._stop = self._stop, None
            if stop.kind not in (StopKind.EXITED, StopKind.KILLED):
                self.way.stands()
            return stop

    def give_up_waiting(self) -> None:
        """A thread cannot be made to come to its gate: a call of the host's does not let go.  Take it as it is."""
        with self.lock:
            if self._stop is None and self._interrupting:
                self._running = self._interrupting = False
                self._stop = Stop(StopKind.INTERRUPT, self._threads[0].tid, SIGINT)
            if self._stop is not None:
                for mine in self._threads:
                    mine.parked = mine.parked or mine.in_kernel
        self.tell()

    def threads(self) -> list[int]:
        """Their numbers."""
        return [mine.tid for mine in self._threads]

    def thread_name(self, tid: int) -> str:
        """What `ps` would say."""
        for mine in self._threads:
            if mine.tid == tid:
                return (mine.thread.comm or self.process.comm).decode("utf-8", "replace")
        return ""

    def vcpu(self, tid: int) -> Vcpu:
        """A thread's registers."""
        for mine in self._threads:
            if mine.tid == tid:
                return mine.vcpu
        raise DebugError(f"there is no thread {tid}")

    def changing(self, tid: int | None = None) -> None:
        """DebugError unless registers (of thread `tid`) or memory can be changed now."""
        if self.history is not None and self.history.present is not None:
            raise DebugError("the past cannot be changed; go back to the present first (monitor present)")
        for mine in self._threads:
            if mine.tid == tid and mine.in_kernel and mine.information is None:
                raise DebugError("the thread is inside a system call")

    def read_memory(self, address: int, size: int) -> bytes:
        """What is mapped from `address` on, up to `size` bytes; nothing if nothing is there."""
        memory = self.memory
        parts = []
        end = min(address + size, memory.size)
        while 0 <= address < end:
            region = memory.region_at(address)
            if region is None or address >= region.data_end:
                break
            upto = min(end, region.data_end)
            parts.append(bytes(memory.view[address:upto]))
            address = upto
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Change memory, whatever its permissions; DebugError, and nothing changed, where there is none."""
        self.changing()
        at, end = address, address + len(data)
        while at < end:
            region = self.memory.region_at(at) if at < self.memory.size else None
            if region is None or at >= region.data_end:
                raise DebugError(f"nothing is mapped at {at:#x}")
            if region.backing is not None and not region.backing.most & PAGE_WRITE:
                raise DebugError(f"the file mapped at {at:#x} cannot be written to")
            at = region.data_end
        if data:
            self.memory.write(address, data, need=0)

    def resume(self, plans: Mapping[int, Plan], newcomers: bool = True) -> None:
        """Let the threads named do what the plans say; the others stay, as do those that begin meanwhile if told so."""
        with self.lock:
            self._newcomers = newcomers
            for mine in self._threads:
                mine.plan = plans.get(mine.tid)
            self._arm()
            self._running = True
            self.lock.notify_all()

    def backward(self, step: bool) -> None:
        """Go back, as History.backward says."""
        if self.history is None:
            raise DebugError("nothing is recorded: start with --record, or say `monitor record` first")
        self._backward = step
        self.resume({self._threads[0].tid: Plan()})

    def interrupt(self) -> None:
        """Stop the process."""
        with self.lock:
            if self._running:
                self._interrupting = True
                self._kick()

    def kill(self) -> None:
        """End the guest, at once."""
        with self.lock:
            self._killed = True
            self._kick()
            self.lock.notify_all()

    def detach(self) -> None:
        """Let the guest go on without a debugger."""
        with self.lock:
            if self.detached or self._killed:
                return
            if self.history is not None and self.history.present is not None:
                self.history.go(self.history.present.position)
            self._let_go(self.process)
            self.lock.notify_all()

    def _let_go(self, process: Process) -> None:
        self.detached = True
        self.history = None
        self.breakpoints.clear()
        self._close_executors()
        process.memory.changes = None
        process.debugger = None
        for number in process.signals.names:
            mirror(process, number)

    # ------------------------------------------------------------ recording

    def start_recording(self) -> None:
        """From here on."""
        if len(self._threads) > 1:
            raise DebugError("a program with more than one thread cannot be recorded")
        if any(region.shared and region.backing is not None for region in self.memory.regions()):
            raise DebugError("a program that shares memory with a file or another process cannot be recorded")
        if self.history is None:
            self.history = self.way.history(self._threads[0].executor)

    def stop_recording(self) -> None:
        """Forget the past, and go on from the present."""
        history = self.history
        if history is not None:
            if history.present is not None:
                history.go(history.present.position)
            history.close()
            self.history = None

    # ------------------------------------------------------------ what there is to know

    def executable(self) -> bytes:
        """The program's path as the guest names it."""
        return guest_name(self.process, self.process.executable)

    def object(self, name: str) -> bytes | None:
        """What qXfer reads: auxv, exec-file, siginfo; None if there is none."""
        if name == "auxv":
            return self.process.auxiliary
        if name == "exec-file":
            return self.executable()
        if name == "siginfo":
            for mine in self._threads:
                if mine.information is not None:
                    return signals.pack_info(self.process, mine.information)
        return None

    def maps(self) -> str:
        """The mappings, as /proc/self/maps shows them."""
        return maps(self.process).decode("utf-8", "replace")

    # ------------------------------------------------------------ inside

    def _arm(self) -> None:
        self.breakpoints.arm(self.way.marks)
        self.way.goes_on()

    def _close_executors(self) -> None:
        """Take all marks off the memory."""
        self.way.close()
        for mine in self._threads:
            mine.executor.close()

    def _join(self, vcpu: Vcpu) -> DebuggedThread:
        """The debugger's view of the thread that runs `vcpu`, made when it runs for the first time."""
        for mine in self._threads:
            if mine.vcpu is vcpu:
                return mine
        thread = next(thread for thread in self.process.threads if thread.vcpu is vcpu)
        while self.history is not None:
            sleep(0.001)  # until the thread that made this one has come back from that call and stopped recording
        with self.lock:
            mine = DebuggedThread(thread, vcpu, self.breakpoints, self.way)
            # gdb steps one thread over a breakpoint that it has removed: no other may pass there meanwhile.
            mine.plan = Plan() if self._newcomers else None
            self._threads.append(mine)
        return mine

    def _mine(self, thread: Thread) -> DebuggedThread:
        for mine in self._threads:
            if mine.thread is thread:
                return mine
        raise DebugError("a thread that nobody told of")
