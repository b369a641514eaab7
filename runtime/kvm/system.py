"""/dev/kvm itself: opening it, its ioctls with errors that name them, what it can do."""

from __future__ import annotations

import ctypes
import errno
import os
from fcntl import ioctl as _ioctl

from runtime.core.failure import EngineError
from runtime.kvm import abi

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong)

DEVICE = "/dev/kvm"
_MOST_CPUID = 256


class KvmError(EngineError):
    """KVM cannot be used, or refused something; the message is one line for the user."""


class IoctlError(KvmError):
    """An ioctl that failed; `errno` says how."""

    def __init__(self, number: int, error: int) -> None:
        name = abi.NAMES.get(number, hex(number))
        super().__init__(f"KVM refused {name}: {os.strerror(error)} ({errno.errorcode.get(error, error)})")
        self.errno = error
        self.number = number


def control(descriptor: int, number: int, argument: ctypes.Structure | ctypes.Array[ctypes.c_char] | int = 0) -> int:
    """An ioctl of KVM's, begun again after EINTR; IoctlError names it when it fails.

    KVM_RUN is not made by this: there EINTR means something (runtime/kvm/processor.py).
    """
    while True:
        try:
            if isinstance(argument, int):
                if argument >= 1 << 31:
                    return _wide(descriptor, number, argument)
                result = _ioctl(descriptor, number, argument)
            else:
                result = _ioctl(descriptor, number, argument, True)
            return int(result)
        except OSError as error:
            if error.errno != errno.EINTR:
                raise IoctlError(number, error.errno or errno.EIO) from None


def _wide(descriptor: int, number: int, argument: int) -> int:
    """The same with an argument that fcntl.ioctl has no room for."""
    result: int = _libc.ioctl(descriptor, number, argument)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def unavailable() -> str | None:
    """Why KVM cannot be used here, with the mend; None if it can."""
    try:
        System().close()
    except KvmError as error:
        return str(error)
    return None


class System:
    """/dev/kvm, open."""

    def __init__(self, path: str = DEVICE) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KvmError(
                f"there is no {path}: load the kernel's kvm_intel or kvm_amd module, or use --accel tcg"
            ) from None
        except PermissionError:
            raise KvmError(
                f"{path} may not be used: join its group (usermod -aG kvm USER), or use --accel tcg"
            ) from None
        except OSError as error:
            raise KvmError(f"{path} cannot be opened ({error.strerror}): use --accel tcg") from None
        try:
            version = control(self.descriptor, abi.KVM_GET_API_VERSION)
        except IoctlError:
            self.close()
            raise KvmError(f"{path} is not KVM's device: use --accel tcg") from None
        if version != abi.API_VERSION:
            self.close()
            raise KvmError(
                f"{path} speaks version {version} of KVM's interface, not {abi.API_VERSION}: use --accel tcg"
            )

    def close(self) -> None:
        os.close(self.descriptor)

    def capability(self, name: str) -> int:
        """What KVM_CHECK_EXTENSION says of a capability: 0 if it is missing."""
        return control(self.descriptor, abi.KVM_CHECK_EXTENSION, abi.CAPABILITIES[name])

    def require(self, *names: str) -> None:
        """KvmError, naming them, if some of these capabilities are missing."""
        missing = [f"KVM_CAP_{name}" for name in names if not self.capability(name)]
        if missing:
            raise KvmError(f"this KVM lacks {', '.join(missing)}: use --accel tcg")

    def make_vm(self) -> int:
        """A descriptor of a new virtual machine."""
        return control(self.descriptor, abi.KVM_CREATE_VM, 0)

    def run_bytes(self) -> int:
        """Bytes of a vCPU's shared area."""
        return control(self.descriptor, abi.KVM_GET_VCPU_MMAP_SIZE)

    def supported_cpuid(self) -> list[abi.kvm_cpuid_entry2]:
        """The CPUID leaves that a guest can have."""
        leaves = abi.with_entries(abi.kvm_cpuid2, "nent", abi.kvm_cpuid_entry2, _MOST_CPUID)
        control(self.descriptor, abi.KVM_GET_SUPPORTED_CPUID, leaves)
        return list(leaves.entries[: leaves.head.nent])

    def msr_indices(self) -> list[int]:
        """The model-specific registers that save a vCPU's state."""
        room = 1
        while True:
            listed = abi.with_entries(abi.kvm_msr_list, "nmsrs", ctypes.c_uint32, room)
            try:
                control(self.descriptor, abi.KVM_GET_MSR_INDEX_LIST, listed)
            except IoctlError as error:
                if error.errno != errno.E2BIG:
                    raise
                room = listed.head.nmsrs
                continue
            return list(listed.entries[: listed.head.nmsrs])
