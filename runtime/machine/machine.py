"""A machine: address space, devices, processors, virtual time and the main loop that keeps them going.

A board (virt.py) puts a machine together.  `run` is the main loop: it lets the processors execute (processors.py),
calls timers and descriptors back, and does what was asked for meanwhile, by the guest (power off, reset) or by a user
(pause).  Only the main thread changes a machine's state of running; everybody else asks it to.
"""

from __future__ import annotations

import sys
from enum import Enum
from threading import RLock

from runtime.core.accelerator import Breakpoint, Failed, Reset, Shutdown, Watchpoint
from runtime.core.record import record
from runtime.hw.bus import AddressSpace
from runtime.hw.clock import Clock, InstructionClock
from runtime.hw.device import Device, DeviceError, Platform
from runtime.hw.dma import Dma
from runtime.hw.events import EventLoop
from runtime.hw.irq import Line
from runtime.machine.doorbells import Doorbells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.core.accelerator import Accelerator, Vcpu, VcpuExit, Vm
    from runtime.core.log import Log
    from runtime.hw.bus import Memory
    from runtime.machine.journal import Journal
    from runtime.machine.processors import Processors

_SECOND = 1_000_000_000


#: what -watchdog-action can be
WATCHDOG_ACTIONS = ("reset", "shutdown", "poweroff", "pause", "debug", "none")


class MachineError(Exception):
    """A machine that cannot be made or started as asked; one line for the user."""


class State(Enum):
    """QMP's words for what a machine does."""

    PRELAUNCH = "prelaunch"
    RUNNING = "running"
    PAUSED = "paused"
    DEBUG = "debug"
    SHUTDOWN = "shutdown"
    FAILED = "internal-error"


@record
class Placed:
    """A device and where it stands."""

    device: Device
    address: int | None = None
    interrupts: tuple[int, ...] = ()
    bus: str = "system"


@record
class Ending:
    """How a run ended: the exit status, who ended it (guest, user, failure), and what there is to say."""

    status: int
    cause: str = "guest-shutdown"
    report: str = ""


