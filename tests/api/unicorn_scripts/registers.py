"""Registers by number, by name and in batches."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   add a0, a1, a2
#   sub a3, a1, a2
#   mul a4, a1, a2
CODE = bytes.fromhex("3385c500b386c5403387c502")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_RISCV_REG_A1, 1000)
uc.reg_write_batch([(UC_RISCV_REG_A2, -7)])
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print([hex(value) for value in uc.reg_read_batch([UC_RISCV_REG_A0, UC_RISCV_REG_A3, UC_RISCV_REG_A4])])
print(hex(uc.reg_read(UC_RISCV_REG_PC)), uc.reg_read(UC_RISCV_REG_ZERO), hex(uc.reg_read(UC_RISCV_REG_X12)))
