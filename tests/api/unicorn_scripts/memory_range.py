"""Only the stores to one word."""

from unicorn import *
from unicorn.riscv_const import *

ADDRESS = 0x10000
DATA = 0x20000
#   lui a0, 0x20
#   li a1, -2
#   sd a1, 8(a0)
#   sw a1, 20(a0)
#   sb a1, 33(a0)
#   ld a2, 8(a0)
#   lhu a3, 20(a0)
#   lb a4, 33(a0)
#   nop
CODE = bytes.fromhex("370502009305e0ff2334b500232ab500a300b50203368500835645010307150213000000")

uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV64)
uc.mem_map(ADDRESS, 0x2000)
uc.mem_map(DATA, 0x1000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
writes = []
uc.hook_add(
    UC_HOOK_MEM_WRITE,
    lambda uc, access, address, size, value, user_data: writes.append((address, size)),
    begin=DATA + 20,
    end=DATA + 23,
)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(writes)
