"""x86 as Unicorn's users see it: a processor in its most privileged level, of which ours is a program's.

What a program may not do raises here; what such an instruction does is done in this file.
"""

from __future__ import annotations

from isomorph.compat.unicorn import unicorn_const as uc
from isomorph.compat.unicorn import x86_const as x86
from isomorph.compat.unicorn.architecture import (
    Architecture,
    Done,
    Input,
    Instruction,
    Interrupt,
    Invalid,
    Outcome,
    Output,
)
from isomorph.compat.unicorn.registers import Bank
from isomorph.compat.unicorn.registers_x86 import read_msr, set_interrupts, table, write_msr
from isomorph.stop import GuestException

_BITS = {uc.UC_MODE_16: 16, uc.UC_MODE_32: 32, uc.UC_MODE_64: 64}
_LONGEST = 15
_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_KINDS = frozenset(
    (x86.UC_X86_INS_IN, x86.UC_X86_INS_OUT, x86.UC_X86_INS_SYSCALL, x86.UC_X86_INS_SYSENTER, x86.UC_X86_INS_CPUID)
)
_CALLS = {b"\x0f\x05": x86.UC_X86_INS_SYSCALL, b"\x0f\x34": x86.UC_X86_INS_SYSENTER}
_INT, _HLT, _CLI, _STI = 0xCD, 0xF4, 0xFA, 0xFB
_IN, _OUT, _BY_DX = (0xE4, 0xE5, 0xEC, 0xED), (0xE6, 0xE7, 0xEE, 0xEF), 8
_WRMSR, _RDMSR, _CPUID = b"\x0f\x30", b"\x0f\x32", b"\x0f\xa2"
_ACCUMULATOR = {1: "al", 2: "ax", 4: "eax"}
#: interrupts that instructions ask for, with where to go on as their second argument
_ASKED = frozenset(("BP", "Overflow"))


class X86(Architecture):
    """16-bit code in real mode, 32-bit and 64-bit code."""

    name = "x86"
    access_faults = frozenset(("PageFault",))

    def __init__(self, mode: int) -> None:
        self.bits = _BITS[mode]
        self.isa = "x86_64" if self.bits == 64 else "i386"
        self.registers = table(self.bits)

    def reset(self, bank: Bank) -> None:
        registers = bank.emulator.regs
        for name in ("ss", "ds", "es", "fs", "gs"):
            registers[name] = 0
        if self.bits == 16:
            registers.code16, registers.segments, registers.cs = 1, 2, 0

    def size_of_fetch(self, bank: Bank) -> int:
        return 1

    def knows_instruction(self, kind: int) -> bool:
        return kind in _KINDS

    def is_quiet(self, kind: int) -> bool:
        return kind == x86.UC_X86_INS_CPUID

    def hooked_instruction(self, bank: Bank, kind: int) -> bool:
        code, _ = self._instruction(bank, bank.emulator.regs.pc)
        return code.startswith(_CPUID)

    def outcome(self, bank: Bank, exception: GuestException) -> Outcome:
        if exception.name == "Syscall":
            return Instruction(x86.UC_X86_INS_SYSCALL, exception.pc + 2)
        if exception.name == "Int80":
            return Interrupt(0x80, exception.pc + 2)
        if exception.name == "Interrupt":
            return Interrupt(exception.arguments[0], exception.arguments[1])
        if exception.name in _ASKED:
            return Interrupt(exception.code, exception.arguments[1])
        code, prefixes = self._instruction(bank, exception.pc)
        at = exception.pc + len(prefixes)
        if exception.name == "UD":
            kind = _CALLS.get(code[:2])
            return Invalid() if kind is None else Instruction(kind, at + 2)
        if exception.name == "DB":
            return Invalid()  # int1
        privileged = self._privileged(bank, code, prefixes, at) if exception.name == "GP" and code else None
        return privileged or Interrupt(exception.code, exception.pc)

    def _privileged(self, bank: Bank, code: bytes, prefixes: bytes, at: int) -> Outcome | None:
        """What an instruction does that only a program may not, None if it is not one of those."""
        first = code[0]
        if first == _INT:
            return Interrupt(code[1], at + 2)
        if first == _HLT:
            return Done(at + 1, halt=True)
        if first in (_CLI, _STI):
            set_interrupts(bank, first == _STI)
            return Done(at + 1)
        if first in _IN or first in _OUT:
            by_dx = bool(first & _BY_DX)
            size = self._size(first, prefixes)
            port = bank.emulator.regs.dx if by_dx else code[1]
            following = at + (1 if by_dx else 2)
            name = _ACCUMULATOR[size]
            if first in _IN:
                return Input(port, size, name, following)
            return Output(port, size, bank.emulator.regs[name], following)
        if code[:2] in (_RDMSR, _WRMSR):
            self._msr(bank, code[:2] == _WRMSR)
            return Done(at + 2)
        return None

    def _size(self, opcode: int, prefixes: bytes) -> int:
        if not opcode & 1:
            return 1
        return 2 if (0x66 in prefixes) != (self.bits == 16) else 4

    @staticmethod
    def _msr(bank: Bank, write: bool) -> None:
        """Volume 2, RDMSR and WRMSR: ECX says which, EDX and EAX are its halves."""
        registers = bank.emulator.regs
        high, low = ("rdx", "rax") if "rax" in registers else ("edx", "eax")
        if write:
            write_msr(bank, registers.ecx, registers.edx << 32 | registers.eax)
        else:
            value = read_msr(bank, registers.ecx)
            registers[high], registers[low] = value >> 32, value & 0xFFFF_FFFF

    def _instruction(self, bank: Bank, pc: int) -> tuple[bytes, bytes]:
        """The instruction at an address as (from its opcode on, its prefixes)."""
        memory = bank.emulator.mem
        length = next((n for n in range(_LONGEST, 0, -1) if memory.is_mapped(pc, n)), 0)
        data = memory.read(pc, length)
        count = 0
        while count < len(data) and (data[count] in _PREFIXES or (self.bits == 64 and data[count] & 0xF0 == 0x40)):
            count += 1
        return data[count:], data[:count]
