"""Stores to memory that was mapped for reading only."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   lui a0, 0x30
#   sd a0, 0(a0)
#   nop
CODE = bytes.fromhex("370503002330a50013000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_map(0x30000, 0x1000, UC_PROT_READ)


def hook_protected(uc, access, address, size, value, user_data):
    print(access == UC_MEM_WRITE_PROT, hex(address), size, hex(value))
    return False


uc.hook_add(UC_HOOK_MEM_WRITE_PROT, hook_protected)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno == UC_ERR_WRITE_PROT, error)
print(uc.mem_read(0x30000, 8).hex())
