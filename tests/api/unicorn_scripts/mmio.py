"""Memory-mapped input and output."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   lui a0, 0x30
#   lw a1, 4(a0)
#   addi a1, a1, 1
#   sw a1, 8(a0)
#   nop
CODE = bytes.fromhex("3705030083254500938515002324b50013000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mmio_map(
    0x30000,
    0x1000,
    lambda uc, offset, size, user_data: print("read", offset, size, user_data) or 0x41,
    "in",
    lambda uc, offset, size, value, user_data: print("write", offset, size, hex(value), user_data),
    "out",
)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A1))
