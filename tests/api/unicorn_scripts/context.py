"""Registers saved and restored; memory stays."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   addi a0, a0, 1
#   sd a0, 0(a1)
CODE = bytes.fromhex("1305150023b0a500")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_RISCV_REG_A1, DATA)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
saved = uc.context_save()
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A0), uc.mem_read(DATA, 1)[0])
uc.context_restore(saved)
print(uc.reg_read(UC_RISCV_REG_A0), uc.mem_read(DATA, 1)[0])
