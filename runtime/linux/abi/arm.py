"""ARM, 32-bit: the Linux EABI of armhf and armel programs (arch/arm of Linux 6.1, the procedure call standard)."""

from __future__ import annotations

from runtime.core.light import MappingProxyType
from runtime.core.record import replace
from runtime.linux.abi import generic
from runtime.linux.abi.arm_numbers import NUMBERS
from runtime.linux.abi.model import Abi, Fault, SignalFrame, SystemCall, table

#: Documentation/arm/kernel_user_helpers.rst: what the kernel keeps at the end of the address space for programs built
#: for older machines, which have neither exclusives nor a thread register: their code, by offset in the page
_HELPERS = {
    # __kuser_cmpxchg64: r0 the old value's address, r1 the new one's, r2 the variable's
    0xF60: "f0002de9 d040c0e1 d060c1e1 5ff07ff5 9f0fb2e1 043030e0 05303100 963fa201"
    "01003303 f9ffff0a 000073e2 f000bde8 1eff2fe1 00000000 00000000 00000000",
    # __kuser_memory_barrier
    0xFA0: "5ff07ff5 1eff2fe1",
    # __kuser_cmpxchg: r0 the old value, r1 the new one, r2 the address
    0xFC0: "5ff07ff5 9f3f92e1 003053e0 913f8201 01003303 faffff0a 000073e2 efffffea",
    # __kuser_get_tls
    0xFE0: "700f1dee 1eff2fe1",
    # __kuser_helper_version
    0xFFC: "05000000",
}
_VECTORS = 0xFFFF0000


def _page() -> bytes:
    page = bytearray(4096)
    for at, text in _HELPERS.items():
        code = bytes.fromhex(text)
        page[at : at + len(code)] = code
    return bytes(page)


#: arch/arm/include/uapi/asm/hwcap.h: swp half thumb fast_mult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32
HARDWARE_CAPABILITIES = sum(1 << bit for bit in (0, 1, 2, 4, 6, 7, 12, 13, 15, 16, 17, 18, 19))

#: struct sigcontext begins behind flags, link and stack; struct vfp_sigframe behind the mask and its spare room
_CONTEXT, _FLOATS = 20, 240
_CPSR = _CONTEXT + 76
_FPSCR = _FLOATS + 256
_STAT_TIMES = "atime:s32 atime_nsec:u32 mtime:s32 mtime_nsec:u32 ctime:s32 ctime_nsec:u32"

#: what both kinds of frame keep, by its place in struct ucontext
_SAVED = (
    *((("r", number), _CONTEXT + 12 + 4 * number, 4, 0, 32) for number in range(15)),
    (("pc", 0), _CONTEXT + 72, 4, 0, 32),
    *((flag, _CPSR, 4, bit, 1) for flag, bit in ((("N", 0), 31), (("Z", 0), 30), (("C", 0), 29), (("V", 0), 28))),
    (("Q", 0), _CPSR, 4, 27, 1),
    (("GE", 0), _CPSR, 4, 16, 4),
    (("E", 0), _CPSR, 4, 9, 1),
    (("T", 0), _CPSR, 4, 5, 1),
    (("IT", 0), _CPSR, 4, 25, 2),
    (("IT", 2), _CPSR, 4, 10, 6),
    *((("D", number), _FLOATS + 8 * number, 8, 0, 64) for number in range(32)),
    *(((flag, 0), _FPSCR, 4, bit, 1) for flag, bit in (("FN", 31), ("FZ", 30), ("FC", 29), ("FV", 28))),
    (("QC", 0), _FPSCR, 4, 27, 1),
    (("FPMODE", 0), _FPSCR, 4, 22, 5),
    (("IDC", 0), _FPSCR, 4, 7, 1),
    # The cumulative flags have the host's order, not FPSCR's: they stand in the word for FPINST2.
    (("FFLAGS", 0), _FPSCR + 16, 4, 0, 5),
)
#: struct sigframe: a struct ucontext whose flags say so, and no siginfo; its handlers return by sigreturn
_PLAIN = SignalFrame(
    context_bytes=744,
    stack_offset=None,
    mask_offset=_CONTEXT + 84,
    registers=_SAVED,
    arguments=(("r", 0), ("r", 1), ("r", 2)),
    return_address=("r", 14),
    # mov r7, #119; svc 0
    trampoline=bytes.fromhex("7770a0e3 000000ef"),
    align=8,
    words=MappingProxyType({0: 0x5AC3C35A}),
)

