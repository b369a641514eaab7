"""16-bit code in a segment that does not begin at 0."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov ax, cs
#   mov ds, ax
#   mov bx, 5
#   mov al, [bx]
#   call next
#   next:
#   pop cx
#   nop
CODE = bytes.fromhex("8cc88ed8bb05008a07e800005990")

uc = Uc(UC_ARCH_X86, UC_MODE_16)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_map(0x30000, 0x1000)
uc.reg_write(UC_X86_REG_CS, 0x1000)
uc.reg_write(UC_X86_REG_SS, 0x3000)
uc.reg_write(UC_X86_REG_SP, 0x800)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_AX, UC_X86_REG_CX, UC_X86_REG_CS, UC_X86_REG_DS, UC_X86_REG_IP)])
