"""The 32-bit machine."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a0, -5
#   li a1, 3
#   mulhu a2, a0, a1
#   sra a3, a0, a1
#   remu a4, a0, a1
CODE = bytes.fromhex("1305b0ff930530003336b502b356b5403377b502")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print([hex(uc.reg_read(r)) for r in (UC_RISCV_REG_A0, UC_RISCV_REG_A2, UC_RISCV_REG_A3, UC_RISCV_REG_A4)])
