"""The kernel's KVM interface on x86-64: ioctl numbers, constants and structures (linux/kvm.h, asm/kvm.h of Linux 6.1).

Structures and their members are called as the headers call them, so that the test can ask a C compiler about each.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_uint8, c_uint16, c_uint32, c_uint64

TYPE_CHECKING = False  # typing's own takes longer to import than all this
if TYPE_CHECKING:
    from typing import TypeVar

    S = TypeVar("S", bound=ctypes.Structure)

API_VERSION = 12

# ------------------------------------------------------------ structures


class kvm_userspace_memory_region(ctypes.Structure):
    _fields_ = (
        ("slot", c_uint32),
        ("flags", c_uint32),
        ("guest_phys_addr", c_uint64),
        ("memory_size", c_uint64),
        ("userspace_addr", c_uint64),
    )


class kvm_dirty_log(ctypes.Structure):
    _fields_ = (("slot", c_uint32), ("padding1", c_uint32), ("dirty_bitmap", c_uint64))


class kvm_regs(ctypes.Structure):
    _fields_ = tuple(
        (name, c_uint64)
        for name in "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split()  # noqa: SIM905 (the header's own line)
    )


class kvm_segment(ctypes.Structure):
    _fields_ = (
        ("base", c_uint64),
        ("limit", c_uint32),
        ("selector", c_uint16),
        ("type", c_uint8),
        ("present", c_uint8),
        ("dpl", c_uint8),
        ("db", c_uint8),
        ("s", c_uint8),
        ("l", c_uint8),
        ("g", c_uint8),
        ("avl", c_uint8),
        ("unusable", c_uint8),
        ("padding", c_uint8),
    )


class kvm_dtable(ctypes.Structure):
    _fields_ = (("base", c_uint64), ("limit", c_uint16), ("padding", c_uint16 * 3))


class kvm_sregs(ctypes.Structure):
    _fields_ = (
        ("cs", kvm_segment),
        ("ds", kvm_segment),
        ("es", kvm_segment),
        ("fs", kvm_segment),
        ("gs", kvm_segment),
        ("ss", kvm_segment),
        ("tr", kvm_segment),
        ("ldt", kvm_segment),
        ("gdt", kvm_dtable),
        ("idt", kvm_dtable),
        ("cr0", c_uint64),
        ("cr2", c_uint64),
        ("cr3", c_uint64),
        ("cr4", c_uint64),
        ("cr8", c_uint64),
        ("efer", c_uint64),
        ("apic_base", c_uint64),
        ("interrupt_bitmap", c_uint64 * 4),
    )


class kvm_fpu(ctypes.Structure):
    _fields_ = (
        ("fpr", (c_uint8 * 16) * 8),
        ("fcw", c_uint16),
        ("fsw", c_uint16),
        ("ftwx", c_uint8),
        ("pad1", c_uint8),
        ("last_opcode", c_uint16),
        ("last_ip", c_uint64),
        ("last_dp", c_uint64),
        ("xmm", (c_uint8 * 16) * 16),
        ("mxcsr", c_uint32),
        ("pad2", c_uint32),
    )


class kvm_xsave(ctypes.Structure):
    _fields_ = (("region", c_uint32 * 1024),)


class kvm_xcr(ctypes.Structure):
    _fields_ = (("xcr", c_uint32), ("reserved", c_uint32), ("value", c_uint64))


class kvm_xcrs(ctypes.Structure):
    _fields_ = (("nr_xcrs", c_uint32), ("flags", c_uint32), ("xcrs", kvm_xcr * 16), ("padding", c_uint64 * 16))


class kvm_msr_entry(ctypes.Structure):
    _fields_ = (("index", c_uint32), ("reserved", c_uint32), ("data", c_uint64))


class kvm_msrs(ctypes.Structure):
    """The head; `entries` follow (see `with_entries`)."""

    _fields_ = (("nmsrs", c_uint32), ("pad", c_uint32))


class kvm_msr_list(ctypes.Structure):
    """The head; `indices` follow."""

    _fields_ = (("nmsrs", c_uint32),)


class kvm_cpuid_entry2(ctypes.Structure):
    _fields_ = (
        ("function", c_uint32),
        ("index", c_uint32),
        ("flags", c_uint32),
        ("eax", c_uint32),
        ("ebx", c_uint32),
        ("ecx", c_uint32),
        ("edx", c_uint32),
        ("padding", c_uint32 * 3),
    )


class kvm_cpuid2(ctypes.Structure):
    """The head; `entries` follow."""

    _fields_ = (("nent", c_uint32), ("padding", c_uint32))


class kvm_irq_level(ctypes.Structure):
    _fields_ = (("irq", c_uint32), ("level", c_uint32))


class kvm_interrupt(ctypes.Structure):
    _fields_ = (("irq", c_uint32),)


class kvm_lapic_state(ctypes.Structure):
    _fields_ = (("regs", c_uint8 * 0x400),)


class kvm_irqchip(ctypes.Structure):
    """One of the three chips; the union of their states is kept as bytes."""

    _fields_ = (("chip_id", c_uint32), ("pad", c_uint32), ("chip", c_uint8 * 512))


class kvm_pit_config(ctypes.Structure):
    _fields_ = (("flags", c_uint32), ("pad", c_uint32 * 15))


class kvm_pit_channel_state(ctypes.Structure):
    _fields_ = (
        ("count", c_uint32),
        ("latched_count", c_uint16),
        ("count_latched", c_uint8),
        ("status_latched", c_uint8),
        ("status", c_uint8),
        ("read_state", c_uint8),
        ("write_state", c_uint8),
        ("write_latch", c_uint8),
        ("rw_mode", c_uint8),
        ("mode", c_uint8),
        ("bcd", c_uint8),
        ("gate", c_uint8),
        ("count_load_time", c_int64),
    )


class kvm_pit_state2(ctypes.Structure):
    _fields_ = (("channels", kvm_pit_channel_state * 3), ("flags", c_uint32), ("reserved", c_uint32 * 9))


class kvm_clock_data(ctypes.Structure):
    _fields_ = (
        ("clock", c_uint64),
        ("flags", c_uint32),
        ("pad0", c_uint32),
        ("realtime", c_uint64),
        ("host_tsc", c_uint64),
        ("pad", c_uint32 * 4),
    )


class kvm_msi(ctypes.Structure):
    _fields_ = (
        ("address_lo", c_uint32),
        ("address_hi", c_uint32),
        ("data", c_uint32),
        ("flags", c_uint32),
        ("devid", c_uint32),
        ("pad", c_uint8 * 12),
    )


class kvm_irq_routing_entry(ctypes.Structure):
    """`u` is a union: chip and pin of an IRQCHIP route, address and data of an MSI one, as 32-bit words."""

    _fields_ = (("gsi", c_uint32), ("type", c_uint32), ("flags", c_uint32), ("pad", c_uint32), ("u", c_uint32 * 8))


class kvm_irq_routing(ctypes.Structure):
    """The head; `entries` follow."""

    _fields_ = (("nr", c_uint32), ("flags", c_uint32))


class kvm_irqfd(ctypes.Structure):
    _fields_ = (
        ("fd", c_uint32),
        ("gsi", c_uint32),
        ("flags", c_uint32),
        ("resamplefd", c_uint32),
        ("pad", c_uint8 * 16),
    )


class kvm_ioeventfd(ctypes.Structure):
    _fields_ = (
        ("datamatch", c_uint64),
        ("addr", c_uint64),
        ("len", c_uint32),
        ("fd", ctypes.c_int32),
        ("flags", c_uint32),
        ("pad", c_uint8 * 36),
    )


class kvm_coalesced_mmio_zone(ctypes.Structure):
    _fields_ = (("addr", c_uint64), ("size", c_uint32), ("pio", c_uint32))


class kvm_coalesced_mmio(ctypes.Structure):
    _fields_ = (("phys_addr", c_uint64), ("len", c_uint32), ("pio", c_uint32), ("data", c_uint8 * 8))


class kvm_coalesced_mmio_ring(ctypes.Structure):
    """The head; `coalesced_mmio` entries follow, to the end of the page."""

    _fields_ = (("first", c_uint32), ("last", c_uint32))


class kvm_mp_state(ctypes.Structure):
    _fields_ = (("mp_state", c_uint32),)


class kvm_guest_debug(ctypes.Structure):
    """`arch` is struct kvm_guest_debug_arch, which is nothing but its debug registers."""

    _fields_ = (("control", c_uint32), ("pad", c_uint32), ("arch", c_uint64 * 8))


class kvm_debugregs(ctypes.Structure):
    _fields_ = (
        ("db", c_uint64 * 4),
        ("dr6", c_uint64),
        ("dr7", c_uint64),
        ("flags", c_uint64),
        ("reserved", c_uint64 * 9),
    )


class _exception(ctypes.Structure):
    _fields_ = (
        ("injected", c_uint8),
        ("nr", c_uint8),
        ("has_error_code", c_uint8),
        ("pending", c_uint8),
        ("error_code", c_uint32),
    )


class _interrupt(ctypes.Structure):
    _fields_ = (("injected", c_uint8), ("nr", c_uint8), ("soft", c_uint8), ("shadow", c_uint8))


class _nmi(ctypes.Structure):
    _fields_ = (("injected", c_uint8), ("pending", c_uint8), ("masked", c_uint8), ("pad", c_uint8))


class _smi(ctypes.Structure):
    _fields_ = (("smm", c_uint8), ("pending", c_uint8), ("smm_inside_nmi", c_uint8), ("latched_init", c_uint8))


class _triple_fault(ctypes.Structure):
    _fields_ = (("pending", c_uint8),)


class kvm_vcpu_events(ctypes.Structure):
    _fields_ = (
        ("exception", _exception),
        ("interrupt", _interrupt),
        ("nmi", _nmi),
        ("sipi_vector", c_uint32),
        ("flags", c_uint32),
        ("smi", _smi),
        ("triple_fault", _triple_fault),
        ("reserved", c_uint8 * 26),
        ("exception_has_payload", c_uint8),
        ("exception_payload", c_uint64),
    )


class kvm_translation(ctypes.Structure):
    _fields_ = (
        ("linear_address", c_uint64),
        ("physical_address", c_uint64),
        ("valid", c_uint8),
        ("writeable", c_uint8),
        ("usermode", c_uint8),
        ("pad", c_uint8 * 5),
    )


class kvm_signal_mask(ctypes.Structure):
    """The head; the mask's 8 bytes follow."""

    _fields_ = (("len", c_uint32),)


