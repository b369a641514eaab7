"""A code hook that goes elsewhere."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, 1
#   call 0x90000
#   mov ebx, 2
#   nop
CODE = bytes.fromhex("b801000000e8f6ff0700bb0200000090")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    print(hex(address))
    if address == ADDRESS + 5:
        uc.reg_write(UC_X86_REG_EIP, address + size)


uc.hook_add(UC_HOOK_CODE, hook_code)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EAX), uc.reg_read(UC_X86_REG_EBX))
