"""A vCPU's whole state as bytes: the kernel's structures one after the other, each with its name and size."""

from __future__ import annotations

import ctypes
import struct

from runtime.kvm import abi
from runtime.kvm.processor import Processor
from runtime.kvm.system import KvmError

_HEAD = struct.Struct("<8sI")
_MSR = struct.Struct("<IIQ")
_MAGIC = b"kvm-x86\n"


def pack_sections(sections: dict[str, bytes]) -> bytes:
    """Named pieces of bytes as one."""
    parts = [_HEAD.pack(name.encode(), len(data)) + data for name, data in sections.items()]
    return _MAGIC + b"".join(parts)


def unpack_sections(data: bytes) -> dict[str, bytes]:
    """The opposite; KvmError if these are no such bytes."""
    if data[: len(_MAGIC)] != _MAGIC:
        raise KvmError("this is no saved state of a KVM processor")
    at = len(_MAGIC)
    sections = {}
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise KvmError("the saved state of a KVM processor is cut short")
        name, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if len(data) - at < size:
            raise KvmError("the saved state of a KVM processor is cut short")
        sections[name.rstrip(b"\0").decode("ascii", "replace")] = data[at : at + size]
        at += size
    return sections


def save(processor: Processor, msrs: list[int], has_lapic: bool) -> bytes:
    """Everything KVM tells of a vCPU that is not running."""
    sections = {
        "events": bytes(processor.events()),
        "mp": struct.pack("<I", processor.mp_state()),
        "regs": bytes(processor.regs()),
        "sregs": bytes(processor.sregs()),
        "xsave": bytes(processor.xsave()),
        "xcrs": bytes(processor.xcrs()),
        "debug": bytes(processor.debug_registers()),
        "msrs": b"".join(_MSR.pack(index, 0, value) for index, value in processor.msrs(msrs).items()),
    }
    if has_lapic:
        sections["lapic"] = bytes(processor.lapic())
    return pack_sections(sections)


def load(processor: Processor, data: bytes, has_lapic: bool) -> list[int]:
    """Set it all; the model-specific registers that KVM refused.

    The order is KVM's: the special registers before what depends on the mode, pending events last.
    """
    sections = unpack_sections(data)
    missing = {"events", "mp", "regs", "sregs", "xsave", "xcrs", "debug", "msrs"} - sections.keys()
    if missing:
        raise KvmError(f"the saved state of a KVM processor has no {', '.join(sorted(missing))}")
    processor.set_sregs(_structure(abi.kvm_sregs, sections["sregs"]))
    processor.set_xcrs(_structure(abi.kvm_xcrs, sections["xcrs"]))
    processor.set_xsave(_structure(abi.kvm_xsave, sections["xsave"]))
    processor.set_regs(_structure(abi.kvm_regs, sections["regs"]))
    values = {index: value for index, _, value in _MSR.iter_unpack(sections["msrs"])}
    refused = processor.set_msrs(values)
    if has_lapic and "lapic" in sections:
        processor.set_lapic(_structure(abi.kvm_lapic_state, sections["lapic"]))
    processor.set_debug_registers(_structure(abi.kvm_debugregs, sections["debug"]))
    processor.set_mp_state(struct.unpack("<I", sections["mp"])[0])
    events = _structure(abi.kvm_vcpu_events, sections["events"])
    events.flags = abi.VCPUEVENT_VALID_NMI_PENDING | abi.VCPUEVENT_VALID_SHADOW
    processor.set_events(events)
    return refused


def _structure(kind: type[abi.S], data: bytes) -> abi.S:
    if len(data) != ctypes.sizeof(kind):
        raise KvmError(f"the saved state of a KVM processor has {len(data)} bytes of {kind.__name__}")
    return kind.from_buffer_copy(data)
