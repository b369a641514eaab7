"""SSE, and MXCSR."""

import struct

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   movsd xmm1, [rsi]
#   addsd xmm1, xmm1
#   movaps xmm2, xmm0
#   paddd xmm2, xmm0
#   sqrtsd xmm3, xmm1
#   ldmxcsr [rsi + 8]
#   cvtsd2si rax, xmm3
#   stmxcsr [rsi + 12]
#   nop
CODE = bytes.fromhex("f20f100ef20f58c90f28d0660ffed0f20f51d90fae5608f2480f2dc30fae5e0c90")

uc = Uc(UC_ARCH_X86, UC_MODE_64)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_write(DATA, struct.pack("<dI", 6.125, 0x7F80))
uc.reg_write(UC_X86_REG_RSI, DATA)
uc.reg_write(UC_X86_REG_XMM0, 0x00000001_00000002_FFFFFFFF_80000000)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
print([hex(uc.reg_read(UC_X86_REG_XMM0 + n)) for n in range(4)], uc.reg_read(UC_X86_REG_RAX))
print(hex(uc.reg_read(UC_X86_REG_MXCSR) & 0xFFC0))
