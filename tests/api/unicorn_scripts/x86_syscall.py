"""The syscall instruction, hooked."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov rax, 100
#   syscall
#   mov rbx, rax
#   mov eax, 200
#   syscall
#   nop
CODE = bytes.fromhex("48c7c0640000000f054889c3b8c80000000f0590")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)


def hook_syscall(uc, user_data):
    rax = uc.reg_read(UC_X86_REG_RAX)
    print(user_data, rax, hex(uc.reg_read(UC_X86_REG_RIP)))
    uc.reg_write(UC_X86_REG_RAX, rax * 2)
    if rax == 200:
        uc.emu_stop()


uc.hook_add(UC_HOOK_INSN, hook_syscall, "call", 1, 0, UC_X86_INS_SYSCALL)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print(uc.reg_read(UC_X86_REG_RAX), uc.reg_read(UC_X86_REG_RBX), hex(uc.reg_read(UC_X86_REG_RIP)))
