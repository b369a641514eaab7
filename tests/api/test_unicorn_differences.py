"""Where isomorph.compat.unicorn is not as Unicorn, on purpose (docs/python-api.md), and what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from isomorph.compat import unicorn as ours
from isomorph.compat.unicorn import Uc, UcError, arm_const, mips_const, x86_const

CODE, DATA = 0x10000, 0x40000


def machine(arch: int, mode: int, text: str) -> tuple[Uc, int]:
    """A machine with a program, and where that ends."""
    made = Uc(arch, mode)
    made.mem_map(CODE, 0x1000)
    made.mem_map(DATA, 0x1000)
    code = made.emulator.isa.assemble(text, CODE)
    made.mem_write(CODE, code)
    return made, CODE + len(code)


def interrupts(uc: Uc) -> list[tuple[int, int]]:
    """A list that fills with (number, pc) of the interrupts to come."""
    seen: list[tuple[int, int]] = []
    uc.hook_add(ours.UC_HOOK_INTR, lambda uc, number, _: seen.append((number, uc.emulator.regs.pc)))
    return seen


@pytest.mark.parametrize(
    ("arch", "mode", "text", "number"),
    [
        (ours.UC_ARCH_X86, ours.UC_MODE_64, "div ecx", 0),
        (ours.UC_ARCH_X86, ours.UC_MODE_32, "insb", 13),
        (ours.UC_ARCH_X86, ours.UC_MODE_64, "movaps xmm0, xmmword ptr [rsp+1]", 13),
        (ours.UC_ARCH_ARM, ours.UC_MODE_ARM, "bkpt 1", 7),
        (ours.UC_ARCH_ARM, ours.UC_MODE_ARM, "ldrex r0, [sp]", 4),
        (ours.UC_ARCH_MIPS, ours.UC_MODE_MIPS32, "break", 18),
    ],
)
def test_an_exception_nobody_mends_is_shown_once(arch: int, mode: int, text: str, number: int) -> None:
    uc, end = machine(arch, mode, text)
    stack = {ours.UC_ARCH_X86: "esp", ours.UC_ARCH_ARM: "sp", ours.UC_ARCH_MIPS: "sp"}[arch]
    uc.emulator.regs[stack] = DATA + 2
    seen = interrupts(uc)
    with pytest.raises(UcError) as caught:
        uc.emu_start(CODE, end)
    assert caught.value.errno == ours.UC_ERR_EXCEPTION
    assert seen == [(number, CODE)]
    assert uc.emulator.regs.pc == CODE


def test_an_invalid_instruction_a_hook_says_it_mended_and_did_not_is_an_error() -> None:
    uc, end = machine(ours.UC_ARCH_X86, ours.UC_MODE_64, "ud2")
    seen: list[int] = []
    uc.hook_add(ours.UC_HOOK_INSN_INVALID, lambda uc, _: seen.append(1) or True)
    with pytest.raises(UcError, match="UC_ERR_INSN_INVALID"):
        uc.emu_start(CODE, end)
    assert seen == [1]


def test_a_hook_of_a_system_call_chooses_where_to_go_on() -> None:
    uc, end = machine(ours.UC_ARCH_X86, ours.UC_MODE_64, "syscall\n inc eax\n inc ebx")
    uc.hook_add(
        ours.UC_HOOK_INSN,
        lambda uc, _: uc.reg_write(x86_const.UC_X86_REG_RIP, CODE + 4),
        aux1=x86_const.UC_X86_INS_SYSCALL,
    )
    uc.emu_start(CODE, end)
    assert uc.reg_read_batch((x86_const.UC_X86_REG_EAX, x86_const.UC_X86_REG_EBX)) == (0, 1)


def test_the_x87_unit_and_sse_start_as_after_a_reset() -> None:
    uc, _ = machine(ours.UC_ARCH_X86, ours.UC_MODE_32, "nop")
    numbers = (x86_const.UC_X86_REG_FPCW, x86_const.UC_X86_REG_FPTAG, x86_const.UC_X86_REG_MXCSR)
    assert uc.reg_read_batch(numbers) == (0x37F, 0xFFFF, 0x1F80)


def test_zero_stays_zero_and_turns_of_a_repeated_instruction_are_shown_once() -> None:
    uc, _ = machine(ours.UC_ARCH_MIPS, ours.UC_MODE_MIPS32, "nop")
    uc.reg_write(mips_const.UC_MIPS_REG_ZERO, 5)
    assert uc.reg_read(mips_const.UC_MIPS_REG_ZERO) == 0
    uc, end = machine(ours.UC_ARCH_X86, ours.UC_MODE_32, "rep stosb\n nop")
    uc.reg_write_batch(((x86_const.UC_X86_REG_ECX, 3), (x86_const.UC_X86_REG_EDI, DATA)))
    seen: list[int] = []
    uc.hook_add(ours.UC_HOOK_CODE, lambda uc, address, size, _: seen.append(address - CODE))
    uc.emu_start(CODE, end)
    assert seen == [0, 0, 0, 2]


def test_mmx_registers_and_the_stack_of_the_x87_unit() -> None:
    """Unicorn refuses MM0 to MM7 in 64-bit mode."""
    uc, end = machine(ours.UC_ARCH_X86, ours.UC_MODE_64, "fld1\n fldz\n nop")
    uc.reg_write(x86_const.UC_X86_REG_MM3, 0x1122334455667788)
    assert uc.reg_read(x86_const.UC_X86_REG_FP3) == (0x1122334455667788, 0xFFFF)
    uc.emu_start(CODE, end)
    assert uc.reg_read_batch((x86_const.UC_X86_REG_ST0, x86_const.UC_X86_REG_ST1)) == (0, 1 << 63)
    assert uc.reg_read(x86_const.UC_X86_REG_FPTAG) == 0x1FFF


def test_selectors_of_a_descriptor_table() -> None:
    uc, end = machine(ours.UC_ARCH_X86, ours.UC_MODE_32, "mov eax, dword ptr [esi]\n mov ebx, dword ptr fs:[esi]\n nop")
    for entry, base in ((1, DATA), (2, 0x12345678), (3, DATA + 0x10)):
        descriptor = 0xFFFF | (base & 0xFFFFFF) << 16 | 0xCF93 << 40 | base >> 24 << 56
        uc.mem_write(DATA + 0x100 + 8 * entry, descriptor.to_bytes(8, "little"))
    uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, DATA + 0x100, 0x1F, 0))
    uc.mem_write(DATA + 4, bytes((1, 0, 0, 0)))
    uc.mem_write(DATA + 0x14, bytes((2, 0, 0, 0)))
    uc.reg_write_batch(((x86_const.UC_X86_REG_DS, 8), (x86_const.UC_X86_REG_FS, 0x18), (x86_const.UC_X86_REG_ESI, 4)))
    uc.emu_start(CODE, end)
    assert uc.reg_read_batch((x86_const.UC_X86_REG_EAX, x86_const.UC_X86_REG_EBX)) == (1, 2)
    uc.reg_write(x86_const.UC_X86_REG_GS, 0x10)
    assert uc.reg_read(x86_const.UC_X86_REG_GS_BASE) == 0x12345678
    with pytest.raises(UcError, match="selector 0x20 is not in the descriptor table of GDTR"):
        uc.reg_write(x86_const.UC_X86_REG_ES, 0x20)
    uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, 0x700000, 0x1F, 0))
    with pytest.raises(UcError, match="the descriptor table of GDTR is not mapped at 0x700008"):
        uc.reg_write(x86_const.UC_X86_REG_ES, 8)


def test_what_is_refused_says_why() -> None:
    uc, _ = machine(ours.UC_ARCH_ARM, ours.UC_MODE_ARM, "nop")
    actions: dict[str, Any] = {
        "ARM has no UC_HOOK_INSN for instruction 7 here": lambda: uc.hook_add(ours.UC_HOOK_INSN, print, aux1=7),
        "needs 7 numbers, not 5": lambda: uc.reg_read(arm_const.UC_ARM_REG_CP_REG, 5),
        "coprocessor 15 has no register c1, c0, 0, 0 here": lambda: uc.reg_read(
            arm_const.UC_ARM_REG_CP_REG, (15, 0, 0, 1, 0, 0, 0)
        ),
        "MSP is not here": lambda: uc.reg_write(arm_const.UC_ARM_REG_MSP, 1),
        "there is no ARM register with number 999": lambda: uc.reg_write(999, 1),
    }
    for message, action in actions.items():
        with pytest.raises(UcError, match=message) as caught:
            action()
        assert caught.value.errno == ours.UC_ERR_ARG
    with pytest.raises(TypeError, match="got tuple while expecting an integer"):
        uc.reg_write(arm_const.UC_ARM_REG_R0, (1, 2))
    wide = Uc(ours.UC_ARCH_X86, ours.UC_MODE_64)
    with pytest.raises(UcError, match=r"UC_ERR_MAP.*addresses end at 0x4000000000 here"):
        wide.mem_map(0x7FFF00000000, 0x1000)
    with pytest.raises(TypeError, match="got 2 elements while expecting 4"):
        wide.reg_write(x86_const.UC_X86_REG_GDTR, (1, 2))


def test_coprocessor_registers_of_threads() -> None:
    uc, _ = machine(ours.UC_ARCH_ARM, ours.UC_MODE_ARM, "nop")
    uc.reg_write(arm_const.UC_ARM_REG_CP_REG, (15, 0, 0, 13, 0, 0, 3, 0x1234))
    assert uc.reg_read(arm_const.UC_ARM_REG_C13_C0_3) == 0x1234
    assert uc.reg_read(arm_const.UC_ARM_REG_CP_REG, (15, 0, 0, 13, 0, 0, 3)) == 0x1234


def test_a_context_goes_through_a_file() -> None:
    uc, _ = machine(ours.UC_ARCH_X86, ours.UC_MODE_64, "nop")
    uc.reg_write(x86_const.UC_X86_REG_RAX, 77)
    context = pickle.loads(pickle.dumps(uc.context_save()))
    with pytest.raises(UcError, match=r"UC_ERR_HANDLE.*restore it first"):
        context.reg_read(x86_const.UC_X86_REG_RAX)
    uc.reg_write(x86_const.UC_X86_REG_RAX, 1)
    uc.context_restore(context)
    assert uc.reg_read(x86_const.UC_X86_REG_RAX) == 77


def test_the_version_is_unicorns() -> None:
    unicorn = pytest.importorskip("unicorn", reason="Unicorn is the oracle of these tests")
    assert ours.uc_version() == unicorn.uc_version()
