"""A machine's processor on KVM: the KVM_RUN loop, exits to the buses, interrupts, state, debugging."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from _thread import get_ident

from runtime.core.accelerator import (
    Breakpoint,
    Bus,
    BusError,
    Failed,
    Idle,
    Reset,
    Running,
    Shutdown,
    VcpuExit,
)
from runtime.kvm import abi, state
from runtime.kvm.interrupts import CoalescedWrites
from runtime.kvm.processor import Processor
from runtime.kvm.registers import Registers
from runtime.kvm.system import KvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Controllers(Protocol):
        """What a vCPU must know of its machine (runtime/kvm/accelerator.py's KvmVm)."""

        processor_states: list[int]
        acknowledge: Callable[[], int] | None
        bus: Bus
        ports: Bus | None

        @property
        def has_controllers(self) -> bool: ...


#: ends KVM_RUN in another thread; nothing else here uses it
KICK = signal.SIGRTMIN + 5
_SHUTDOWN_EVENT, _RESET_EVENT = 1, 2
_IO_IN = 0
#: seconds
_LONGEST_STEP = 0.2


def install_kick() -> None:
    """Have the signal that stops a vCPU do nothing else; in the main thread."""
    if signal.getsignal(KICK) in (signal.SIG_DFL, None):
        if threading.current_thread() is not threading.main_thread():
            raise KvmError("the first KVM machine of a process must be made by its main thread")
        signal.signal(KICK, _nothing)


def _nothing(number: int, frame: object) -> None:
    """The system call has been left: that is all there is to it."""


class KvmVcpu(Registers):
    """runtime.core.accelerator.Vcpu."""

    def __init__(self, vm: Controllers, processor: Processor, index: int) -> None:
        self.index = index
        self.executed = 0  # KVM does not count
        self.exits: dict[str, int] = {}
        self.processor = processor
        self.vm = vm
        self._thread = 0
        self._kicked = False
        self._interrupt = False
        self._nmi = False
        self._breakpoints: list[int] = []
        self._stepping = False
        self._unfinished = False
        self._lock = threading.Lock()
        self._coalesced: CoalescedWrites | None = None
        offset = processor.machine.system.capability("COALESCED_MMIO")
        if offset:
            self._coalesced = CoalescedWrites(processor.octets, offset * 4096)
        self._power_on = self.save()

    def close(self) -> None:
        """Free it."""
        if self._coalesced is not None:
            self._coalesced.close()
        self.processor.close()

    # ------------------------------------------------------------ from other threads

    def kick(self) -> None:
        with self._lock:
            self._kicked = True
            self.processor.run.immediate_exit = 1
            if self._thread and self._thread != get_ident():
                signal.pthread_kill(self._thread, KICK)

    def set_input(self, name: str, level: int) -> None:
        """INTR: the wire from interrupt controllers of the machine's own; NMI: its edge upwards."""
        if name == "INTR":
            self._interrupt = bool(level)
        elif name == "NMI":
            self._nmi = self._nmi or bool(level)
        else:
            raise KeyError(f"a processor on KVM has no input {name}: INTR and NMI")
        if level:
            self._poke()

    def _poke(self) -> None:
        """Have a running vCPU look at its inputs, without an end of its slice."""
        with self._lock:
            if self._thread and self._thread != get_ident():
                self.processor.run.immediate_exit = 1
                signal.pthread_kill(self._thread, KICK)

    # ------------------------------------------------------------ running

    def run(self, instructions: int) -> VcpuExit:
        """Execute until something happens: KVM counts no instructions."""
        return self._run()

    def step(self) -> VcpuExit:
        """Execute one instruction; if it is HLT and controllers are the kernel's, wait a moment for an interrupt."""
        self._stepping = True
        self._set_debug()
        # There KVM_RUN does not come back from a HLT: whoever steps is not to wait for ever.
        alarm = threading.Timer(_LONGEST_STEP, self.kick) if self.vm.has_controllers else None
        if alarm is not None:
            alarm.start()
        try:
            return self._run()
        finally:
            if alarm is not None:
                alarm.cancel()
                alarm.join()
                with self._lock:
                    self._kicked = False
            self._stepping = False
            self._set_debug()

    def _run(self) -> VcpuExit:
        processor = self.processor
        with self._lock:
            self._thread = get_ident()
        try:
            while True:
                if self._kicked:
                    return Running()
                processor.run.immediate_exit = 0
                if self._kicked:  # between the look and the store
                    return Running()
                self._deliver()
                reason = self._enter()
                found = self._answer(reason)
                if found is not None:
                    return found
        except KvmError as error:
            return Failed(str(error))
        finally:
            self._finish_access()
            with self._lock:
                self._thread = 0
                self._kicked = False
                processor.run.immediate_exit = 0

    def _enter(self) -> int:
        """Into the guest and out of it; the exit's reason."""
        reason = self.processor.enter()
        self._unfinished = reason in (abi.EXIT_IO, abi.EXIT_MMIO)
        if self._coalesced is not None:
            self._tell_coalesced(self._coalesced)
        return reason

    def _finish_access(self) -> None:
        """An access that was answered becomes part of the registers when KVM_RUN is entered the next time only."""
        while self._unfinished:
            self.processor.run.immediate_exit = 1
            try:
                self._answer(self._enter())
            except KvmError:  # whoever runs it next is told
                self._unfinished = False

    def _deliver(self) -> None:
        """What waits at the processor's inputs."""
        processor, run = self.processor, self.processor.run
        if self._nmi:
            self._nmi = False
            processor.nmi()
        if self.vm.has_controllers or not self._interrupt:
            run.request_interrupt_window = 0
            return
        if run.ready_for_interrupt_injection and run.if_flag and self.vm.acknowledge is not None:
            processor.interrupt(self.vm.acknowledge())
            run.request_interrupt_window = int(self._interrupt)
        else:
            run.request_interrupt_window = 1

    def _answer(self, reason: int) -> VcpuExit | None:
        """Do what an exit asks for; None to go on."""
        run = self.processor.run
        name = abi.EXITS.get(reason, str(reason))
        self.exits[name] = self.exits.get(name, 0) + 1
        if reason == abi.EXIT_IO:
            self._port(run.io)
        elif reason == abi.EXIT_MMIO:
            self._memory(run.mmio)
        elif reason == abi.EXIT_HLT:
            return None if self._interrupt and run.if_flag else Idle(None)
        elif reason == abi.EXIT_DEBUG:
            return Running() if self._stepping else Breakpoint()
        elif reason == abi.EXIT_SHUTDOWN:
            return Shutdown("triple fault")
        elif reason == abi.EXIT_SYSTEM_EVENT and run.system_event.type in (_SHUTDOWN_EVENT, _RESET_EVENT):
            return Shutdown("the guest asked for it") if run.system_event.type == _SHUTDOWN_EVENT else Reset()
        elif reason not in (abi.EXIT_INTR, abi.EXIT_IRQ_WINDOW_OPEN):
            return Failed(self.report(reason))
        return None

    def statistics(self) -> Mapping[str, int]:
        """How often the guest was left, and why."""
        return {f"{name.lower()} exits": count for name, count in sorted(self.exits.items())}

    def _port(self, io: abi._io) -> None:
        """IN and OUT, and their string forms, which are several of them at one port."""
        ports, octets = self.vm.ports, self.processor.octets
        size, port = io.size, io.port
        for at in range(io.data_offset, io.data_offset + size * io.count, size):
            if io.direction == _IO_IN:
                value = (1 << 8 * size) - 1
                if ports is not None:
                    with contextlib.suppress(BusError):
                        value = ports.read(port, size)
                octets[at : at + size] = value.to_bytes(size, "little")
            elif ports is not None:
                with contextlib.suppress(BusError):
                    ports.write(port, size, int.from_bytes(octets[at : at + size], "little"))

    def _memory(self, mmio: abi._mmio) -> None:
        """A load or store that met no RAM.  What nobody answers reads as ones, as on a PC's bus."""
        address, size = mmio.phys_addr, mmio.len
        if mmio.is_write:
            _write(self.vm.bus, address, bytes(mmio.data[:size]))
            return
        for at, count in _pieces(address, size):
            value = (1 << 8 * count) - 1
            with contextlib.suppress(BusError):
                value = self.vm.bus.read(address + at, count)
            for index, byte in enumerate(value.to_bytes(count, "little")):
                mmio.data[at + index] = byte

    def _tell_coalesced(self, writes: CoalescedWrites) -> None:
        for is_port, address, data in writes.take():
            bus = self.vm.ports if is_port else self.vm.bus
            if bus is not None:
                _write(bus, address, data)

    def report(self, reason: int) -> str:
        """All there is to say of an exit that ends the machine."""
        run = self.processor.run
        lines = [f"KVM gave up: {abi.EXITS.get(reason, reason)}"]
        if reason == abi.EXIT_INTERNAL_ERROR:
            error = run.internal
            words = " ".join(f"{word:#x}" for word in error.data[: min(error.ndata, 16)])
            lines.append(f"  {abi.INTERNAL_ERRORS.get(error.suberror, error.suberror)}: {words}")
        elif reason == abi.EXIT_FAIL_ENTRY:
            lines.append(f"  hardware entry failure {run.fail_entry.hardware_entry_failure_reason:#x}")
        lines += [f"  {name} {value:#x}" for name, value in self.registers().items()]
        return "\n".join(lines)

    # ------------------------------------------------------------ state

    def reset(self) -> None:
        self.load(self._power_on)
        self._nmi = False

    def save(self) -> bytes:
        return state.save(self.processor, self.vm.processor_states, self.vm.has_controllers)

    def load(self, data: bytes) -> None:
        state.load(self.processor, data, self.vm.has_controllers)

    # ------------------------------------------------------------ debugging

    def set_breakpoints(self, addresses: list[int]) -> None:
        """Stop before these linear addresses; a processor has four such registers."""
        if len(addresses) > 4:
            raise KvmError(f"{len(addresses)} breakpoints: a processor on KVM has four")
        self._breakpoints = list(addresses)
        self._set_debug()

    def _set_debug(self) -> None:
        bits = abi.GUESTDBG_USE_HW_BP if self._breakpoints else 0
        if self._stepping:
            bits = abi.GUESTDBG_SINGLESTEP
        self.processor.set_guest_debug(bits | abi.GUESTDBG_ENABLE if bits else 0, self._breakpoints)


def _pieces(address: int, size: int) -> list[tuple[int, int]]:
    """Aligned pieces of 8, 4, 2 and 1 bytes: (offset, bytes).  KVM may give any size up to 8."""
    if size in (1, 2, 4, 8):
        return [(0, size)]
    found, at = [], 0
    while at < size:
        count = next(count for count in (4, 2, 1) if at + count <= size and (address + at) % count == 0)
        found.append((at, count))
        at += count
    return found


def _write(bus: Bus, address: int, data: bytes) -> None:
    for at, count in _pieces(address, len(data)):
        with contextlib.suppress(BusError):
            bus.write(address + at, count, int.from_bytes(data[at : at + count], "little"))


assert ctypes.sizeof(abi.kvm_run) <= 4096
