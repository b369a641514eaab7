"""emu_stop in a code hook: before the instruction; then on from there."""

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
    if uc.reg_read(UC_RISCV_REG_A1) == 6:
        uc.emu_stop()


handle = uc.hook_add(UC_HOOK_CODE, hook_code)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_RISCV_REG_PC)), uc.reg_read(UC_RISCV_REG_A0))
uc.hook_del(handle)
uc.emu_start(uc.reg_read(UC_RISCV_REG_PC), ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_RISCV_REG_PC)), uc.reg_read(UC_RISCV_REG_A0))
