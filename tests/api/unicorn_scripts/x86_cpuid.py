"""A cpuid that says something else, and one that says nothing of its own."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   xor eax, eax
#   cpuid
#   mov esi, ebx
#   mov eax, 77
#   cpuid
#   mov edi, ebx
#   nop
CODE = bytes.fromhex("31c00fa289deb84d0000000fa289df90")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_cpuid(uc, user_data):
    eax = uc.reg_read(UC_X86_REG_EAX)
    print(eax, hex(uc.reg_read(UC_X86_REG_RIP)))
    uc.reg_write(UC_X86_REG_EBX, 0x1234 + eax)
    return 1


uc.hook_add(UC_HOOK_INSN, hook_cpuid, None, 1, 0, UC_X86_INS_CPUID)
uc.hook_add(UC_HOOK_CODE, lambda uc, address, size, user_data: print(hex(address), size))
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_X86_REG_ESI)), hex(uc.reg_read(UC_X86_REG_EDI)))
