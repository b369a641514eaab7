"""RISC-V, 32-bit: the Linux ABI of riscv32-linux-gnu programs, which differs from 64-bit in widths and numbers only."""

from __future__ import annotations

from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, SignalFrame, numbered, table
from runtime.linux.abi.riscv64 import EXCEPTIONS, HARDWARE_CAPABILITIES, HARDWARE_PROBE, PROBE_STRUCTS, TRAMPOLINE

ABI = Abi(
    name="riscv32",
    isa="riscv32",
    elf_machine=243,
    bits=32,
    big_endian=False,
    uname_machine="riscv32",
    hardware_capabilities=HARDWARE_CAPABILITIES,
    address_top=0xC0000000,
    number=("X", 17),
    arguments=(("X", 10), ("X", 11), ("X", 12), ("X", 13), ("X", 14), ("X", 15)),
    result=("X", 10),
    stack=("X", 2),
    thread_pointer=("X", 4),
    exceptions=EXCEPTIONS,
    signal_frame=SignalFrame(
        context_bytes=816,
        stack_offset=8,
        mask_offset=20,
        registers=(
            (("pc", 0), 160, 4, 0, 32),
            *((("X", number), 160 + 4 * number, 4, 0, 32) for number in range(1, 32)),
            *((("F", number), 288 + 8 * number, 8, 0, 64) for number in range(32)),
            (("FFLAGS", 0), 288 + 8 * 32, 4, 0, 5),
            (("FRM", 0), 288 + 8 * 32, 4, 5, 3),
        ),
        arguments=(("X", 10), ("X", 11), ("X", 12)),
        return_address=("X", 1),
        trampoline=TRAMPOLINE,
    ),
    numbers=table(generic.NUMBERS_32, numbered("258 riscv_hwprobe riscv_flush_icache")),
    constants=generic.CONSTANTS,
    definitions={**generic.STRUCTS_32, **PROBE_STRUCTS},
    hardware_probe=HARDWARE_PROBE,
)
