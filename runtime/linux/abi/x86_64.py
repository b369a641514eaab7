"""x86-64: the Linux ABI of its 64-bit programs (arch/x86 of Linux 6.1, the System V psABI)."""

from __future__ import annotations

from runtime.core.light import MappingProxyType
from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, FaultByCode, Register, SignalFrame, SystemCall, table
from runtime.linux.abi.x86_64_numbers import NUMBERS

#: the general registers in the order of their encodings
_NAMES = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15"
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split())}


def _general(name: str) -> Register:
    return "R", _NUMBERS[name]


#: fpu__exception_code, by the lowest status bit that is not masked: IE DE ZE OE UE PE
_REAL = FaultByCode(
    {
        1: Fault("SIGFPE", "FPE_FLTINV"),
        2: Fault("SIGFPE", "FPE_FLTUND"),
        4: Fault("SIGFPE", "FPE_FLTDIV"),
        8: Fault("SIGFPE", "FPE_FLTOVF"),
        16: Fault("SIGFPE", "FPE_FLTUND"),
        32: Fault("SIGFPE", "FPE_FLTRES"),
    },
    Fault("SIGFPE", "FPE_FLTINV"),
)

#: arch/x86/kernel/traps.c and arch/x86/mm/fault.c; arg0 is the address of a page fault, 0 for what has none
EXCEPTIONS: dict[str, SystemCall | Fault | FaultByCode] = {
    "Syscall": SystemCall(length=2),
    "DE": Fault("SIGFPE", "FPE_INTDIV"),
    "DB": Fault("SIGTRAP", "TRAP_TRACE", trap=True),
    "BP": Fault("SIGTRAP", "SI_KERNEL", "arg0", trap=True),
    "Overflow": Fault("SIGSEGV", "SI_KERNEL", "arg0", trap=True),
    "BR": Fault("SIGSEGV", "SI_KERNEL", "arg0"),
    "UD": Fault("SIGILL", "ILL_ILLOPN"),
    "NM": Fault("SIGILL", "ILL_ILLOPN"),
    "TS": Fault("SIGSEGV", "SI_KERNEL", "arg0"),
    "NP": Fault("SIGBUS", "SI_KERNEL", "arg0"),
    "SS": Fault("SIGBUS", "SI_KERNEL", "arg0"),
    "GP": Fault("SIGSEGV", "SI_KERNEL", "arg0"),
    "PF": Fault("SIGSEGV", "SEGV", "arg0"),
    "PageFault": Fault("SIGSEGV", "SEGV", "arg0"),  # as a specification calls it that has a flag PF
    "MF": _REAL,
    "AC": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "XM": _REAL,
}

