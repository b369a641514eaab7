"""i386: the Linux ABI of 32-bit programs on x86 (arch/x86 of Linux 6.1, the System V psABI's i386 supplement)."""

from __future__ import annotations

from runtime.core.light import MappingProxyType
from runtime.linux.abi import generic, x86_64
from runtime.linux.abi.i386_numbers import NUMBERS
from runtime.linux.abi.model import (
    Abi,
    Descriptor,
    LocalTable,
    Register,
    SegmentTable,
    SignalFrame,
    SystemCall,
    table,
)

#: the general registers in the order of their encodings
_NAMES = "eax ecx edx ebx esp ebp esi edi"
_NUMBERS = {name: number for number, name in enumerate(_NAMES.split())}
#: a sigcontext's first words, and the segment registers among them
_IN_ORDER = "gs fs es ds edi esi ebp esp ebx edx ecx eax"
_SEGMENTS = {"es": "ES", "fs": "FS", "gs": "GS", "ds": "DS"}

Place = tuple[Register, int, int, int, int]


def _general(name: str) -> Register:
    return "R", _NUMBERS[name]


# struct sigcontext_32 (arch/x86/include/uapi/asm/sigcontext.h): segments, general registers, the trap, pc, flags,
# stack, a pointer to the floating-point state, half of the mask, the address of a page fault.
_CONTEXT_BYTES = 88
_FLAGS, _FLOATS, _OLD_MASK = 64, 76, 80
#: struct _fpstate_32: FSAVE's area and a status, and FXSAVE's behind it
_FSAVE_BYTES = 112
_STATE_BYTES = _FSAVE_BYTES + 512


def _places(context: int, state: int) -> tuple[Place, ...]:
    """What a struct sigcontext and the floating-point state hold, at these offsets."""
    fxsave = state + _FSAVE_BYTES
    return (
        *(
            ((_SEGMENTS[name], 0), context + 4 * index, 4, 0, 16)
            for index, name in enumerate(_IN_ORDER.split())
            if name in _SEGMENTS
        ),
        *(
            (_general(name), context + 4 * index, 4, 0, 32)
            for index, name in enumerate(_IN_ORDER.split())
            if name not in _SEGMENTS
        ),
        (("pc", 0), context + 56, 4, 0, 32),
        (("CS", 0), context + 60, 4, 0, 16),
        (("SS", 0), context + 72, 4, 0, 16),
        *(((name, 0), context + _FLAGS, 4, at, 1) for name, at in x86_64.FLAG_BITS.items()),
        (("FCW", 0), fxsave, 2, 0, 16),
        (("FSW", 0), fxsave + 2, 2, 0, 16),
        (("MASKS", 0), fxsave, 2, 0, 6),
        (("C1", 0), fxsave + 2, 2, 9, 1),
        (("TOP", 0), fxsave + 2, 2, 11, 3),
        (("FTW", 0), fxsave + 4, 1, 0, 8),
        (("FIP", 0), fxsave + 8, 4, 0, 32),
        (("MXCTL", 0), fxsave + 24, 4, 0, 16),
        (("RC", 0), fxsave + 24, 4, 13, 2),
        *((("FPR", index), fxsave + 32 + 16 * index, 16, 0, 80) for index in range(8)),
        *((("XMM", index), fxsave + 160 + 16 * index, 16, 0, 128) for index in range(8)),
    )


#: struct sigframe_ia32, from its sigcontext on: the state, half of the mask, code that nobody runs any more
_PLAIN = SignalFrame(
    context_bytes=_CONTEXT_BYTES + _STATE_BYTES + 12,
    stack_offset=None,
    mask_offset=_OLD_MASK,
    mask_high_offset=_CONTEXT_BYTES + _STATE_BYTES,
    registers=_places(0, _CONTEXT_BYTES),
    arguments=(_general("eax"), _general("edx"), _general("ecx")),
    return_address=None,
    return_on_stack=True,
    head_bytes=8,
    stack_arguments=(4,),
    popped=8,
    skew=4,
    # pop %eax; mov $119, %eax (sigreturn); int $0x80
    trampoline=bytes.fromhex("58b877000000cd80"),
    pointers=MappingProxyType({_FLOATS: _CONTEXT_BYTES}),
)