class _io(ctypes.Structure):
    _fields_ = (
        ("direction", c_uint8),
        ("size", c_uint8),
        ("port", c_uint16),
        ("count", c_uint32),
        ("data_offset", c_uint64),
    )


class _mmio(ctypes.Structure):
    _fields_ = (("phys_addr", c_uint64), ("data", c_uint8 * 8), ("len", c_uint32), ("is_write", c_uint8))


class _debug(ctypes.Structure):
    _fields_ = (
        ("exception", c_uint32),
        ("pad", c_uint32),
        ("pc", c_uint64),
        ("dr6", c_uint64),
        ("dr7", c_uint64),
    )


class _fail_entry(ctypes.Structure):
    _fields_ = (("hardware_entry_failure_reason", c_uint64), ("cpu", c_uint32))


class _internal(ctypes.Structure):
    _fields_ = (("suberror", c_uint32), ("ndata", c_uint32), ("data", c_uint64 * 16))


class _system_event(ctypes.Structure):
    _fields_ = (("type", c_uint32), ("ndata", c_uint32), ("data", c_uint64 * 16))


class _msr(ctypes.Structure):
    _fields_ = (
        ("error", c_uint8),
        ("pad", c_uint8 * 7),
        ("reason", c_uint32),
        ("index", c_uint32),
        ("data", c_uint64),
    )


