"""Every ioctl that is used: what was set is what is got; and which test shows the rest."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.core.accelerator import Idle
from runtime.kvm import abi, interrupts
from runtime.kvm import processor as processors
from runtime.kvm import system as systems
from runtime.kvm.accelerator import KvmOptions
from tests.kvm import test_machine
from tests.kvm.guests import START, TO_LONG, Guest
from tests.kvm.kvm import require_kvm

#: ioctls that tests elsewhere show at work
ELSEWHERE: dict[str, Callable[..., None]] = {
    "KVM_GET_DIRTY_LOG": test_machine.test_dirty_pages,
    "KVM_IRQ_LINE": test_machine.test_interrupt_line,
    "KVM_REGISTER_COALESCED_MMIO": test_machine.test_coalesced_writes,
    "KVM_SET_GSI_ROUTING": test_machine.test_line_routed_to_a_message,
    "KVM_IRQFD": test_machine.test_interrupt_by_eventfd,
    "KVM_CREATE_PIT2": test_machine.test_timer_in_the_kernel,
    "KVM_IOEVENTFD": test_machine.test_writes_that_signal_an_eventfd,
    "KVM_INTERRUPT": test_machine.test_own_controllers_interrupt,
    "KVM_SET_GUEST_DEBUG": test_machine.test_single_step_and_breakpoints,
    "KVM_NMI": test_machine.test_nmi,
    "KVM_SIGNAL_MSI": test_machine.test_message_signalled_interrupt,
}
_SYSENTER_STACK, _NO_REGISTER = 0x175, 0x12345678


class Recorder:
    """The ioctls that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: set[str] = set()
        for module, name in ((systems, "_ioctl"), (systems, "_wide"), (processors, "ioctl")):
            self._wrap(monkeypatch, module, name)

    def _wrap(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        original = getattr(module, name)

        def recorded(descriptor: int, number: int, *rest: object) -> int:
            result: int = original(descriptor, number, *rest)
            self.made.add(abi.NAMES[number])
            return result

        monkeypatch.setattr(module, name, recorded)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    require_kvm("that each ioctl does what it is for")
    return Recorder(monkeypatch)


@pytest.fixture
def guest(recorder: Recorder) -> Iterator[Guest]:
    made = Guest(f"{TO_LONG} hlt", "ioctls")
    yield made
    made.close()


def making(guest: Guest) -> None:
    assert {slot[:3] for slot in guest.vm.machine.slots.values()} == {
        (ram.address, ram.size, ram.host) for ram in guest.bus.ram()
    }
    assert len(guest.vm.processor_states) > 10
    assert guest.run() == Idle(None)


def general_registers(guest: Guest) -> None:
    processor = guest.vcpu.processor
    given = abi.kvm_regs(*(0x1111111111111111 * (index % 15) for index in range(16)), 0x1234, 0x246)
    processor.set_regs(given)
    assert bytes(processor.regs()) == bytes(given)
    special = processor.sregs()
    special.fs.base, special.cr2 = 0x7F00_0000_1000, 0xABC
    processor.set_sregs(special)
    again = processor.sregs()
    assert (again.fs.base, again.cr2) == (0x7F00_0000_1000, 0xABC)


def floating_point(guest: Guest) -> None:
    """The older view of the unit shows what came by the newer one."""
    processor = guest.vcpu.processor
    unit = processor.fpu()
    unit.fcw = 0x27F
    unit.xmm[3][:] = bytes(range(16))
    processor.set_fpu(unit)
    again = processor.fpu()
    assert (again.fcw, bytes(again.xmm[3])) == (0x27F, bytes(range(16)))
    image = processor.xsave()
    data = bytearray(bytes(image))
    data[160 + 48 : 160 + 64] = bytes(reversed(range(16)))
    data[512] |= 2
    processor.set_xsave(abi.kvm_xsave.from_buffer_copy(data))
    assert bytes(processor.fpu().xmm[3]) == bytes(reversed(range(16)))
    controls = processor.xcrs()
    processor.set_xcrs(controls)
    assert bytes(processor.xcrs()) == bytes(controls)


def system_registers(guest: Guest) -> None:
    processor = guest.vcpu.processor
    assert processor.set_msrs({_SYSENTER_STACK: 0x5000, _NO_REGISTER: 1, 0x176: 0x6000}) == [_NO_REGISTER]
    assert processor.msrs([_SYSENTER_STACK, _NO_REGISTER, 0x176]) == {_SYSENTER_STACK: 0x5000, 0x176: 0x6000}
    debug = processor.debug_registers()
    debug.db[0] = 0x1234
    processor.set_debug_registers(debug)
    assert processor.debug_registers().db[0] == 0x1234
    leaves = {(leaf.function, leaf.index) for leaf in processor.cpuid()}
    assert {(0, 0), (1, 0), (0x80000001, 0)} <= leaves
    assert processor.tsc_khz() > 100_000


def events(guest: Guest) -> None:
    processor = guest.vcpu.processor
    value = processor.events()
    value.flags = abi.VCPUEVENT_VALID_NMI_PENDING
    value.nmi.pending = 1
    processor.set_events(value)
    assert processor.events().nmi.pending == 1


def translation(guest: Guest) -> None:
    assert guest.run() == Idle(None)
    assert guest.vcpu.translate(0xD0000010) == 0xD0000010
    assert guest.vcpu.translate(START) == START
    assert guest.vcpu.translate(0x8000_0000) is None, "no page there"


def signals(guest: Guest) -> None:
    guest.vcpu.processor.set_signal_mask((1 << 64) - 1)
    guest.vcpu.processor.set_signal_mask(None)
    assert guest.run() == Idle(None)


ROUND_TRIPS = {
    making: "GET_API_VERSION CREATE_VM CHECK_EXTENSION GET_VCPU_MMAP_SIZE CREATE_VCPU SET_USER_MEMORY_REGION RUN "
    "SET_TSS_ADDR SET_IDENTITY_MAP_ADDR GET_SUPPORTED_CPUID SET_CPUID2 GET_MSR_INDEX_LIST",
    general_registers: "GET_REGS SET_REGS GET_SREGS SET_SREGS",
    floating_point: "GET_FPU SET_FPU GET_XSAVE SET_XSAVE GET_XCRS SET_XCRS",
    system_registers: "GET_MSRS SET_MSRS GET_DEBUGREGS SET_DEBUGREGS GET_CPUID2 GET_TSC_KHZ",
    events: "GET_VCPU_EVENTS SET_VCPU_EVENTS",
    translation: "TRANSLATE",
    signals: "SET_SIGNAL_MASK",
}
CONTROLLERS = (
    "CREATE_IRQCHIP GET_IRQCHIP SET_IRQCHIP GET_PIT2 SET_PIT2 GET_CLOCK SET_CLOCK GET_LAPIC SET_LAPIC "
    "GET_MP_STATE SET_MP_STATE"
)
ENDS = "UNREGISTER_COALESCED_MMIO"


def names(text: str) -> set[str]:
    return {f"KVM_{name}" for name in text.split()}


@pytest.mark.parametrize("check", ROUND_TRIPS, ids=lambda check: str(check.__name__))
def test_what_is_set_is_got(check: Callable[[Guest], None], guest: Guest, recorder: Recorder) -> None:
    check(guest)
    assert names(ROUND_TRIPS[check]) <= recorder.made, "it made the ioctls that it stands for"


def test_controllers(recorder: Recorder) -> None:
    """The state of all that is in the kernel, and of a processor's local APIC, changed and set back."""
    guest = Guest("", "controllers", KvmOptions(controllers=True, timer=True), processors=2)
    try:
        controllers = guest.vm.controllers
        assert controllers is not None
        before = controllers.save()
        guest.vm.set_line(5, 1)
        changed = controllers.save()
        assert changed != before
        controllers.load(before)
        processor = guest.vcpus[1].processor
        lapic = processor.lapic()
        lapic.regs[0x80] = 0x30  # the task's priority
        processor.set_lapic(lapic)
        assert bytes(processor.lapic().regs[0x80:0x81]) == b"\x30"
        assert processor.mp_state() == abi.MP_STATE_UNINITIALIZED
        processor.set_mp_state(abi.MP_STATE_RUNNABLE)
        assert processor.mp_state() == abi.MP_STATE_RUNNABLE
        clock = int.from_bytes(controllers.save()[-ctypes.sizeof(abi.kvm_clock_data) :][:8], "little")
        assert clock > 0
    finally:
        guest.close()
    assert names(CONTROLLERS) <= recorder.made


def test_a_coalesced_range_can_be_given_back(guest: Guest, recorder: Recorder) -> None:
    interrupts.coalesce(guest.vm.machine, 0xD0000000, 8)
    interrupts.coalesce(guest.vm.machine, 0xD0000000, 8, on=False)
    assert names(ENDS) <= recorder.made


def test_all_of_them_are_shown() -> None:
    """What is named above, and nothing else, is what abi.py has; and no number is there that nobody uses."""
    shown = set().union(*(names(text) for text in (*ROUND_TRIPS.values(), CONTROLLERS, ENDS)), ELSEWHERE)
    known = {name for name, value in vars(abi).items() if name.startswith("KVM_") and isinstance(value, int)}
    assert shown == known
    source = "".join(path.read_text() for path in Path(abi.__file__).parent.glob("*.py"))
    assert [name for name in sorted(known) if f"abi.{name}" not in source] == []
