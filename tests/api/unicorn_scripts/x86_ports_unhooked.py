"""Ports that nobody looks at; flags of interrupts."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, -1
#   in al, dx
#   out 0x20, al
#   sti
#   cli
#   sti
#   nop
CODE = bytes.fromhex("b8ffffffffece620fbfafb90")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_X86_REG_EAX)), hex(uc.reg_read(UC_X86_REG_EFLAGS)))
