"""System calls, and one that nobody answers."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   li $v0, 4004
#   syscall
#   move $t0, $v0
#   li $v0, 4001
#   syscall
#   nop
#   nop
CODE = bytes.fromhex("24020fa40000000c0040402524020fa10000000c0000000000000000")

uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32 | UC_MODE_BIG_ENDIAN)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_interrupt(uc, number, user_data):
    v0 = uc.reg_read(UC_MIPS_REG_V0)
    print(number, v0, hex(uc.reg_read(UC_MIPS_REG_PC)))
    uc.reg_write(UC_MIPS_REG_V0, 7)
    if v0 == 4001:
        uc.emu_stop()


try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_MIPS_REG_PC)))
uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_MIPS_REG_T0), uc.reg_read(UC_MIPS_REG_V0))