class _exit(ctypes.Union):
    _fields_ = (
        ("io", _io),
        ("mmio", _mmio),
        ("debug", _debug),
        ("fail_entry", _fail_entry),
        ("internal", _internal),
        ("system_event", _system_event),
        ("msr", _msr),
        ("padding", c_uint8 * 256),
    )


class kvm_sync_regs(ctypes.Structure):
    _fields_ = (("regs", kvm_regs), ("sregs", kvm_sregs), ("events", kvm_vcpu_events))


class _sync(ctypes.Union):
    _fields_ = (("regs", kvm_sync_regs), ("padding", c_uint8 * 2048))


class kvm_run(ctypes.Structure):
    """What a vCPU's first shared page begins with."""

    _anonymous_ = ("exit",)
    _fields_ = (
        ("request_interrupt_window", c_uint8),
        ("immediate_exit", c_uint8),
        ("padding1", c_uint8 * 6),
        ("exit_reason", c_uint32),
        ("ready_for_interrupt_injection", c_uint8),
        ("if_flag", c_uint8),
        ("flags", c_uint16),
        ("cr8", c_uint64),
        ("apic_base", c_uint64),
        ("exit", _exit),
        ("kvm_valid_regs", c_uint64),
        ("kvm_dirty_regs", c_uint64),
        ("s", _sync),
    )


