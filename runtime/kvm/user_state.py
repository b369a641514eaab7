"""The state of a vCPU that runs an x86-64 user program: what build/x86_64/state.py would be for TCG, by hand.

Names are those of runtime/linux/abi/x86_64.py.  Vector and floating-point registers are views into an image in XSAVE's
standard format, which the kernel gives and takes whole.
"""

from __future__ import annotations

import sys

from runtime.core.cpu import Isa
from runtime.core.env import GUEST_STATE
from runtime.core.layout import Layout, MemoryLayout, RegisterLayout
from runtime.core.views import Bits, File, StateView

_NAMES = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()  # noqa: SIM905 (as manuals list them)
_SINGLES = ("RFLAGS", "FSBASE", "GSBASE", "ERROR", "TRAP", "CR2")
_SYSTEM = ("ERROR", "TRAP", "CR2")

#: RFLAGS after power-on with interrupts on, as every user program has them
FLAGS_RESET = 0x202
IMAGE_BYTES = 4096
#: bytes of it that an XSAVE of any of today's user states fills (runtime/linux/abi/x86_64.py's frame has as many)
STATE_BYTES = 2696
#: of the components in an image that are not in their initial state: x87 and SSE
HEADER, COMPONENTS = 512, 3

GENERAL = GUEST_STATE
IMAGE = -(-(GENERAL + 8 * (len(_NAMES) + len(_SINGLES))) // 64) * 64

#: exceptions by vector, as Intel's manual abbreviates them (volume 3, 6.3.1), and the system call beside them
_VECTORS = {
    "DE": 0, "DB": 1, "BP": 3, "OF": 4, "BR": 5, "UD": 6, "NM": 7, "DF": 8, "TS": 10, "NP": 11, "SS": 12, "GP": 13,
    "PF": 14, "MF": 16, "AC": 17, "MC": 18, "XM": 19, "VE": 20, "CP": 21,
}  # fmt: skip
SYSCALL = 256
#: vectors that push an error code
WITH_ERROR = frozenset((8, 10, 11, 12, 13, 14, 17, 21))


def _registers() -> tuple[RegisterLayout, ...]:
    general = RegisterLayout("R", 64, GENERAL, 8, 16, names=tuple((name,) for name in _NAMES), is_file=True)
    at = GENERAL + 8 * len(_NAMES)
    singles = [
        RegisterLayout(
            name, 64, at + 8 * index, 8, reset=FLAGS_RESET if name == "RFLAGS" else 0, system=name in _SYSTEM
        )
        for index, name in enumerate(_SINGLES)
    ]
    return (
        general,
        *singles,
        RegisterLayout("XSTATE", 8 * STATE_BYTES, IMAGE, STATE_BYTES, system=True),
        RegisterLayout("FCW", 16, IMAGE, 2, reset=0x37F),
        RegisterLayout("FSW", 16, IMAGE + 2, 2),
        RegisterLayout("FTW", 8, IMAGE + 4, 1),
        RegisterLayout("MXCSR", 32, IMAGE + 24, 4, reset=0x1F80),
        RegisterLayout("FPR", 80, IMAGE + 32, 16, 8, is_file=True),
        RegisterLayout("XMM", 128, IMAGE + 160, 16, 16, is_file=True),
    )


LAYOUT = Layout(
    isa="x86_64",
    pc_name="RIP",
    pc_width=64,
    registers=_registers(),
    modes=(),
    memories=(MemoryLayout("M", 64, 0),),
    inputs=(),
    exceptions=(*_VECTORS.items(), ("Syscall", SYSCALL)),
    sticky=None,
    unit_bytes=1,
    max_bytes=15,
    size=IMAGE + IMAGE_BYTES,
)


class CPUState(StateView):
    """Registers as attributes."""

    __slots__ = ()


for _register in LAYOUT.registers:
    _view = File(_register) if _register.is_file else Bits(_register.offset, _register.width)
    setattr(CPUState, _register.name, _view)


def user_isa() -> Isa:
    """The instruction set as everybody else knows it; it has no folder, for nothing of it was generated."""
    return Isa(LAYOUT.isa, "", LAYOUT, sys.modules[__name__])
