"""Supervisor calls, and a breakpoint."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov r7, #4
#   svc 0
#   mov r1, r0
#   mov r7, #1
#   svc 0x123456
#   nop
CODE = bytes.fromhex("0470a0e3000000ef0010a0e10170a0e3563412ef00f020e3")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_interrupt(uc, number, user_data):
    r7 = uc.reg_read(UC_ARM_REG_R7)
    print(number, r7, hex(uc.reg_read(UC_ARM_REG_PC)))
    uc.reg_write(UC_ARM_REG_R0, 100 + r7)
    if r7 == 1:
        uc.emu_stop()


try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_ARM_REG_PC)))
uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_ARM_REG_R0), uc.reg_read(UC_ARM_REG_R1), hex(uc.reg_read(UC_ARM_REG_PC)))
