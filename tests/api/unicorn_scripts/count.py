"""A number of instructions at a time."""

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
pc = ADDRESS
for count in (1, 2, 3, 5, 8):
    uc.emu_start(pc, ADDRESS + len(CODE), count=count)
    pc = uc.reg_read(UC_RISCV_REG_PC)
    print(count, hex(pc), uc.reg_read(UC_RISCV_REG_A0), uc.reg_read(UC_RISCV_REG_A1))
