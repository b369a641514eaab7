"""What ends MIPS programs: exceptions, unaligned words."""

from unicorn import *
from unicorn.mips_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   nop
CODE = bytes.fromhex("00000000")

uc = Uc(UC_ARCH_MIPS, UC_MODE_MIPS32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
for word in (0xFC000000, 0x0000000D, 0x8C820001, 0xAC820002, 0x00841020, 0x00000034):
    uc.mem_write(ADDRESS, word.to_bytes(4, "little"))
    uc.reg_write(UC_MIPS_REG_A0, DATA if word >> 28 > 7 else 0x7FFFFFFF)
    seen = []
    handle = uc.hook_add(UC_HOOK_INTR, lambda uc, number, user_data: (user_data.append(number), uc.emu_stop()), seen)
    try:
        uc.emu_start(ADDRESS, ADDRESS + 4)
    except UcError as error:
        print(error.errno, error)
    uc.hook_del(handle)
    print(hex(word), seen)
    try:
        uc.emu_start(ADDRESS, ADDRESS + 4)
    except UcError as error:
        print(error.errno, error)
