"""The Linux ABI of a machine that Linux never ran on: what asm-generic gives every new one, registers from its spec.

build/<isa>/abi.py, made from the table beside a spec, calls this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.linux.abi import generic
from runtime.linux.abi.model import Abi, Fault, Register, SignalFrame, SystemCall, table
from runtime.linux.signals import CODES

#: the stack's end is kept where 32-bit machines have it, and where most 64-bit ones do
_TOPS = {32: 0xC0000000, 64: 1 << 38}
#: bytes of a mask of signals in a ucontext, so that there may be more signals one day
_MASK = 128


def new_abi(
    name: str,
    bits: int,
    big_endian: bool,
    number: Register,
    arguments: tuple[Register, ...],
    result: Register,
    stack: Register,
    saved: Sequence[tuple[str, int, int]],
    exceptions: Mapping[str, SystemCall | Fault],
    link: Register | None = None,
    numbers: Mapping[str, int] | None = None,
) -> Abi:
    """The table for isa `name`.

    saved      what a signal handler interrupts: registers, their entries and the bytes each takes
    link       where a signal handler finds its return address
    numbers    of system calls, if they are not asm-generic's

    LookupError if a signal or one of its codes does not exist.
    """
    for exception, fault in exceptions.items():
        if isinstance(fault, Fault):
            if fault.signal not in generic.CONSTANTS:
                raise LookupError(f"exception {exception}: there is no signal {fault.signal}")
            if fault.code not in CODES and fault.code != "SEGV":
                raise LookupError(f"exception {exception}: there is no code {fault.code}; codes: {', '.join(CODES)}")
    return Abi(
        name=name,
        isa=name,
        elf_machine=0,  # EM_NONE
        bits=bits,
        big_endian=big_endian,
        uname_machine=name,
        address_top=_TOPS[bits],
        number=number,
        arguments=arguments,
        result=result,
        stack=stack,
        exceptions=exceptions,
        signal_frame=_frame(bits // 8, saved, arguments, link),
        numbers=numbers or (generic.NUMBERS_32 if bits == 32 else generic.NUMBERS),
        constants=table(generic.CONSTANTS, {"SA_RESTORER": 0x04000000}),
        definitions={
            **(generic.STRUCTS_32 if bits == 32 else generic.STRUCTS_64),
            # asm-generic/signal.h: with SA_RESTORER the program brings the code that a handler returns to
            "sigaction": "handler:ptr flags:ulong restorer:ptr mask:u32 mask_high:u32"
            if bits == 32
            else "handler:ptr flags:ulong restorer:ptr mask:u64",
        },
    )


def _frame(
    long_bytes: int, saved: Sequence[tuple[str, int, int]], arguments: Sequence[Register], link: Register | None
) -> SignalFrame:
    """A ucontext: flags, link, stack, mask, then the pc and every register that is saved, each aligned."""
    stack_offset = 2 * long_bytes
    mask_offset = stack_offset + 3 * long_bytes
    at = mask_offset + _MASK
    registers: list[tuple[Register, int, int, int, int]] = []
    for name, count, size in (("pc", 1, long_bytes), *saved):
        at = -(-at // size) * size
        for index in range(count):
            registers.append(((name, index), at, size, 0, 8 * size))
            at += size
    return SignalFrame(
        context_bytes=at,
        stack_offset=stack_offset,
        mask_offset=mask_offset,
        registers=tuple(registers),
        arguments=(arguments[0], arguments[1], arguments[2]),
        return_address=link,
        trampoline=b"",
    )
