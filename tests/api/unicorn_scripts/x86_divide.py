"""Division by zero, mended by a hook."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, 100
#   xor edx, edx
#   xor ecx, ecx
#   div ecx
#   mov ebx, eax
CODE = bytes.fromhex("b86400000031d231c9f7f189c3")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_interrupt(uc, number, user_data):
    print(number, hex(uc.reg_read(UC_X86_REG_RIP)))
    uc.reg_write(UC_X86_REG_ECX, 7)


handle = uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EBX), uc.reg_read(UC_X86_REG_EDX))
uc.hook_del(handle)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_X86_REG_RIP)))
