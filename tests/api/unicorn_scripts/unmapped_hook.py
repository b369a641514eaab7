"""A hook maps the page, and the program goes on."""

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


def hook_unmapped(uc, access, address, size, value, user_data):
    print(access == UC_MEM_WRITE_UNMAPPED, hex(address), size, value, hex(uc.reg_read(UC_RISCV_REG_PC)))
    uc.mem_map(address & ~0xFFF, 0x1000)
    return True


uc.hook_add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, hook_unmapped)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_RISCV_REG_A2), [(hex(start), hex(end), perms) for start, end, perms in uc.mem_regions()])
