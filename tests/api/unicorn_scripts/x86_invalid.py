"""What is no instruction; hooks that mend it, and that do not."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   nop
#   ud2
#   mov eax, 5
#   nop
CODE = bytes.fromhex("900f0bb80500000090")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error, hex(uc.reg_read(UC_X86_REG_RIP)))


def hook_invalid(uc, user_data):
    rip = uc.reg_read(UC_X86_REG_RIP)
    print("invalid", hex(rip))
    uc.reg_write(UC_X86_REG_RIP, rip + 2)
    return True


handle = uc.hook_add(UC_HOOK_INSN_INVALID, hook_invalid)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EAX), hex(uc.reg_read(UC_X86_REG_RIP)))
uc.hook_del(handle)
uc.hook_add(UC_HOOK_INSN_INVALID, lambda uc, user_data: False)
try:
    uc.emu_start(ADDRESS, ADDRESS + len(CODE))
except UcError as error:
    print(error.errno, error)
