"""A virtual machine of KVM's: its descriptor and its memory slots."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from ctypes import addressof, c_uint64

from runtime.kvm import abi
from runtime.kvm.system import System, control

#: three pages below 4 GiB that KVM takes for itself on Intel's processors, and one before them for a page table
_TSS_ADDRESS, _IDENTITY_MAP = 0xFFFBD000, 0xFFFBC000
_PAGE = 4096


class Machine:
    """A VM: memory slots by number, as the kernel keeps them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.descriptor = system.make_vm()
        self.slots: dict[int, tuple[int, int, int, int]] = {}  # number -> guest address, size, host address, flags
        if system.capability("SET_IDENTITY_MAP_ADDR"):
            control(self.descriptor, abi.KVM_SET_IDENTITY_MAP_ADDR, _Word(_IDENTITY_MAP))
        if system.capability("SET_TSS_ADDR"):
            control(self.descriptor, abi.KVM_SET_TSS_ADDR, _TSS_ADDRESS)

    def close(self) -> None:
        """Let the machine go; its vCPUs keep it alive until they are closed."""
        with suppress(OSError):
            os.close(self.descriptor)

    def set_slot(self, number: int, address: int, size: int, host: int, flags: int = 0) -> None:
        """Let guest-physical [address, address + size) be host memory; size 0 takes the slot away."""
        region = abi.kvm_userspace_memory_region(number, flags, address, size, host)
        control(self.descriptor, abi.KVM_SET_USER_MEMORY_REGION, region)
        if size:
            self.slots[number] = address, size, host, flags
        else:
            self.slots.pop(number, None)

    def dirty_pages(self, number: int) -> list[int]:
        """Guest-physical addresses of the pages of a slot with MEM_LOG_DIRTY_PAGES that changed since last asked."""
        address, size, _, _ = self.slots[number]
        words = (c_uint64 * -(-size // (_PAGE * 64)))()
        control(self.descriptor, abi.KVM_GET_DIRTY_LOG, abi.kvm_dirty_log(number, 0, addressof(words)))
        found = []
        for index, word in enumerate(words):
            while word:
                low = word & -word
                found.append(address + (index * 64 + low.bit_length() - 1) * _PAGE)
                word ^= low
        return found

    def make_processor(self, number: int) -> int:
        """The descriptor of a new vCPU."""
        return control(self.descriptor, abi.KVM_CREATE_VCPU, number)


class _Word(ctypes.Structure):
    """An integer that an ioctl takes by its address."""

    _fields_ = (("value", c_uint64),)
