"""The kernel's own headers agree with runtime/kvm/abi.py: every number, size and offset, asked of a C compiler."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from runtime.kvm import abi
from runtime.kvm.system import IoctlError, KvmError, System, control
from tests.kvm.kvm import require_kvm
from tests.tools import tool

_HEADER = Path("/usr/include/linux/kvm.h")
#: members that are called otherwise here, for they are unions or structures of one member in the headers
_OTHERWISE = {
    ("kvm_guest_debug", "arch"): "arch.debugreg",
    ("kvm_run", "exit"): "padding",
    ("kvm_xsave", "region"): "region",
}
#: what has no place of its own in the headers
_CONSTANTS = {
    "MEM_LOG_DIRTY_PAGES": "KVM_MEM_LOG_DIRTY_PAGES",
    "MEM_READONLY": "KVM_MEM_READONLY",
    "SYNC_X86_REGS": "KVM_SYNC_X86_REGS",
    "SYNC_X86_SREGS": "KVM_SYNC_X86_SREGS",
    "SYNC_X86_EVENTS": "KVM_SYNC_X86_EVENTS",
    **{name: f"KVM_{name}" for name in vars(abi) if name.startswith(("MP_STATE_", "GUESTDBG_", "IRQ_ROUTING_"))},
    **{
        name: f"KVM_{name}" for name in vars(abi) if name.startswith(("IRQCHIP_", "IOEVENTFD_", "IRQFD_", "VCPUEVENT_"))
    },
    **{name: f"KVM_{name}" for name in vars(abi) if name.startswith("EXIT_")},
    "PIT_SPEAKER_DUMMY": "KVM_PIT_SPEAKER_DUMMY",
    "API_VERSION": "KVM_API_VERSION",
    "PIO_PAGE_OFFSET": "KVM_PIO_PAGE_OFFSET",
    "COALESCED_MMIO_PAGE_OFFSET": "KVM_COALESCED_MMIO_PAGE_OFFSET",
}


def _structures() -> dict[str, type[ctypes.Structure]]:
    return {name: kind for name, kind in vars(abi).items() if name.startswith("kvm_")}


def _questions() -> dict[str, int]:
    """C expression -> what abi.py says."""
    asked: dict[str, int] = {name: value for name, value in vars(abi).items() if name.startswith("KVM_")}
    asked.update({constant: getattr(abi, name) for name, constant in _CONSTANTS.items()})
    asked.update({f"KVM_CAP_{name}": value for name, value in abi.CAPABILITIES.items()})
    asked.update({f"KVM_EXIT_{name}": value for value, name in abi.EXITS.items()})
    asked.update({f"KVM_INTERNAL_ERROR_{name}": value for value, name in abi.INTERNAL_ERRORS.items()})
    for name, kind in _structures().items():
        if name not in ("kvm_run", "kvm_xsave"):
            asked[f"sizeof(struct {name})"] = ctypes.sizeof(kind)
        for member, *_ in kind._fields_:
            written = _OTHERWISE.get((name, member), member)
            asked[f"offsetof(struct {name}, {written})"] = getattr(kind, member).offset
            if isinstance(getattr(kind, member), type(abi.kvm_regs.rax)) and written == member:
                asked[f"sizeof(((struct {name} *)0)->{member})"] = getattr(kind, member).size
    for member in ("io", "mmio", "internal", "system_event", "msr", "fail_entry"):
        part = dict(abi._exit._fields_)[member]
        for inner, *_ in part._fields_:
            asked[f"offsetof(struct kvm_run, {member}.{inner})"] = abi.kvm_run.exit.offset + getattr(part, inner).offset
    for member in ("exception", "interrupt", "nmi", "smi", "triple_fault"):
        part = dict(abi.kvm_vcpu_events._fields_)[member]
        for inner, *_ in part._fields_:
            place = getattr(abi.kvm_vcpu_events, member).offset + getattr(part, inner).offset
            asked[f"offsetof(struct kvm_vcpu_events, {member}.{inner})"] = place
    for inner, *_ in abi._debug._fields_:
        place = abi.kvm_run.exit.offset + getattr(abi._debug, inner).offset
        asked[f"offsetof(struct kvm_run, debug.arch.{inner})"] = place
    for member in ("regs", "sregs", "events"):
        place = abi.kvm_run.s.offset + getattr(abi.kvm_sync_regs, member).offset
        asked[f"offsetof(struct kvm_run, s.regs.{member})"] = place
    return asked


def test_headers_agree(tmp_path: Path) -> None:
    if not _HEADER.exists():
        pytest.skip(f"no {_HEADER} (Debian package linux-libc-dev)")
    asked = _questions()
    assert len(asked) > 300
    lines = [f'printf("%llu\\n", (unsigned long long)({expression}));' for expression in asked]
    source = tmp_path / "ask.c"
    head = "#include <stdio.h>\n#include <stddef.h>\n#include <linux/kvm.h>\nint main(void) {\n"
    source.write_text(head + "\n".join(lines) + "\nreturn 0; }\n")
    program = tmp_path / "ask"
    done = subprocess.run([tool("gcc", "gcc"), "-w", "-o", str(program), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.split()
    found = dict(zip(asked, map(int, answers), strict=True))
    assert found == asked


def test_a_missing_device_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(
        KvmError, match=r"^there is no .*: load the kernel's kvm_intel or kvm_amd module, or use [^\n]*$"
    ):
        System(str(tmp_path / "kvm"))


def test_a_forbidden_device_is_one_clear_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open everything: the message for a forbidden /dev/kvm is not shown")
    device = tmp_path / "kvm"
    device.touch(mode=0)
    with pytest.raises(KvmError, match=r"usermod -aG kvm"):
        System(str(device))


def test_another_device_is_one_clear_line() -> None:
    with pytest.raises(KvmError, match=r"^/dev/null is not KVM's device"):
        System("/dev/null")


def test_errors_name_the_ioctl() -> None:
    require_kvm("that a refused ioctl is named")
    system = System()
    machine = system.make_vm()
    try:
        with pytest.raises(IoctlError, match=r"^KVM refused KVM_SET_USER_MEMORY_REGION: Invalid argument \(EINVAL\)$"):
            control(machine, abi.KVM_SET_USER_MEMORY_REGION, abi.kvm_userspace_memory_region(0, 0, 1, 4096, 0))
    finally:
        os.close(machine)
        system.close()


def test_missing_capabilities_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "capability", lambda self, name: int(name == "USER_MEMORY"))
    with pytest.raises(KvmError, match=r"^this KVM lacks KVM_CAP_XSAVE, KVM_CAP_XCRS: use --accel tcg$"):
        System.require(System.__new__(System), "USER_MEMORY", "XSAVE", "XCRS")
