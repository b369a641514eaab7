"""Instructions and blocks of 32-bit code, with registers."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   inc ecx
#   dec edx
#   again:
#   add eax, ecx
#   sub ecx, 1
#   jnz again
#   mov ebx, eax
#   nop
CODE = bytes.fromhex("414a01c883e90175f989c390")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_code(uc, address, size, user_data):
    eax, eflags = uc.reg_read_batch((UC_X86_REG_EAX, UC_X86_REG_EFLAGS))
    print(f"{address:#x} size {size} {user_data} {eax=} {eflags=:#x}")


def hook_block(uc, address, size, user_data):
    print(f"block {address:#x} size {size}")


uc.reg_write(UC_X86_REG_ECX, 3)
uc.reg_write(UC_X86_REG_EDX, 0x7890)
uc.hook_add(UC_HOOK_BLOCK, hook_block)
uc.hook_add(UC_HOOK_CODE, hook_code, "tracing")
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EBX), hex(uc.reg_read(UC_X86_REG_EDX)), hex(uc.reg_read(UC_X86_REG_EIP)))
