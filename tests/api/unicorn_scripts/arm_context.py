"""Registers saved and restored, flags and Thumb with them."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   adds r0, r0, #1
#   blx . + 8
#   nop
CODE = bytes.fromhex("010090e2000000fa00f020e3")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_ARM_REG_R0, 0xFFFFFFFF)
saved = uc.context_save()
uc.emu_start(ADDRESS, ADDRESS + 4)
print(hex(uc.reg_read(UC_ARM_REG_CPSR)), uc.reg_read(UC_ARM_REG_R0))
uc.context_restore(saved)
print(hex(uc.reg_read(UC_ARM_REG_CPSR)), hex(uc.reg_read(UC_ARM_REG_R0)))
