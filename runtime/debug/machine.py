"""A whole machine as a debugger's target: a thread for each processor, addresses as the processors see them."""

from __future__ import annotations

from runtime.core.accelerator import Idle, Watched, Watchpoint
from runtime.debug.breakpoints import Breakpoints, LimitedBreakpoints
from runtime.debug.machine_history import MachineHistory
from runtime.debug.server import Listener, Server
from runtime.debug.stop import SIGINT, DebugError, Plan, Stop, StopKind
from runtime.machine.examine import Examiner
from runtime.machine.machine import Machine, MachineError, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.core.accelerator import Vcpu as MachineVcpu
    from runtime.core.accelerator import VcpuExit
    from runtime.debug.description import Description
    from runtime.debug.history import History

#: instructions stepped in one go when gdb wants a range left, between two looks at whether it wants something else
_MOST_STEPS = 100_000


class MachineTarget:
    """Used by the debugger's thread; what runs the machine is done by the machine's main thread, at its rest."""

    is_program = False

    def __init__(self, machine: Machine, description: Description, execute: Callable[[str], str]) -> None:
        self.machine = machine
        self.description = description
        vm = machine.vm
        reason = "" if vm is not None and vm.has_watchpoints else "this machine's accelerator has no watchpoints"
        most = None if vm is None else vm.most_breakpoints
        self.breakpoints: Breakpoints = LimitedBreakpoints(most, reason)
        self.history: History | None = None
        self.tell: Callable[[], None] = lambda: None
        self.say: Callable[[str], None] = lambda text: None
        self.hang_up: Callable[[], None] = lambda: None
        self.reports_exec = False
        self.passed_signals: frozenset[int] = frozenset()
        self._execute = execute
        self._examiner = Examiner(machine)
        self._stop: Stop | None = None
        self._set: frozenset[int] = frozenset()  # the breakpoints that the processors know of
        self._watched: dict[Watched, int] = {}  # the physical memory that they watch -> its virtual address
        self._waited_for = False  # gdb was told that the machine runs
        self._told: dict[int, int] = {}  # threads that gdb was told of stopping -> where: it knows they stand there
        self._halted = False  # what makes it stand still is known here, and told
        self.attached = True
        #: the way back, in a replay
        self.past: MachineHistory | None = None
        if machine.journal is not None and machine.journal.replaying:
            self.past = MachineHistory(machine)
            machine.journal.on_end = self._ended
        machine.on_breakpoint = self._reached
        machine.on_watchpoint = self._touched
        machine.on_change.append(self._changed)

    @property
    def reversible(self) -> bool:
        return self.past is not None

    # ------------------------------------------------------------ looking

    @property
    def address_space(self) -> int:
        return 1 << 64

    def threads(self) -> list[int]:
        return [vcpu.index + 1 for vcpu in self.machine.vcpus]

    def thread_name(self, tid: int) -> str:
        return f"CPU#{tid - 1}"

    def vcpu(self, tid: int) -> MachineVcpu:
        """The processor of that thread number."""
        return self.machine.vcpus[tid - 1]

    def changing(self, tid: int | None = None) -> None:
        """Registers are about to be written: what was derived from them is derived anew."""
        for vcpu in self.machine.vcpus:
            forget = getattr(vcpu, "forget_translations", None)
            if forget is not None and (tid is None or vcpu.index == tid - 1):
                forget()

    def read_memory(self, address: int, size: int) -> bytes:
        """As much as can be read, from the beginning."""
        data = b""
        while size > 0:
            count = min(size, 4096 - address % 4096)
            piece = self._read_page(address, count)
            if piece is None:
                break
            data += piece
            address, size = address + count & (1 << 64) - 1, size - count
        return data

    def _read_page(self, address: int, size: int) -> bytes | None:
        with self.machine.lock:
            for index in range(len(self.machine.vcpus)):
                self._examiner.current = index
                try:
                    return self._examiner.virtual(address, size)
                except MachineError:
                    continue
        return None

    def write_memory(self, address: int, data: bytes) -> None:
        with self.machine.lock:
            self._examiner.current = 0
            try:
                self._examiner.write_virtual(address, data)
            except MachineError as error:
                raise DebugError(str(error)) from error

    def maps(self) -> str:
        return self._examiner.memory_map() + "\n"

    def monitor(self, tid: int, text: str) -> str | None:
        """gdb's `monitor`: the machine's own."""
        with self.machine.lock:
            answer = self._execute(text)
        return answer + "\n" if answer else "\n"

    # ------------------------------------------------------------ running

    def resume(self, plans: Mapping[int, Plan], newcomers: bool = True) -> None:  # no processor is made while it runs
        self._stop, self._waited_for = None, True
        self.machine.at_rest(lambda: self._resume(dict(plans)))

    def _resume(self, plans: dict[int, Plan]) -> None:
        assert self.machine.vm is not None
        self._halted = False
        if self.breakpoints.code != self._set:
            self._set = self.breakpoints.code
            self.machine.vm.set_breakpoints(self._set)
        self._watch()
        stepping = [(tid, plan) for tid, plan in plans.items() if plan.step]
        if stepping:
            tid, plan = stepping[0]
            self._step(tid, plan)
            return
        self.machine.held = frozenset(vcpu.index for vcpu in self.machine.vcpus if vcpu.index + 1 not in plans)
        for tid in plans:
            vcpu = self.vcpu(tid)
            passes = self._told.pop(tid, None) == vcpu.pc  # else it has come here behind another's stop, and is to hit
            if vcpu.pc in self.breakpoints.code and self.past is not None:
                self.past.run(vcpu.executed + 1)
            elif vcpu.pc in self.breakpoints.code and passes:
                reason = self._one(vcpu)
                if isinstance(reason, Watchpoint):
                    self._halt(self._watch_stop(vcpu, reason))
                    return
        self.machine.resume()

    def _watch(self) -> None:
        """Have what is watched watched where it is now, by the first processor that has it mapped."""
        wanted: dict[Watched, int] = {}
        for start, end, loads, stores in self.breakpoints.data:
            at = start
            while at < end:
                upto = min(end, (at // 4096 + 1) * 4096)
                found = (vcpu.translate(at) for vcpu in self.machine.vcpus)
                physical = next((address for address in found if address is not None), None)
                if physical is None:
                    self.say(f"{at:#x} is not mapped now: it is not watched\n")
                else:
                    wanted[Watched(physical, physical + upto - at, loads, stores)] = at
                at = upto
        if wanted != self._watched and self.machine.vm is not None:
            self.machine.vm.set_watchpoints(wanted)
            self._watched = wanted

    def _touched(self, vcpu: MachineVcpu, touched: Watchpoint) -> None:
        self._halt(self._watch_stop(vcpu, touched))

    def _watch_stop(self, vcpu: MachineVcpu, touched: Watchpoint) -> Stop:
        """What gdb is told: the address as it knows it."""
        for one, address in self._watched.items():
            if touched.address < one.end and one.start < touched.address + touched.size:
                hit = self.breakpoints.hit(address + touched.address - one.start, touched.size, touched.store)
                if hit is not None:
                    return Stop(StopKind.WATCH, vcpu.index + 1, address=hit[1], word=hit[0])
        return Stop(StopKind.STEP, vcpu.index + 1)

    @staticmethod
    def _one(vcpu: MachineVcpu) -> VcpuExit:
        """One instruction: what a processor was asked to do meanwhile may take a step of its own."""
        executed, pc = vcpu.executed, vcpu.pc
        reason = vcpu.step()
        for _ in range(3):
            if vcpu.executed != executed or vcpu.pc != pc or isinstance(reason, Idle):
                break
            reason = vcpu.step()
        return reason

    def _step(self, tid: int, plan: Plan) -> None:
        """One instruction; or on until the range is left, a breakpoint is reached, or the guest waits."""
        vcpu, clock = self.vcpu(tid), self.machine.clock
        if self.past is not None:
            self._step_again(self.past, vcpu, plan)
            return
        clock.start()
        try:
            for _ in range(_MOST_STEPS):
                reason = self._one(vcpu)
                clock.run_due()
                if isinstance(reason, Watchpoint):
                    self._halt(self._watch_stop(vcpu, reason))
                    return
                pc = vcpu.pc
                if not plan.low <= pc < plan.high or pc in self.breakpoints.code or isinstance(reason, Idle):
                    break
        finally:
            clock.stop()
        self._halt(Stop(StopKind.STEP, tid))

    def _step_again(self, past: MachineHistory, vcpu: MachineVcpu, plan: Plan) -> None:
        """The same, in a replay: what came from outside comes, and waits are passed over."""
        stop = Stop(StopKind.STEP, vcpu.index + 1)
        try:
            for _ in range(_MOST_STEPS):
                past.run(vcpu.executed + 1)
                if not plan.low <= vcpu.pc < plan.high or vcpu.pc in self.breakpoints.code:
                    break
        except DebugError:
            stop = Stop(StopKind.HISTORY, 1, word="end")
        self._halt(stop)

    def _ended(self) -> None:
        """The recording ends here."""
        self._halt(Stop(StopKind.HISTORY, 1, word="end"))

    def interrupt(self) -> None:
        self.machine.at_rest(lambda: self._halt(Stop(StopKind.INTERRUPT, 1, SIGINT)))

    def _reached(self, vcpu: MachineVcpu) -> None:
        self._halt(Stop(StopKind.BREAKPOINT, vcpu.index + 1))

    def _halt(self, stop: Stop) -> None:
        if self._stop is None:
            self._stop = stop
            self._told[stop.thread] = self.vcpu(stop.thread).pc
        self._halted = True
        self.machine.pause(State.DEBUG)
        self.machine.at_rest(self._tell)

    def _tell(self) -> None:
        """The machine stands still now."""
        if self.past is not None:
            self.past.keep()
        if self._waited_for and self._stop is not None:
            self.tell()

    def _changed(self, event: str, data: dict[str, object]) -> None:
        if not self.attached:
            return
        if event == "SHUTDOWN":
            self._stop = Stop(StopKind.EXITED, 1, status=0)
            self.tell()
        elif event == "STOP" and self._waited_for and not self._halted:  # the monitor's `stop`
            self._stop = Stop(StopKind.INTERRUPT, 1, SIGINT)
            self.tell()

    def take_stop(self) -> Stop | None:
        stop, self._stop = self._stop, None  # a second word that it stands still is no second stop
        if stop is not None:
            self._waited_for = False
        return stop

    def give_up_waiting(self) -> None:
        pass

    def backward(self, step: bool) -> None:
        past = self.past
        if past is None:
            raise DebugError("only a replayed machine runs backwards: record it with -icount N,rr=record,rrfile=FILE")

        def go() -> None:
            try:
                self._halt(past.backward(step, self.breakpoints.code))
            except (DebugError, MachineError) as error:
                self.say(f"{error}\n")
                self._halt(Stop(StopKind.HISTORY, 1, word="end"))

        self._stop, self._waited_for = None, True
        self.machine.at_rest(go)

    def start_recording(self) -> None:
        raise DebugError("a machine is recorded from its start: -icount N,rr=record,rrfile=FILE")

    def stop_recording(self) -> None:
        raise DebugError("a machine is recorded to its end")

    def kill(self) -> None:
        self.attached = False
        self.machine.power_off(0, "host-signal")

    def detach(self) -> None:
        """gdb is gone: the machine goes on."""
        if self.attached:
            self.attached = False
            self.machine.at_rest(self._let_go)

    def _let_go(self) -> None:
        assert self.machine.vm is not None
        self.machine.on_change.remove(self._changed)
        if self.past is not None and self.machine.journal is not None:
            self.machine.journal.on_end = lambda: self.machine.power_off(0, "host-replay-end")
        self.machine.held = frozenset()
        self.machine.vm.set_breakpoints(())
        if self._watched:
            self.machine.vm.set_watchpoints(())
        self.machine.on_watchpoint = lambda vcpu, touched: None
        self.machine.resume()

    def object(self, name: str) -> bytes | None:
        return None


class MachineDebugging:
    """Waits for gdb as long as the machine is there, one after the other; whenever one comes, the machine stops."""

    def __init__(self, machine: Machine, place: str, description: Description, execute: Callable[[str], str]) -> None:
        self._machine = machine
        self._description = description
        self._execute = execute
        self._listener = Listener(place)
        self._target: MachineTarget | None = None
        self.where = self._listener.where
        machine.events.on_readable(self._listener.fileno(), self._come)

    def _come(self) -> None:
        connection = self._listener.accept(last=False)
        if self._target is not None and self._target.attached:
            connection.close()
            return

        def serve() -> None:
            self._target = MachineTarget(self._machine, self._description, self._execute)
            Server(connection, self._target).start()

        self._machine.pause(State.DEBUG)
        self._machine.at_rest(lambda: self._machine.at_rest(serve))  # when it stands still

    def close(self) -> None:
        """Wait no more."""
        self._machine.events.forget(self._listener.fileno())
        self._listener.close()
