"""System calls by int 0x80, until exit."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov eax, 4
#   mov ebx, 1
#   mov ecx, 0x40010
#   mov edx, 6
#   int 0x80
#   mov esi, eax
#   mov eax, 1
#   mov ebx, 7
#   int 0x80
#   nop
CODE = bytes.fromhex("b804000000bb01000000b910000400ba06000000cd8089c6b801000000bb07000000cd8090")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_write(DATA + 16, b"hello!")


def hook_interrupt(uc, number, user_data):
    eax, ebx, ecx, edx = uc.reg_read_batch((UC_X86_REG_EAX, UC_X86_REG_EBX, UC_X86_REG_ECX, UC_X86_REG_EDX))
    print(hex(number), eax, ebx, hex(uc.reg_read(UC_X86_REG_EIP)))
    if eax == 4:
        print(bytes(uc.mem_read(ecx, edx)))
        uc.reg_write(UC_X86_REG_EAX, edx)
    elif eax == 1:
        uc.emu_stop()


uc.hook_add(UC_HOOK_INTR, hook_interrupt)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_ESI), hex(uc.reg_read(UC_X86_REG_EIP)))
