"""Interrupts that nobody answers."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   nop
#   int 0x21
#   int3
#   int 0x80
#   nop
CODE = bytes.fromhex("90cd21cccd8090")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
for begin in (0, 3, 4):
    try:
        uc.emu_start(ADDRESS + begin, ADDRESS + len(CODE))
    except UcError as error:
        print(error.errno, error, hex(uc.reg_read(UC_X86_REG_EIP)))
