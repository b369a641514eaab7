"""Invalid memory, mapped by a hook; a branch to nowhere."""

from unicorn import *
from unicorn.arm_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   str r0, [r2]
#   ldr r1, [r2]
#   bx r3
CODE = bytes.fromhex("000082e5001092e513ff2fe1")

uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_ARM_REG_R0, 0x12345678)
uc.reg_write(UC_ARM_REG_R2, 0x90000)
uc.reg_write(UC_ARM_REG_R3, 0xA0000)


def hook_invalid(uc, access, address, size, value, user_data):
    print(access, hex(address), size, hex(value), hex(uc.reg_read(UC_ARM_REG_PC)))
    if address >= 0xA0000:
        return False
    uc.mem_map(address & ~0xFFF, 0x1000)
    return True


uc.hook_add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, hook_invalid)
try:
    uc.emu_start(ADDRESS, ADDRESS + 0x100)
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_ARM_REG_PC)), hex(uc.reg_read(UC_ARM_REG_R1)))
