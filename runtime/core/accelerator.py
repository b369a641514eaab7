"""What executes a machine's vCPUs, as boards and devices see it: an accelerator is these three protocols.

TCG and KVM implement them.  A device knows neither: it is reached through the bus (`Bus.read`, `Bus.write`) and
reaches a vCPU through the wires a board gave it (`Vcpu.set_input`, `Vm.set_line`).  RAM is never reached through the
bus: an accelerator maps `Bus.ram()` itself and asks the bus for every other physical address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from runtime.core.record import record

__all__ = [
    "Accelerator",
    "Breakpoint",
    "Bus",
    "BusError",
    "Clock",
    "Failed",
    "Idle",
    "Ram",
    "Reset",
    "Running",
    "Shutdown",
    "Vcpu",
    "VcpuExit",
    "Vm",
    "Watched",
    "Watchpoint",
]


class BusError(Exception):
    """Nothing answers at a physical address, or what is there refuses the size."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(f"nothing answers an access of {size} bytes at physical address {address:#x}")
        self.address = address
        self.size = size


@record
class Ram:
    """A run of guest-physical addresses that is host memory: RAM, ROM or a framebuffer."""

    address: int  # guest-physical, page-aligned
    host: int  # host address of its first byte
    size: int  # bytes, whole pages
    writable: bool
    name: str


class Bus(Protocol):
    """Physical memory (or I/O ports, a second bus) as an accelerator sees it."""

    def ram(self) -> Sequence[Ram]:
        """What is host memory at this moment, in ascending order, without overlaps."""

    def read(self, address: int, size: int) -> int:
        """`size` bytes (1, 2, 4, 8) at a physical address that is no RAM, little-endian; BusError if nobody answers."""

    def write(self, address: int, size: int, value: int) -> None:
        """The same for a store."""

    def on_ram_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `ram()` gives another answer than before."""


class Clock(Protocol):
    """The machine's virtual time: what a processor's own counters and timers go by."""

    def now(self) -> int:
        """Nanoseconds since the machine's start; it stands still while the machine does."""


@record
class Running:
    """The slice is over, or somebody kicked: nothing happened that the machine must know of."""


@record
class Idle:
    """The guest waits for an interrupt (WFI, HLT); `deadline` is the virtual time in ns at which a timer of the vCPU's
    own will wake it, or None."""

    deadline: int | None


@record
class Shutdown:
    """The guest can go no further by its own doing (a triple fault): machines power off or reset."""

    reason: str


@record
class Reset:
    """The guest asked for a reset."""


@record
class Failed:
    """The accelerator cannot go on; `report` is for the user."""

    report: str


@record
class Breakpoint:
    """The instruction at the pc has a breakpoint (`Vm.set_breakpoints`); it has not been executed."""


@record
class Watchpoint:
    """The instruction that was just executed loaded or stored memory that is watched (`Vm.set_watchpoints`)."""

    address: int  # physical
    size: int
    store: bool


@record
class Watched:
    """Physical memory that somebody watches: loads from it, stores to it, or both."""

    start: int
    end: int
    loads: bool
    stores: bool


VcpuExit = Running | Idle | Shutdown | Reset | Failed | Breakpoint | Watchpoint


class RegisterNames(Protocol):
    """Which registers there are; all other names are modes."""

    @property
    def by_name(self) -> Mapping[str, object]:
        """Every register by its spec's name."""

    @property
    def slot(self) -> str | None:
        """The mode of instructions in delay slots, if it has such."""


class Registers(Protocol):
    """A processor's registers and modes, by the spec's names."""

    pc: int

    @property
    def layout(self) -> RegisterNames:
        """What there is."""

    def get(self, name: str, index: int = 0) -> int:
        """A register, or the entry of a file."""

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Change one."""

    def get_mode(self, name: str) -> int:
        """A mode."""

    def set_mode(self, name: str, value: int) -> None:
        """Change one."""


class Vcpu(Registers, Protocol):
    """One processor.  `run` is called by one thread at a time; `kick` and `set_input` by any.

    pc         where it is, to be read and written while it does not run
    executed   instructions executed since it was made.  It is exact whenever `run` has returned and whenever the bus is
               entered on this processor's behalf, for virtual time may be made of it (-icount).
    """

    index: int

    @property
    def executed(self) -> int:
        """See above."""

    def run(self, instructions: int) -> VcpuExit:
        """Execute about so many instructions at most, fewer if something happens."""

    def step(self) -> VcpuExit:
        """Execute one instruction, even if there is a breakpoint at it."""

    def kick(self) -> None:
        """Make `run` return soon."""

    def set_input(self, name: str, level: int) -> None:
        """A wire into the processor, by the name its spec (`input`) or manual gives it; wakes an idle vCPU."""

    def registers(self) -> Mapping[str, int]:
        """Every register by its spec's name."""

    def set_register(self, name: str, value: int) -> None:
        """Change one; KeyError for a name there is none of."""

    def translate(self, address: int, access: int = 0) -> int | None:
        """The physical address behind a virtual one (access: 0 load, 1 store, 2 fetch); None where it would fault."""

    def reset(self) -> None:
        """The state after power-on."""

    def save(self) -> bytes:
        """Its whole state, for `load` of a vCPU of the same kind."""

    def load(self, state: bytes) -> None:
        """What `save` gave."""


class Vm(Protocol):
    """A guest's processors and physical memory.

    acknowledge        set by a board whose interrupt controllers a processor asks for the vector (a PC's INTA cycle)
    most_breakpoints   how many addresses `set_breakpoints` takes; None: as many as anybody wants
    has_watchpoints    whether `set_watchpoints` can be called
    """

    acknowledge: Callable[[], int] | None
    most_breakpoints: int | None
    has_watchpoints: bool

    def make_vcpu(self, index: int) -> Vcpu:
        """The next processor."""

    def set_line(self, line: int, level: int) -> None:
        """An input of the accelerator's own interrupt controller, if it has one."""

    def send_message(self, address: int, data: int) -> None:
        """A message-signalled interrupt for it: what a device stored, and where."""

    def watch_store(self, address: int, size: int, value: int | None, event: int, on: bool = True) -> bool:
        """From now on have guests' stores of `size` bytes (of this value, if it is given) to a physical address add to
        an eventfd, and never reach the bus; or, with `on` false, no more.  False where that cannot be."""

    def memory_changed(self, address: int, size: int) -> None:
        """A device wrote RAM behind the vCPUs' back: translated code there is stale."""

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Have `run` return before it executes what is at these virtual addresses."""

    def set_watchpoints(self, ranges: Iterable[Watched]) -> None:
        """Have `run` return behind instructions that touch this RAM; what devices do to it is not watched."""

    def reset(self) -> None:
        """The state after power-on of what is the accelerator's own besides the processors (interrupt controllers)."""

    def save(self) -> bytes:
        """The state of that; nothing, if there is nothing."""

    def load(self, state: bytes) -> None:
        """What `save` gave."""

    def close(self) -> None:
        """Free it."""


class Accelerator(Protocol):
    """TCG, KVM."""

    name: str

    def make_vm(self, bus: Bus, ports: Bus | None = None, clock: Clock | None = None) -> Vm:
        """A machine on `bus`, and `ports` for a processor with port I/O; without a `clock`, the host's."""
