"""A code hook moves the pc past an instruction."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a0, 1
#   li a0, 2
#   li a1, 3
#   nop
CODE = bytes.fromhex("13051000130520009305300013000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    uc.reg_write(UC_RISCV_REG_PC, address + size)


uc.hook_add(UC_HOOK_CODE, hook_code, None, ADDRESS + 4, ADDRESS + 4)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A0), uc.reg_read(UC_RISCV_REG_A1))