# ------------------------------------------------------------ ioctl numbers

_KVMIO = 0xAE
_WRITE, _READ = 1, 2


def _number(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | _KVMIO << 8 | number


def _io_(number: int) -> int:
    return _number(0, number, 0)


def _ior(number: int, kind: type[ctypes.Structure] | int) -> int:
    return _number(_READ, number, kind if isinstance(kind, int) else ctypes.sizeof(kind))


def _iow(number: int, kind: type[ctypes.Structure] | int) -> int:
    return _number(_WRITE, number, kind if isinstance(kind, int) else ctypes.sizeof(kind))


def _iowr(number: int, kind: type[ctypes.Structure]) -> int:
    return _number(_WRITE | _READ, number, ctypes.sizeof(kind))


KVM_GET_API_VERSION = _io_(0x00)
KVM_CREATE_VM = _io_(0x01)
KVM_GET_MSR_INDEX_LIST = _iowr(0x02, kvm_msr_list)
KVM_CHECK_EXTENSION = _io_(0x03)
KVM_GET_VCPU_MMAP_SIZE = _io_(0x04)
KVM_GET_SUPPORTED_CPUID = _iowr(0x05, kvm_cpuid2)
KVM_CREATE_VCPU = _io_(0x41)
KVM_GET_DIRTY_LOG = _iow(0x42, kvm_dirty_log)
KVM_SET_USER_MEMORY_REGION = _iow(0x46, kvm_userspace_memory_region)
KVM_SET_TSS_ADDR = _io_(0x47)
KVM_SET_IDENTITY_MAP_ADDR = _iow(0x48, 8)
KVM_CREATE_IRQCHIP = _io_(0x60)
KVM_IRQ_LINE = _iow(0x61, kvm_irq_level)
KVM_GET_IRQCHIP = _iowr(0x62, kvm_irqchip)
KVM_SET_IRQCHIP = _ior(0x63, kvm_irqchip)
KVM_REGISTER_COALESCED_MMIO = _iow(0x67, kvm_coalesced_mmio_zone)
KVM_UNREGISTER_COALESCED_MMIO = _iow(0x68, kvm_coalesced_mmio_zone)
KVM_SET_GSI_ROUTING = _iow(0x6A, kvm_irq_routing)
KVM_IRQFD = _iow(0x76, kvm_irqfd)
KVM_CREATE_PIT2 = _iow(0x77, kvm_pit_config)
KVM_IOEVENTFD = _iow(0x79, kvm_ioeventfd)
KVM_SET_CLOCK = _iow(0x7B, kvm_clock_data)
KVM_GET_CLOCK = _ior(0x7C, kvm_clock_data)
KVM_RUN = _io_(0x80)
KVM_GET_REGS = _ior(0x81, kvm_regs)
KVM_SET_REGS = _iow(0x82, kvm_regs)
KVM_GET_SREGS = _ior(0x83, kvm_sregs)
KVM_SET_SREGS = _iow(0x84, kvm_sregs)
KVM_TRANSLATE = _iowr(0x85, kvm_translation)
KVM_INTERRUPT = _iow(0x86, kvm_interrupt)
KVM_GET_MSRS = _iowr(0x88, kvm_msrs)
KVM_SET_MSRS = _iow(0x89, kvm_msrs)
KVM_SET_SIGNAL_MASK = _iow(0x8B, kvm_signal_mask)
KVM_GET_FPU = _ior(0x8C, kvm_fpu)
KVM_SET_FPU = _iow(0x8D, kvm_fpu)
KVM_GET_LAPIC = _ior(0x8E, kvm_lapic_state)
KVM_SET_LAPIC = _iow(0x8F, kvm_lapic_state)
KVM_SET_CPUID2 = _iow(0x90, kvm_cpuid2)
KVM_GET_CPUID2 = _iowr(0x91, kvm_cpuid2)
KVM_GET_MP_STATE = _ior(0x98, kvm_mp_state)
KVM_SET_MP_STATE = _iow(0x99, kvm_mp_state)
KVM_NMI = _io_(0x9A)
KVM_SET_GUEST_DEBUG = _iow(0x9B, kvm_guest_debug)
KVM_GET_PIT2 = _ior(0x9F, kvm_pit_state2)
KVM_SET_PIT2 = _iow(0xA0, kvm_pit_state2)
KVM_GET_VCPU_EVENTS = _ior(0x9F, kvm_vcpu_events)
KVM_SET_VCPU_EVENTS = _iow(0xA0, kvm_vcpu_events)
KVM_GET_DEBUGREGS = _ior(0xA1, kvm_debugregs)
KVM_SET_DEBUGREGS = _iow(0xA2, kvm_debugregs)
KVM_GET_TSC_KHZ = _io_(0xA3)
KVM_GET_XSAVE = _ior(0xA4, kvm_xsave)
KVM_SIGNAL_MSI = _iow(0xA5, kvm_msi)
KVM_SET_XSAVE = _iow(0xA5, kvm_xsave)
KVM_GET_XCRS = _ior(0xA6, kvm_xcrs)
KVM_SET_XCRS = _iow(0xA7, kvm_xcrs)

#: number -> name, for errors; where two share a number the file descriptor tells, and both are named
NAMES: dict[int, str] = {}
for _name, _value in list(globals().items()):
    if _name.startswith("KVM_"):
        NAMES[_value] = f"{NAMES[_value]}/{_name}" if _value in NAMES else _name

# ------------------------------------------------------------ constants, without KVM_ before their names

#: KVM_CHECK_EXTENSION's, those that are asked for here
CAPABILITIES = {
    "IRQCHIP": 0,
    "USER_MEMORY": 3,
    "SET_TSS_ADDR": 4,
    "EXT_CPUID": 7,
    "NR_VCPUS": 9,
    "NR_MEMSLOTS": 10,
    "MP_STATE": 14,
    "COALESCED_MMIO": 15,
    "DESTROY_MEMORY_REGION_WORKS": 21,
    "USER_NMI": 22,
    "SET_GUEST_DEBUG": 23,
    "IRQ_ROUTING": 25,
    "IRQ_INJECT_STATUS": 26,
    "IRQFD": 32,
    "PIT2": 33,
    "PIT_STATE2": 35,
    "IOEVENTFD": 36,
    "SET_IDENTITY_MAP_ADDR": 37,
    "ADJUST_CLOCK": 39,
    "INTERNAL_ERROR_DATA": 40,
    "VCPU_EVENTS": 41,
    "DEBUGREGS": 50,
    "ENABLE_CAP": 54,
    "XSAVE": 55,
    "XCRS": 56,
    "TSC_CONTROL": 60,
    "GET_TSC_KHZ": 61,
    "MAX_VCPUS": 66,
    "SIGNAL_MSI": 77,
    "READONLY_MEM": 81,
    "CHECK_EXTENSION_VM": 105,
    "IMMEDIATE_EXIT": 136,
    "SYNC_REGS": 74,
    "COALESCED_PIO": 162,
    "IOEVENTFD_ANY_LENGTH": 122,
}

EXITS = {
    0: "UNKNOWN",
    1: "EXCEPTION",
    2: "IO",
    3: "HYPERCALL",
    4: "DEBUG",
    5: "HLT",
    6: "MMIO",
    7: "IRQ_WINDOW_OPEN",
    8: "SHUTDOWN",
    9: "FAIL_ENTRY",
    10: "INTR",
    11: "SET_TPR",
    12: "TPR_ACCESS",
    16: "NMI",
    17: "INTERNAL_ERROR",
    24: "SYSTEM_EVENT",
    29: "X86_RDMSR",
    30: "X86_WRMSR",
}
EXIT_IO, EXIT_DEBUG, EXIT_HLT, EXIT_MMIO, EXIT_IRQ_WINDOW_OPEN, EXIT_SHUTDOWN = 2, 4, 5, 6, 7, 8
EXIT_FAIL_ENTRY, EXIT_INTR, EXIT_INTERNAL_ERROR, EXIT_SYSTEM_EVENT = 9, 10, 17, 24

MEM_LOG_DIRTY_PAGES, MEM_READONLY = 1, 2
SYNC_X86_REGS, SYNC_X86_SREGS, SYNC_X86_EVENTS = 1, 2, 4
MP_STATE_RUNNABLE, MP_STATE_UNINITIALIZED, MP_STATE_INIT_RECEIVED, MP_STATE_HALTED, MP_STATE_SIPI_RECEIVED = range(5)
GUESTDBG_ENABLE, GUESTDBG_SINGLESTEP, GUESTDBG_USE_SW_BP, GUESTDBG_USE_HW_BP = 1, 2, 0x10000, 0x20000
IRQ_ROUTING_IRQCHIP, IRQ_ROUTING_MSI = 1, 2
IRQCHIP_PIC_MASTER, IRQCHIP_PIC_SLAVE, IRQCHIP_IOAPIC = range(3)
IOEVENTFD_FLAG_DATAMATCH, IOEVENTFD_FLAG_PIO, IOEVENTFD_FLAG_DEASSIGN = 1, 2, 4
IRQFD_FLAG_DEASSIGN = 1
PIT_SPEAKER_DUMMY = 1
VCPUEVENT_VALID_NMI_PENDING, VCPUEVENT_VALID_SIPI_VECTOR, VCPUEVENT_VALID_SHADOW = 1, 2, 4
PIO_PAGE_OFFSET, COALESCED_MMIO_PAGE_OFFSET = 1, 2
INTERNAL_ERRORS = {1: "EMULATION", 2: "SIMUL_EX", 3: "DELIVERY_EV", 4: "UNEXPECTED_EXIT_REASON"}


def with_entries(head: type[ctypes.Structure], count: str, entry: type[object], number: int) -> ctypes.Structure:
    """A structure that ends in an array of `number` entries, with its member `count` set to that."""
    fields = (("head", head), ("entries", entry * number))  # type: ignore[operator] # ctypes types multiply to arrays
    made: ctypes.Structure = type(head.__name__, (ctypes.Structure,), {"_fields_": fields})()
    setattr(made.head, count, number)
    return made