# struct ucontext: flags, link, stack, a struct sigcontext of 256 bytes, mask; siginfo; then the area that FXSAVE or
# XSAVE fill, at a multiple of 64 (arch/x86/include/uapi/asm/{ucontext,sigcontext}.h, struct rt_sigframe).
_CONTEXT = 40
_MASK = 296
_INFO = 304
_STATE = 448
#: XSAVE's standard format with AVX-512, and the word that ends it
_STATE_BYTES = 2696
#: the same with AVX alone: what FXSAVE saves, a header of 64 bytes, the upper halves of the registers
_HEADER, _UPPER, _AVX_BYTES = 512, 576, 832
_COMPONENTS = 7
#: FP_XSTATE_MAGIC1, and in FXSAVE's own area where it and the sizes stand (struct _fpx_sw_bytes); FP_XSTATE_MAGIC2
_MAGIC, _SIZES, _END = 0x46505853, 464, 0x46505845
_IN_ORDER = "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp"
_FLAGS = _CONTEXT + 136
#: EFLAGS' bits, for a specification that has each as a register or mode of its own
FLAG_BITS = {"CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "TF": 8, "DF": 10, "OF": 11, "AC": 18, "ID": 21}

_FRAME = SignalFrame(
    context_bytes=_STATE + _STATE_BYTES + 4,
    stack_offset=16,
    mask_offset=_MASK,
    registers=(
        *((_general(name), _CONTEXT + 8 * index, 8, 0, 64) for index, name in enumerate(_IN_ORDER.split())),
        (("pc", 0), _CONTEXT + 128, 8, 0, 64),
        (("RFLAGS", 0), _FLAGS, 8, 0, 64),
        *(((name, 0), _FLAGS, 8, at, 1) for name, at in FLAG_BITS.items()),
        (("ERROR", 0), _CONTEXT + 152, 8, 0, 64),
        (("TRAP", 0), _CONTEXT + 160, 8, 0, 64),
        (("CR2", 0), _CONTEXT + 176, 8, 0, 64),
        # All of the vector and floating-point state, where an accelerator has it in this very format; else its parts.
        (("XSTATE", 0), _STATE, _STATE_BYTES, 0, 8 * _STATE_BYTES),
        (("FCW", 0), _STATE, 2, 0, 16),
        (("FSW", 0), _STATE + 2, 2, 0, 16),
        (("FTW", 0), _STATE + 4, 1, 0, 8),
        (("FIP", 0), _STATE + 8, 8, 0, 64),
        (("MASKS", 0), _STATE, 2, 0, 6),
        (("C1", 0), _STATE + 2, 2, 9, 1),
        (("TOP", 0), _STATE + 2, 2, 11, 3),
        (("MXCSR", 0), _STATE + 24, 4, 0, 32),
        # … as a specification has it that keeps rounding in a mode and the flags apart
        (("MXCTL", 0), _STATE + 24, 4, 0, 16),
        (("RC", 0), _STATE + 24, 4, 13, 2),
        *((("FPR", index), _STATE + 32 + 16 * index, 16, 0, 80) for index in range(8)),
        *((("XMM", index), _STATE + 160 + 16 * index, 16, 0, 128) for index in range(16)),
        *((("YH", index), _STATE + _UPPER + 16 * index, 16, 0, 128) for index in range(16)),
    ),
    arguments=(_general("rdi"), _general("rsi"), _general("rdx")),
    return_address=None,
    return_on_stack=True,
    # mov $15, %eax (rt_sigreturn); syscall
    trampoline=bytes.fromhex("b80f0000000f05"),
    align=64,
    head_bytes=8,
    info_offset=_INFO,
    popped=8,
    red_zone=128,
    # UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS; the selectors of user code and stack
    words=MappingProxyType({0: 6, _CONTEXT + 144: 0x002B_0000_0000_0033}),
    pointers=MappingProxyType({_CONTEXT + 184: _STATE}),
    words_with=(
        "YH",
        MappingProxyType(
            {
                0: 7,  # UC_FP_XSTATE, too
                _STATE + _SIZES: _MAGIC | (_AVX_BYTES + 4) << 32,
                _STATE + _SIZES + 8: _COMPONENTS,
                _STATE + _SIZES + 16: _AVX_BYTES,
                _STATE + _HEADER: _COMPONENTS,
                _STATE + _AVX_BYTES: _END,
            }
        ),
    ),
)

#: handlers find the x87 unit and SSE's control as a program does (arch/x86/kernel/signal.c: handle_signal)
ENTRY_STATE = MappingProxyType(
    {"DF": 0, "FCW": 0x37F, "MASKS": 0x3F, "FSW": 0, "C1": 0, "TOP": 0, "FTW": 0, "FIP": 0} | {"MXCTL": 0x1F80, "RC": 0}
)

ABI = Abi(
    name="x86_64",
    isa="x86_64",
    elf_machine=62,
    bits=64,
    big_endian=False,
    uname_machine="x86_64",
    platform="x86_64",
    # CPUID.1:EDX of a processor with SSE2 (arch/x86/include/asm/elf.h: ELF_HWCAP)
    hardware_capabilities=0x078BFBFF,
    # a host's reservation holds no more (runtime/core/env.py); Linux's own is 2**47 less a page
    address_top=1 << 38,
    number=_general("rax"),
    arguments=tuple(_general(name) for name in ("rdi", "rsi", "rdx", "r10", "r8", "r9")),
    result=_general("rax"),
    stack=_general("rsp"),
    thread_pointer=("FSBASE", 0),
    base_registers=MappingProxyType({(0x1002, 0x1003): ("FSBASE", 0), (0x1001, 0x1004): ("GSBASE", 0)}),
    clone_tls_first=False,
    entry_state=ENTRY_STATE,
    exceptions=EXCEPTIONS,
    signal_frame=_FRAME,
    numbers=NUMBERS,
    constants=table(generic.CONSTANTS, {"SA_RESTORER": 0x04000000, "MAP_32BIT": 0x40}),
    definitions={
        **generic.STRUCTS_64,
        # arch/x86/include/uapi/asm/stat.h
        "stat": "dev:u64 ino:u64 nlink:u64 mode:u32 uid:u32 gid:u32 pad0:u32 rdev:u64 size:s64 blksize:s64 blocks:s64 "
        "atime:u64 atime_nsec:u64 mtime:u64 mtime_nsec:u64 ctime:u64 ctime_nsec:u64 spare0:s64 spare1:s64 spare2:s64",
        # include/uapi/linux/eventpoll.h: EPOLL_PACKED
        "epoll_event": "packed events:u32 data:u64",
        "sigaction": "handler:ptr flags:ulong restorer:ptr mask:u64",
        "utimbuf": "actime:s64 modtime:s64",
        "linux_dirent": "ino:ulong off:ulong reclen:u16",
    },
)
