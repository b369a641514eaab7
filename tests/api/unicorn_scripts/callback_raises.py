"""A Python exception in a hook comes out of emu_start."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a0, 0
#   li a1, 10
#   loop: add a0, a0, a1
#   addi a1, a1, -1
#   bnez a1, loop
#   nop
CODE = bytes.fromhex("130500009305a0003305b5009385f5ffe39c05fe13000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    if uc.reg_read(UC_RISCV_REG_A1) == 7:
        raise ValueError("enough")


uc.hook_add(UC_HOOK_CODE, hook_code)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except ValueError as error:
    print("ValueError", error, uc.reg_read(UC_RISCV_REG_A0))
