"""MIPS in both byte orders: instructions, blocks and delay slots."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   ori $at, $at, 0x3456
#   li $v0, 1
#   beq $zero, $zero, 1f
#   addiu $v0, $v0, 2
#   li $v0, 99
#   1:
#   addiu $a0, $a0, -1
#   bnez $a0, 1b
#   addiu $v1, $v1, 5
#   nop
#   nop
WORDS = bytes.fromhex("34213456240200011000000224420002240200632484ffff1480fffe246300050000000000000000")
LITTLE = b"".join(WORDS[at : at + 4][::-1] for at in range(0, len(WORDS), 4))

for order, code in ((UC_MODE_BIG_ENDIAN, WORDS), (UC_MODE_LITTLE_ENDIAN, LITTLE)):
    uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32 | order)
    uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
    uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
    uc.mem_write(ADDRESS, code)

    def hook_code(uc, address, size, user_data):
        v0, a0, pc = uc.reg_read_batch((UC_MIPS_REG_V0, UC_MIPS_REG_A0, UC_MIPS_REG_PC))
        print(f"{address:#x} size {size} {v0=} {a0=} {pc=:#x}")

    uc.reg_write(UC_MIPS_REG_1, 0x6789)
    uc.reg_write(UC_MIPS_REG_A0, 3)
    uc.hook_add(UC_HOOK_BLOCK, lambda uc, address, size, user_data: print("block", hex(address), size))
    uc.hook_add(UC_HOOK_CODE, hook_code)
    uc.emu_start(ADDRESS, ADDRESS + len(code))
    print(hex(uc.reg_read(UC_MIPS_REG_AT)), uc.reg_read(UC_MIPS_REG_V1))
