"""Code that writes its own next instruction's operand."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov ecx, 4
#   again:
#   add byte ptr [patched + 1], 3
#   patched:
#   mov al, 1
#   movzx eax, al
#   add ebx, eax
#   loop again
#   nop
CODE = bytes.fromhex("b90400000080050d00010003b0010fb6c001c3e2f090")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_EBX), uc.reg_read(UC_X86_REG_ECX), bytes(uc.mem_read(ADDRESS, len(CODE))).hex())
