"""Registers saved, restored, and read in what was saved."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   add rax, 3
#   addsd xmm0, xmm0
#   inc qword ptr [rsi]
#   nop
CODE = bytes.fromhex("4883c003f20f58c048ff0690")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_X86_REG_RSI, DATA)
uc.reg_write(UC_X86_REG_XMM0, 0x3FF8000000000000)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
saved = uc.context_save()
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_RAX), hex(uc.reg_read(UC_X86_REG_XMM0)), uc.mem_read(DATA, 1)[0])
print(saved.reg_read(UC_X86_REG_RAX))
saved.reg_write(UC_X86_REG_RBX, 1234)
print(uc.reg_read(UC_X86_REG_RBX))
uc.context_restore(saved)
print(
    uc.reg_read(UC_X86_REG_RAX), hex(uc.reg_read(UC_X86_REG_XMM0)), uc.mem_read(DATA, 1)[0], uc.reg_read(UC_X86_REG_RBX)
)
