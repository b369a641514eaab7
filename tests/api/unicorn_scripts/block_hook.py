"""Basic blocks: where they begin and how long they are."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a0, 3
#   li a1, 0
#   j 1f
#   nop
#   1: addi a1, a1, 5
#   addi a0, a0, -1
#   bnez a0, 1b
#   nop
#   j 2f
#   nop
#   2: li a2, 9
#   nop
CODE = bytes.fromhex("13053000930500006f00800013000000938555001305f5ffe31c05fe130000006f008000130000001306900013000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.hook_add(UC_HOOK_BLOCK, lambda uc, address, size, user_data: print(hex(address), size))
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A1), uc.reg_read(UC_RISCV_REG_A2))
