"""A loop without end, and a time limit in microseconds."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   1: addi a0, a0, 1
#   j 1b
CODE = bytes.fromhex("130515006ff0dfff")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, 0, timeout=20000)
print(uc.reg_read(UC_RISCV_REG_A0) > 1000)
