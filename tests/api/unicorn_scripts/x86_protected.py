"""Stores to what may not be written, code where none may run."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, [esi]
#   mov [esi], ebx
#   nop
#   jmp edi
CODE = bytes.fromhex("8b06891e90ffe7")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_map(0x50000, 0x1000, UC_PROT_READ)
uc.reg_write(UC_X86_REG_ESI, 0x50010)
uc.reg_write(UC_X86_REG_EDI, DATA)
uc.reg_write(UC_X86_REG_EBX, 0x12345678)


def hook_protected(uc, access, address, size, value, user_data):
    print(access, hex(address), size, hex(value))
    return user_data


handle = uc.hook_add(UC_HOOK_MEM_WRITE_PROT, hook_protected, False)
for address in (ADDRESS, ADDRESS + 5):
    try:
        uc.emu_start(address, ADDRESS + 0x100)
    except UcError as error:
        print(error.errno, error, hex(uc.reg_read(UC_X86_REG_EIP)))
