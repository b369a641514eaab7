"""The sysenter instruction, hooked."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, 20
#   sysenter
#   mov ebx, eax
CODE = bytes.fromhex("b8140000000f3489c3")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_sysenter(uc, user_data):
    print(uc.reg_read(UC_X86_REG_EAX), hex(uc.reg_read(UC_X86_REG_EIP)))
    uc.reg_write(UC_X86_REG_EAX, 21)


uc.hook_add(UC_HOOK_INSN, hook_sysenter, None, 1, 0, UC_X86_INS_SYSENTER)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EBX))
