"""Bases of FS and GS, as registers and as model-specific registers, set from outside and by wrmsr."""

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   mov rax, fs:[0x10]
#   mov rbx, gs:[0x20]
#   mov ecx, 0xC0000100
#   mov eax, 0x40800
#   xor edx, edx
#   wrmsr
#   mov rsi, fs:[0]
#   mov ecx, 0xC0000101
#   rdmsr
#   nop
CODE = bytes.fromhex(
    "64488b04251000000065488b1c2520000000b9000100c0b80008040031d20f3064488b342500000000b9010100c00f3290"
)

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
for at in range(0, 0x1000, 8):
    uc.mem_write(DATA + at, (0x1000000000000 + at).to_bytes(8, "little"))
uc.reg_write(UC_X86_REG_FS_BASE, DATA)
uc.reg_write(UC_X86_REG_MSR, (0xC0000101, DATA + 0x100))
print(hex(uc.reg_read(UC_X86_REG_GS_BASE)), hex(uc.reg_read(UC_X86_REG_MSR, 0xC0000100)), hex(uc.msr_read(0xC0000101)))
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
for register in (UC_X86_REG_RAX, UC_X86_REG_RBX, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_FS_BASE):
    print(hex(uc.reg_read(register)))
