"""Ports: in and out of all sizes."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov edx, 0x3f8
#   in al, dx
#   mov bl, al
#   in ax, dx
#   in eax, dx
#   in al, 0x60
#   in eax, 0x61
#   out dx, al
#   out dx, ax
#   out dx, eax
#   out 0x62, al
#   out 0x63, eax
#   hlt
#   nop
CODE = bytes.fromhex("baf8030000ec88c366edede460e561ee66efefe662e763f490")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_in(uc, port, size, user_data):
    print("in", hex(port), size, hex(uc.reg_read(UC_X86_REG_EIP)))
    return 0x87654321


def hook_out(uc, port, size, value, user_data):
    print("out", hex(port), size, hex(value), hex(uc.reg_read(UC_X86_REG_EIP)))


uc.hook_add(UC_HOOK_INSN, hook_in, None, 1, 0, UC_X86_INS_IN)
uc.hook_add(UC_HOOK_INSN, hook_out, None, 1, 0, UC_X86_INS_OUT)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(hex(uc.reg_read(UC_X86_REG_EAX)), hex(uc.reg_read(UC_X86_REG_BL)), hex(uc.reg_read(UC_X86_REG_EIP)))
