"""RISC-V, 64-bit: the Linux ABI of riscv64-linux-gnu programs (arch/riscv of Linux 6.1, the RISC-V psABI)."""

from __future__ import annotations

from types import MappingProxyType

from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, SignalFrame, SystemCall, numbered, table

#: the exceptions of specs/riscv64.isa; si_code as arch/riscv/kernel/traps.c gives it
EXCEPTIONS: dict[str, SystemCall | Fault] = {
    "Ecall": SystemCall(length=4),
    "FetchMisaligned": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "FetchFault": Fault("SIGSEGV", "SEGV", "arg0"),
    "Illegal": Fault("SIGILL", "ILL_ILLOPC"),
    "Breakpoint": Fault("SIGTRAP", "TRAP_BRKPT"),
    "LoadMisaligned": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "LoadFault": Fault("SIGSEGV", "SEGV", "arg0"),
    "StoreMisaligned": Fault("SIGBUS", "BUS_ADRALN", "arg0"),
    "StoreFault": Fault("SIGSEGV", "SEGV", "arg0"),
    "FetchPageFault": Fault("SIGSEGV", "SEGV", "arg0"),
    "LoadPageFault": Fault("SIGSEGV", "SEGV", "arg0"),
    "StorePageFault": Fault("SIGSEGV", "SEGV", "arg0"),
}

#: li a7, 139; ecall: what the vDSO's __vdso_rt_sigreturn holds
TRAMPOLINE = bytes.fromhex("9308b008 73000000")

#: arch/riscv/include/uapi/asm/hwcap.h: a bit for each of the single-letter extensions that user programs ask for
HARDWARE_CAPABILITIES = sum(1 << ord(letter) - ord("a") for letter in "imafdc")

#: arch/riscv/include/uapi/asm/hwprobe.h: vendor, architecture and implementation, base behaviour (IMA), extensions (F
#: and D, C), how fast misaligned accesses are (fast), bytes that cbo.zero clears
HARDWARE_PROBE = MappingProxyType({0: 0, 1: 0, 2: 0, 3: 1, 4: 3, 5: 3, 6: 0})
PROBE_STRUCTS = {"riscv_hwprobe": "key:s64 value:u64"}

ABI = Abi(
    name="riscv64",
    isa="riscv64",
    elf_machine=243,
    bits=64,
    big_endian=False,
    uname_machine="riscv64",
    hardware_capabilities=HARDWARE_CAPABILITIES,
    address_top=1 << 38,  # Sv39: user space is half of 39 bits
    number=("X", 17),
    arguments=(("X", 10), ("X", 11), ("X", 12), ("X", 13), ("X", 14), ("X", 15)),
    result=("X", 10),
    stack=("X", 2),
    thread_pointer=("X", 4),
    exceptions=EXCEPTIONS,
    # struct ucontext: flags, link, stack (24 bytes), a mask padded to 128 bytes; then, 16-byte aligned, the mcontext
    signal_frame=SignalFrame(
        context_bytes=960,
        stack_offset=16,
        mask_offset=40,
        registers=(
            (("pc", 0), 176, 8, 0, 64),
            *((("X", number), 176 + 8 * number, 8, 0, 64) for number in range(1, 32)),
            *((("F", number), 432 + 8 * number, 8, 0, 64) for number in range(32)),
            (("FFLAGS", 0), 432 + 8 * 32, 4, 0, 5),
            (("FRM", 0), 432 + 8 * 32, 4, 5, 3),
        ),
        arguments=(("X", 10), ("X", 11), ("X", 12)),
        return_address=("X", 1),
        trampoline=TRAMPOLINE,
    ),
    numbers=table(generic.NUMBERS, numbered("258 riscv_hwprobe riscv_flush_icache")),
    constants=generic.CONSTANTS,
    definitions={**generic.STRUCTS_64, **PROBE_STRUCTS},
    hardware_probe=HARDWARE_PROBE,
)
