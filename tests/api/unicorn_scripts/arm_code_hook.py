"""A32 instructions and blocks."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov r0, #0x37
#   sub r1, r2, r3
#   subs r4, r4, #1
#   bne . - 8
#   movs r5, #0
#   nop
CODE = bytes.fromhex("3700a0e3031042e0014054e2fcffff1a0050b0e300f020e3")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    print(f"{address:#x} size {size} r4={uc.reg_read(UC_ARM_REG_R4)} cpsr={uc.reg_read(UC_ARM_REG_CPSR):#x}")


uc.reg_write(UC_ARM_REG_R2, 0x6789)
uc.reg_write(UC_ARM_REG_R3, 0x3333)
uc.reg_write(UC_ARM_REG_R4, 3)
uc.hook_add(UC_HOOK_BLOCK, lambda uc, address, size, user_data: print("block", hex(address), size))
uc.hook_add(UC_HOOK_CODE, hook_code)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_ARM_REG_R0)), hex(uc.reg_read(UC_ARM_REG_R1)), hex(uc.reg_read(UC_ARM_REG_PC)))
