"""Endless loops, ended by a count and by a timeout."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   inc eax
#   again:
#   jmp again
CODE = bytes.fromhex("40ebfe")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, ADDRESS + 0x100, count=20)
print(uc.reg_read(UC_X86_REG_EAX), hex(uc.reg_read(UC_X86_REG_EIP)))
uc.emu_start(ADDRESS + 1, ADDRESS + 0x100, timeout=20000)
print(uc.reg_read(UC_X86_REG_EAX), hex(uc.reg_read(UC_X86_REG_EIP)))
