"""Jumping to nowhere."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   lui a0, 0x80
#   jr a0
CODE = bytes.fromhex("3705080067000500")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_fetch(uc, access, address, size, value, user_data):
    print(access == UC_MEM_FETCH_UNMAPPED, hex(address))
    return False


uc.hook_add(UC_HOOK_MEM_FETCH_UNMAPPED, hook_fetch)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE) + 0x100)
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_RISCV_REG_PC)))