class Machine:
    """A machine without devices; boards add them.

    prepare       what a board does to a processor after its reset (where it begins to execute)
    on_reset      called behind the devices' resets: images are loaded anew
    on_breakpoint called, on any thread, by a processor that has come to a breakpoint; it should `pause`
    on_watchpoint the same, by one that has touched memory that is watched
    watchdog_action   what a watchdog does that runs out: one of WATCHDOG_ACTIONS
    seed          what the random numbers that the guest is given are made from (-seed); None: from the host's
    held          processors that stay where they are while others go on (a debugger's wish), set at rest
    on_change     called in the main thread when the state of running changes: (event, data), with QMP's names
    """

    def __init__(self, name: str, clock: Clock, log: Log | None = None) -> None:
        self.name = name
        self.lock = RLock()
        self.space = AddressSpace("memory", 64, self.lock)
        self.memory = Dma(self.space)
        self.ports: AddressSpace | None = None  # a processor's I/O ports, if it has them
        self.clock = clock
        self.events = EventLoop(self.lock)
        self.log = log
        self.platform = Platform(
            memory=self.memory,
            clock=clock,
            events=self.events,
            lock=self.lock,
            power_off=self.power_off,
            reset=self.reset,
            watchdog=self.bite,
            log=self.write_log,
        )
        self.devices: dict[str, Placed] = {}
        self.memories: dict[str, Memory] = {}
        self.lines: list[Line] = []
        self.vm: Vm | None = None
        self.doorbells: Doorbells | None = None
        self.accelerator = ""
        self.acknowledge: Callable[[], int] | None = None  # as Vm.acknowledge
        self.vcpus: list[Vcpu] = []
        self.processors: Processors | None = None
        self.prepare: Callable[[Vcpu], None] = lambda vcpu: None
        self.on_reset: list[Callable[[], None]] = []
        self.on_change: list[Callable[[str, dict[str, object]], None]] = []
        self.on_breakpoint: Callable[[Vcpu], None] = lambda vcpu: None
        self.on_watchpoint: Callable[[Vcpu, Watchpoint], None] = lambda vcpu, touched: None
        self.held: frozenset[int] = frozenset()
        self.journal: Journal | None = None
        self.no_reboot = False
        self.no_shutdown = False
        self.watchdog_action = "reset"
        self.seed: int | None = None
        self.state = State.PRELAUNCH
        self._wanted = State.PRELAUNCH
        self._ending: Ending | None = None
        self._reset_wanted = ""
        self._errands: list[Callable[[], None]] = []
        self._closed = False
        clock.on_change = self.events.wake

    # ------------------------------------------------------------ putting it together

    def add(
        self,
        device: Device,
        address: int | None = None,
        interrupts: tuple[int, ...] = (),
        priority: int = 0,
        bus: str = "system",
    ) -> None:
        """A device, at an address of the memory space unless somebody else puts it there."""
        if device.name in self.devices:
            raise MachineError(f"there are two devices named {device.name}")
        if self.log is not None and ("io" in self.log or "guest_errors" in self.log):
            device.log = self.write_log
        self.devices[device.name] = Placed(device, address, interrupts, bus)
        if address is not None:
            self.space.add_device(address, device, priority=priority)

    def remember(self, memory: Memory) -> Memory:
        """Memory whose contents are part of the machine's state."""
        self.memories[memory.name] = memory
        return memory

    def attach(self, accelerator: Accelerator, count: int) -> None:
        """Processors, once the memory is in place."""
        self.accelerator = accelerator.name
        vm = self.vm = accelerator.make_vm(self.space, self.ports, self.clock)
        vm.acknowledge = self.acknowledge
        self.memory.on_write(vm.memory_changed)
        self.doorbells = Doorbells(vm, self.space, self.events)
        for index in range(count):
            self.vcpus.append(vm.make_vcpu(index))
        if isinstance(self.clock, InstructionClock):
            vcpus = self.vcpus
            self.clock.executed = lambda: sum([vcpu.executed for vcpu in vcpus])

    def input(self, index: int, name: str) -> Line:
        """A wire into a processor, by its spec's name; the processors may be attached later."""

        def change(level: int) -> None:
            if index < len(self.vcpus):
                self.vcpus[index].set_input(name, level)
                if level and self.processors is not None:
                    self.processors.woken(index)

        line = Line(f"cpu{index}.{name}", change)
        self.lines.append(line)
        return line

    def write_log(self, item: str, text: str) -> None:
        """A line of the `-d` log."""
        if self.log is not None and item in self.log:
            self.log.write(f"{text}\n")

    # ------------------------------------------------------------ asked for by anybody, from any thread

    def power_off(self, status: int = 0, cause: str = "guest-shutdown") -> None:
        """End the run with an exit status."""
        self._end(Ending(status, cause))

    def fail(self, report: str) -> None:
        """End it for a reason that is the emulator's own."""
        self._end(Ending(1, "host-error", report))

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
        self._interrupt()

    def reset(self, cause: str = "guest-reset") -> None:
        """Begin anew, as at power-on."""
        if self.no_reboot and cause.startswith("guest"):
            self._end(Ending(0, cause))
        self._reset_wanted = cause
        self._interrupt()

    def bite(self) -> None:
        """A watchdog has run out (in the main thread, as all timers do)."""
        action = self.watchdog_action
        self.tell("WATCHDOG", {"action": action})
        if action == "reset":
            self.reset("guest-reset")
        elif action in ("shutdown", "poweroff"):
            self.power_off(0, "guest-shutdown")
        elif action == "pause":
            self.pause()
        elif action == "debug":
            print("isomorph: the watchdog has run out", file=sys.stderr)

    def pause(self, state: State = State.PAUSED) -> None:
        """Have the processors stand still; it is so when `state` says so."""
        self._wanted = state
        self._interrupt()

    def resume(self) -> None:
        """Let them go on."""
        self._wanted = State.RUNNING
        self._interrupt()

    def at_rest(self, errand: Callable[[], None]) -> None:
        """Have the main thread call this soon, with no processor executing; a running machine goes on behind it."""
        self._errands.append(errand)
        self._interrupt()

    def _interrupt(self) -> None:
        self.events.wake()
        if self.processors is not None:
            self.processors.kick()

    @property
    def interrupted(self) -> bool:
        """Whether the main loop has something to do before the processors go on."""
        return self._ending is not None or bool(self._reset_wanted or self._errands) or self._wanted is not self.state

    # ------------------------------------------------------------ the main loop

    def start(self, paused: bool = False) -> None:
        """Power on."""
        self._reset()
        self._wanted = State.PRELAUNCH if paused else State.RUNNING

    def run(self) -> Ending:
        """Run until somebody ends it."""
        assert self.processors is not None
        while True:
            ending = self._obey()
            if ending is not None:
                return ending
            self.turn()

    def turn(self) -> None:
        """One turn of the main loop: a slice of each processor, then what is due."""
        assert self.processors is not None
        timeout: float | None = None
        if self.state is State.RUNNING:
            timeout = self.processors.turn()
        self.events.run_once(0 if self.interrupted else timeout)
        if self.state is State.RUNNING:
            with self.lock:
                self.clock.run_due()

    def settle(self) -> None:
        """Do what was asked for by now, in the main thread, without running anything further."""
        ending = self._obey()
        if ending is not None:
            self._ending = ending

    def _obey(self) -> Ending | None:
        """Do what was asked for; the ending, if that was it."""
        if not self.interrupted:
            return None
        assert self.processors is not None
        if self.state is State.RUNNING:
            self.processors.stop()
            self.clock.stop()
        with self.lock:
            if self.doorbells is not None:
                self.doorbells.answer()
            for _ in range(len(self._errands)):
                self._errands.pop(0)()
        if self._ending is not None:
            ending, self._ending = self._ending, None
            if self.no_shutdown and ending.cause == "guest-shutdown":
                self._wanted = State.SHUTDOWN
            else:
                self._change(State.FAILED if ending.report else State.SHUTDOWN)
                self.tell("SHUTDOWN", {"guest": ending.cause.startswith("guest"), "reason": ending.cause})
                return ending
        if self._reset_wanted:
            cause, self._reset_wanted = self._reset_wanted, ""
            self._reset()
            self.tell("RESET", {"guest": cause.startswith("guest"), "reason": cause})
        before = self.state
        self._change(self._wanted)
        if self.state is State.RUNNING:
            if before not in (State.RUNNING, State.PRELAUNCH):
                self.tell("RESUME", {})
            self.clock.start()
            self.processors.start()
        elif before is State.RUNNING:
            self.tell("STOP", {})
        return None

    def _change(self, state: State) -> None:
        self.state = state

    def tell(self, event: str, data: dict[str, object]) -> None:
        """An event of QMP's."""
        for listener in tuple(self.on_change):
            listener(event, data)

    def _reset(self) -> None:
        with self.lock:
            for placed in self.devices.values():
                placed.device.reset()
            for callback in self.on_reset:
                callback()
            if self.vm is not None:
                self.vm.reset()
            for vcpu in self.vcpus:
                vcpu.reset()
                self.prepare(vcpu)
            for line in self.lines:  # a level that a reset did not change is still there
                if line.level:
                    line.set(0)
                    line.set(1)
            if self.processors is not None:
                self.processors.forget()

    def answer(self, vcpu: Vcpu, reason: VcpuExit) -> None:
        """What came of a slice, if the machine has to know: called by `processors`, on any thread."""
        if isinstance(reason, Failed):
            self.fail(f"processor {vcpu.index}: {reason.report}")
        elif isinstance(reason, Shutdown):
            self.write_log("cpu_reset", f"processor {vcpu.index}: {reason.reason}")
            self.reset("guest-reset")
        elif isinstance(reason, Reset):
            self.reset("guest-reset")
        elif isinstance(reason, Breakpoint):
            self.on_breakpoint(vcpu)
        elif isinstance(reason, Watchpoint):
            self.on_watchpoint(vcpu, reason)

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Give everything back that is the host's; what fails is told, and the rest done all the same."""
        if self._closed:
            return
        self._closed = True
        if self.journal is not None:
            self.journal.close()
        if self.processors is not None:
            self.processors.stop()
        for placed in self.devices.values():
            try:
                placed.device.close()
            except (OSError, DeviceError) as error:
                print(f"isomorph: {placed.device.name}: {error}", file=sys.stderr)
        if self.doorbells is not None:
            self.doorbells.close()
        if self.vm is not None:
            self.vm.close()
        self.events.close()
        if self.log is not None:
            self.log.flush()
