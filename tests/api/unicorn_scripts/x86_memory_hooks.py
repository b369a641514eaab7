"""Loads and stores: of the stack, of strings, of memory added to, 16 bytes wide."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   push rax
#   pushw 0x1234
#   pop bx
#   pop rcx
#   mov qword ptr [rsi], -2
#   add dword ptr [rsi], 5
#   movzx edx, word ptr [rsi + 1]
#   movups xmm0, [rsi]
#   movups [rsi + 32], xmm0
#   movsb
#   stosq
#   mov byte ptr [rsi + 0x40], 0xff
#   nop
CODE = bytes.fromhex("5066683412665b5948c706feffffff8306050fb756010f10060f114620a448abc64640ff90")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_memory(uc, access, address, size, value, user_data):
    kind = "write" if access == UC_MEM_WRITE else "read"
    print(kind, hex(address), size, value if kind == "write" else "", hex(uc.reg_read(UC_X86_REG_RIP)))


uc.reg_write(UC_X86_REG_RAX, 0xFFFFFFFF11223344)
uc.reg_write(UC_X86_REG_RSP, DATA + 0x1000)
uc.reg_write(UC_X86_REG_RSI, DATA + 0x100)
uc.reg_write(UC_X86_REG_RDI, DATA + 0x200)
uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, hook_memory)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(bytes(uc.mem_read(DATA + 0x100, 0x50)).hex(), bytes(uc.mem_read(DATA + 0x200, 16)).hex())
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_RAX, UC_X86_REG_RBX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_XMM0)])
