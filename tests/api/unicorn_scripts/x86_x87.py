"""The x87 unit's registers."""

import struct

from unicorn import *
from unicorn.x86_const import *

ADDRESS = 0x10000
DATA = 0x40000
#   fninit
#   fld1
#   fld1
#   fld qword ptr [esi]
#   fadd st, st(1)
#   fstp tbyte ptr [esi + 16]
#   fldz
#   fnstsw ax
#   nop
CODE = bytes.fromhex("dbe3d9e8d9e8dd06d8c1db7e10d9eedfe090")

uc = Uc(UC_ARCH_X86, UC_MODE_32)
uc.mem_map(ADDRESS & ~0xFFF, 0x2000)
uc.mem_map(DATA, 0x2000, UC_PROT_READ | UC_PROT_WRITE)
uc.mem_write(ADDRESS, CODE)
uc.mem_write(DATA, struct.pack("<d", 2.5))
uc.reg_write(UC_X86_REG_ESI, DATA)
uc.emu_start(ADDRESS, ADDRESS + len(CODE))
for n in range(8):
    print(n, uc.reg_read(UC_X86_REG_FP0 + n))
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_FPSW, UC_X86_REG_FPCW, UC_X86_REG_FPTAG, UC_X86_REG_AX)])
print(bytes(uc.mem_read(DATA + 16, 10)).hex())
uc.reg_write(UC_X86_REG_FP7, (0xC000000000000000, 0x4001))
print(uc.reg_read(UC_X86_REG_FP7))
uc.reg_write(UC_X86_REG_FPCW, 0x27F)
uc.reg_write(UC_X86_REG_FPSW, 0x1800)
print([hex(uc.reg_read(r)) for r in (UC_X86_REG_FPSW, UC_X86_REG_FPCW)])
