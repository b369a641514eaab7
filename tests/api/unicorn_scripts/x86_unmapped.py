"""Invalid memory: refused, then mapped by a hook."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov qword ptr [rdi], rcx
#   mov rdx, [rdi + 8]
#   mov eax, 9
#   jmp rsi
CODE = bytes.fromhex("48890f488b5708b809000000ffe6")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.reg_write(UC_X86_REG_RDI, 0x9000F0)
uc.reg_write(UC_X86_REG_RSI, 0xA00000)
uc.reg_write(UC_X86_REG_RCX, 0x1122334455667788)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_X86_REG_RIP)))


def hook_invalid(uc, access, address, size, value, user_data):
    print(access, hex(address), size, hex(value), hex(uc.reg_read(UC_X86_REG_RIP)))
    if address >= 0xA00000:
        return False
    uc.mem_map(address & ~0xFFF, 0x1000)
    return True


uc.hook_add(UC_HOOK_MEM_INVALID, hook_invalid)
try:
    uc.emu_start(ADDRESS, ADDRESS + 0x100)
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_X86_REG_RIP)))
print(hex(uc.reg_read(UC_X86_REG_RDX)), bytes(uc.mem_read(0x9000F0, 8)).hex())
