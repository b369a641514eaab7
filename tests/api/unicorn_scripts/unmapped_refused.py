"""Hooks that do not help: the run ends with an error."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   lui a0, 0x90
#   li a1, 77
#   sd a1, 16(a0)
#   ld a2, 16(a0)
#   nop
CODE = bytes.fromhex("370509009305d0042338b5000336050113000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
for answer in (False, True):
    handle = uc.hook_add(UC_HOOK_MEM_UNMAPPED, lambda uc, access, address, size, value, user_data: answer)
    try:
        uc.emu_start(ADDRESS, ADDRESS + len(CODE))
    except UcError as error:
        print(answer, error.errno, error)
    uc.hook_del(handle)
