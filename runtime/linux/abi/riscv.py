"""RISC-V of both widths: what the Linux ABI of riscv64 and riscv32 programs has in common, and how the two differ.

arch/riscv of Linux 6.1, the RISC-V psABI.
"""

from __future__ import annotations

from runtime.core.light import MappingProxyType
from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, Register, SignalFrame, SystemCall, numbered, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: the exceptions of the specs; si_code as arch/riscv/kernel/traps.c gives it
EXCEPTIONS: Mapping[str, SystemCall | Fault] = MappingProxyType(
    {
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
)

#: li a7, 139; ecall: what the vDSO's __vdso_rt_sigreturn holds
TRAMPOLINE = bytes.fromhex("9308b008 73000000")

#: arch/riscv/include/uapi/asm/hwcap.h: a bit for each of the single-letter extensions that user programs ask for
HARDWARE_CAPABILITIES = sum(1 << ord(letter) - ord("a") for letter in "imafdc")

#: arch/riscv/include/uapi/asm/hwprobe.h: vendor, architecture and implementation, base behaviour (IMA), extensions (F
#: and D, C), how fast misaligned accesses are (fast), bytes that cbo.zero clears
HARDWARE_PROBE = MappingProxyType({0: 0, 1: 0, 2: 0, 3: 1, 4: 3, 5: 3, 6: 0})
PROBE_STRUCTS = {"riscv_hwprobe": "key:s64 value:u64"}

#: calls that asm-generic leaves to each machine (arch/riscv/include/uapi/asm/unistd.h)
OWN_NUMBERS = numbered("258 riscv_hwprobe riscv_flush_icache")

_A0_A5: tuple[Register, ...] = tuple(("X", number) for number in range(10, 16))


def riscv_abi(bits: int, address_top: int, numbers: Mapping[str, int], structs: Mapping[str, str]) -> Abi:
    """The table of a width."""
    size = bits // 8
    # struct ucontext: flags, link, stack, a mask padded to 128 bytes; then, 16-byte aligned, the mcontext: pc and
    # x1 .. x31, and in a union of 16-byte alignment f0 .. f31 and fcsr
    mask = 5 * size
    general = -(-(mask + 128) // 16) * 16
    floating = general + 32 * size
    return Abi(
        name=f"riscv{bits}",
        isa=f"riscv{bits}",
        elf_machine=243,
        bits=bits,
        big_endian=False,
        uname_machine=f"riscv{bits}",
        hardware_capabilities=HARDWARE_CAPABILITIES,
        address_top=address_top,
        number=("X", 17),
        arguments=_A0_A5,
        result=("X", 10),
        stack=("X", 2),
        thread_pointer=("X", 4),
        exceptions=EXCEPTIONS,
        signal_frame=SignalFrame(
            context_bytes=floating + 528,
            stack_offset=2 * size,
            mask_offset=mask,
            registers=(
                (("pc", 0), general, size, 0, bits),
                *((("X", number), general + size * number, size, 0, bits) for number in range(1, 32)),
                *((("F", number), floating + 8 * number, 8, 0, 64) for number in range(32)),
                (("FFLAGS", 0), floating + 8 * 32, 4, 0, 5),
                (("FRM", 0), floating + 8 * 32, 4, 5, 3),
            ),
            arguments=(("X", 10), ("X", 11), ("X", 12)),
            return_address=("X", 1),
            trampoline=TRAMPOLINE,
        ),
        numbers=table(numbers, OWN_NUMBERS),
        constants=generic.CONSTANTS,
        definitions={**structs, **PROBE_STRUCTS},
        hardware_probe=HARDWARE_PROBE,
    )
