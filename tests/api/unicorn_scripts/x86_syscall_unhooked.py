"""A syscall and a sysenter that nobody looks at are passed over."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, 5
#   syscall
#   sysenter
#   mov ebx, eax
CODE = bytes.fromhex("b8050000000f050f3489c3")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_RBX), hex(uc.reg_read(UC_X86_REG_RIP)))
