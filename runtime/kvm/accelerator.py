"""KVM as a machine's accelerator: memory slots from the bus, vCPUs, interrupt controllers in the kernel or outside."""

from __future__ import annotations

from runtime.core.accelerator import Bus, Clock
from runtime.core.record import record
from runtime.kvm import abi
from runtime.kvm.features import WITHOUT_CONTROLLERS, check_features, describe_processor
from runtime.kvm.interrupts import Controllers, watch_writes
from runtime.kvm.machine import Machine
from runtime.kvm.processor import Processor
from runtime.kvm.system import KvmError, System
from runtime.kvm.vcpu import KvmVcpu, install_kick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.core.accelerator import Ram, Watched

_PAGE = 4096
_APIC_ENABLE = 1 << 11
_REQUIRED = ("USER_MEMORY", "MP_STATE", "VCPU_EVENTS", "DEBUGREGS", "XSAVE", "XCRS", "IMMEDIATE_EXIT", "READONLY_MEM")


@record
class KvmOptions:
    """How a machine's interrupts are made.

    controllers   8259s, I/O APIC and local APICs are the kernel's; else the machine's own, with its INTR wire
    timer         and so is the 8254
    doorbells     drivers' words to their devices are eventfds (ioeventfd), answered by another thread; else exits
    without       features that CPUID is not to tell of (features.py)
    """

    controllers: bool = True
    timer: bool = True
    doorbells: bool = False
    without: tuple[str, ...] = ()


class KvmAccelerator:
    """runtime.core.accelerator.Accelerator."""

    name = "kvm"

    def __init__(self, options: KvmOptions | None = None) -> None:
        self.options = options or KvmOptions()
        check_features(self.options.without)
        self.system = System()
        self.system.require(*_REQUIRED)
        install_kick()

    def make_vm(self, bus: Bus, ports: Bus | None = None, clock: Clock | None = None) -> KvmVm:
        """A machine; time is the host's, whatever its own clock says: KVM's processors know no other."""
        return KvmVm(self.system, bus, ports, self.options)

    def close(self) -> None:
        self.system.close()


class KvmVm:
    """runtime.core.accelerator.Vm.

    acknowledge   asks the machine's own interrupt controllers for the vector (INTA), without ones in the kernel
    """

    def __init__(self, system: System, bus: Bus, ports: Bus | None, options: KvmOptions) -> None:
        self.system = system
        self.bus = bus
        self.ports = ports
        self.machine = Machine(system)
        self.controllers = Controllers(self.machine, options.timer) if options.controllers else None
        self._power_on = b"" if self.controllers is None else self.controllers.save()
        self._without = options.without if options.controllers else (*options.without, *WITHOUT_CONTROLLERS)
        self.processor_states = system.msr_indices()
        self.vcpus: list[KvmVcpu] = []
        self.acknowledge: Callable[[], int] | None = None
        self.most_breakpoints: int | None = 4
        self.has_watchpoints = False
        self._mapped: dict[int, tuple[Ram, int]] = {}
        self._logging = False
        self._doorbells = options.doorbells and bool(system.capability("IOEVENTFD"))
        self._remap()
        bus.on_ram_change(self._remap)

    @property
    def has_controllers(self) -> bool:
        """Whether interrupt controllers are the kernel's."""
        return self.controllers is not None

    def make_vcpu(self, index: int) -> KvmVcpu:
        processor = Processor(self.machine, index)
        leaves = self.system.supported_cpuid()
        describe_processor(leaves, index, self._without)
        processor.set_cpuid(leaves)
        if self.controllers is None:  # CPUID tells of a local APIC as long as its base register has it enabled
            special = processor.sregs()
            special.apic_base &= ~_APIC_ENABLE
            processor.set_sregs(special)
        vcpu = KvmVcpu(self, processor, index)
        self.vcpus.append(vcpu)
        return vcpu

    def set_line(self, line: int, level: int) -> None:
        if self.controllers is not None:
            self.controllers.set_line(line, level)

    def send_message(self, address: int, data: int) -> None:
        if self.controllers is not None:
            self.controllers.send_message(address, data)

    def watch_store(self, address: int, size: int, value: int | None, event: int, on: bool = True) -> bool:
        if not self._doorbells:
            return False
        try:
            watch_writes(self.machine, event, address, size, value=value, on=on)
        except KvmError:  # the kernel has no more of them, or does not know them: the store leaves the guest, as before
            return False
        return True

    def set_breakpoints(self, addresses: Iterable[int]) -> None:
        """Have vCPUs stop before these linear addresses; KvmError if they are more than a processor's registers."""
        wanted = list(addresses)
        for vcpu in self.vcpus:
            vcpu.set_breakpoints(wanted)

    def set_watchpoints(self, ranges: Iterable[Watched]) -> None:
        raise KvmError("machines on KVM have no watchpoints")

    def memory_changed(self, address: int, size: int) -> None:
        """Nothing is translated here: the processor sees what is stored."""

    def reset(self) -> None:
        if self.controllers is not None:
            self.controllers.load(self._power_on)

    def save(self) -> bytes:
        return b"" if self.controllers is None else self.controllers.save()

    def load(self, state: bytes) -> None:
        if bool(state) != (self.controllers is not None):
            raise ValueError("it is of a machine with interrupt controllers elsewhere: -M kernel-irqchip")
        if self.controllers is not None:
            self.controllers.load(state)

    def close(self) -> None:
        for vcpu in self.vcpus:
            vcpu.close()
        self.vcpus.clear()
        if self.controllers is not None:
            self.controllers.close()
        self.machine.close()

    # ------------------------------------------------------------ memory

    def _remap(self) -> None:
        """Let the memory slots be what the bus says is host memory."""
        wanted = [ram for ram in self.bus.ram() if ram.size]
        kept = {number: known for number, known in self._mapped.items() if known[0] in wanted}
        for number in self._mapped.keys() - kept.keys():
            self.machine.set_slot(number, 0, 0, 0)
        self._mapped = kept
        known_already = [ram for ram, _ in kept.values()]
        for ram in wanted:
            if ram not in known_already:
                number = next(number for number in range(len(wanted) + 1) if number not in self._mapped)
                self._map(number, ram)

    def _map(self, number: int, ram: Ram) -> None:
        flags = 0 if ram.writable else abi.MEM_READONLY
        if self._logging and ram.writable:
            flags |= abi.MEM_LOG_DIRTY_PAGES
        self.machine.set_slot(number, ram.address, ram.size, ram.host, flags)
        self._mapped[number] = ram, flags

    def log_dirty_pages(self, on: bool) -> None:
        """Have KVM remember which pages of RAM the guest writes to."""
        self._logging = on
        for number, (ram, _) in list(self._mapped.items()):
            if ram.writable:
                self._map(number, ram)

    def dirty_pages(self) -> list[int]:
        """Guest-physical addresses of pages written to since this was last asked; not those that devices wrote."""
        found = []
        for number, (_, flags) in self._mapped.items():
            if flags & abi.MEM_LOG_DIRTY_PAGES:
                found += self.machine.dirty_pages(number)
        return sorted(found)
