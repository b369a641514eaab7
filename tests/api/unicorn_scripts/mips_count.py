"""So many instructions: a branch is done with its delay slot."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   li $v0, 1
#   b 1f
#   addiu $v0, $v0, 10
#   nop
#   1:
#   addiu $v0, $v0, 1
#   jal 2f
#   nop
#   2:
#   nop
CODE = bytes.fromhex("01000224020000100a00422400000000010042240740000c0000000000000000")

uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
pc = ADDRESS
trace = []
uc.hook_add(UC_HOOK_CODE, lambda uc, address, size, user_data: trace.append(address - ADDRESS))
for count in (1, 1, 1, 2):
    uc.emu_start(pc, ADDRESS + 0x100, count=count)
    pc = uc.reg_read(UC_MIPS_REG_PC)
    print(count, hex(pc), uc.reg_read(UC_MIPS_REG_V0))
