"""System calls answered in a UC_HOOK_INTR."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   li a7, 64
#   li a0, 5
#   ecall
#   mv a1, a0
#   li a7, 93
#   ecall
#   nop
CODE = bytes.fromhex("930800041305500073000000930505009308d0057300000013000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_interrupt(uc, number, user_data):
    call = uc.reg_read(UC_RISCV_REG_A7)
    print(number, call, hex(uc.reg_read(UC_RISCV_REG_PC)))
    if call == 93:
        uc.emu_stop()
    uc.reg_write(UC_RISCV_REG_A0, 1000 + call)


uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A0), uc.reg_read(UC_RISCV_REG_A1), hex(uc.reg_read(UC_RISCV_REG_PC)))
