"""Supervisor calls and breakpoints in Thumb; what is no instruction."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   movs r7, #4
#   svc 1
#   movs r1, #5
#   bkpt 3
#   udf #1
#   nop
CODE = bytes.fromhex("042701df052103be01de00bf")

uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_interrupt(uc, number, user_data):
    print(number, hex(uc.reg_read(UC_ARM_REG_PC)), hex(uc.reg_read(UC_ARM_REG_CPSR)))
    if number == 7:
        uc.emu_stop()


uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS | 1, ADDRESS + len(CODE))
print(uc.reg_read(UC_ARM_REG_R1), hex(uc.reg_read(UC_ARM_REG_PC)))
try:
    uc.emu_start(ADDRESS + 8 | 1, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_ARM_REG_PC)))
