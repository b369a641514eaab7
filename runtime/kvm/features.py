"""What a processor on KVM tells of itself by CPUID: which leaves name its number, and features that can be left out.

A KVM that emulates kernel-level code may tell of instructions that it then does not carry out there; a user leaves
those out (`-cpu x86_64,-cx16`).
"""

from __future__ import annotations

from runtime.kvm import abi
from runtime.kvm.system import KvmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_APIC_ID_LEAVES = (0xB, 0x1F)
_ALL_INDICES = -1


def _bits(function: int, index: int, register: str, names: dict[str, int]) -> dict[str, tuple[int, int, str, int]]:
    return {name: (function, index, register, bit) for name, bit in names.items()}


#: name, as Linux and QEMU have it -> leaf, its index, register, bit (Intel's manual, volume 2, CPUID)
FEATURES: dict[str, tuple[int, int, str, int]] = (
    _bits(1, 0, "ecx", {
        "sse3": 0, "pclmulqdq": 1, "ssse3": 9, "fma": 12, "cx16": 13, "pcid": 17, "sse4.1": 19, "sse4.2": 20,
        "x2apic": 21, "movbe": 22, "popcnt": 23, "tsc-deadline": 24, "aes": 25, "xsave": 26, "avx": 28, "f16c": 29,
        "rdrand": 30, "hypervisor": 31,
    })
    | _bits(1, 0, "edx", {"tsc": 4, "apic": 9, "sep": 11, "mtrr": 12, "pge": 13, "pat": 16, "clflush": 19, "fxsr": 24})
    | _bits(7, 0, "ebx", {
        "fsgsbase": 0, "bmi1": 3, "avx2": 5, "smep": 7, "bmi2": 8, "erms": 9, "invpcid": 10, "avx512f": 16,
        "rdseed": 18, "adx": 19, "smap": 20, "clflushopt": 23, "sha-ni": 29,
    })
    | _bits(7, 0, "edx", {"fsrm": 4})
    | _bits(0xD, 1, "eax", {"xsaveopt": 0, "xsavec": 1, "xsaves": 3})
    | _bits(0x80000001, _ALL_INDICES, "edx", {"syscall": 11, "nx": 20, "pdpe1gb": 26, "rdtscp": 27})
    | _bits(0x80000001, _ALL_INDICES, "ecx", {"lahf-lm": 0, "abm": 5, "svm": 2})
    | _bits(0x40000001, _ALL_INDICES, "eax", {"kvmclock": 0, "kvmclock2": 3, "kvm-steal-time": 5})
)  # fmt: skip

#: what there is not without local APICs in the kernel
WITHOUT_CONTROLLERS = ("apic", "x2apic", "tsc-deadline")


def check_features(names: Iterable[str]) -> None:
    """KvmError for a name that is not known."""
    for name in names:
        if name not in FEATURES:
            raise KvmError(f"a processor's feature {name} cannot be left out; these can: {', '.join(sorted(FEATURES))}")


def describe_processor(leaves: Sequence[abi.kvm_cpuid_entry2], number: int, without: Iterable[str]) -> None:
    """Make what KVM supports one processor's: with its own number, and without some features."""
    cleared: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in without:
        function, index, register, bit = FEATURES[name]
        cleared.setdefault((function, index), []).append((register, bit))
    for leaf in leaves:
        if leaf.function == 1:
            leaf.ebx = leaf.ebx & 0x00FFFFFF | number << 24
        elif leaf.function in _APIC_ID_LEAVES:
            leaf.edx = number
        for index in (leaf.index, _ALL_INDICES):
            for register, bit in cleared.get((leaf.function, index), ()):
                setattr(leaf, register, getattr(leaf, register) & ~(1 << bit))
