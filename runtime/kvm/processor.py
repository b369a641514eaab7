"""A vCPU of KVM's: its descriptor, the area it shares with the kernel, and its registers in the kernel's structures."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from contextlib import suppress
from fcntl import ioctl

from runtime.kvm import abi
from runtime.kvm.machine import Machine
from runtime.kvm.system import IoctlError, KvmError, control

_MSRS_AT_ONCE = 64


class Processor:
    """One vCPU.  Every method but `enter` fails, or waits, while another thread is in `enter`.

    run      struct kvm_run, shared with the kernel
    octets   the bytes of that area
    """

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine = machine
        self.number = number
        self.descriptor = machine.make_processor(number)
        self._area = mmap.mmap(self.descriptor, machine.system.run_bytes())
        self.run = abi.kvm_run.from_buffer(self._area)
        self.octets = memoryview(self._area)

    def close(self) -> None:
        """Let it go."""
        self.octets.release()
        del self.run
        with suppress(BufferError):  # an exception's traceback may still hold the structure
            self._area.close()
        with suppress(OSError):
            os.close(self.descriptor)

    def enter(self) -> int:
        """KVM_RUN: the exit's reason; EXIT_INTR if a signal ended it, or nothing was run because of immediate_exit."""
        try:
            ioctl(self.descriptor, abi.KVM_RUN, 0)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN):  # EAGAIN: waiting for another vCPU's INIT or SIPI
                return abi.EXIT_INTR
            raise self.failed(error.errno or errno.EIO) from None
        return int(self.run.exit_reason)

    def failed(self, error: int) -> KvmError:
        """What to raise when KVM_RUN failed."""
        if error == errno.EFAULT:
            return KvmError("KVM_RUN: the guest touched memory that the host does not give (EFAULT)")
        return IoctlError(abi.KVM_RUN, error)

    # ------------------------------------------------------------ registers

    def regs(self) -> abi.kvm_regs:
        value = abi.kvm_regs()
        control(self.descriptor, abi.KVM_GET_REGS, value)
        return value

    def set_regs(self, value: abi.kvm_regs) -> None:
        control(self.descriptor, abi.KVM_SET_REGS, value)

    def sregs(self) -> abi.kvm_sregs:
        value = abi.kvm_sregs()
        control(self.descriptor, abi.KVM_GET_SREGS, value)
        return value

    def set_sregs(self, value: abi.kvm_sregs) -> None:
        control(self.descriptor, abi.KVM_SET_SREGS, value)

    def fpu(self) -> abi.kvm_fpu:
        value = abi.kvm_fpu()
        control(self.descriptor, abi.KVM_GET_FPU, value)
        return value

    def set_fpu(self, value: abi.kvm_fpu) -> None:
        control(self.descriptor, abi.KVM_SET_FPU, value)

    def xsave(self) -> abi.kvm_xsave:
        value = abi.kvm_xsave()
        control(self.descriptor, abi.KVM_GET_XSAVE, value)
        return value

    def set_xsave(self, value: abi.kvm_xsave) -> None:
        control(self.descriptor, abi.KVM_SET_XSAVE, value)

    def xcrs(self) -> abi.kvm_xcrs:
        value = abi.kvm_xcrs()
        control(self.descriptor, abi.KVM_GET_XCRS, value)
        return value

    def set_xcrs(self, value: abi.kvm_xcrs) -> None:
        control(self.descriptor, abi.KVM_SET_XCRS, value)

    def events(self) -> abi.kvm_vcpu_events:
        value = abi.kvm_vcpu_events()
        control(self.descriptor, abi.KVM_GET_VCPU_EVENTS, value)
        return value

    def set_events(self, value: abi.kvm_vcpu_events) -> None:
        control(self.descriptor, abi.KVM_SET_VCPU_EVENTS, value)

    def debug_registers(self) -> abi.kvm_debugregs:
        value = abi.kvm_debugregs()
        control(self.descriptor, abi.KVM_GET_DEBUGREGS, value)
        return value

    def set_debug_registers(self, value: abi.kvm_debugregs) -> None:
        control(self.descriptor, abi.KVM_SET_DEBUGREGS, value)

    def lapic(self) -> abi.kvm_lapic_state:
        value = abi.kvm_lapic_state()
        control(self.descriptor, abi.KVM_GET_LAPIC, value)
        return value

    def set_lapic(self, value: abi.kvm_lapic_state) -> None:
        control(self.descriptor, abi.KVM_SET_LAPIC, value)

    def mp_state(self) -> int:
        value = abi.kvm_mp_state()
        control(self.descriptor, abi.KVM_GET_MP_STATE, value)
        return int(value.mp_state)

    def set_mp_state(self, value: int) -> None:
        control(self.descriptor, abi.KVM_SET_MP_STATE, abi.kvm_mp_state(value))

    def msrs(self, indices: list[int]) -> dict[int, int]:
        """Model-specific registers; those that KVM cannot read are left out."""
        found: dict[int, int] = {}
        rest = list(indices)
        while rest:
            part = rest[:_MSRS_AT_ONCE]
            entries = _msr_entries([(index, 0) for index in part])
            done = control(self.descriptor, abi.KVM_GET_MSRS, entries)
            found.update((entry.index, entry.data) for entry in entries.entries[:done])
            # It stops at the first that it cannot read: go on behind that one.
            rest = rest[done + (done < len(part)) :]
        return found

    def set_msrs(self, values: dict[int, int]) -> list[int]:
        """Set model-specific registers; those that KVM refused."""
        refused: list[int] = []
        rest = list(values.items())
        while rest:
            part = rest[:_MSRS_AT_ONCE]
            done = control(self.descriptor, abi.KVM_SET_MSRS, _msr_entries(part))
            if done < len(part):
                refused.append(part[done][0])
            rest = rest[done + (done < len(part)) :]
        return refused

    def set_cpuid(self, leaves: list[abi.kvm_cpuid_entry2]) -> None:
        """What CPUID answers."""
        table = abi.with_entries(abi.kvm_cpuid2, "nent", abi.kvm_cpuid_entry2, len(leaves))
        for index, leaf in enumerate(leaves):
            table.entries[index] = leaf
        control(self.descriptor, abi.KVM_SET_CPUID2, table)

    def cpuid(self) -> list[abi.kvm_cpuid_entry2]:
        """What CPUID answers now."""
        table = abi.with_entries(abi.kvm_cpuid2, "nent", abi.kvm_cpuid_entry2, 256)
        control(self.descriptor, abi.KVM_GET_CPUID2, table)
        return list(table.entries[: table.head.nent])

    # ------------------------------------------------------------ events and looking

    def interrupt(self, vector: int) -> None:
        """Inject an external interrupt; only without an interrupt controller in the kernel, and when it is ready."""
        control(self.descriptor, abi.KVM_INTERRUPT, abi.kvm_interrupt(vector))

    def nmi(self) -> None:
        control(self.descriptor, abi.KVM_NMI)

    def translate(self, address: int) -> int | None:
        """The physical address behind a linear one, now."""
        found = abi.kvm_translation(address)
        control(self.descriptor, abi.KVM_TRANSLATE, found)
        return int(found.physical_address) if found.valid else None

    def set_guest_debug(self, control_bits: int, breakpoints: list[int] | None = None) -> None:
        """Single-step (GUESTDBG_*), or stop before instructions at up to four addresses."""
        debug = abi.kvm_guest_debug(control_bits)
        for number, address in enumerate(breakpoints or ()):
            debug.arch[number] = address
            debug.arch[7] |= 0b10 << 2 * number | 0x400  # DR7: enabled, execution, one byte
        control(self.descriptor, abi.KVM_SET_GUEST_DEBUG, debug)

    def tsc_khz(self) -> int:
        return control(self.descriptor, abi.KVM_GET_TSC_KHZ)

    def set_signal_mask(self, mask: int | None) -> None:
        """The signals blocked in KVM_RUN instead of the thread's own; None: the thread's."""
        if mask is None:
            control(self.descriptor, abi.KVM_SET_SIGNAL_MASK, 0)
            return
        argument = ctypes.create_string_buffer((8).to_bytes(4, "little") + mask.to_bytes(8, "little"), 12)
        control(self.descriptor, abi.KVM_SET_SIGNAL_MASK, argument)


def _msr_entries(pairs: list[tuple[int, int]]) -> ctypes.Structure:
    entries = abi.with_entries(abi.kvm_msrs, "nmsrs", abi.kvm_msr_entry, len(pairs))
    for entry, (index, data) in zip(entries.entries, pairs, strict=True):
        entry.index, entry.data = index, data
    return entries