ABI = Abi(
    name="arm",
    isa="arm",
    elf_machine=40,
    bits=32,
    big_endian=False,
    uname_machine="armv7l",
    platform="v7l",
    hardware_capabilities=HARDWARE_CAPABILITIES,
    address_top=0xFFFF0000,
    number=("r", 7),
    arguments=(("r", 0), ("r", 1), ("r", 2), ("r", 3), ("r", 4), ("r", 5), ("r", 6)),
    result=("r", 0),
    stack=("r", 13),
    thread_pointer=("TPIDRURO", 0),
    aligned_pairs=True,
    address_mode="T",
    entry_state=MappingProxyType({"IT": 0, "E": 0}),
    fixed_pages=MappingProxyType({_VECTORS: _page()}),
    exceptions={
        "SupervisorCall": SystemCall(length=4),
        "ThumbSupervisorCall": SystemCall(length=2),
        "Undefined": Fault("SIGILL", "ILL_ILLOPC"),
        "PrefetchAbort": Fault("SIGSEGV", "SEGV", "arg0"),
        "DataAbort": Fault("SIGSEGV", "SEGV", "arg0"),
        "Alignment": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
        "Breakpoint": Fault("SIGTRAP", "TRAP_BRKPT"),
    },
    # struct rt_sigframe, with a siginfo before the context; mov r7, #173; svc 0
    signal_frame=replace(
        _PLAIN, stack_offset=8, trampoline=bytes.fromhex("ad70a0e3 000000ef"), words=MappingProxyType({}), plain=_PLAIN
    ),
    numbers=NUMBERS,
    # F_GETLK, F_SETLK and F_SETLKW with 32-bit offsets, and F_GETLK64 and so on
    fcntl_commands={
        5: (5, "flock32"),
        6: (6, "flock32"),
        7: (7, "flock32"),
        12: (5, "flock"),
        13: (6, "flock"),
        14: (7, "flock"),
    },
    constants=table(
        generic.CONSTANTS,
        # arch/arm/include/uapi/asm/fcntl.h and signal.h
        {
            "O_DIRECTORY": 0o40000,
            "O_NOFOLLOW": 0o100000,
            "O_DIRECT": 0o200000,
            "O_LARGEFILE": 0o400000,
            "O_TMPFILE": 0o20040000,
            "SA_THIRTYTWO": 0x02000000,
            "SA_RESTORER": 0x04000000,
        },
    ),
    definitions={
        **generic.STRUCTS_32,
        # arch/arm/include/uapi/asm/stat.h and signal.h
        "stat64": "dev:u64 pad0:u32 ino_low:u32 mode:u32 nlink:u32 uid:u32 gid:u32 rdev:u64 pad3:u32 size:s64 "
        f"blksize:u32 blocks:u64 {_STAT_TIMES} ino:u64",
        "stat": "dev:u32 ino:u32 mode:u16 nlink:u16 uid:u16 gid:u16 rdev:u32 size:u32 blksize:u32 blocks:u32 "
        f"{_STAT_TIMES} unused4:u32 unused5:u32",
        # packed, with four bytes to spare at its end
        "statfs64": "type:u32 bsize:u32 blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 fsid:s32 fsid_high:s32 "
        "namelen:u32 frsize:u32 flags:u32 spare0:u32 spare1:u32 spare2:u32 spare3:u32",
        "sigaction": "handler:ptr flags:ulong restorer:ptr mask:u32 mask_high:u32",
        # include/uapi/asm-generic/fcntl.h: flock, where offsets have 32 bits
        "flock32": "type:s16 whence:s16 start:s32 len:s32 pid:s32",
    },
)
