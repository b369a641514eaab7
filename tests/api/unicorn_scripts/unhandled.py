"""An exception nobody handles."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a0, 1
#   ecall
#   li a0, 2
CODE = bytes.fromhex("130510007300000013052000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno == UC_ERR_EXCEPTION, error)
print(uc.reg_read(UC_RISCV_REG_A0), hex(uc.reg_read(UC_RISCV_REG_PC)))
