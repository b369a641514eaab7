"""Calls that make no sense, and their numbers."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   nop
CODE = bytes.fromhex("13000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
for call in (
    lambda: uc.mem_map(0x100, 0x1000),
    lambda: uc.mem_map(ADDRESS, 0x1000),
    lambda: uc.mem_map(0x50000, 0x10),
    lambda: uc.mem_unmap(0x700000, 0x1000),
    lambda: uc.mem_protect(0x700000, 0x1000, UC_PROT_READ),
    lambda: uc.mem_read(0x5000000, 4),
    lambda: uc.mem_write(0x5000000, b"abc"),
    lambda: uc.hook_add(UC_HOOK_CODE | UC_HOOK_MEM_READ, print),
    lambda: Uc(UC_ARCH_RISCV, 1 << 20),
):
    try:
        print("fine", call())
    except UcError as error:
        print(error.errno, error)