#: struct rt_sigframe_ia32: struct ucontext_ia32 has flags, link and stack before the sigcontext, the mask behind it;
#: the state follows where FXSAVE's area is at a multiple of 16
_UCONTEXT = 20
_STATE = 132
_FRAME = SignalFrame(
    context_bytes=_STATE + _STATE_BYTES,
    stack_offset=8,
    mask_offset=_UCONTEXT + _CONTEXT_BYTES,
    registers=_places(_UCONTEXT, _STATE),
    arguments=(_general("eax"), _general("edx"), _general("ecx")),
    return_address=None,
    return_on_stack=True,
    head_bytes=16,
    stack_arguments=(4, 8, 12),
    popped=4,
    skew=4,
    # mov $173, %eax (rt_sigreturn); int $0x80
    trampoline=bytes.fromhex("b8ad000000cd80"),
    pointers=MappingProxyType({_UCONTEXT + _FLOATS: _STATE}),
    plain=_PLAIN,
)

_TIMES = "atime:u32 atime_nsec:u32 mtime:u32 mtime_nsec:u32 ctime:u32 ctime_nsec:u32"

ABI = Abi(
    name="i386",
    isa="i386",
    elf_machine=3,
    bits=32,
    big_endian=False,
    uname_machine="i686",
    platform="i686",
    hardware_capabilities=x86_64.ABI.hardware_capabilities,
    address_top=0xC0000000,
    number=_general("eax"),
    arguments=tuple(_general(name) for name in ("ebx", "ecx", "edx", "esi", "edi", "ebp")),
    result=_general("eax"),
    stack=_general("esp"),
    segments=SegmentTable(
        first=6,
        bases=(("TLS0", 0), ("TLS1", 0), ("TLS2", 0)),
        loaded=((("FS", 0), ("FSBASE", 0)), (("GS", 0), ("GSBASE", 0))),
        local=LocalTable(
            selectors="LDTS",
            entries="LDT",
            code=(("CS", 0), ("CSBASE", 0)),
            stack=(("SS", 0), ("SSBASE", 0)),
            data=tuple(((name, 0), (f"{name}BASE", 0)) for name in ("ES", "DS", "FS", "GS")),
            stack_mask=("STACK", 0),
            small="CODE16",
            based="SEGMENTS",
            own=(0x23, 0x2B),
        ),
    ),
    struct_align=4,
    entry_state=x86_64.ENTRY_STATE,
    exceptions={
        **{name: fault for name, fault in x86_64.EXCEPTIONS.items() if name != "Syscall"},
        "Int80": SystemCall(length=2),
        "Descriptor": Descriptor(),
    },
    signal_frame=_FRAME,
    numbers=NUMBERS,
    constants=table(generic.CONSTANTS, {"SA_RESTORER": 0x04000000}),
    # include/uapi/asm-generic/fcntl.h: locks with offsets of 32 bits, and of 64
    fcntl_commands=MappingProxyType(
        {**{5 + at: (5 + at, "flock32") for at in range(3)}, **{12 + at: (5 + at, "flock") for at in range(3)}}
    ),
    definitions={
        **generic.STRUCTS_32,
        # arch/x86/include/uapi/asm/stat.h
        "stat64": "dev:u64 pad0:u32 ino_low:u32 mode:u32 nlink:u32 uid:u32 gid:u32 rdev:u64 pad3:u32 size:s64 "
        f"blksize:u32 blocks:u64 {_TIMES} ino:u64",
        "stat": "dev:u32 ino:u32 mode:u16 nlink:u16 uid:u16 gid:u16 rdev:u32 size:u32 blksize:u32 blocks:u32 "
        f"{_TIMES} unused4:u32 unused5:u32",
        "statfs64": "type:u32 bsize:u32 blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 fsid:s32 fsid_high:s32 "
        "namelen:u32 frsize:u32 flags:u32 spare0:u32 spare1:u32 spare2:u32 spare3:u32",
        "flock32": "type:s16 whence:s16 start:s32 len:s32 pid:s32",
        "sigaction": "handler:ptr flags:ulong restorer:ptr mask:u32 mask_high:u32",
        "utimbuf": "actime:s32 modtime:s32",
        "linux_dirent": "ino:ulong off:ulong reclen:u16",
        # arch/x86/include/uapi/asm/ldt.h
        "user_desc": "entry_number:u32 base_addr:u32 limit:u32 flags:u32",
    },
)
